"""Any field as Gaussians: seeds on its surfaces, fitted to its own pictures. What is lost on the way is measured on views kept aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import generator
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields import gaussians
from halfseen.fields.contract import Field, Rendering
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.fields.gaussians import Gaussians
from halfseen.fields.optimiser import Adam
from halfseen.metrics.image import psnr
from halfseen.metrics.structure import dissimilarity

STEPS = 400
_CONFIG = gaussians.Config(start=30_000, most=50_000, nearest=0.0, first_opacity=0.5)
# Every so many views are not fitted but measured; share of D-SSIM; last learning rates as a share of the first.
_ASIDE, _STRUCTURE, _LR_END = 5, 0.2, 0.05
# Seeds come from pixels that are opaque, so many times as many as are kept.
_OPAQUE, _SURPLUS = 0.5, 1.5


@dataclass(frozen=True)
class Baked:
    """Gaussians, and the PSNR of their pictures against the field's on views that were not fitted."""

    field: Gaussians
    psnr: float
    views: int


def bake(
    field: Field, captured: Cameras, around: Cameras, *, steps: int = STEPS, seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, of: None,
) -> Baked:  # fmt: skip
    """Bake a field from the views of its photos and views around it (box frame), over black and over white."""
    views = cams.concat([*(captured[i] for i in range(len(captured))), *(around[i] for i in range(len(around)))])
    with torch.no_grad():
        shown = [field.render(views[i], background=(0.0, 0.0, 0.0)) for i in range(len(views))]
    rng = generator(seed, "bake")
    baked = gaussians.create(field.to_user, _CONFIG, seed, torch.device("cpu"), captured, _seeds(shown, views, rng))
    aside = [i for i in range(len(views)) if i % _ASIDE == _ASIDE - 1]
    fitted = [i for i in range(len(views)) if i not in aside]
    optimiser = Adam(baked.parameter_groups())
    for step in range(1, steps + 1):
        rng = generator(seed, "bake", step)
        i = fitted[int(torch.randint(len(fitted), (1,), generator=rng))]
        back = torch.rand(3, generator=rng)
        wanted = _over(shown[i], back)
        picture = baked.render(views[i], background=back, generator=rng)
        loss = (1 - _STRUCTURE) * (picture.rgb - wanted).abs().mean() + _STRUCTURE * dissimilarity(picture.rgb, wanted)
        loss.backward()
        optimiser.step(_LR_END ** (step / steps))
        origin = baked.after_step(step, {"progress": torch.tensor(step / steps)})
        if origin is not None:
            optimiser.rearrange(baked.parameter_groups(), origin)
        on_step(step, steps)
    scores = []
    for i in aside or fitted[:1]:
        with torch.no_grad():
            scores.append(psnr(baked.render(views[i], background=(0.0, 0.0, 0.0)).rgb.clamp(0, 1), shown[i].rgb.cpu()))
    return Baked(baked, sum(scores) / len(scores), len(scores))


def _over(shown: Rendering, back: Tensor) -> Tensor:
    """A picture that was rendered over black, over another colour."""
    return shown.rgb.cpu() + (1 - shown.alpha.cpu())[..., None] * back


def _seeds(shown: list[Rendering], views: Cameras, rng: torch.Generator) -> Seeds:
    """Surface points of opaque pixels of all views."""
    parts = []
    for i, picture in enumerate(shown):
        ray = rays.cast_all(views[i].to(torch.float32))
        depth, alpha = picture.depth.cpu().reshape(-1), picture.alpha.cpu().reshape(-1)
        known = (alpha > _OPAQUE) & (depth > 0)
        xyz = ray.at_depth(depth)[known]
        rgb = (picture.rgb.cpu().reshape(-1, 3) / alpha.clamp_min(_OPAQUE)[:, None]).clamp(0, 1)[known]
        focal = views.intrinsics[i, 0].float().expand(len(xyz))
        share = min(1.0, _SURPLUS * _CONFIG.start / max(len(shown) * int(known.sum()), 1))
        parts.append(seeding.from_depth(xyz, rgb, depth[known], focal, share, rng))
    return seeding.joined(parts)
