"""Differences of neighbours as a loss: what blurring costs, where no network is at hand to say how two pictures look. It is no LPIPS."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# Scales at which differences of neighbours are compared.
_SCALES = 3


def edges(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of neighbours' differences of pictures [B, C, H, W], over scales."""
    total = a.new_zeros(())
    for scale in range(_SCALES):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        for axis in (-1, -2):
            total = total + (a.diff(dim=axis) - b.diff(dim=axis)).abs().mean()
    return total / (2 * _SCALES)
