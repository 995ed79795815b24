"""Features of three planes, forward and backward.

S samples at `at` [S, 3] in [-1, 1]; three planes [3, R, R, C] over (x, y), (x, z) and (y, z), channels last, so that what is read and written
of a corner lies side by side. Cells are bilinear between their middles; beyond the outermost middles values stay as they are there.

Backward is parallel over planes and blocks of channels, each of which owns its cells: no order of threads can change a sum.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import ORDERED, kernel

# Samples of a block of forward, and channels of one of backward.
_BLOCK, _CHANNELS = 1024, 16
# The axes of a position that index columns and rows of each plane, as in `planes.AXES`.
_COLUMNS, _ROWS = (0, 0, 1), (1, 2, 2)


@kernel(inline=True)
def place(v, cells):  # type: ignore[no-untyped-def]
    """(first cell, weight of the second) of a coordinate in [-1, 1] along one axis."""
    one = v * 0 + 1
    at = min(max(((v + one) * cells - one) / 2, 0 * one), one * (cells - 1))
    low = min(np.int64(at), cells - 2)
    return low, at - low


@kernel(parallel=True, fastmath=ORDERED)
def forward(at, planes, out):  # type: ignore[no-untyped-def]
    """Features `out` [S, C]: the sum of what the three planes hold."""
    count, cells, channels = at.shape[0], planes.shape[1], planes.shape[3]
    for b in prange((count + _BLOCK - 1) // _BLOCK):
        for s in range(b * _BLOCK, min(count, (b + 1) * _BLOCK)):
            for k in range(3):
                x, fx = place(at[s, _COLUMNS[k]], cells)
                y, fy = place(at[s, _ROWS[k]], cells)
                wa, wb, wc, wd = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
                p, q, r, t = planes[k, y, x], planes[k, y, x + 1], planes[k, y + 1, x], planes[k, y + 1, x + 1]
                if k == 0:
                    for c in range(channels):
                        out[s, c] = wa * p[c] + wb * q[c] + wc * r[c] + wd * t[c]
                else:
                    for c in range(channels):
                        out[s, c] += wa * p[c] + wb * q[c] + wc * r[c] + wd * t[c]


@kernel(parallel=True, fastmath=ORDERED)
def backward(at, grad, grad_planes):  # type: ignore[no-untyped-def]
    """Add to `grad_planes` [3, R, R, C] what the gradient `grad` [S, C] of the features gives."""
    cells, channels = grad_planes.shape[1], grad_planes.shape[3]
    blocks = (channels + _CHANNELS - 1) // _CHANNELS
    for task in prange(3 * blocks):
        k = task // blocks
        first = (task - k * blocks) * _CHANNELS
        last = min(channels, first + _CHANNELS)
        for s in range(at.shape[0]):
            x, fx = place(at[s, _COLUMNS[k]], cells)
            y, fy = place(at[s, _ROWS[k]], cells)
            wa, wb, wc, wd = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
            g = grad[s, first:last]
            p, q = grad_planes[k, y, x, first:last], grad_planes[k, y, x + 1, first:last]
            r, t = grad_planes[k, y + 1, x, first:last], grad_planes[k, y + 1, x + 1, first:last]
            for c in range(last - first):
                p[c] += wa * g[c]
                q[c] += wb * g[c]
                r[c] += wc * g[c]
                t[c] += wd * g[c]
