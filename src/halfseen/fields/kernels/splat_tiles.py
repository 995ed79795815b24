"""Which Gaussians reach which tile, in order of depth."""

from __future__ import annotations

from numba import prange

from halfseen.common.jit import kernel
from halfseen.fields.kernels.splat_raster import TILE


@kernel(inline=True)
def rectangle(mean, reach, g, left, top, across, down):  # type: ignore[no-untyped-def]
    """Tiles (x0, y0, x1, y1), ends excluded, that a Gaussian reaches on a grid whose corner is the pixel (left, top)."""
    if reach[g, 0] <= 0:
        return 0, 0, 0, 0
    x0 = max(int((mean[g, 0] - reach[g, 0] - left) // TILE), 0)
    y0 = max(int((mean[g, 1] - reach[g, 1] - top) // TILE), 0)
    x1 = min(int((mean[g, 0] + reach[g, 0] - left) // TILE) + 1, across)
    y1 = min(int((mean[g, 1] + reach[g, 1] - top) // TILE) + 1, down)
    return x0, y0, max(x1, x0), max(y1, y0)


@kernel(parallel=True)
def count(mean, reach, left, top, across, down, pairs):  # type: ignore[no-untyped-def]
    """Number of tiles that each Gaussian reaches [N]."""
    for g in prange(len(mean)):
        x0, y0, x1, y1 = rectangle(mean, reach, g, left, top, across, down)
        pairs[g] = (x1 - x0) * (y1 - y0)


@kernel()
def fill(order, mean, reach, start, left, top, across, down, begin, listed, slot):  # type: ignore[no-untyped-def]
    """Lists of all tiles, near to far: `order` are Gaussians by depth, start[g] the first pair of Gaussian g. One thread."""
    for g in order:
        x0, y0, x1, y1 = rectangle(mean, reach, g, left, top, across, down)
        for y in range(y0, y1):
            for x in range(x0, x1):
                begin[y * across + x + 1] += 1
    for t in range(across * down):
        begin[t + 1] += begin[t]
    cursor = begin[:-1].copy()
    for g in order:
        x0, y0, x1, y1 = rectangle(mean, reach, g, left, top, across, down)
        k = start[g]
        for y in range(y0, y1):
            for x in range(x0, x1):
                at = cursor[y * across + x]
                listed[at], slot[at] = g, k
                cursor[y * across + x] = at + 1
                k += 1
