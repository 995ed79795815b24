"""Pictures of objects over black, cropped as a box around their mask would crop them (sections 1.3 and 5.3 of the specification)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.cameras import Cameras
from halfseen.worlds.objects import Views

# A pixel is of the object from here on; a box is so much larger than what it holds.
COVERED, LARGER = 0.4, 1.3


@dataclass(frozen=True)
class Crop:
    """Square windows of pictures, in pictures' sides: their middles [V, 2] as (x, y), and their sides [V]."""

    middle: Tensor
    side: Tensor


def on_black(views: Views, which: list[int]) -> tuple[Tensor, Tensor]:
    """(colours [V, 3, H, W] in [0, 1] over black, opacities [V, 1, H, W]) of views that are over white."""
    mask = views.mask[which].float()[:, None] / 255
    rgb = views.rgb[which].float().movedim(-1, 1) / 255
    return (rgb - (1 - mask)).clamp_min(0) * (mask > 0), mask


def around(mask: Tensor) -> Crop:
    """The window around what masks [V, 1, H, W] show, 1.3 times as large, square; the whole picture where they show nothing."""
    middles, sides = [], []
    for one in mask[:, 0]:
        spans = []
        for axis in (0, 1):
            there = (one > COVERED).any(axis).nonzero()[:, 0].float()
            count = one.shape[1 - axis]
            whole = len(there) == 0
            spans.append((0.0, 1.0) if whole else (float(there[0]) / count, (float(there[-1]) + 1) / count))
        middles.append([(low + high) / 2 for low, high in spans])
        sides.append(min(1.0, LARGER * max(high - low for low, high in spans)))
    return Crop(torch.tensor(middles), torch.tensor(sides))


def shaken(crop: Crop, amount: float, rng: torch.Generator) -> Crop:
    """Windows moved, made larger and made smaller by up to a share of their sides."""
    u = 2 * torch.rand(len(crop.side), 3, generator=rng) - 1
    return Crop(crop.middle + amount / 2 * u[:, :2] * crop.side[:, None], crop.side * (1 + amount * u[:, 2]))


def cut(pictures: Tensor, crop: Crop, size: int) -> Tensor:
    """The windows of pictures [V, C, H, W] at size x size; beyond a picture is 0."""
    at = (torch.arange(size) + 0.5) / size - 0.5
    x, y = (crop.middle[:, k, None] + at * crop.side[:, None] for k in (0, 1))
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], -1)
    # Larger windows skip pixels: these are averaged first.
    shrink = max(1, round(float(crop.side.max()) * pictures.shape[-1] / size))
    small = F.avg_pool2d(pictures, shrink) if shrink > 1 else pictures
    return F.grid_sample(small, 2 * grid - 1, align_corners=False, padding_mode="zeros")


def lenses(cameras: Cameras, crop: Crop) -> Tensor:
    """Intrinsics [V, 4] of the windows, in their sides."""
    sizes = cameras.sizes.to(cameras.intrinsics)
    focal, centre = cameras.intrinsics[:, :2] / sizes, cameras.intrinsics[:, 2:] / sizes
    side = crop.side[:, None].to(focal)
    return torch.cat([focal / side, (centre - crop.middle.to(focal)) / side + 0.5], -1).float()
