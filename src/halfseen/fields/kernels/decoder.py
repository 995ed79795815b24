"""The small networks of `fields/decoder.py` in one pass, forward and backward, without storing what lies between.

Samples are worked on in blocks of `LANES`, stored feature by feature, so that every inner loop runs over samples and is one
vector instruction or a few. Backward computes the forward again. A task owns whole rays: what is summed over a ray or over
all samples is summed in an order that the number of threads does not change.

    hidden = relu(w0 x);  (h, geometry) = w1 hidden;  density = exp(h - shift)
    colour = sigmoid(c2 relu(c1 relu(c0 (geometry, basis[ray]))))
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import ORDERED, kernel

# Samples in a block.
LANES = 64
# Partial sums over a block before neighbours are added to neighbours.
_FOLD = 16
# Rays of one task.
RAYS = 128
# Largest argument of the exponential density.
_MOST = np.float32(15)


@kernel(inline=True)
def product(w, x, out, rectify):  # type: ignore[no-untyped-def]
    """out[j, :] = w[j, :] @ x, rectified if asked for. Four inputs at a time: out is then loaded and stored a quarter as often."""
    rows, columns = w.shape
    whole = columns - columns % 4
    for j in range(rows):
        row = out[j]
        for s in range(LANES):
            row[s] = 0
        for i in range(0, whole, 4):
            a, b, c, d = w[j, i], w[j, i + 1], w[j, i + 2], w[j, i + 3]
            xa, xb, xc, xd = x[i], x[i + 1], x[i + 2], x[i + 3]
            for s in range(LANES):
                row[s] += a * xa[s] + b * xb[s] + c * xc[s] + d * xd[s]
        for i in range(whole, columns):
            a, xa = w[j, i], x[i]
            for s in range(LANES):
                row[s] += a * xa[s]
        if rectify:
            for s in range(LANES):
                row[s] = max(row[s], row.dtype.type(0))


# Inlined, `backward` takes three times as long to compile and runs 5 % faster: not worth a user's first minute.
@kernel(fastmath=ORDERED)
def product_back(w, x, g_out, g_x, g_w, wide, narrow):  # type: ignore[no-untyped-def]
    """g_x = w^T g_out, and g_w += g_out x^T. `wide` and `narrow` hold what sums over samples need."""
    rows, columns = w.shape
    whole = rows - rows % 4
    for i in range(columns):
        row = g_x[i]
        for s in range(LANES):
            row[s] = 0
        for j in range(0, whole, 4):
            a, b, c, d = w[j, i], w[j + 1, i], w[j + 2, i], w[j + 3, i]
            ga, gb, gc, gd = g_out[j], g_out[j + 1], g_out[j + 2], g_out[j + 3]
            for s in range(LANES):
                row[s] += a * ga[s] + b * gb[s] + c * gc[s] + d * gd[s]
        for j in range(whole, rows):
            a, ga = w[j, i], g_out[j]
            for s in range(LANES):
                row[s] += a * ga[s]
    for j in range(rows):
        contract(g_out[j], x, columns, wide, narrow, g_w[j])


@kernel(inline=True)
def contract(g, x, columns, wide, narrow, g_row):  # type: ignore[no-untyped-def]
    """g_row += x g: the sums over the samples of a block, for all columns at once, neighbours added to neighbours."""
    for i in range(columns):
        xi, at = x[i], i * _FOLD
        for s in range(_FOLD):
            total = g[s] * xi[s]
            for q in range(_FOLD, LANES, _FOLD):
                total += g[s + q] * xi[s + q]
            wide[at + s] = total
    for k in range(columns * (_FOLD // 2)):
        narrow[k] = wide[2 * k] + wide[2 * k + 1]
    for k in range(columns * (_FOLD // 4)):
        wide[k] = narrow[2 * k] + narrow[2 * k + 1]
    for k in range(columns * (_FOLD // 8)):
        narrow[k] = wide[2 * k] + wide[2 * k + 1]
    for i in range(columns):
        g_row[i] += narrow[2 * i] + narrow[2 * i + 1]


@kernel(inline=True)
def mask(g, activation):  # type: ignore[no-untyped-def]
    """Stop the gradient where a rectified activation is zero."""
    for j in range(len(g)):
        for s in range(LANES):
            if activation[j, s] <= 0:
                g[j, s] = 0


@kernel(inline=True)
def load(features, start, stop, x):  # type: ignore[no-untyped-def]
    """Samples start to stop, feature by feature; what is left of the block is zero."""
    for i in range(features.shape[1]):
        for s in range(LANES):
            x[i, s] = features[start + s, i] if start + s < stop else 0


@kernel(parallel=True, fastmath=ORDERED)
def look(features, w0, w1, offset, soft, density):  # type: ignore[no-untyped-def]
    """Density [S] alone; `offset` [S] or [1] is added to its logarithm, or with `soft` to what softplus takes."""
    count, width = features.shape
    kind = features.dtype
    for b in prange((count + LANES - 1) // LANES):
        start, stop = b * LANES, min(count, (b + 1) * LANES)
        x, hidden, h = np.empty((width, LANES), kind), np.empty((len(w0), LANES), kind), np.empty((1, LANES), kind)
        load(features, start, stop, x)
        product(w0, x, hidden, True)
        product(w1[:1], hidden, h, False)
        for s in range(stop - start):
            value = h[0, s] + (offset[start + s] if len(offset) > 1 else offset[0])
            if soft:
                density[start + s] = max(value, kind.type(0)) + np.log1p(np.exp(-abs(value)))
            else:
                density[start + s] = np.exp(min(value, kind.type(_MOST)))


@kernel(fastmath=ORDERED)
def decode(x, w0, w1, c0, c1, hidden, h, first, second, basis, ray, start, stop):  # type: ignore[no-untyped-def]
    """The activations of one block: hidden, (log density, geometry, basis of the ray) h, and both hidden layers of colour."""
    product(w0, x, hidden, True)
    product(w1, hidden, h[: len(w1)], False)
    for d in range(basis.shape[1]):
        for s in range(LANES):
            h[len(w1) + d, s] = basis[ray[start + s], d] if start + s < stop else 0
    product(c0, h[1:], first, True)
    product(c1, first, second, True)


@kernel(parallel=True, fastmath=ORDERED)
def forward(features, basis, ray, begin, w0, w1, c0, c1, c2, offset, density, colour):  # type: ignore[no-untyped-def]
    """Density [S] and colour [S, 3] of packed samples; `begin` [P + 1] are the first samples of rays."""
    kind = features.dtype
    rays = len(begin) - 1
    for task in prange((rays + RAYS - 1) // RAYS):
        x = np.empty((features.shape[1], LANES), kind)
        hidden, h = np.empty((len(w0), LANES), kind), np.empty((1 + c0.shape[1], LANES), kind)
        first, second = np.empty((len(c0), LANES), kind), np.empty((len(c1), LANES), kind)
        out = np.empty((3, LANES), kind)
        end = begin[min(rays, (task + 1) * RAYS)]
        for start in range(begin[task * RAYS], end, LANES):
            stop = min(end, start + LANES)
            load(features, start, stop, x)
            decode(x, w0, w1, c0, c1, hidden, h, first, second, basis, ray, start, stop)
            product(c2, second, out, False)
            for s in range(stop - start):
                more = offset[start + s] if len(offset) > 1 else offset[0]
                density[start + s] = np.exp(min(h[0, s] + more, kind.type(_MOST)))
                for c in range(3):
                    colour[start + s, c] = 1 / (1 + np.exp(-out[c, s]))


@kernel(parallel=True, fastmath=ORDERED)
def backward(  # type: ignore[no-untyped-def]
    features, basis, ray, begin, w0, w1, c0, c1, c2, offset, density, colour, g_density, g_colour,
    g_features, g0, g1, gc0, gc1, gc2,
):  # fmt: skip
    """Gradients of `forward`. Those of the weights come as one summand for each task: g0 [tasks, ...] and so on."""
    kind = features.dtype
    rays = len(begin) - 1
    for task in prange((rays + RAYS - 1) // RAYS):
        x = np.empty((features.shape[1], LANES), kind)
        hidden, h = np.empty((len(w0), LANES), kind), np.empty((1 + c0.shape[1], LANES), kind)
        first, second = np.empty((len(c0), LANES), kind), np.empty((len(c1), LANES), kind)
        g_out, g_second, g_first = np.empty((3, LANES), kind), np.empty_like(second), np.empty_like(first)
        g_h, g_hidden, g_x = np.empty_like(h), np.empty_like(hidden), np.empty_like(x)
        wide = np.empty(_FOLD * max(features.shape[1], len(w0), len(c0), len(c1), c0.shape[1]), kind)
        narrow = np.empty_like(wide)
        end = begin[min(rays, (task + 1) * RAYS)]
        for start in range(begin[task * RAYS], end, LANES):
            stop = min(end, start + LANES)
            load(features, start, stop, x)
            decode(x, w0, w1, c0, c1, hidden, h, first, second, basis, ray, start, stop)
            for s in range(LANES):
                inside = start + s < stop
                for c in range(3):
                    value = colour[start + s, c] if inside else kind.type(0)
                    g_out[c, s] = g_colour[start + s, c] * value * (1 - value) if inside else kind.type(0)
            product_back(c2, second, g_out, g_second, gc2[task], wide, narrow)
            mask(g_second, second)
            product_back(c1, first, g_second, g_first, gc1[task], wide, narrow)
            mask(g_first, first)
            product_back(c0, h[1:], g_first, g_h[1:], gc0[task], wide, narrow)
            for s in range(LANES):
                g_h[0, s] = 0
            for s in range(stop - start):
                g_h[0, s] = g_density[start + s] * density[start + s]
            product_back(w1, hidden, g_h[: len(w1)], g_hidden, g1[task], wide, narrow)
            mask(g_hidden, hidden)
            product_back(w0, x, g_hidden, g_x, g0[task], wide, narrow)
            for i in range(features.shape[1]):
                for s in range(stop - start):
                    g_features[start + s, i] = g_x[i, s]
