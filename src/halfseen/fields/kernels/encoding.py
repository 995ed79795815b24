"""Multi-resolution hash encoding, forward and backward.

S samples at `xyz` [S, 3] in [0, 1]; L levels with F features each, all tables in one array [T, F]. Level l has `size[l]` entries
from `first[l]`, over a grid of `cells[l]` cells along each side; its features are trilinear between the corners of a cell.
A level whose corners fit is stored densely, others are hashed by xor of coordinates times primes (Instant-NGP).

Samples are worked on in blocks, levels outside: a level's table then stays in the cache while a block passes. Backward
is parallel over levels, each of which owns its table: no order of threads can change a sum.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import ORDERED, kernel

# Primes of the hash.
_P1, _P2 = np.int64(2654435761), np.int64(805459861)
# Samples of a block.
_BLOCK = 4096


@kernel(inline=True)
def pair(x, y, z, cells, size, dense):  # type: ignore[no-untyped-def]
    """Entries of the corners (x, y, z) and (x + 1, y, z) within their level."""
    if dense:
        at = x + (cells + 1) * (y + (cells + 1) * z)
        return at, at + 1
    yz = (y * _P1) ^ (z * _P2)
    return (x ^ yz) & (size - 1), ((x + 1) ^ yz) & (size - 1)


@kernel(inline=True)
def place(v, cells):  # type: ignore[no-untyped-def]
    """(first corner, weight of the second) of a coordinate in [0, 1] along one axis."""
    at = v * cells
    low = min(max(np.int64(at), 0), cells - 1)
    return low, at - low


# The number of features has to be known when a loop is compiled, so each of these makes a loop for one number.


def _forward(features):  # type: ignore[no-untyped-def]
    # Not ORDERED: that takes 18 % longer, and what is added here are the eight corners of one sample.
    @kernel(parallel=True, fastmath=True)
    def forward(xyz, table, first, size, cells, dense, out):  # type: ignore[no-untyped-def]
        """Features `out` [S, L * F]."""
        count = xyz.shape[0]
        for b in prange((count + _BLOCK - 1) // _BLOCK):
            start, stop = b * _BLOCK, min(count, (b + 1) * _BLOCK)
            for level in range(len(first)):
                base, n, cell, flat = first[level], size[level], cells[level], dense[level]
                column = features * level
                for s in range(start, stop):
                    x, fx = place(xyz[s, 0], cell)
                    y, fy = place(xyz[s, 1], cell)
                    z, fz = place(xyz[s, 2], cell)
                    a0, a1 = pair(x, y, z, cell, n, flat)
                    b0, b1 = pair(x, y + 1, z, cell, n, flat)
                    c0, c1 = pair(x, y, z + 1, cell, n, flat)
                    d0, d1 = pair(x, y + 1, z + 1, cell, n, flat)
                    gx, wa, wb = 1 - fx, (1 - fz) * (1 - fy), (1 - fz) * fy
                    wc, wd = fz * (1 - fy), fz * fy
                    for f in range(features):
                        out[s, column + f] = (
                            wa * (gx * table[base + a0, f] + fx * table[base + a1, f])
                            + wb * (gx * table[base + b0, f] + fx * table[base + b1, f])
                            + wc * (gx * table[base + c0, f] + fx * table[base + c1, f])
                            + wd * (gx * table[base + d0, f] + fx * table[base + d1, f])
                        )

    return forward


def _backward_table(features):  # type: ignore[no-untyped-def]
    @kernel(parallel=True, fastmath=ORDERED)
    def backward_table(xyz, grad, first, size, cells, dense, grad_table):  # type: ignore[no-untyped-def]
        """Add to `grad_table` [T, F] what the gradient `grad` [S, L * F] of the features gives."""
        for level in prange(len(first)):
            base, n, cell, flat = first[level], size[level], cells[level], dense[level]
            column = features * level
            for s in range(xyz.shape[0]):
                x, fx = place(xyz[s, 0], cell)
                y, fy = place(xyz[s, 1], cell)
                z, fz = place(xyz[s, 2], cell)
                a0, a1 = pair(x, y, z, cell, n, flat)
                b0, b1 = pair(x, y + 1, z, cell, n, flat)
                c0, c1 = pair(x, y, z + 1, cell, n, flat)
                d0, d1 = pair(x, y + 1, z + 1, cell, n, flat)
                wa, wb = (1 - fz) * (1 - fy), (1 - fz) * fy
                wc, wd = fz * (1 - fy), fz * fy
                # Two corners may share an entry, so one follows the other.
                for one, two, w in ((a0, a1, wa), (b0, b1, wb), (c0, c1, wc), (d0, d1, wd)):
                    w1, w2 = w * (1 - fx), w * fx
                    for f in range(features):
                        grad_table[base + one, f] += w1 * grad[s, column + f]
                    for f in range(features):
                        grad_table[base + two, f] += w2 * grad[s, column + f]

    return backward_table


def _backward_xyz(features):  # type: ignore[no-untyped-def]
    @kernel(parallel=True, fastmath=ORDERED)
    def backward_xyz(xyz, table, grad, first, size, cells, dense, grad_xyz):  # type: ignore[no-untyped-def]
        """Gradient `grad_xyz` [S, 3] with respect to the positions."""
        count = xyz.shape[0]
        for b in prange((count + _BLOCK - 1) // _BLOCK):
            start, stop = b * _BLOCK, min(count, (b + 1) * _BLOCK)
            for level in range(len(first)):
                base, n, cell, flat = first[level], size[level], cells[level], dense[level]
                column = features * level
                for s in range(start, stop):
                    x, fx = place(xyz[s, 0], cell)
                    y, fy = place(xyz[s, 1], cell)
                    z, fz = place(xyz[s, 2], cell)
                    dx, dy, dz = 0.0 * fx, 0.0 * fx, 0.0 * fx
                    for m in range(2):
                        wz = fz if m else 1 - fz
                        for j in range(2):
                            wy = fy if j else 1 - fy
                            one, two = pair(x, y + j, z + m, cell, n, flat)
                            one, two = base + one, base + two
                            p, q = 0.0 * fx, 0.0 * fx
                            for f in range(features):
                                p += table[one, f] * grad[s, column + f]
                                q += table[two, f] * grad[s, column + f]
                            mean = p * (1 - fx) + q * fx
                            dx += wy * wz * (q - p)
                            dy += mean * wz * (1 if j else -1)
                            dz += mean * wy * (1 if m else -1)
                    grad_xyz[s, 0] += dx * cell
                    grad_xyz[s, 1] += dy * cell
                    grad_xyz[s, 2] += dz * cell

    return backward_xyz


# (forward, backward_table, backward_xyz) by the number of features of a level. Few levels with more features look up less.
BY_FEATURES = {f: (_forward(f), _backward_table(f), _backward_xyz(f)) for f in (1, 2, 4, 8)}
