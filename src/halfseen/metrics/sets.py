"""How far a set of renderings is from the set of photos of the same cameras: SWD, its floor, and what cheap tricks reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from torch import Tensor

from halfseen.metrics import controls, distribution
from halfseen.metrics.image import psnr
from halfseen.metrics.protocol import Pair, filled

# Pictures that a distance of sets needs.
LEAST_PICTURES = 2
# What the numbers are, for the protocol that carries them.
DEFINITIONS = {
    "swd": f"sliced Wasserstein distance of {distribution.PATCHES} patches of {distribution.PATCH} x {distribution.PATCH} pixels at each "
    "level of a Laplacian pyramid, in deviations of the photos' patches, mean over levels",
    "swd_floor": "the same between every second photo and the rest",
    "unsharp": "control: the renderings through the unsharp mask that is best on these very views, so the best that one can do",
    "noise": "control: the renderings with white noise that brings each to its PSNR under that unsharp mask, where sharpening costs PSNR",
}


def known_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose photo is valid somewhere, filled; a photo that is valid nowhere would stand against itself."""
    there = [p for p in pairs if p.valid is None or bool(p.valid.any())]
    return [replace(p, rendered=filled(p).clamp(0, 1)) for p in there]


def large_enough(pairs: Sequence[Pair]) -> bool:
    """Whether there are pictures enough, with sides enough, for a distance of sets."""
    return len(pairs) >= LEAST_PICTURES and min(min(p.truth.shape[:2]) for p in pairs) >= distribution.PATCH


def distances(pairs: Sequence[Pair], photos: Sequence[Tensor] = (), *, seed: int = 0) -> dict[str, float]:
    """SWD of filled pairs, its floor (of `photos` [H, W, 3], which may be more than were rendered), and its control rows.

    `swd_unsharp` and `swd_noise` are distances of what the tricks make of the renderings, `psnr_*` their PSNR (over valid pixels).
    """
    truth, rendered, masks = [p.truth for p in pairs], [p.rendered for p in pairs], [p.valid for p in pairs]
    wanted = distribution.reference(truth, seed=seed)
    best = controls.tuned_unsharp(rendered, truth, masks, seed=seed)
    sharp = [controls.unsharp_mask(r, best.amount, best.radius, m) for r, m in zip(rendered, masks, strict=True)]
    noisy, scores = [], []
    for i, pair in enumerate(pairs):
        scores.append(psnr(sharp[i], pair.truth, pair.valid))
        # Where sharpening helps there is nothing that noise could match, and none is added.
        target = min(scores[-1], psnr(pair.rendered, pair.truth, pair.valid))
        noisy.append(controls.matched_noise(pair.rendered, pair.truth, target, pair.valid, seed=seed, step=i))
    return {
        "swd": best.plain,
        "swd_floor": distribution.swd_floor(photos or truth, seed=seed).mean,
        "swd_unsharp": best.distance,
        "psnr_unsharp": fmean(scores),
        "swd_noise": distribution.swd_to(noisy, wanted).mean,
        "psnr_noise": fmean(psnr(n, p.truth, p.valid) for n, p in zip(noisy, pairs, strict=True)),
    }
