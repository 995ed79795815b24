"""Twin of `kernels/planes.py`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# The axes of a position that index each plane: its columns and its rows.
AXES = ((0, 1), (0, 2), (1, 2))


def forward(planes: Tensor, at: Tensor) -> Tensor:
    """Features [B, S, C] at positions [B, S, 3] in [-1, 1]^3 of planes [B, 3, C, R, R]: the sum of what the three hold."""
    grid = torch.stack([at[..., pair] for pair in AXES], 1).flatten(0, 1)[:, None]
    found = F.grid_sample(planes.flatten(0, 1), grid.to(planes.dtype), align_corners=False, padding_mode="border")
    return found[:, :, 0].unflatten(0, (-1, len(AXES))).sum(1).transpose(1, 2)
