"""Where an object is, carved out of its own depth maps: what worlds know and photos do not, to learn shapes from.

A point before what some view sees there is free. One that no view sees past, and that lies just behind a surface, is solid. Of all
others nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras

# Of lengths where the cube reaches from -1 to 1: how far before a surface is free for sure, how far behind it is solid, how far from
# one points are drawn, and how near to it they have its colour.
_MARGIN, _SKIN, _AROUND, _COLOURED = 0.02, 0.12, 0.15, 0.02
# Depth of nothing.
_FAR = 1e4


@dataclass(frozen=True)
class Points:
    """Points [K, 3] of the cube: 1 where they are solid, 0 where they are free, and whether that is known; their colours and whether
    these are known."""

    xyz: Tensor
    solid: Tensor
    known: Tensor
    rgb: Tensor
    coloured: Tensor


def points(rgb: Tensor, depth: Tensor, cameras: Cameras, count: int, rng: torch.Generator) -> Points:
    """`count` points of an object whose pictures [V, H, W, 3] and z-depths [V, H, W] (0: nothing) are in the frame of its cube: half of
    them near surfaces, half anywhere."""
    near, offset, colour = _near_surfaces(rgb, depth, cameras, count // 2, rng)
    anywhere = 2 * torch.rand(count - len(near), 3, generator=rng) - 1
    xyz = torch.cat([near, anywhere])
    free, behind = _seen(xyz, depth, cameras)
    inside = (xyz.abs() <= 1).all(-1)
    solid = behind & ~free
    rest = torch.zeros(len(anywhere), 3)
    close = torch.cat([offset.abs() < _COLOURED, torch.zeros(len(anywhere), dtype=torch.bool)]) & inside
    return Points(xyz, solid.float(), ((free | solid) & inside).float(), torch.cat([colour, rest]), close.float())


def _near_surfaces(
    rgb: Tensor, depth: Tensor, cameras: Cameras, count: int, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Points before and behind random pixels that show something: places, how far behind they are, and the pixels' colours."""
    shown = depth.flatten().nonzero()[:, 0]
    if len(shown) == 0:
        return torch.zeros(0, 3), torch.zeros(0), torch.zeros(0, 3)
    pick = shown[torch.randint(len(shown), (count,), generator=rng)]
    height, width = depth.shape[1:]
    view, at = pick // (height * width), pick % (height * width)
    xy = torch.stack([at % width, at // width], -1) + 0.5
    offset = _AROUND * (2 * torch.rand(count, generator=rng) - 1)
    # Half of them lie where colours are told.
    offset[::2] *= _COLOURED / _AROUND
    ray = rays.cast(cameras, view, xy.to(torch.float32))
    return ray.at_depth(depth.flatten()[pick] + offset), offset, rgb.reshape(-1, 3)[pick]


def _seen(xyz: Tensor, depth: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """(whether some view sees past points [K], whether one has them just behind its surface). Edges belong to nobody: a view sees past
    only where its neighbouring pixels do."""
    there = torch.where(depth > 0, depth, torch.full_like(depth, _FAR))
    nearest = -F.max_pool2d(-there[:, None], 3, 1, 1)[:, 0]
    pixels, z = rays.project(cameras, xyz)
    visible = rays.in_frame(cameras, pixels, z)
    height, width = depth.shape[1:]
    x, y = pixels[..., 0].long().clamp(0, width - 1), pixels[..., 1].long().clamp(0, height - 1)
    view = torch.arange(len(depth))[:, None]
    free = visible & (z < nearest[view, y, x] - _MARGIN)
    surface = depth[view, y, x]
    behind = visible & (surface > 0) & (z > surface) & (z < surface + _SKIN)
    return free.any(0), behind.any(0)
