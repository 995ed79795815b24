"""Plane sweep in compiled code: warp sources onto planes, correlate windows, take the better half.

All planes are parallel to the reference picture and uniform in inverse depth w = 1 / z. A pixel centre u = (x, y, 1) of the
reference view lies in a source picture at

    p(w) ~ A u + w b,    A = K_s R K_r^-1,    b = K_s t,    X_s = R X_r + t.

Threads share out planes, and each plane is the work of one thread: the values do not depend on their number.
`stereo_reference` says the same in plain numpy.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import kernel

# Marks pixels of a warped picture that no source pixel tells, and scores of windows with too few common pixels. Both are below
# all true values (brightness is in [0, 1], correlation in [-1, 1]).
UNSEEN = -2.0
# Column sums of a window: n, r, w, rr, ww, rw of the pixels r and w that both pictures know.
_SUMS = 6


@kernel()
def _warp(source, width, height, homography, shift, out):  # type: ignore[no-untyped-def]
    """Sample `source` (its first `height` rows and `width` columns) bilinearly at A u + w b; UNSEEN outside and at unknown pixels."""
    rows, columns = out.shape
    for y in range(rows):
        v = y + 0.5
        px = homography[0, 1] * v + homography[0, 2] + shift[0]
        py = homography[1, 1] * v + homography[1, 2] + shift[1]
        pz = homography[2, 1] * v + homography[2, 2] + shift[2]
        for x in range(columns):
            u = x + 0.5
            z = pz + homography[2, 0] * u
            out[y, x] = UNSEEN
            if z <= 0:
                continue
            i = (px + homography[0, 0] * u) / z - 0.5
            j = (py + homography[1, 0] * u) / z - 0.5
            if not (0 <= i <= width - 1 and 0 <= j <= height - 1):
                continue
            i0, j0 = min(int(i), width - 2), min(int(j), height - 2)
            a, b = source[j0, i0], source[j0, i0 + 1]
            c, d = source[j0 + 1, i0], source[j0 + 1, i0 + 1]
            if min(a, b, c, d) < 0:
                continue
            fi, fj = i - i0, j - j0
            out[y, x] = (a + (b - a) * fi) * (1 - fj) + (c + (d - c) * fi) * fj


@kernel()
def _add_row(sums, reference, warped, sign, half):  # type: ignore[no-untyped-def]
    """Add (or take away) one row to the column sums of n, r, w, rr, ww, rw over pixels known in both pictures."""
    for x in range(len(reference)):
        both = sign if reference[x] >= 0 and warped[x] >= 0 else 0.0
        r, w = np.float64(reference[x]), np.float64(warped[x])
        sums[0, x + half] += both
        sums[1, x + half] += both * r
        sums[2, x + half] += both * w
        sums[3, x + half] += both * r * r
        sums[4, x + half] += both * w * w
        sums[5, x + half] += both * r * w


@kernel()
def _correlate_row(sums, half, least, floor, out):  # type: ignore[no-untyped-def]
    """Scores of one row [W] from its column sums, which have `half` columns of zeros on the left and half + 1 on the right."""
    n, r, w, rr, ww, rw = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for x in range(2 * half):
        n, r, w = n + sums[0, x], r + sums[1, x], w + sums[2, x]
        rr, ww, rw = rr + sums[3, x], ww + sums[4, x], rw + sums[5, x]
    for x in range(len(out)):
        last = x + 2 * half
        n, r, w = n + sums[0, last], r + sums[1, last], w + sums[2, last]
        rr, ww, rw = rr + sums[3, last], ww + sums[4, last], rw + sums[5, last]
        out[x] = UNSEEN
        if n >= least:
            # Variances and covariance, each times n squared.
            spread_r, spread_w, lowest = n * rr - r * r, n * ww - w * w, floor * n * n
            out[x] = 0.0
            if spread_r > lowest and spread_w > lowest:
                out[x] = (n * rw - r * w) / np.sqrt(spread_r * spread_w)
        n, r, w = n - sums[0, x], r - sums[1, x], w - sums[2, x]
        rr, ww, rw = rr - sums[3, x], ww - sums[4, x], rw - sums[5, x]


@kernel()
def _correlate(reference, warped, half, least, floor, out):  # type: ignore[no-untyped-def]
    """Zero-mean normalised correlation of windows of 2 half + 1 pixels, by running sums: the cost does not grow with the window.

    Windows with fewer than `least` common pixels are UNSEEN. Where either variance is below `floor` there is no evidence: 0.
    """
    rows, columns = reference.shape
    sums = np.zeros((_SUMS, columns + 2 * half + 1))
    for y in range(min(half, rows)):
        _add_row(sums, reference[y], warped[y], 1.0, half)
    for y in range(rows):
        if y + half < rows:
            _add_row(sums, reference[y + half], warped[y + half], 1.0, half)
        if y > half:
            _add_row(sums, reference[y - half - 1], warped[y - half - 1], -1.0, half)
        _correlate_row(sums, half, least, floor, out[y])


@kernel()
def _best_half(scores, out):  # type: ignore[no-untyped-def]
    """Mean over the better half of the sources that see a pixel (half rounded up), so that occlusion in the others costs nothing.

    A score belongs to it when fewer than half of the seen ones are better: counting beats sorting, for it has no branches.
    """
    sources, rows, columns = scores.shape
    seen, better, total = np.empty(columns, np.int32), np.empty(columns, np.int32), np.empty(columns)
    for y in range(rows):
        seen[:], total[:] = 0, 0
        for k in range(sources):
            for x in range(columns):
                seen[x] += scores[k, y, x] != UNSEEN
        for k in range(sources):
            better[:] = 0
            for j in range(sources):
                # Of equal scores the earlier source comes first.
                for x in range(columns):
                    a, b = scores[j, y, x], scores[k, y, x]
                    better[x] += (a > b) | ((a == b) & (j < k))
            for x in range(columns):
                total[x] += scores[k, y, x] if 2 * better[x] < seen[x] else 0
        for x in range(columns):
            taken = (seen[x] + 1) // 2
            out[y, x] = total[x] / max(taken, 1)


@kernel(parallel=True)
def sweep(reference, sources, sizes, homographies, shifts, inverse_depths, half, least, floor):  # type: ignore[no-untyped-def]
    """Scores [D, H, W] float32 in [-1, 1] of D planes; 0 where nothing is known.

    `reference` [H, W] and `sources` [K, H', W'] are grey in [0, 1], negative where unknown; `sizes` [K, 2] width and height of
    each source within its padded array; `homographies` [K, 3, 3] are A and `shifts` [K, 3] are b.
    """
    planes, (rows, columns), count = len(inverse_depths), reference.shape, len(sources)
    volume = np.empty((planes, rows, columns), np.float32)
    for d in prange(planes):
        warped = np.empty((rows, columns), np.float32)
        scores = np.empty((count, rows, columns), np.float32)
        for k in range(count):
            shift = inverse_depths[d] * shifts[k]
            _warp(sources[k], sizes[k, 0], sizes[k, 1], homographies[k], shift, warped)
            _correlate(reference, warped, half, least, floor, scores[k])
        _best_half(scores, volume[d])
    return volume
