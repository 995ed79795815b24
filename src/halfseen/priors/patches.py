"""Colour and depth as one picture of four channels in [-1, 1], the way the patch priors see them; differentiable.

    metric      disparity 0.2 / max(z, 0.2), z in metres or what the scene's scale makes of them (DiffusioNeRF)
    relative    disparity 0.5 median(z) / z, at most 1, with the median of each patch: no scale is needed

What is not there (z = 0) has disparity 0, as if it were infinitely far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from halfseen.common.errors import UserError

Rule = Literal["metric", "relative"]
# What a patch prior of so many channels knows of the four.
ALL, COLOUR, DISPARITY = slice(0, 4), slice(0, 3), slice(3, 4)
CHANNELS: Mapping[int, slice] = {4: ALL, 3: COLOUR, 1: DISPARITY}
NEAREST = 0.2
_MIDDLE = 0.5


def part(channels: int) -> slice:
    """Which of the four channels a prior of so many knows."""
    if channels not in CHANNELS:
        raise UserError(
            "no prior of patches has so many channels",
            got=str(channels),
            accepted="4 (colours and disparity), 3 (colours) or 1 (disparity)",
            do="Give another prior, or change the channels of its network.",
        )
    return CHANNELS[channels]


def knows(channels: int) -> tuple[bool, bool]:
    """Whether a prior of so many channels knows colours, and disparity."""
    return part(channels) != DISPARITY, part(channels) != COLOUR


def encode(rgb: Tensor, z: Tensor, rule: Rule) -> Tensor:
    """Patches [B, 4, H, W] from colours [B, H, W, 3] in [0, 1] and z-depths [B, H, W]."""
    both = torch.cat([rgb, disparity(z, rule)[..., None]], -1)
    return 2 * both.movedim(-1, 1) - 1


def disparity(z: Tensor, rule: Rule, most: float = 1.0) -> Tensor:
    """Disparity [B, H, W] in [0, 1] of z-depths [B, H, W]; a relative one may reach up to `most`."""
    there = z > 0
    if rule == "metric":
        return torch.where(there, NEAREST / z.clamp_min(NEAREST), 0.0)
    scale = _MIDDLE * median(z)[:, None, None]
    # A pixel that is not there must not divide by zero, in its gradient either.
    return torch.where(there, (scale / torch.where(there, z, 1.0)).clamp(max=most), 0.0)


def median(z: Tensor) -> Tensor:
    """Median [B] of the z-depths [B, H, W] that are there, without a gradient; 1 where nothing is."""
    flat = z.detach().flatten(1)
    known = torch.where(flat > 0, flat, torch.nan)
    return torch.nan_to_num(known.nanmedian(1).values, nan=1.0)


def decode(patch: Tensor) -> tuple[Tensor, Tensor]:
    """(colours [B, H, W, 3] in [0, 1], disparity [B, H, W]) of patches [B, 4, H, W]."""
    both = ((patch.movedim(1, -1) + 1) / 2).clamp(0, 1)
    return both[..., :3], both[..., 3]
