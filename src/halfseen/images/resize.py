"""Resizing without a half-pixel shift, and sampling at arbitrary pixel positions. Pixel centres lie at +0.5."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# Positions may miss the picture's edge by this much (pixels) and still count as on it.
_ROUNDING = 1e-6


def fit(width: int, height: int, max_size: int) -> tuple[int, int]:
    """The size whose longer side is at most `max_size`, aspect kept, never enlarged, never below one pixel."""
    longer = max(width, height)
    if longer <= max_size:
        return width, height
    return max(1, round(width * max_size / longer)), max(1, round(height * max_size / longer))


def resize(pixels: Tensor, width: int, height: int) -> Tensor:
    """Antialiased resize of [H, W, C] (triangle filter as wide as the shrink factor)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    nchw = pixels.permute(2, 0, 1)[None]
    out = F.interpolate(nchw, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return out[0].permute(1, 2, 0).contiguous()


def shrink(pixels: Tensor, factor: int) -> Tensor:
    """Means of factor x factor pixels of [H, W, C] (OpenCV's area interpolation); what does not fill a block is cut off."""
    return F.avg_pool2d(pixels.permute(2, 0, 1)[None], factor)[0].permute(1, 2, 0).contiguous()


def sample(pixels: Tensor, at: Tensor, mode: str = "bilinear") -> Tensor:
    """Read [H, W, C] at pixel positions `at` [H', W', 2] (x, y). Beyond the outermost centres the border pixel counts."""
    height, width = pixels.shape[:2]
    grid = (2 * at / at.new_tensor([width, height]) - 1)[None].to(pixels)
    out = F.grid_sample(pixels.permute(2, 0, 1)[None], grid, mode=mode, padding_mode="border", align_corners=False)
    return out[0].permute(1, 2, 0).contiguous()


def inside(at: Tensor, width: int, height: int) -> Tensor:
    """True where a position [..., 2] lies on the picture, up to rounding."""
    return ((at >= -_ROUNDING) & (at <= at.new_tensor([width, height]) + _ROUNDING)).all(-1)


def sharpness(pixels: Tensor) -> float:
    """Variance of the Laplacian of the grey picture [H, W, C]: larger is sharper. Comparable at equal sizes only."""
    grey = pixels[..., :3].mean(-1)[None, None]
    kernel = grey.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return float(F.conv2d(grey, kernel).var())
