"""Denoising what a picture differs in from what is known of it, in units of r, instead of the picture itself.

It is the same process at another clock: with y0 = (x0 - known) / r and rho = sigma / (alpha r),

    y = a (x / alpha - known) / r = a y0 + s eps,   a = 1 / sqrt(1 + rho^2),   s = rho a
"""

from __future__ import annotations

from torch import Tensor

from halfseen.priors.contract import NoiseLevel, per_picture

# The noise of a level is not taken to be less than this.
_LEAST = 1e-6


def inward(x: Tensor, known: Tensor, level: NoiseLevel, unit: float) -> tuple[Tensor, NoiseLevel]:
    """Noisy pictures [B, C, H, W] as what is denoised, and at which level that is."""
    own = own_level(level, unit)
    y = (x / per_picture(level.alpha, x) - known) / unit
    return per_picture(own.alpha, x) * y, own


def outward(y0: Tensor, known: Tensor, unit: float) -> Tensor:
    """Pictures of what was denoised."""
    return known + unit * y0


def own_level(level: NoiseLevel, unit: float) -> NoiseLevel:
    """The level of what is denoised where pictures are at `level`."""
    rho = (level.sigma / (level.alpha * unit)).clamp_min(_LEAST)
    alpha = (1 + rho**2).rsqrt()
    return NoiseLevel(alpha, rho * alpha)


def picture_level(own: NoiseLevel, unit: float) -> NoiseLevel:
    """The inverse of `own_level`."""
    return own_level(own, 1 / unit)
