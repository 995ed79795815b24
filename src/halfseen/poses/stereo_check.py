"""Which depths to believe: those that other views confirm, away from the rims that windows blur, and not alone among strangers.

Depth maps are z-depth [H, W], 0 where unknown; each test returns a mask [H, W] of what passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.poses.stereo_views import lift


def agree(maps: Sequence[Tensor], cameras: Cameras, view: int, tolerance: float, views: int) -> Tensor:
    """Depths that at least `views` other maps confirm, and no fewer than deny them.

    The point of a pixel falls on a pixel of another view. That view confirms it with a depth within the relative `tolerance`
    of the point's own, and denies it with a larger one: it looked through the point.
    """
    depth = maps[view]
    at, z = rays.project(cameras, lift(depth, cameras[view]))
    inside = rays.in_frame(cameras, at, z) & (depth > 0).reshape(-1)
    yes, no = torch.zeros(depth.numel(), dtype=torch.long), torch.zeros(depth.numel(), dtype=torch.long)
    for j, other in enumerate(maps):
        if j == view:
            continue
        height, width = other.shape
        x, y = at[j, :, 0].clamp(0, width - 1).long(), at[j, :, 1].clamp(0, height - 1).long()
        theirs = other[y, x].to(z)
        seen = inside[j] & (theirs > 0)
        close = (theirs - z[j]).abs() <= tolerance * z[j]
        yes += seen & close
        no += seen & ~close & (theirs > z[j])
    return ((yes >= views) & (yes >= no)).reshape(depth.shape)


def off_rims(depth: Tensor, radius: int, jump: float) -> Tensor:
    """Depths with nothing deeper by more than the share `jump` within `radius` pixels.

    A window across the rim of a thing in front sees its texture, so that the thing grows into the background by half a window.
    """
    deepest = functional.max_pool2d(depth[None, None], 2 * radius + 1, 1, radius)[0, 0]
    return (depth > 0) & (deepest <= depth * (1 + jump))


def supported(depth: Tensor, radius: int, tolerance: float, share: float) -> Tensor:
    """Depths that at least a `share` of all pixels within `radius` share, up to a relative `tolerance`; each counts itself."""
    height, width = depth.shape
    around = functional.pad(depth, (radius,) * 4)
    close = torch.zeros_like(depth)
    for y in range(2 * radius + 1):
        for x in range(2 * radius + 1):
            close += (around[y : y + height, x : x + width] - depth).abs() <= tolerance * depth
    return (depth > 0) & (close >= share * (2 * radius + 1) ** 2)
