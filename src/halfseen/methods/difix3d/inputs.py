"""What the fixer is shown of a rendering: the same at pair-making and in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.fields import seen
from halfseen.fields.contract import Field, Rendering
from halfseen.images import resize
from halfseen.poses import warping
from halfseen.priors import patches
from halfseen.priors.networks.fixer_small import ALPHA, BORROWED, CHANNELS, TRUSTED

# The four kinds of pixels as even steps.
_KINDS = {seen.NOTHING: 0.0, seen.INVENTED: 1 / 3, seen.ONE_VIEW: 2 / 3, seen.TWO_VIEWS: 1.0}
# Disparity is shown up to this (0.5 is the picture's median).
_NEAREST = 2.0
_HALF = 0.5


@dataclass(frozen=True)
class Witnesses:
    """The photos of a scene and its surfaces as their cameras see them, in the box frame."""

    photos: tuple[Tensor, ...]  # [h, w, 3]
    cameras: Cameras
    seen: seen.Witness
    unit: float  # box units that count as much as a radian between cameras: a typical depth
    # What the fixer is shown where a scene is empty; None: the background that it was rendered over.
    behind: Tensor | None = None

    def to_plain(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: all but the photos and their cameras."""
        out = {f"depth{i}": d for i, d in enumerate(self.seen.depths)}
        out["unit"] = torch.tensor(self.unit, dtype=torch.float64)
        return out if self.behind is None else {**out, "behind": self.behind}


def restored(stored: dict[str, Tensor], photos: Sequence[Tensor], cameras: Cameras) -> Witnesses:
    """As an earlier start of this run knew it."""
    found = seen.Witness(cameras, tuple(stored[f"depth{i}"] for i in range(len(photos))))
    return Witnesses(tuple(photos), cameras, found, float(stored["unit"]), stored.get("behind"))


def witnesses(
    field: Field,
    photos: Sequence[Tensor],
    cameras: Cameras,
    behind: Tensor | None = None,
    valid: Sequence[Tensor] = (),
) -> Witnesses:
    """Render the field once for each photo. Where one is not `valid` [h, w] it shows no surface."""
    found = seen.witness(field, cameras)
    if valid:
        found = replace(found, depths=tuple(_where(d, v) for d, v in zip(found.depths, valid, strict=True)))
    depths = torch.cat([d[d > 0].reshape(-1) for d in found.depths])
    return Witnesses(tuple(photos), cameras, found, float(depths.median()) if len(depths) else 1.0, behind)


def _where(depth: Tensor, valid: Tensor) -> Tensor:
    """A depth map [H, W] with nothing where a mask of another size says so."""
    height, width = depth.shape
    if bool(valid.all()):
        return depth
    share = resize.resize(valid.float()[..., None], width, height)[..., 0]
    return torch.where(share > _HALF, depth, 0.0)


def order(known: Witnesses, camera: Cameras) -> list[int]:
    """Photos from the nearest camera to the farthest."""
    return torch.argsort(warping.distance(known.cameras, camera, known.unit)[:, 0], stable=True).tolist()


def shown(rendering: Rendering, camera: Cameras, known: Witnesses) -> Tensor:
    """The fixer's input [10, H, W] for one rendering at a camera."""
    rendering = Rendering(*(getattr(rendering, n).cpu() for n in ("rgb", "depth", "alpha", "mean_depth")))
    near = order(known, camera)
    borrowed, trusted = warping.borrowed(
        [known.photos[i] for i in near],
        known.cameras[near],
        [known.seen.depths[i] for i in near],
        camera,
        rendering.depth,
    )
    kinds = seen.seen_map(known.seen, rendering, camera)
    levels = torch.zeros(256)
    for value, level in _KINDS.items():
        levels[value] = level
    planes = (
        rendering.alpha[None],
        disparity(rendering.depth, rendering.alpha)[None],
        levels[kinds.long()][None],
        borrowed.movedim(-1, 0),
        trusted[None].float(),
    )
    return torch.cat([rendering.rgb.movedim(-1, 0).clamp(0, 1), *(p.to(rendering.rgb) for p in planes)])


def borrowed_of(shown: Tensor) -> Tensor:
    """The colours [3, H, W] of an input that photos show."""
    return shown[BORROWED]


def alpha_of(shown: Tensor) -> Tensor:
    """Opacity of an input's rendering [H, W]."""
    return shown[ALPHA][0]


def trusted_of(shown: Tensor) -> Tensor:
    """Where these are to be trusted [H, W]."""
    return shown[TRUSTED][0] > _HALF


def bare(rgb: Tensor) -> Tensor:
    """The input [..., 10, H, W] for a picture [..., 3, H, W] of which nothing else is known: opaque, of no depth, seen by nobody."""
    known = torch.zeros(*rgb.shape[:-3], CHANNELS - 3, *rgb.shape[-2:]).to(rgb)
    known[..., 0, :, :] = 1
    return torch.cat([rgb, known], -3)


def disparity(depth: Tensor, alpha: Tensor) -> Tensor:
    """Relative disparity [H, W], 0 where nothing is."""
    return patches.disparity(torch.where(alpha > 0, depth, 0.0)[None], "relative", _NEAREST)[0]
