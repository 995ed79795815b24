"""Gaussians blended front to back, forward and backward.

M Gaussians on the plane: `mean` [M, 2], `conic` [M, 3], `reach` [M, 2], `opacity` [M], features [M, 4]; each tile has the list of those
that reach it, in order of depth. Pixels are worked on in groups of `LANES` that lie close together, so that every inner loop is one
vector instruction or a few; a group's box says which Gaussians it need not look at.

    alpha_i = min(MOST, opacity_i exp(-(a dx^2 + 2 b dx dy + c dy^2) / 2)), 0 below 1/255
    w_i = T_i alpha_i, T_(i+1) = T_i (1 - alpha_i) while T_i >= STOP;  out = sum_i w_i f_i

A tile is the work of one thread. Gradients come for each pair of a Gaussian and a tile; a second pass adds up those of a Gaussian in
one order, so that the number of threads changes nothing.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import ORDERED, kernel
from halfseen.fields.kernels.splat_project import LEAST

# Pixels of a group, and pixels along a side of a tile.
LANES, TILE = 16, 8
# No Gaussian hides everything behind it, and what less light reaches than this is not looked at.
MOST, STOP = 0.99, 1e-4
# exp(x) for x in [-6, 0] as p(x / 8)^8, with p the Taylor polynomial of degree 6 around -3/8: relative error below 2e-6.
_MIDDLE = -0.375
_E = float(np.exp(_MIDDLE))
_T2, _T3, _T4, _T5, _T6 = 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720
_EIGHTH = 0.125
_LOWEST = -6.0
# Gaussians between two looks whether a group is opaque.
_LOOK = 4
# Gradients of a pair: mean (2), conic (3), opacity, features (4). The number of features is written out below: a loop over
# them would be turned around by the compiler, and each lane gathered on its own.
FEATURES, ROWS = 4, 10
# Numbers of a Gaussian that blending needs.
_WIDTH = 12


@kernel(inline=True)
def collect(listed, start, stop, mean, conic, reach, opacity, features, near):  # type: ignore[no-untyped-def]
    """The Gaussians of a tile side by side in memory, near to far: `near` [K, 12] = mean, reach, conic, opacity, features."""
    for k in range(start, stop):
        g, n = listed[k], k - start
        near[n, 0], near[n, 1], near[n, 2], near[n, 3] = mean[g, 0], mean[g, 1], reach[g, 0], reach[g, 1]
        near[n, 4], near[n, 5], near[n, 6], near[n, 7] = conic[g, 0], conic[g, 1], conic[g, 2], opacity[g]
        for c in range(FEATURES):
            near[n, 8 + c] = features[g, c]


@kernel(inline=True)
def shades(px, py, row, kind, alpha):  # type: ignore[no-untyped-def]
    """alpha [LANES] of one Gaussian (a row of `collect`) at the pixels of a group; returns how many of them it reaches."""
    x, y, a, b, c, o = row[0], row[1], row[4], row[5], row[6], row[7]
    for s in range(LANES):
        dx, dy = px[s] - x, py[s] - y
        power = -(a * dx * dx + c * dy * dy) * kind(0.5) - b * dx * dy
        t = max(power, kind(_LOWEST)) * kind(_EIGHTH) - kind(_MIDDLE)
        p = kind(_T5) + t * kind(_T6)
        p = kind(_T4) + t * p
        p = kind(_T3) + t * p
        p = kind(_T2) + t * p
        p = kind(1) + t * p
        p = kind(_E) * (kind(1) + t * p)
        p *= p
        p *= p
        p *= p
        value = min(o * p, kind(MOST))
        value = value if value >= kind(LEAST) and power <= 0 else kind(0)
        alpha[s] = value
    # Counted in whole numbers: a largest float would be looked for lane by lane.
    lit = np.int32(0)
    for s in range(LANES):
        lit += np.int32(1) if alpha[s] > 0 else np.int32(0)
    return lit


@kernel(inline=True)
def apart(box, q, row):  # type: ignore[no-untyped-def]
    """Whether a Gaussian does not reach the box (x0, y0, x1, y1) of a group."""
    x, y, rx, ry = row[0], row[1], row[2], row[3]
    return x + rx < box[q, 0] or x - rx > box[q, 2] or y + ry < box[q, 1] or y - ry > box[q, 3]


@kernel(inline=True)
def dark(through, kind):  # type: ignore[no-untyped-def]
    """Whether no pixel of a group is still to be lit."""
    lit = np.int32(0)
    for s in range(LANES):
        lit += np.int32(1) if through[s] >= kind(STOP) else np.int32(0)
    return lit == 0


@kernel(parallel=True, fastmath=ORDERED)
def forward(px, py, index, box, first, begin, listed, mean, conic, reach, opacity, features, out, alpha, median):  # type: ignore[no-untyped-def]
    """out [P, 4], alpha [P], and the depth [P] (last feature) at which half of the light is gone, 0 where it never is.

    Groups q of tile t are first[t] to first[t + 1]; its Gaussians listed[begin[t]] to listed[begin[t + 1]]. Lanes of a group
    are the pixels index[q], -1 where it is not full.
    """
    kind = mean.dtype.type
    for t in prange(len(first) - 1):
        shade, through, half = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        one, two = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        three, four = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        near = np.empty((begin[t + 1] - begin[t], _WIDTH), mean.dtype)
        collect(listed, begin[t], begin[t + 1], mean, conic, reach, opacity, features, near)
        for q in range(first[t], first[t + 1]):
            for s in range(LANES):
                through[s], half[s], one[s], two[s], three[s], four[s] = 1, 0, 0, 0, 0, 0
            looked = 0
            for k in range(len(near)):
                row = near[k]
                if apart(box, q, row) or shades(px[q], py[q], row, kind, shade) == 0:
                    continue
                a, b, c, z = row[8], row[9], row[10], row[11]
                for s in range(LANES):
                    w = through[s] * (shade[s] if through[s] >= kind(STOP) else kind(0))
                    after = through[s] - w
                    half[s] = z if through[s] > kind(0.5) and after <= kind(0.5) else half[s]
                    through[s] = after
                    one[s] += a * w
                    two[s] += b * w
                    three[s] += c * w
                    four[s] += z * w
                looked += 1
                if looked % _LOOK == 0 and dark(through, kind):
                    break
            for s in range(LANES):
                p = index[q, s]
                if p >= 0:
                    alpha[p], median[p] = 1 - through[s], half[s]
                    out[p, 0], out[p, 1], out[p, 2], out[p, 3] = one[s], two[s], three[s], four[s]


@kernel(parallel=True, fastmath=ORDERED)
def backward(  # type: ignore[no-untyped-def]
    px, py, index, box, first, begin, listed, slot, mean, conic, reach, opacity, features, g_out, g_alpha, g_pairs
):
    """Gradients of `forward` for each pair: g_pairs [pairs, ROWS], row slot[k] for the k-th entry of the lists."""
    kind = mean.dtype.type
    for t in prange(len(first) - 1):
        longest = begin[t + 1] - begin[t]
        met, near = np.empty(longest, np.int64), np.empty((longest, _WIDTH), mean.dtype)
        collect(listed, begin[t], begin[t + 1], mean, conic, reach, opacity, features, near)
        shade, before = np.empty((longest, LANES), mean.dtype), np.empty((longest, LANES), mean.dtype)
        through, behind = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        pull = np.empty((FEATURES + 1, LANES), mean.dtype)
        wide, narrow = np.empty(ROWS * LANES, mean.dtype), np.empty(ROWS * LANES, mean.dtype)
        for k in range(begin[t], begin[t + 1]):
            for r in range(ROWS):
                g_pairs[slot[k], r] = 0
        for q in range(first[t], first[t + 1]):
            for s in range(LANES):
                p = index[q, s]
                through[s], behind[s] = 1, 0
                pull[FEATURES, s] = g_alpha[p] if p >= 0 else kind(0)
                for c in range(FEATURES):
                    pull[c, s] = g_out[p, c] if p >= 0 else kind(0)
            n = 0
            for k in range(longest):
                row = near[k]
                if apart(box, q, row) or shades(px[q], py[q], row, kind, shade[n]) == 0:
                    continue
                for s in range(LANES):
                    before[n, s] = through[s]
                    shade[n, s] = shade[n, s] if through[s] >= kind(STOP) else kind(0)
                    through[s] -= through[s] * shade[n, s]
                met[n] = k
                n += 1
                if n % _LOOK == 0 and dark(through, kind):
                    break
            for m in range(n):
                i = n - 1 - m
                _pair_back(px[q], py[q], near[met[i]], kind, pull, shade[i], before[i], behind, wide)
                _fold(wide, narrow)
                pair = g_pairs[slot[begin[t] + met[i]]]
                for r in range(ROWS):
                    pair[r] += narrow[2 * r] + narrow[2 * r + 1]


@kernel(inline=True)
def _pair_back(px, py, row, kind, pull, shade, before, behind, wide):  # type: ignore[no-untyped-def]
    """What each pixel of a group gives to the gradients of one Gaussian: wide [ROWS LANES]. `behind` is the gradient of
    the light that passes it, times that light."""
    x, y, a, b, c, o = row[0], row[1], row[4], row[5], row[6], row[7]
    f0, f1, f2, f3 = row[8], row[9], row[10], row[11]
    for s in range(LANES):
        pulled = pull[4, s] + f0 * pull[0, s] + f1 * pull[1, s] + f2 * pull[2, s] + f3 * pull[3, s]
        weight = before[s] * shade[s]
        g_shade = before[s] * pulled - behind[s] / (1 - shade[s])
        behind[s] += weight * pulled
        # A shade that was cut passes nothing.
        g_shade = g_shade if shade[s] > 0 and shade[s] < kind(MOST) else kind(0)
        dx, dy, g_power = px[s] - x, py[s] - y, g_shade * shade[s]
        wide[s] = g_power * (a * dx + b * dy)
        wide[LANES + s] = g_power * (c * dy + b * dx)
        wide[2 * LANES + s] = -kind(0.5) * g_power * dx * dx
        wide[3 * LANES + s] = -g_power * dx * dy
        wide[4 * LANES + s] = -kind(0.5) * g_power * dy * dy
        wide[5 * LANES + s] = g_power / o
        wide[6 * LANES + s], wide[7 * LANES + s] = weight * pull[0, s], weight * pull[1, s]
        wide[8 * LANES + s], wide[9 * LANES + s] = weight * pull[2, s], weight * pull[3, s]


@kernel(inline=True)
def _fold(wide, narrow):  # type: ignore[no-untyped-def]
    """Add neighbours to neighbours until two of each row of LANES are left, at narrow[2 r] and narrow[2 r + 1]."""
    for i in range(ROWS * (LANES // 2)):
        narrow[i] = wide[2 * i] + wide[2 * i + 1]
    for i in range(ROWS * (LANES // 4)):
        wide[i] = narrow[2 * i] + narrow[2 * i + 1]
    for i in range(ROWS * (LANES // 8)):
        narrow[i] = wide[2 * i] + wide[2 * i + 1]


@kernel(parallel=True)
def gather(g_pairs, start, g_mean, g_conic, g_opacity, g_features):  # type: ignore[no-untyped-def]
    """Add up the pairs start[g] to start[g + 1] of each Gaussian."""
    for g in prange(len(start) - 1):
        for k in range(start[g], start[g + 1]):
            for r in range(2):
                g_mean[g, r] += g_pairs[k, r]
            for r in range(3):
                g_conic[g, r] += g_pairs[k, 2 + r]
            g_opacity[g] += g_pairs[k, 5]
            for r in range(FEATURES):
                g_features[g, r] += g_pairs[k, ROWS - FEATURES + r]
