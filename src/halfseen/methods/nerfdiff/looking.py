"""A field and a denoiser look at virtual views: renderings, what is told of them, and the error of a step's rays."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras, concat
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, Colour
from halfseen.data.protocols import spread
from halfseen.fields.contract import Field, Rendering
from halfseen.images import color, resize
from halfseen.methods.nerfdiff import cdm, conditions
from halfseen.methods.nerfdiff.conditions import Witness
from halfseen.methods.nerfdiff.config import Guidance
from halfseen.methods.nerfdiff.distil import Views
from halfseen.methods.nerfdiff.object_prior import Shown
from halfseen.methods.photometric.lessons import Lesson
from halfseen.priors import samplers
from halfseen.priors.contract import Denoiser, NoiseLevel, noised

# Views that the denoiser is asked for at once, and rays that are rendered at once (few, so that their samples stay in a cache: twice as fast).
_VIEWS_AT_ONCE, _RAYS_AT_ONCE = 8, 1024
# A pixel shows something when it is so opaque, or differs so much from what is behind; and pixels by which that is widened.
_OPAQUE, _DIFFERS, _WIDER = 0.01, 0.03, 3
# Views of a panel.
_SHOWN = 6


@dataclass(frozen=True)
class Looks:
    """The virtual views, the photo last where it is one of the targets."""

    cameras: Cameras  # [V + 1]: the photo's own camera last
    told: Tensor  # [V, 9, H, W]
    rendered: Tensor  # [V, 3, H, W] of the field as it was predicted, in [-1, 1]
    photo: Tensor  # [1, 3, H, W] in [-1, 1]
    back: Tensor  # [3] in [0, 1]

    def to_plain(self) -> dict[str, Tensor]:
        """As tensors of a checkpoint."""
        c = self.cameras
        return {
            "told": self.told,
            "rendered": self.rendered,
            "back": self.back,
            "c2w": c.c2w,
            "intrinsics": c.intrinsics,
            "sizes": c.sizes,
        }


def restored(state: dict[str, Tensor], shown: Shown) -> Looks:
    """The looks of a checkpoint."""
    here = {k: v.to(shown.photo.device) for k, v in state.items()}
    cameras = Cameras(here["c2w"], here["intrinsics"], here["sizes"])
    return Looks(cameras, here["told"], here["rendered"], 2 * shown.photo[None] - 1, here["back"])


def of(field: Field, cameras: Cameras, shown: Shown, capture: Capture) -> Looks:
    """Render a predicted field at virtual cameras, once, with all that the denoiser is told."""
    back = capture.background or color.WHITE
    known = witness(field, shown, capture)
    found = [_rendering(field, cameras[i], back) for i in range(len(cameras))]
    told = torch.stack([_told(r, cameras[i], known) for i, r in enumerate(found)])
    first = torch.stack([2 * r.rgb.movedim(-1, 0) - 1 for r in found])
    return Looks(concat([cameras, shown.camera]), told, first, 2 * shown.photo[None] - 1, first.new_tensor(back))


def witness(field: Field, shown: Shown, capture: Capture) -> Witness:
    """The photo, and the depth of a field as its camera sees it."""
    rendering = _rendering(field, shown.camera, capture.background or color.WHITE)
    surface = conditions.solid(rendering.mean_depth, rendering.alpha)
    return Witness(shown.photo.movedim(0, -1), shown.camera, surface, shown.to_box.scale)


def _rendering(field: Field, camera: Cameras, back: Colour) -> Rendering:
    with torch.no_grad():
        return field.render(camera, background=back)


def _told(rendering: Rendering, camera: Cameras, known: Witness) -> Tensor:
    return conditions.told(rendering.rgb.clamp(0, 1), rendering.alpha, rendering.mean_depth, camera, known)


def denoised(network: Denoiser, told: Tensor, photo: Tensor, noisy: Tensor, level: NoiseLevel) -> Tensor:
    """Guesses [V, 3, H, W] of what is under noise, some views at a time."""
    out = []
    with torch.no_grad():
        for x, t in zip(noisy.split(_VIEWS_AT_ONCE), told.split(_VIEWS_AT_ONCE), strict=True):
            some = NoiseLevel(level.alpha[:1], level.sigma[:1]).expand(len(x))
            out.append(network(x, some, {cdm.CONDITION: t, cdm.PHOTO: photo}).float())
    return torch.cat(out)


def rendered(
    field: Field, looks: Looks, only: int | None = None, shown: Tensor | None = None, *, whole: bool = False
) -> Tensor:
    """Renderings [V, 3, H, W] in [-1, 1] of all virtual views, or of one, without gradients. Unless pictures are wanted `whole`, nothing is
    looked for where neither the predicted field nor what views have `shown` since [V, 3, H, W] has anything near."""
    wanted = range(len(looks.told)) if only is None else range(only, only + 1)
    shape = looks.told.shape[-2:]
    out = looks.back[:, None, None].expand(len(wanted), 3, *shape).clone()
    near = torch.ones_like(looks.told[:, 0], dtype=torch.bool) if whole else _near(looks, shown)
    near = near[wanted.start : wanted.stop]
    view, row, column = near.nonzero(as_tuple=True)
    xy = torch.stack([column, row], -1).to(torch.float32) + 0.5
    parts = []
    with torch.no_grad():
        for v, p in zip((view + wanted.start).split(_RAYS_AT_ONCE), xy.split(_RAYS_AT_ONCE), strict=True):
            parts.append(field.render(looks.cameras, pixels=(v, p), background=looks.back.expand(len(v), 3)).rgb)
    if parts:
        out.movedim(1, -1)[near] = torch.cat(parts).clamp(0, 1)
    return 2 * out - 1


def _near(looks: Looks, shown: Tensor | None) -> Tensor:
    """Where views may show something [V, H, W]."""
    there = (looks.told[:, cdm.ALPHA] + 1) / 2 > _OPAQUE
    if shown is not None:
        there = there | (((shown.movedim(1, -1) + 1) / 2 - looks.back).abs().amax(-1) > _DIFFERS)
    return _widened(there)


def _widened(mask: Tensor) -> Tensor:
    grown = F.max_pool2d(mask[:, None].float(), 2 * _WIDER + 1, 1, _WIDER)
    return grown[:, 0] > 0


def error(
    field: Field, looks: Looks, targets: Tensor, cfg: Guidance, rng: torch.Generator, only: int | None = None
) -> Tensor:
    """Mean squared error of random rays of the targets [V, 3, H, W], or of one of them, and of the photo where it is pinned: as many of
    its rays as of one view among all."""
    views, (height, width) = len(targets), targets.shape[-2:]
    colours = (torch.cat([targets, looks.photo]).movedim(1, -1) + 1) / 2
    shows = _widened((colours - looks.back).abs().amax(-1) > _DIFFERS)
    if only is None:
        picked = _picked(shows, (0, views + cfg.pin_source), cfg.rays, cfg.on_object, rng)
    else:
        own = round(cfg.rays / (views + 1)) if cfg.pin_source else 0
        parts = (((only, only + 1), cfg.rays - own), ((views, views + 1), own))
        picked = torch.cat([_picked(shows, part, count, cfg.on_object, rng) for part, count in parts])
    view, at = picked // (height * width), picked % (height * width)
    xy = rays.pixel_centres(width, height).to(targets)[at]
    back = looks.back.expand(len(xy), 3)
    found = field.render(looks.cameras, pixels=(view, xy), background=back, generator=rng)
    return (found.rgb - colours.reshape(-1, 3)[picked]).square().mean()


def _picked(shows: Tensor, views: tuple[int, int], count: int, on_object: float, rng: torch.Generator) -> Tensor:
    """Random pixels [count] of some views, by their numbers among those of all [V, H, W]; a share of them from where something is shown."""
    first, last = (v * shows[0].numel() for v in views)
    anywhere = torch.randint(first, last, (count,), generator=rng).to(shows.device)
    there = shows[slice(*views)].flatten().nonzero()[:, 0] + first
    near = round(count * on_object)
    if not near or len(there) == 0:
        return anywhere
    return torch.cat([there[torch.randint(len(there), (near,), generator=rng).to(there.device)], anywhere[near:]])


def lesson(field: Field, looks: Looks, count: int) -> Lesson:
    """Renderings of a few of the virtual views, evenly spread over them, to learn from."""
    chosen = list(spread(range(len(looks.told)), min(count, len(looks.told))))
    rgb = (torch.cat([rendered(field, looks, only=i, whole=True) for i in chosen]).movedim(1, -1) + 1) / 2
    weight = torch.ones(rgb.shape[:3])
    return Lesson(rgb, weight, looks.cameras[chosen], torch.ones(len(rgb), dtype=torch.long))


def panels(looks: Looks, views: Views) -> dict[str, Tensor]:
    """A few views: as predicted, and what the field is fitted to."""
    rows = (looks.rendered, views.targets)
    return {
        "predicted-wanted": (torch.cat([torch.cat(list(r[:_SHOWN]), 2) for r in rows], 1).movedim(0, -1) + 1).clamp(
            0, 2
        )
        / 2
    }


@dataclass(frozen=True)
class Sampled:
    """A sample of the denoiser in the place of each rendering, made at the denoiser's own size."""

    network: Denoiser
    levels: list[NoiseLevel]
    shown: Shown
    known: Witness
    size: int
    multiple: int  # of which sides of what the network takes are
    guidance: Guidance

    def __call__(self, rendering: Rendering, camera: Cameras, back: Colour, /) -> Tensor:
        """Colours [H, W, 3] of a rendering at a camera of the box frame."""
        device = self.shown.photo.device
        width, height = resize.fit(*camera.size(), self.size)
        wide, high = (max(self.multiple, s // self.multiple * self.multiple) for s in (width, height))
        there = camera.resized(wide, high).to(device)
        told = _told(_small(rendering, wide, high, device), there, self.known)[None]
        # The same noise at every view, or noise that follows from where the camera is.
        where = 0 if self.guidance.shared_noise else zlib.crc32(camera.c2w.cpu().numpy().tobytes())
        rng = generator(0, "nerfdiff/sampled", where)
        eps = self.guidance.temperature * torch.randn(told[:, cdm.RENDER].shape, generator=rng).to(told)
        begun = noised(told[:, cdm.RENDER], eps, self.levels[0])
        photo = 2 * self.shown.photo[None] - 1

        def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
            del cond
            return denoised(self.network, told, photo, x, level).clamp(-1, 1)

        found = (samplers.ddim(denoise, begun, self.levels)[0].movedim(0, -1) + 1) / 2
        return resize.resize(found.cpu(), *camera.size()).clamp(0, 1)

    @property
    def facts(self) -> dict[str, float]:
        """What a view costs."""
        return {"post_calls": float(len(self.levels))}


def _small(rendering: Rendering, wide: int, high: int, device: torch.device) -> Rendering:
    """A rendering at the denoiser's size, on its device."""
    parts = {k: getattr(rendering, k).to(device) for k in ("rgb", "alpha", "mean_depth", "depth")}
    small = {k: resize.resize(v if v.dim() == 3 else v[..., None], wide, high) for k, v in parts.items()}
    return Rendering(small["rgb"], small["depth"][..., 0], small["alpha"][..., 0], small["mean_depth"][..., 0])
