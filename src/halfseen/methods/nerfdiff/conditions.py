"""What the denoiser is told of a view besides its noise (section 3 of the specification, and ours): the field's rendering there, and
the photo brought there by the field's depth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.poses import warping

# Opacity from which a pixel has a depth.
_SOLID = 0.5


@dataclass(frozen=True)
class Witness:
    """The photo of an object, and the depth of the field as its camera sees it."""

    photo: Tensor  # [h, w, 3]
    camera: Cameras
    surface: Tensor  # [h', w'] z-depth, 0 where nothing is
    unit: float = 1.0  # of these lengths, the half side of the photo's cube


def solid(depth: Tensor, alpha: Tensor) -> Tensor:
    """z-depths where there is something, else 0."""
    return torch.where(alpha > _SOLID, depth, torch.zeros_like(depth))


def told(rgb: Tensor, alpha: Tensor, depth: Tensor, camera: Cameras, witness: Witness) -> Tensor:
    """[9, H, W] of a rendering (colours [H, W, 3], opacity and z-depth [H, W]) at a camera: colours, opacity, depth from the middle of
    the cube in halves of its side, the photo's colours here, and where these are trusted. All but depth are in [-1, 1]."""
    middle = -float(camera.centres[0] @ camera.forward[0])
    there = solid(depth, alpha)
    borrowed, trusted = warping.borrow(witness.photo, witness.camera, witness.surface, camera, there)
    relative = torch.where(there > 0, there - middle, torch.zeros_like(there))
    parts = (2 * rgb.movedim(-1, 0) - 1, 2 * alpha[None] - 1, relative[None] / witness.unit)
    trust = trusted[None].to(rgb)
    return torch.cat([*parts, (2 * borrowed.to(rgb).movedim(-1, 0) - 1) * trust, 2 * trust - 1])
