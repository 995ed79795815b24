"""FLIP: the difference that a person sees when two pictures are flipped in place.

Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", HPG 2020 (the low-dynamic-range measure).
Equation and section numbers in comments are that paper's. Notation (name here -> name in the paper)
    opponent -> YCxCz      pixels_per_degree -> p      colour, feature -> delta E_c, delta E_f
    the result -> delta E = (delta E_c)^(1 - delta E_f)
Planes are [3, H, W] in float64; borders repeat the outermost pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.images.color import linear_from_srgb
from halfseen.metrics.image import blur, gaussian
from halfseen.metrics.inputs import check_pair, selected

# A 0.7 m wide screen of 3840 pixels seen from 0.7 m (Section 5).
PIXELS_PER_DEGREE = 67.02
# Section 4.1, Table 1: sums of Gaussians (a, b) in degrees for the luminance, red-green and blue-yellow channels.
_SENSITIVITY = (
    ((1.0, 0.0047), (0.0, 1e-5)),
    ((1.0, 0.0053), (0.0, 1e-5)),
    ((34.1, 0.04), (13.5, 0.025)),
)
_WIDEST = 0.04
# Filters are cut at three standard deviations.
_CUT = 3.0
# Section 4.1.3: exponent on HyAB; share of the largest difference that is mapped to [0, p_t].
_Q_COLOUR, _P_SHARE, _P_TARGET = 0.7, 0.4, 0.95
# Section 4.2: width of the feature filters in degrees and exponent on the feature difference.
_FEATURE_WIDTH, _Q_FEATURE = 0.082, 0.5
# Linear sRGB to XYZ (IEC 61966-2-1 primaries, D65), as exact fractions of the primaries' chromaticities.
_TO_XYZ = (
    (10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794),
    (2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897),
    (1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382),
)
# CIE 15: L*a*b* is linear below (6/29)^3; scales and offset of its three channels.
_LAB_DELTA, _LAB_OFFSET = 6 / 29, 4 / 29
_LAB_L, _LAB_SHIFT, _LAB_A, _LAB_B = 116.0, 16.0, 500.0, 200.0
# Section 4.1.2: chroma loses weight in the dark; L* runs to 100.
_HUNT = 0.01


def flip(
    image: Tensor, truth: Tensor, mask: Tensor | None = None, *, pixels_per_degree: float = PIXELS_PER_DEGREE
) -> float:
    """Mean FLIP error in [0, 1] over all pixels, or those where `mask` [H, W] is true. 0 is no visible difference."""
    error = flip_map(image, truth, pixels_per_degree=pixels_per_degree)
    return float(selected(error, mask, what="FLIP").mean())


def flip_map(image: Tensor, truth: Tensor, *, pixels_per_degree: float = PIXELS_PER_DEGREE) -> Tensor:
    """FLIP error [H, W] of sRGB pictures [H, W, 3]; values outside [0, 1] are clamped, as a screen does."""
    check_pair(image, truth, what="FLIP")
    opponent = [_opponent(linear_from_srgb(p.detach().double().clamp(0, 1)).permute(2, 0, 1)) for p in (image, truth)]
    colour = _colour_difference(opponent[0], opponent[1], pixels_per_degree)
    feature = _feature_difference(opponent[0][:1], opponent[1][:1], pixels_per_degree)
    return colour ** (1 - feature)


def _colour_difference(a: Tensor, b: Tensor, pixels_per_degree: float) -> Tensor:
    """Delta E_c [H, W] in [0, 1]: filter by what the eye resolves, HyAB in Hunt-adjusted L*a*b*, redistribute."""
    seen = [_linear_from_opponent(_contrast_filtered(p, pixels_per_degree)).clamp(0, 1) for p in (a, b)]
    difference = _hyab(_hunt_lab(seen[0]), _hunt_lab(seen[1])) ** _Q_COLOUR
    # The largest difference of the gamut lies between green and blue.
    green, blue = (_hunt_lab(a.new_tensor(c)[:, None, None]) for c in ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    largest = _hyab(green, blue) ** _Q_COLOUR
    knee = _P_SHARE * largest
    beyond = _P_TARGET + (difference - knee) / (largest - knee) * (1 - _P_TARGET)
    return torch.where(difference < knee, _P_TARGET / knee * difference, beyond)


def _contrast_filtered(opponent: Tensor, pixels_per_degree: float) -> Tensor:
    """Filter each opponent channel by its contrast sensitivity, a sum of two Gaussians of variance b / (2 pi^2) degrees^2."""
    radius = math.ceil(_CUT * math.sqrt(_WIDEST / (2 * math.pi**2)) * pixels_per_degree)
    planes = _repeat_border(opponent, radius)
    out = []
    for plane, terms in zip(planes, _SENSITIVITY, strict=True):
        # Each term is a product of two 1D filters; only their sum in 2D is normalised.
        parts, total = torch.zeros_like(opponent[0]), 0.0
        for a, b in terms:
            sigma = math.sqrt(b / (2 * math.pi**2)) * pixels_per_degree
            x = torch.arange(-radius, radius + 1, dtype=plane.dtype, device=plane.device)
            weights = torch.exp(-0.5 * (x / sigma) ** 2)
            scale = a * math.sqrt(math.pi / b)
            parts = parts + scale * blur(plane, weights)
            total += scale * float(weights.sum()) ** 2
        out.append(parts / total)
    return torch.stack(out)


def _feature_difference(a: Tensor, b: Tensor, pixels_per_degree: float) -> Tensor:
    """Delta E_f [H, W] in [0, 1]: the larger of the differences in edge and in point strength of the luminance."""
    sigma = 0.5 * _FEATURE_WIDTH * pixels_per_degree
    radius = math.ceil(_CUT * sigma)
    smooth = gaussian(sigma, radius, a.device)
    x = torch.arange(-radius, radius + 1, dtype=smooth.dtype, device=a.device)
    edge = _balanced(-x * smooth)
    point = _balanced((x**2 / sigma**2 - 1) * smooth)
    # Luminance in [0, 1]: the opponent space scales and shifts it as L*a*b* does.
    luminance = [_repeat_border((p + _LAB_SHIFT) / _LAB_L, radius) for p in (a, b)]
    strengths = [[torch.hypot(blur(p, f, smooth)[0], blur(p, smooth, f)[0]) for p in luminance] for f in (edge, point)]
    larger = torch.maximum(*((first - second).abs() for first, second in strengths))
    return (larger / math.sqrt(2)) ** _Q_FEATURE


def _balanced(weights: Tensor) -> Tensor:
    """Scale the positive weights to sum 1 and the negative ones to sum -1."""
    positive, negative = weights.clamp_min(0), weights.clamp_max(0)
    return positive / positive.sum() - negative / negative.sum()


def _opponent(linear: Tensor) -> Tensor:
    """Linear RGB [3, H, W] to YCxCz, the linear part of L*a*b* (luminance, red-green, blue-yellow)."""
    x, y, z = _relative_xyz(linear)
    return torch.stack([_LAB_L * y - _LAB_SHIFT, _LAB_A * (x - y), _LAB_B * (y - z)])


def _linear_from_opponent(opponent: Tensor) -> Tensor:
    luma, red_green, blue_yellow = opponent
    y = (luma + _LAB_SHIFT) / _LAB_L
    relative = torch.stack([y + red_green / _LAB_A, y, y - blue_yellow / _LAB_B])
    matrix = opponent.new_tensor(_TO_XYZ)
    return torch.einsum("ij,jhw->ihw", torch.linalg.inv(matrix), relative * matrix.sum(1)[:, None, None])


def _hunt_lab(linear: Tensor) -> Tensor:
    """Linear RGB [3, H, W] to L*a*b* whose chroma is scaled by 0.01 L*."""
    relative = _relative_xyz(linear)
    root = relative.clamp_min(_LAB_DELTA**3) ** (1 / 3)
    x, y, z = torch.where(relative > _LAB_DELTA**3, root, relative / (3 * _LAB_DELTA**2) + _LAB_OFFSET)
    luma = _LAB_L * y - _LAB_SHIFT
    return torch.stack([luma, _HUNT * luma * _LAB_A * (x - y), _HUNT * luma * _LAB_B * (y - z)])


def _hyab(a: Tensor, b: Tensor) -> Tensor:
    """|dL| + sqrt(da^2 + db^2)."""
    difference = a - b
    return difference[0].abs() + torch.hypot(difference[1], difference[2])


def _relative_xyz(linear: Tensor) -> Tensor:
    """XYZ of linear RGB [3, H, W], each channel relative to white (the sum of the matrix's row)."""
    matrix = linear.new_tensor(_TO_XYZ)
    return torch.einsum("ij,jhw->ihw", matrix / matrix.sum(1, keepdim=True), linear)


def _repeat_border(planes: Tensor, radius: int) -> Tensor:
    return F.pad(planes[None], (radius,) * 4, mode="replicate")[0]
