"""Image measures on [H, W, 3] or [P, 3] in [0, 1]."""

from __future__ import annotations

import math

from torch import Tensor

# Identical pictures would give infinity; this caps PSNR at 100 dB.
_MIN_ERROR = 1e-10


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels or those where `mask` is true."""
    error = (a.detach().double() - b.detach().double()) ** 2
    if mask is not None:
        error = error[mask]
    return -10 * math.log10(max(float(error.mean()), _MIN_ERROR))
