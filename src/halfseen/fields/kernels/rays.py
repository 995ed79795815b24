"""Loops over rays: marching through an occupancy grid, culling, compositing, distortion. Forward and backward.

Samples are packed: those of ray p are `start[p]` to `start[p + 1]`, in order of distance. Every ray is the work of one thread,
so that the number of threads changes nothing.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import kernel
from halfseen.fields.volume import CONTRACTED


@kernel(inline=True)
def cell_of(x, y, z, side, bounded):  # type: ignore[no-untyped-def]
    """Number of the occupancy cell that holds a box point, or -1 outside of a bounded field."""
    size = max(abs(x), abs(y), abs(z))
    if bounded:
        if size >= 1:
            return -1
        scale = 0.5 * side
        half = 1.0
    else:
        half = CONTRACTED
        scale = 0.5 * side / CONTRACTED
        if size > 1:
            fold = (CONTRACTED - 1 / size) / size
            x, y, z = x * fold, y * fold, z * fold
    i = min(int((x + half) * scale), side - 1)
    j = min(int((y + half) * scale), side - 1)
    k = min(int((z + half) * scale), side - 1)
    return (k * side + j) * side + i


@kernel(inline=True)
def walk(origin, direction, near, far, offset, least, cone, occupied, side, bounded, n, t_out, delta_out):  # type: ignore[no-untyped-def]
    """Steps of max(least, cone * t) along one ray; those whose middle lies in an occupied cell are written from place n on, if
    there is anything to write to. Returns the place after the last."""
    t = near + offset * max(least, cone * near)
    while t < far:
        step = max(least, cone * t)
        m = t + 0.5 * step
        x, y, z = origin[0] + m * direction[0], origin[1] + m * direction[1], origin[2] + m * direction[2]
        cell = cell_of(x, y, z, side, bounded)
        if cell >= 0 and occupied[cell]:
            if len(t_out):
                t_out[n], delta_out[n] = m, step
            n += 1
        t += step
    return n


@kernel(parallel=True)
def march_count(origins, directions, near, far, offset, least, cone, occupied, side, bounded, count):  # type: ignore[no-untyped-def]
    """Number of samples of each ray."""
    nothing = near[:0]
    for p in prange(origins.shape[0]):
        count[p] = walk(
            origins[p], directions[p], near[p], far[p], offset[p], least, cone, occupied, side, bounded, 0, nothing, nothing
        )  # fmt: skip


@kernel(parallel=True)
def march_write(  # type: ignore[no-untyped-def]
    origins, directions, near, far, offset, least, cone, occupied, side, bounded, start, t_out, delta_out, ray_out
):
    """The samples that `march_count` counted: middles, lengths, and the ray of each."""
    for p in prange(origins.shape[0]):
        end = walk(
            origins[p], directions[p], near[p], far[p], offset[p], least, cone, occupied, side, bounded, start[p], t_out, delta_out
        )  # fmt: skip
        ray_out[start[p] : end] = p


@kernel(parallel=True)
def visible(density, delta, start, least, keep):  # type: ignore[no-untyped-def]
    """Mark the samples whose weight is above `least`."""
    for p in prange(len(start) - 1):
        through = 1.0
        for i in range(start[p], start[p + 1]):
            after = through * np.exp(-density[i] * delta[i])
            keep[i] = through - after > least
            through = after


@kernel(parallel=True)
def composite(density, delta, colour, t, start, weight, rgb, depth, alpha):  # type: ignore[no-untyped-def]
    """w_i = T_i (1 - exp(-density_i delta_i)); rgb [P, 3], depth [P] and alpha [P] are sums of w c, w t and w."""
    for p in prange(len(start) - 1):
        through = density.dtype.type(1)
        r, g, b, d = 0 * through, 0 * through, 0 * through, 0 * through
        for i in range(start[p], start[p + 1]):
            after = through * np.exp(-density[i] * delta[i])
            w = through - after
            weight[i] = w
            r += w * colour[i, 0]
            g += w * colour[i, 1]
            b += w * colour[i, 2]
            d += w * t[i]
            through = after
        rgb[p, 0], rgb[p, 1], rgb[p, 2], depth[p], alpha[p] = r, g, b, d, 1 - through


@kernel(parallel=True)
def composite_backward(  # type: ignore[no-untyped-def]
    density, delta, colour, t, start, weight, g_weight, g_rgb, g_depth, g_alpha, g_density, g_colour
):
    """Gradients of `composite`: dL/d density_i = delta_i (T_{i+1} g_i - sum_{j > i} w_j g_j), g the gradient of a weight."""
    for p in prange(len(start) - 1):
        through = density.dtype.type(1)
        for i in range(start[p], start[p + 1]):
            through -= weight[i]
        behind = 0 * through
        for k in range(start[p + 1] - start[p]):
            i = start[p + 1] - 1 - k
            w = weight[i]
            g = g_weight[i] + g_depth[p] * t[i] + g_alpha[p]
            for c in range(3):
                g += g_rgb[p, c] * colour[i, c]
                g_colour[i, c] = w * g_rgb[p, c]
            g_density[i] = delta[i] * (through * g - behind)
            behind += w * g
            through += w


@kernel(parallel=True)
def distortion(weight, t, delta, start, out):  # type: ignore[no-untyped-def]
    """sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i^2 delta_i of each ray [P], in one pass (mip-NeRF 360, sorted samples)."""
    for p in prange(len(start) - 1):
        total = weight.dtype.type(0)
        before, moment = 0 * total, 0 * total
        for i in range(start[p], start[p + 1]):
            w = weight[i]
            total += 2 * w * (t[i] * before - moment) + w * w * delta[i] / 3
            before += w
            moment += w * t[i]
        out[p] = total


@kernel(parallel=True)
def distortion_backward(weight, t, delta, start, g_out, g_weight):  # type: ignore[no-untyped-def]
    """Gradient of `distortion` with respect to the weights."""
    for p in prange(len(start) - 1):
        all_w = weight.dtype.type(0)
        all_m = 0 * all_w
        for i in range(start[p], start[p + 1]):
            all_w += weight[i]
            all_m += weight[i] * t[i]
        before, moment = 0 * all_w, 0 * all_w
        for i in range(start[p], start[p + 1]):
            w = weight[i]
            after, beyond = all_w - before - w, all_m - moment - w * t[i]
            pull = t[i] * before - moment + beyond - t[i] * after
            g_weight[i] = g_out[p] * (2 * pull + 2 * w * delta[i] / 3)
            before += w
            moment += w * t[i]
