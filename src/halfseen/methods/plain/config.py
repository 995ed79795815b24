"""Settings of the plain method. Sources: ours throughout."""

from __future__ import annotations

from dataclasses import dataclass, field

from halfseen.common.config import within
from halfseen.fields import voxels


@dataclass(frozen=True)
class Config:
    """Photometric fitting of a voxel grid."""

    # Optimiser steps.
    steps: int = 400
    # Rays in each step.
    rays: int = 1536
    # Weight of the smoothness of density between neighbouring points.
    smooth: float = 2e-3
    # Pairs of points for that, and how far apart they are (box units).
    smooth_pairs: int = 8192
    smooth_distance: float = 0.06
    # Weight of the opacity loss on photos with an object mask.
    mask: float = 1.0
    # Final learning rates as a share of the first ones.
    lr_end: float = 0.1
    grid: voxels.Config = field(default_factory=voxels.Config)

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)
        within("rays", self.rays, 1, 10**6)
        within("smooth_pairs", self.smooth_pairs, 1, 10**7)
        within("lr_end", self.lr_end, 1e-6, 1e6)
