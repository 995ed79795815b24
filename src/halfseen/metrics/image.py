"""Image measures on [H, W, 3] in [0, 1]: PSNR, SSIM, sharpness. All compute in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.metrics.inputs import check_finite, check_pair, selected

# Identical pictures would give infinity; this caps PSNR at 100 dB.
_MIN_ERROR = 1e-10
# Wang et al. 2004: stabilisers (K L)^2 at data range L = 1, a Gaussian of 1.5 pixels, cut at 5 pixels (an 11x11 window).
_C1, _C2 = 0.01**2, 0.03**2
_SIGMA, _RADIUS = 1.5, 5
# Side of the uniform window that DiffusioNeRF, SparseFusion and pixelNeRF report (scikit-image's default).
_UNIFORM = 7

Window = Literal["gaussian", "uniform"]


def psnr(a: Tensor, b: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over all pixels or those where `mask` is true. Takes [P, 3] as well."""
    check_pair(a, b, what="PSNR")
    error = (a.detach().double() - b.detach().double()) ** 2
    return -10 * math.log10(max(float(selected(error, mask, what="PSNR").mean()), _MIN_ERROR))


def mean_psnr(a: Tensor, b: Tensor) -> float:
    """The mean PSNR of pictures [B, 3, H, W], in dB."""
    return fmean(psnr(x, y) for x, y in zip(a.movedim(1, -1), b.movedim(1, -1), strict=True))


def ssim(a: Tensor, b: Tensor, mask: Tensor | None = None, *, window: Window = "gaussian") -> float:
    """Structural similarity (Wang et al. 2004): the mean of the SSIM map, or its mean where `mask` [H, W] is true.

    "gaussian" is the paper's own 11x11 window (sigma 1.5, population covariance); "uniform" is the 7x7 mean with sample
    covariance that most few-view papers print. Both equal scikit-image at data_range = 1. Windows that leave the picture
    do not count, so a mask must reach at least 5 (3) pixels inside.
    """
    values = ssim_map(a, b, window=window)
    if mask is None:
        return float(values.mean())
    margin = _RADIUS if window == "gaussian" else _UNIFORM // 2
    inner = mask[margin : mask.shape[0] - margin, margin : mask.shape[1] - margin] if mask.dim() == 2 else mask
    return float(selected(values, inner, what="SSIM").mean())


def ssim_map(a: Tensor, b: Tensor, *, window: Window = "gaussian") -> Tensor:
    """SSIM at every pixel whose window lies inside the picture, mean over channels: [H - 10, W - 10] or [H - 6, W - 6].

    (2 m_a m_b + C1) (2 c_ab + C2) / ((m_a^2 + m_b^2 + C1) (v_a + v_b + C2)) with windowed means m, variances v, covariance c.
    """
    weights = _window(window, a.device)
    if a.dim() != 3:
        raise ValueError(f"SSIM needs pictures [H, W, 3], not {tuple(a.shape)}")
    check_pair(a, b, what="SSIM", min_side=len(weights))
    # Only the uniform window corrects for the mean's lost degree of freedom, as scikit-image does by default.
    correction = _UNIFORM**2 / (_UNIFORM**2 - 1) if window == "uniform" else 1.0
    return similarity(a.detach().double(), b.detach().double(), weights, correction)


def similarity(
    a: Tensor, b: Tensor, weights: Tensor, correction: float, blurred: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Tensor:
    """SSIM [H', W'] of pictures [H, W, 3] where the window [K] lies inside; `blurred` filters planes by it (default: `blur`)."""
    x, y = (p.permute(2, 0, 1) for p in (a, b))
    mean_x, mean_y, xx, yy, xy = (blurred or blur)(torch.stack([x, y, x * x, y * y, x * y]), weights)
    variance = correction * (xx - mean_x**2 + yy - mean_y**2)
    covariance = correction * (xy - mean_x * mean_y)
    numerator = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return (numerator / ((mean_x**2 + mean_y**2 + _C1) * (variance + _C2))).mean(0)


def sharpness(image: Tensor) -> float:
    """Variance of the Laplacian of the grey picture [H, W, 3], in float64. Noise raises it too; compare at equal sizes only."""
    check_finite(image, what="sharpness")
    grey = image.detach().double().mean(-1)
    if min(grey.shape) < 3 or grey.numel() <= 9:
        raise UserError(
            "the picture is too small for sharpness",
            got=f"shape {tuple(image.shape)}",
            accepted="at least 3 x 4 pixels",
            do="Measure a larger picture.",
        )
    across = grey[1:-1, :-2] + grey[1:-1, 2:]
    down = grey[:-2, 1:-1] + grey[2:, 1:-1]
    return float((across + down - 4 * grey[1:-1, 1:-1]).var())


def sharpness_ratio(image: Tensor, truth: Tensor) -> float:
    """Sharpness of a picture as a share of the truth's: below 1 is blurred, above 1 is noisy or over-sharpened."""
    check_pair(image, truth, what="sharpness ratio")
    whole = sharpness(truth)
    if whole == 0:
        raise UserError(
            "a sharpness ratio needs a truth with detail",
            got="a truth whose Laplacian is constant",
            accepted="a picture with some detail",
            do="Leave this view out.",
        )
    return sharpness(image) / whole


def average_error(psnr_db: float, ssim_value: float, lpips_value: float) -> float:
    """RegNeRF's "Average" of one picture: the geometric mean of 10^(-PSNR/10), sqrt(1 - SSIM) and LPIPS."""
    return float((10 ** (-psnr_db / 10) * math.sqrt(max(0.0, 1 - ssim_value)) * lpips_value) ** (1 / 3))


def gaussian(sigma: float, radius: int, device: torch.device | None = None) -> Tensor:
    """Weights [2 radius + 1] of a Gaussian of `sigma` pixels, float64, sum 1."""
    x = torch.arange(-radius, radius + 1, dtype=torch.float64, device=device)
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def blur(planes: Tensor, weights: Tensor, vertical: Tensor | None = None) -> Tensor:
    """Filter [..., H, W] by `weights` along x and `vertical` (or `weights` again) along y, inside the picture only."""
    down = weights if vertical is None else vertical
    flat = planes.reshape(-1, 1, *planes.shape[-2:])
    out = F.conv2d(F.conv2d(flat, weights[None, None, None, :]), down[None, None, :, None])
    return out.reshape(*planes.shape[:-2], *out.shape[-2:])


def gaussian_window(device: torch.device | None = None) -> Tensor:
    """The weights [11] of SSIM's Gaussian window."""
    return gaussian(_SIGMA, _RADIUS, device)


def _window(window: Window, device: torch.device) -> Tensor:
    if window == "gaussian":
        return gaussian_window(device)
    return torch.full((_UNIFORM,), 1 / _UNIFORM, dtype=torch.float64, device=device)
