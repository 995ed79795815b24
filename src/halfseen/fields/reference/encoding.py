"""Slow twin of `fields/kernels/encoding.py`: multi-resolution hash encoding in torch, differentiable by autograd."""

from __future__ import annotations

import torch
from torch import Tensor

_P1, _P2 = 2654435761, 805459861


def forward(xyz: Tensor, table: Tensor, first: Tensor, size: Tensor, cells: Tensor, dense: Tensor) -> Tensor:
    """Features [S, L * 2] of positions [S, 3] in [0, 1]."""
    out = []
    for base, n, cell, flat in zip(first.tolist(), size.tolist(), cells.tolist(), dense.tolist(), strict=True):
        at = xyz * cell
        low = at.detach().long().clamp(0, cell - 1)
        share = at - low
        total = torch.zeros(len(xyz), table.shape[1], dtype=table.dtype, device=table.device)
        for k in range(8):
            step = torch.tensor([k & 1, (k >> 1) & 1, k >> 2], device=xyz.device)
            weight = torch.where(step == 1, share, 1 - share).prod(-1, keepdim=True)
            total = total + weight * table[base + _entry(low + step, cell + 1, n, flat)]
        out.append(total)
    return torch.cat(out, -1)


def _entry(corner: Tensor, side: int, size: int, dense: bool) -> Tensor:
    x, y, z = corner.unbind(-1)
    if dense:
        return x + side * (y + side * z)
    return (x ^ (y * _P1) ^ (z * _P2)) & (size - 1)
