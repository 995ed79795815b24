"""A loaded capture as one list of pixels: what a fit draws its rays from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import pixel_centres
from halfseen.data import load
from halfseen.data.capture import Capture

# Mask values above this count as valid photo.
VALID = 0.5


@dataclass(frozen=True)
class Pixels:
    """P pixels of all views, and where each came from."""

    rgb: Tensor  # [P, 3]
    mask: Tensor  # [P] object or validity
    views: Tensor  # [P]
    xy: Tensor  # [P, 2] pixel centres
    cameras: Cameras
    kept: Tensor  # [Q] which of all Q pixels, view by view and row by row, these are

    def __len__(self) -> int:
        return len(self.rgb)

    def spread(self, values: list[Tensor]) -> Tensor:
        """Maps [H, W] of all views as values [P] of these pixels."""
        return torch.cat([v.reshape(-1) for v in values])[self.kept].to(self.rgb)


def of(capture: Capture, device: torch.device) -> Pixels:
    """All pixels; validity masks drop pixels here, object masks stay for an opacity loss."""
    views = torch.cat([torch.full((v.image.width * v.image.height,), i) for i, v in enumerate(capture.views)])
    xy = torch.cat([pixel_centres(v.image.width, v.image.height) for v in capture.views])
    rgb, mask = load.stack_rgb(capture), load.stack_masks(capture)
    keep = torch.ones_like(mask, dtype=torch.bool) if capture.mask_role != "valid" else mask > VALID
    rgb, mask, view, at = (t[keep].to(device) for t in (rgb, mask, views, xy))
    return Pixels(rgb, mask, view, at, capture.cameras().to(torch.float32).to(device), keep.nonzero()[:, 0])
