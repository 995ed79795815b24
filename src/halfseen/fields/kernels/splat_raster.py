"""Gaussians blended front to back, forward and backward.

M Gaussians on the plane: `mean` [M, 2], `conic` [M, 3], `reach` [M, 2], `opacity` [M], features [M, C]; each tile has the list of those
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
LANES, TILE = 16, 16
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
# Gradients of a pair that come before those of its features: mean (2), conic (3), opacity.
HEAD = 6


@kernel(inline=True)
def shades(px, py, mean, conic, opacity, g, kind, alpha):  # type: ignore[no-untyped-def]
    """alpha [LANES] of one Gaussian at the pixels of a group."""
    x, y, a, b, c, o = mean[g, 0], mean[g, 1], conic[g, 0], conic[g, 1], conic[g, 2], opacity[g]
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
        alpha[s] = value if value >= kind(LEAST) and power <= 0 else kind(0)


@kernel(inline=True)
def apart(box, q, mean, reach, g):  # type: ignore[no-untyped-def]
    """Whether a Gaussian does not reach the box (x0, y0, x1, y1) of a group."""
    x, y, rx, ry = mean[g, 0], mean[g, 1], reach[g, 0], reach[g, 1]
    return x + rx < box[q, 0] or x - rx > box[q, 2] or y + ry < box[q, 1] or y - ry > box[q, 3]


@kernel(parallel=True, fastmath=ORDERED)
def forward(px, py, index, box, first, begin, listed, mean, conic, reach, opacity, features, out, alpha, median):  # type: ignore[no-untyped-def]
    """out [P, C], alpha [P], and the depth [P] (last feature) at which half of the light is gone, 0 where it never is.

    Groups q of tile t are first[t] to first[t + 1]; its Gaussians listed[begin[t]] to listed[begin[t + 1]]. Lanes of a group
    are the pixels index[q], -1 where it is not full.
    """
    kind = mean.dtype.type
    count = features.shape[1]
    for t in prange(len(first) - 1):
        shade, through, half = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        total = np.empty((count, LANES), mean.dtype)
        for q in range(first[t], first[t + 1]):
            for s in range(LANES):
                through[s], half[s] = 1, 0
            for c in range(count):
                for s in range(LANES):
                    total[c, s] = 0
            looked = 0
            for k in range(begin[t], begin[t + 1]):
                g = listed[k]
                if apart(box, q, mean, reach, g):
                    continue
                shades(px[q], py[q], mean, conic, opacity, g, kind, shade)
                z = features[g, count - 1]
                for s in range(LANES):
                    w = through[s] * (shade[s] if through[s] >= kind(STOP) else kind(0))
                    after = through[s] - w
                    half[s] = z if through[s] > kind(0.5) and after <= kind(0.5) else half[s]
                    through[s], shade[s] = after, w
                for c in range(count):
                    f = features[g, c]
                    for s in range(LANES):
                        total[c, s] += f * shade[s]
                looked += 1
                if looked % _LOOK == 0 and through.max() < kind(STOP):
                    break
            for s in range(LANES):
                p = index[q, s]
                if p >= 0:
                    alpha[p], median[p] = 1 - through[s], half[s]
                    for c in range(count):
                        out[p, c] = total[c, s]


@kernel(parallel=True, fastmath=ORDERED)
def backward(  # type: ignore[no-untyped-def]
    px, py, index, box, first, begin, listed, slot, mean, conic, reach, opacity, features, g_out, g_alpha, g_pairs
):
    """Gradients of `forward` for each pair: g_pairs [pairs, HEAD + C], row slot[k] for the k-th entry of the lists."""
    kind = mean.dtype.type
    count = features.shape[1]
    rows = HEAD + count
    for t in prange(len(first) - 1):
        longest = begin[t + 1] - begin[t]
        met = np.empty(longest, np.int64)
        shade, before = np.empty((longest, LANES), mean.dtype), np.empty((longest, LANES), mean.dtype)
        through, behind = np.empty(LANES, mean.dtype), np.empty(LANES, mean.dtype)
        pull = np.empty((count + 1, LANES), mean.dtype)
        wide, narrow = np.empty(rows * LANES, mean.dtype), np.empty(rows * LANES, mean.dtype)
        for k in range(begin[t], begin[t + 1]):
            for r in range(rows):
                g_pairs[slot[k], r] = 0
        for q in range(first[t], first[t + 1]):
            for s in range(LANES):
                p = index[q, s]
                through[s], behind[s] = 1, 0
                pull[count, s] = g_alpha[p] if p >= 0 else kind(0)
                for c in range(count):
                    pull[c, s] = g_out[p, c] if p >= 0 else kind(0)
            n = 0
            for k in range(begin[t], begin[t + 1]):
                g = listed[k]
                if apart(box, q, mean, reach, g):
                    continue
                shades(px[q], py[q], mean, conic, opacity, g, kind, shade[n])
                for s in range(LANES):
                    before[n, s] = through[s]
                    shade[n, s] = shade[n, s] if through[s] >= kind(STOP) else kind(0)
                    through[s] -= through[s] * shade[n, s]
                met[n] = k
                n += 1
                if n % _LOOK == 0 and through.max() < kind(STOP):
                    break
            for m in range(n):
                k = met[n - 1 - m]
                _pair_back(
                    px[q], py[q], mean, conic, opacity, features, listed[k], kind, pull, shade[n - 1 - m], before[n - 1 - m],
                    behind, wide,
                )  # fmt: skip
                _fold(wide, narrow, rows)
                for r in range(rows):
                    g_pairs[slot[k], r] += narrow[2 * r] + narrow[2 * r + 1]


@kernel(inline=True)
def _pair_back(px, py, mean, conic, opacity, features, g, kind, pull, shade, before, behind, wide):  # type: ignore[no-untyped-def]
    """What each pixel of a group gives to the gradients of one Gaussian: wide [(HEAD + C) LANES]. `behind` is the gradient of
    the light that passes it, times that light."""
    count = features.shape[1]
    x, y, a, b, c, o = mean[g, 0], mean[g, 1], conic[g, 0], conic[g, 1], conic[g, 2], opacity[g]
    for s in range(LANES):
        wide[HEAD * LANES + s] = pull[count, s]
    for k in range(count):
        f = features[g, k]
        for s in range(LANES):
            wide[HEAD * LANES + s] += f * pull[k, s]
    for s in range(LANES):
        pulled = wide[HEAD * LANES + s]
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
        shade[s] = weight
    for k in range(count):
        for s in range(LANES):
            wide[(HEAD + k) * LANES + s] = shade[s] * pull[k, s]


@kernel(inline=True)
def _fold(wide, narrow, rows):  # type: ignore[no-untyped-def]
    """Add neighbours to neighbours until two of each row of LANES are left, at narrow[2 r] and narrow[2 r + 1]."""
    for i in range(rows * (LANES // 2)):
        narrow[i] = wide[2 * i] + wide[2 * i + 1]
    for i in range(rows * (LANES // 4)):
        wide[i] = narrow[2 * i] + narrow[2 * i + 1]
    for i in range(rows * (LANES // 8)):
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
            for r in range(g_features.shape[1]):
                g_features[g, r] += g_pairs[k, HEAD + r]
