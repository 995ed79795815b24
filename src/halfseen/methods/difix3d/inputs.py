"""What the fixer is shown of a rendering: the same at pair-making and in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.fields import seen
from halfseen.fields.contract import Field, Rendering
from halfseen.poses import warping
from halfseen.priors import patches

# The four kinds of pixels as even steps.
_KINDS = {seen.NOTHING: 0.0, seen.INVENTED: 1 / 3, seen.ONE_VIEW: 2 / 3, seen.TWO_VIEWS: 1.0}
# Disparity is shown up to this (0.5 is the picture's median).
_NEAREST = 2.0


@dataclass(frozen=True)
class Witnesses:
    """The photos of a scene and its surfaces as their cameras see them, in the box frame."""

    photos: tuple[Tensor, ...]  # [h, w, 3]
    cameras: Cameras
    seen: seen.Witness
    unit: float  # box units that count as much as a radian between cameras: a typical depth


def witnesses(field: Field, photos: Sequence[Tensor], cameras: Cameras) -> Witnesses:
    """Render the field once for each photo."""
    found = seen.witness(field, cameras)
    depths = torch.cat([d[d > 0].reshape(-1) for d in found.depths])
    return Witnesses(tuple(photos), cameras, found, float(depths.median()) if len(depths) else 1.0)


def order(known: Witnesses, camera: Cameras) -> list[int]:
    """Photos from the nearest camera to the farthest."""
    return torch.argsort(warping.distance(known.cameras, camera, known.unit)[:, 0], stable=True).tolist()


def shown(rendering: Rendering, camera: Cameras, known: Witnesses) -> Tensor:
    """The fixer's input [10, H, W] for one rendering at a camera."""
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


def disparity(depth: Tensor, alpha: Tensor) -> Tensor:
    """Relative disparity [H, W], 0 where nothing is."""
    return patches.disparity(torch.where(alpha > 0, depth, 0.0)[None], "relative", _NEAREST)[0]
