"""Control rows: cheap tricks that a method must beat at equal PSNR before its gain in SWD means anything.

With a mask [H, W], a trick leaves the picture as it is where that is false: there the photo knows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics.distribution import coarse, reference, swd_to
from halfseen.metrics.image import blur, gaussian, psnr

# Amounts and radii (pixels) that `tuned_unsharp` tries; amount 0 is the picture itself, so tuning never loses.
AMOUNTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
RADII = (1.0, 2.0)
# Directions along which the grid is searched; the best of it is measured along all.
_SEARCH = 32
# Gaussians are cut at three standard deviations.
_CUT = 3.0
# `matched_noise` meets its PSNR within this many dB; noise of this deviation leaves nothing of a picture in [0, 1].
_MATCH_DB, _MOST_NOISE = 1e-3, 100.0
# Halvings of the interval: far beyond what 1e-3 dB needs, so that running out means the target cannot be met.
_HALVINGS = 60


@dataclass(frozen=True)
class Unsharp:
    """The unsharp mask that was best, its SWD, and the SWD without it."""

    amount: float
    radius: float
    distance: float
    plain: float


def unsharp_mask(image: Tensor, amount: float, radius: float, mask: Tensor | None = None) -> Tensor:
    """image + amount * (image - blurred), clamped to [0, 1]; the blur is a Gaussian of `radius` pixels. [H, W, 3]."""
    return sharpened(image, detail(image, radius), amount, mask)


def detail(image: Tensor, radius: float) -> Tensor:
    """image - blurred [H, W, 3], float64."""
    planes = image.detach().double().permute(2, 0, 1)
    reach = math.ceil(_CUT * radius)
    padded = F.pad(planes[None], (reach,) * 4, mode="replicate")[0]
    return (planes - blur(padded, gaussian(radius, reach, image.device))).permute(1, 2, 0)


def sharpened(image: Tensor, fine: Tensor, amount: float, mask: Tensor | None = None) -> Tensor:
    """The picture with more of its detail, clamped to [0, 1]. [H, W, 3]."""
    out = (image.detach().double() + amount * fine).clamp(0, 1).to(image.dtype)
    return out if mask is None else torch.where(mask[..., None], out, image)


def tuned_unsharp(
    rendered: Sequence[Tensor],
    truth: Sequence[Tensor],
    masks: Sequence[Tensor | None] | None = None,
    *,
    amounts: Sequence[float] = AMOUNTS,
    radii: Sequence[float] = RADII,
    seed: int = 0,
) -> Unsharp:
    """The amount and radius with the smallest SWD between sharpened renderings [H, W, 3] and their truth; the first of equals."""
    wanted, where = reference(truth, seed=seed), masks or [None] * len(rendered)
    quick, tried = coarse(wanted, _SEARCH), []
    for radius in radii:
        fine = [detail(r, radius) for r in rendered]
        for amount in amounts:
            sharper = [sharpened(r, f, amount, m) for r, f, m in zip(rendered, fine, where, strict=True)]
            tried.append((swd_to(sharper, quick).mean, amount, radius))
    _, amount, radius = min(tried, key=lambda t: t[0])
    best = [unsharp_mask(r, amount, radius, m) for r, m in zip(rendered, where, strict=True)]
    plain, distance = (swd_to(pictures, wanted).mean for pictures in (rendered, best))
    # Along all directions, nothing may still be better.
    return Unsharp(amount, radius, distance, plain) if distance < plain else Unsharp(0.0, radius, plain, plain)


def matched_noise(
    image: Tensor, truth: Tensor, target: float, mask: Tensor | None = None, *, seed: int, step: int = 0
) -> Tensor:
    """`image` plus white Gaussian noise, clamped to [0, 1], with just as much of it that its PSNR to `truth` is `target` dB.

    `step` tells views apart, so that each gets noise of its own. PSNR is over the mask.
    """
    best = psnr(image.clamp(0, 1), truth, mask)
    noise = torch.randn(image.shape, generator=generator(seed, "metrics/noise", step)).to(image)
    if mask is not None:
        noise = noise * mask[..., None]
    low, high = 0.0, _MOST_NOISE
    worst = psnr((image + high * noise).clamp(0, 1), truth, mask)
    if not worst <= target <= best:
        raise UserError(
            "noise cannot bring this picture to the target PSNR",
            got=f"{target:.2f} dB",
            accepted=f"{worst:.2f} to {best:.2f} dB",
            do="Match a row that is worse than the picture without noise.",
        )
    for _ in range(_HALVINGS):
        sigma = (low + high) / 2
        noisy = (image + sigma * noise).clamp(0, 1)
        reached = psnr(noisy, truth, mask)
        if abs(reached - target) < _MATCH_DB:
            break
        low, high = (sigma, high) if reached > target else (low, sigma)
    return noisy
