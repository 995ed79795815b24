"""The slow twins of `stereo_kernels`: the same sums and rules, written for the eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def warp(source: Array, shape: tuple[int, int], homography: Array, shift: Array) -> Array:
    """Sample `source` [H', W'] bilinearly at A u + b for all pixel centres u of a picture [H, W]; NaN where it tells nothing."""
    height, width = source.shape
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    p = homography @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1) + shift[:, None]
    ahead = p[2] > 0
    i, j = p[:2] / np.where(ahead, p[2], 1) - 0.5
    known = ahead & (i >= 0) & (i <= width - 1) & (j >= 0) & (j <= height - 1)
    i, j = np.where(known, i, 0), np.where(known, j, 0)
    i0, j0 = np.minimum(i.astype(int), width - 2), np.minimum(j.astype(int), height - 2)
    corners = np.stack([source[j0, i0], source[j0, i0 + 1], source[j0 + 1, i0], source[j0 + 1, i0 + 1]])
    fi, fj = i - i0, j - j0
    weights = np.stack([(1 - fi) * (1 - fj), fi * (1 - fj), (1 - fi) * fj, fi * fj])
    known &= (corners >= 0).all(0)
    return np.where(known, (corners * weights).sum(0), np.nan).reshape(shape)


def correlate(reference: Array, warped: Array, half: int, least: float, floor: float) -> Array:
    """Correlation coefficient of each pair of windows [H, W] over common pixels: NaN with fewer than `least`, 0 without texture."""
    rows, columns = reference.shape
    out = np.full((rows, columns), np.nan)
    for y in range(rows):
        for x in range(columns):
            window = (slice(max(y - half, 0), y + half + 1), slice(max(x - half, 0), x + half + 1))
            r, w = reference[window], warped[window]
            both = (r >= 0) & ~np.isnan(w)
            if both.sum() < least:
                continue
            r, w = r[both], w[both]
            textured = r.var() > floor and w.var() > floor
            out[y, x] = np.mean((r - r.mean()) * (w - w.mean())) / (r.std() * w.std()) if textured else 0.0
    return out


def sweep(
    reference: Array,
    sources: list[Array],
    homographies: Array,
    shifts: Array,
    inverse_depths: Array,
    half: int,
    least: float,
    floor: float,
) -> Array:
    """Scores [D, H, W]: the mean over the better half of the sources that see a pixel, 0 where none does."""
    volume = np.zeros((len(inverse_depths), *reference.shape))
    for d, w in enumerate(inverse_depths):
        scores = [
            correlate(reference, warp(source, reference.shape, a, w * b), half, least, floor)
            for source, a, b in zip(sources, homographies, shifts, strict=True)
        ]
        best_first = -np.sort(-np.stack(scores), axis=0)  # NaN comes last
        taken = (np.isfinite(best_first).sum(0) + 1) // 2
        used = np.arange(len(scores))[:, None, None] < taken
        volume[d] = np.where(used, best_first, 0).sum(0) / np.maximum(taken, 1)
    return volume


def smooth(volume: Array, reference: Array, small: float, large: float, contrast: float) -> Array:
    """Semi-global matching: the mean of four path scores [D, H, W]."""
    ways = [
        _path(volume, reference, small, large, contrast),
        _path(volume[:, :, ::-1], reference[:, ::-1], small, large, contrast)[:, :, ::-1],
        _path(volume.transpose(0, 2, 1), reference.T, small, large, contrast).transpose(0, 2, 1),
        _path(volume.transpose(0, 2, 1)[:, :, ::-1], reference.T[:, ::-1], small, large, contrast)[
            :, :, ::-1
        ].transpose(0, 2, 1),
    ]
    return np.mean(ways, axis=0)


def _path(volume: Array, reference: Array, small: float, large: float, contrast: float) -> Array:
    """Path scores from left to right: 1 - L, L(d) = C(d) + min over d' of (L'(d') + min(small |d - d'|, jump)) - min L', C = 1 - volume."""
    cost, out = 1 - volume, np.empty_like(volume)
    planes = np.arange(len(volume))
    change = small * np.abs(planes[:, None] - planes)[:, :, None]  # [D, D', 1]
    before = np.zeros(volume.shape[:2])
    for x in range(volume.shape[2]):
        edge = np.abs(reference[:, x] - reference[:, max(x - 1, 0)])
        jump = np.maximum(small, large / (1 + edge / contrast))
        best = (before + np.minimum(change, jump)).min(1)
        before = cost[:, :, x] + best - before.min(0)
        out[:, :, x] = 1 - before
    return out


def pick(volume: Array, apart: int) -> tuple[Array, Array, Array]:
    """Plane [H, W] of the best score refined by a parabola (-1 on the first and last), that score, and the best further than `apart`."""
    planes, rows, columns = volume.shape
    plane, score, second = np.full((rows, columns), -1.0), volume.max(0), np.full((rows, columns), -1.0)
    for y in range(rows):
        for x in range(columns):
            line = volume[:, y, x]
            d = int(line.argmax())
            others = line[np.abs(np.arange(planes) - d) > apart]
            second[y, x] = max(-1.0, others.max(initial=-1.0))
            if 0 < d < planes - 1:
                bend = line[d - 1] - 2 * line[d] + line[d + 1]
                plane[y, x] = d + (0.5 * (line[d - 1] - line[d + 1]) / bend if bend < 0 else 0.0)
    return plane, score, second
