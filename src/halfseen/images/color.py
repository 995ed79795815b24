"""Colour: compositing over a stated background, and sRGB to linear light and back."""

from __future__ import annotations

import torch
from torch import Tensor

WHITE = (1.0, 1.0, 1.0)
BLACK = (0.0, 0.0, 0.0)

# Constants of IEC 61966-2-1.
_SRGB_CUT, _LINEAR_CUT, _SLOPE, _OFFSET, _GAMMA = 0.04045, 0.0031308, 12.92, 0.055, 2.4


def over(pixels: Tensor, alpha: Tensor, background: tuple[float, float, float]) -> Tensor:
    """Composite straight-alpha colours [..., 3] with alpha [...] over a constant background."""
    return pixels * alpha[..., None] + pixels.new_tensor(background) * (1 - alpha[..., None])


def behind(pixels: Tensor, alpha: Tensor, background: tuple[float, float, float]) -> Tensor:
    """Colours [..., 3] over black, with alpha [...], over another constant background."""
    return pixels + (1 - alpha[..., None]) * pixels.new_tensor(background)


def rim(photo: Tensor) -> Tensor:
    """Mean colour [3] of the outermost pixels of a picture [H, W, 3]."""
    return torch.cat([photo[0], photo[-1], photo[1:-1, 0], photo[1:-1, -1]]).mean(0)


def linear_from_srgb(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light."""
    curve = ((srgb.clamp_min(_SRGB_CUT) + _OFFSET) / (1 + _OFFSET)) ** _GAMMA
    return torch.where(srgb <= _SRGB_CUT, srgb / _SLOPE, curve)


def srgb_from_linear(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] to sRGB."""
    curve = (1 + _OFFSET) * linear.clamp_min(_LINEAR_CUT) ** (1 / _GAMMA) - _OFFSET
    return torch.where(linear <= _LINEAR_CUT, linear * _SLOPE, curve)
