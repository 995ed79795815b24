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
    """Square windows of pictures, in pictures' widths and heights: their middles [V, 2] as (x, y), and their sides [V, 2]."""

    middle: Tensor
    side: Tensor


def on_black(views: Views, which: list[int]) -> tuple[Tensor, Tensor]:
    """(colours [V, 3, H, W] in [0, 1] over black, opacities [V, 1, H, W]) of views that are over white."""
    mask = views.mask[which].float()[:, None] / 255
    rgb = views.rgb[which].float().movedim(-1, 1) / 255
    return (rgb - (1 - mask)).clamp_min(0) * (mask > 0), mask


def around(mask: Tensor) -> Crop:
    """The window around what masks [V, 1, H, W] show, 1.3 times as large, square; the whole picture where they show nothing."""
    height, width = mask.shape[-2:]
    sizes = torch.tensor([width, height], dtype=torch.float32)
    middles, sides = [], []
    for one in mask[:, 0] > COVERED:
        columns, rows = (one.any(axis).nonzero()[:, 0].float() for axis in (0, 1))
        if len(columns) == 0:
            low, high = torch.zeros(2), sizes
        else:
            low, high = torch.stack([columns[0], rows[0]]), torch.stack([columns[-1], rows[-1]]) + 1
        middles.append((low + high) / 2 / sizes)
        larger = LARGER if len(columns) else 1.0
        sides.append(larger * (high - low).max() / sizes)
    return Crop(torch.stack(middles), torch.stack(sides))


def shaken(crop: Crop, amount: float, rng: torch.Generator) -> Crop:
    """Windows moved, made larger and made smaller by up to a share of their sides."""
    u = 2 * torch.rand(len(crop.side), 3, generator=rng) - 1
    return Crop(crop.middle + amount / 2 * u[:, :2] * crop.side, crop.side * (1 + amount * u[:, 2:]))


def cut(pictures: Tensor, crop: Crop, size: int) -> Tensor:
    """The windows of pictures [V, C, H, W] at size x size; beyond a picture is 0."""
    # Larger windows skip pixels: each pixel is the mean of as many looks across as it covers.
    shrink = max(1, round(float(crop.side[:, 0].max()) * pictures.shape[-1] / size))
    fine = size * shrink
    at = (torch.arange(fine) + 0.5) / fine - 0.5
    x, y = (crop.middle[:, k, None] + at * crop.side[:, k, None] for k in (0, 1))
    grid = torch.stack([x[:, None, :].expand(-1, fine, -1), y[:, :, None].expand(-1, -1, fine)], -1)
    found = F.grid_sample(pictures, 2 * grid - 1, align_corners=False, padding_mode="zeros")
    return F.avg_pool2d(found, shrink)


def put(pictures: Tensor, crop: Crop, width: int, height: int) -> Tensor:
    """The inverse of `cut`: pictures [V, C, s, s] of windows in frames of width x height, 0 beyond them."""
    x, y = ((torch.arange(n) + 0.5) / n for n in (width, height))
    u, v = (2 * (at - crop.middle[:, k, None]) / crop.side[:, k, None] for k, at in enumerate((x, y)))
    grid = torch.stack([u[:, None, :].expand(-1, height, -1), v[:, :, None].expand(-1, -1, width)], -1)
    # What lies between the outermost pixels' middles and the window's edge is theirs.
    found = F.grid_sample(pictures, grid, align_corners=False, padding_mode="border")
    return found * (grid.abs() <= 1).all(-1)[:, None]


def lenses(cameras: Cameras, crop: Crop) -> Tensor:
    """Intrinsics [V, 4] of the windows, in their sides."""
    sizes = cameras.sizes.to(cameras.intrinsics)
    focal, centre = cameras.intrinsics[:, :2] / sizes, cameras.intrinsics[:, 2:] / sizes
    side = crop.side.to(focal)
    return torch.cat([focal / side, (centre - crop.middle.to(focal)) / side + 0.5], -1).float()
