"""From scores of planes to one plane for each pixel, in compiled code: semi-global matching and the winner.

Threads share out rows and blocks of columns, each the work of one thread: the values do not depend on their number.
`stereo_reference` says the same in plain numpy.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import kernel

# Columns that one task smooths: a cache line.
_BLOCK = 16
# Path costs are single precision throughout. More than any path costs.
_ONE, _QUARTER, _NEVER = np.float32(1), np.float32(0.25), np.float32(1e9)


@kernel(fastmath=True)
def _step(score, before, lowest, small, large, after, total):  # type: ignore[no-untyped-def]
    """One pixel of a path: L(d) = C(d) + min over d' of (L'(d') + min(small |d - d'|, large)) - min L', C = 1 - score.

    The minimum over all planes takes two sweeps. `before` and `after` are L' and L; `lowest` is min L'. Adds (1 - L) / 4 to `total`
    and returns min L.
    """
    planes = len(score)
    carried = lowest + large
    for d in range(planes):
        carried = min(carried + small, before[d])
        after[d] = carried
    carried = lowest + large
    for i in range(planes):
        d = planes - 1 - i
        carried = min(carried + small, after[d])
        after[d] = carried
    least = np.float32(_NEVER)
    for d in range(planes):
        best = after[d] if after[d] < lowest + large else lowest + large
        now = _ONE - score[d] + best - lowest
        after[d] = now
        least = now if now < least else least
        total[d] += _QUARTER * (_ONE - now)
    return least


@kernel()
def _both_ways(score, line, small, large, contrast, total):  # type: ignore[no-untyped-def]
    """Add a quarter of the path scores of a line of pixels, forward and backward, to `total` [N, D]."""
    count, planes = score.shape
    for backward in range(2):
        one, two = np.zeros(planes, np.float32), np.zeros(planes, np.float32)
        lowest, previous = np.float32(0), count - 1 if backward else 0
        for n in range(count):
            i = count - 1 - n if backward else n
            jump = max(small, large / (1 + abs(line[i] - line[previous]) / contrast))
            lowest = _step(score[i], one, lowest, np.float32(small), np.float32(jump), two, total[i])
            one, two = two, one
            previous = i


@kernel()
def _lines(volume, reference, task, wide, small, large, contrast, out):  # type: ignore[no-untyped-def]
    """Add the path scores of one task to `out` [D, H, W]: row number `task`, or a block of columns (`wide`).

    Planes lie far apart in memory, so lines are gathered into arrays [M, N, D] first: planes outermost, as they are stored.
    """
    planes, rows, columns = volume.shape
    first = task * _BLOCK if wide else task
    lines, count = (min(columns - first, _BLOCK), rows) if wide else (1, columns)
    score, total = np.empty((lines, count, planes), np.float32), np.zeros((lines, count, planes), np.float32)
    grey = np.empty((lines, count), np.float32)
    for d in range(planes):
        for n in range(count):
            for m in range(lines):
                y, x = (n, first + m) if wide else (first, n)
                score[m, n, d], grey[m, n] = volume[d, y, x], reference[y, x]
    for m in range(lines):
        _both_ways(score[m], grey[m], small, large, contrast, total[m])
    for d in range(planes):
        for n in range(count):
            for m in range(lines):
                y, x = (n, first + m) if wide else (first, n)
                out[d, y, x] += total[m, n, d]


@kernel(parallel=True)
def smooth(volume, reference, small, large, contrast):  # type: ignore[no-untyped-def]
    """Semi-global matching: the mean over four directions of path scores [D, H, W] float32, from a volume of scores.

    From pixel to pixel a change by n planes costs n `small`, but never more than a jump: `large`, less across edges of the
    picture: large / (1 + |difference| / contrast).
    """
    planes, rows, columns = volume.shape
    out = np.zeros((planes, rows, columns), np.float32)
    for y in prange(rows):
        _lines(volume, reference, np.int64(y), False, small, large, contrast, out)
    for block in prange((columns + _BLOCK - 1) // _BLOCK):
        _lines(volume, reference, np.int64(block), True, small, large, contrast, out)
    return out


@kernel(parallel=True)
def pick(volume, apart):  # type: ignore[no-untyped-def]
    """The winner of each pixel: its plane [H, W] with sub-plane part (a parabola through three scores), its score, and the runner-up.

    The runner-up is the best score further than `apart` planes away. A winner on the first or last plane has no peak: plane -1.
    """
    planes, rows, columns = volume.shape
    plane, score = np.full((rows, columns), -1, np.float32), volume[0].copy()
    second = np.full((rows, columns), -1, np.float32)
    for y in prange(rows):
        best = np.zeros(columns, np.int32)
        for d in range(1, planes):
            for x in range(columns):
                if volume[d, y, x] > score[y, x]:
                    best[x] = d
                    score[y, x] = volume[d, y, x]
        for d in range(planes):
            for x in range(columns):
                if abs(d - best[x]) > apart:
                    second[y, x] = max(second[y, x], volume[d, y, x])
        for x in range(columns):
            d = best[x]
            if 0 < d < planes - 1:
                left, right = volume[d - 1, y, x], volume[d + 1, y, x]
                bend = left - 2 * score[y, x] + right
                plane[y, x] = d + (0.5 * (left - right) / bend if bend < 0 else 0.0)
    return plane, score, second
