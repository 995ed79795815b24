"""A surface out of a grid of signed distances: marching tetrahedra (Doi and Koide 1991), vectorised. Every cube is six tetrahedra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
# Corners of a cube by number: x is bit 0, y bit 1, z bit 2; six tetrahedra around its diagonal.
_TETRAHEDRA = ((0, 1, 3, 7), (0, 3, 2, 7), (0, 2, 6, 7), (0, 6, 4, 7), (0, 4, 5, 7), (0, 5, 1, 7))
# Of a tetrahedron, by which corners are inside (bit k for corner k): edges whose crossings make triangles that look outwards.
_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_FACES: dict[int, tuple[tuple[int, int, int], ...]] = {
    1: ((0, 1, 2),), 2: ((0, 4, 3),), 4: ((1, 3, 5),), 8: ((2, 5, 4),),
    3: ((1, 2, 4), (1, 4, 3)), 5: ((0, 3, 5), (0, 5, 2)), 9: ((0, 1, 5), (0, 5, 4)),
}  # fmt: skip


def surface(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """(vertices [N, 3] in grid units, faces [M, 3]) where a grid [X, Y, Z] crosses zero; negative is inside, NaN is unknown.

    Cubes with an unknown corner have no surface. Faces look towards positive values.
    """
    x, y, z = values.shape
    corner = np.indices((x - 1, y - 1, z - 1)).reshape(3, -1).T
    steps = np.array([[k & 1, k >> 1 & 1, k >> 2 & 1] for k in range(8)])
    flat = np.ascontiguousarray(values).reshape(-1)
    stride = np.array([y * z, z, 1])
    index = (corner @ stride)[:, None] + steps @ stride
    at = flat[index]
    crossed = np.isfinite(at).all(1) & ((at < 0).any(1) & (at >= 0).any(1))
    index = index[crossed]
    pairs = np.concatenate([_triangles(index[:, list(t)], flat) for t in _TETRAHEDRA])
    if len(pairs) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    edges, faces = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    a, b = flat[edges[:, 0]], flat[edges[:, 1]]
    share = (a / (a - b))[:, None]
    ends = [np.stack(np.unravel_index(edges[:, k], values.shape), -1).astype(np.float64) for k in range(2)]
    return ends[0] + share * (ends[1] - ends[0]), _whole(faces.reshape(-1, 3))


def _triangles(corners: NDArray[np.int64], flat: Array) -> NDArray[np.int64]:
    """Triangles of tetrahedra [T, 4] as edges of the grid: [M, 3, 2] grid numbers, the smaller one first."""
    inside = flat[corners] < 0
    code = inside @ np.array([1, 2, 4, 8])
    out = []
    for wanted, faces in _FACES.items():
        # The complement has the same crossings, seen from the other side.
        for key, flipped in ((wanted, False), (15 - wanted, True)):
            chosen = corners[code == key]
            for face in faces:
                order = face[::-1] if flipped else face
                edges = [chosen[:, list(_EDGES[e])] for e in order]
                out.append(np.sort(np.stack(edges, 1), -1))
    return np.concatenate(out) if out else np.zeros((0, 3, 2), np.int64)


def _whole(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Without triangles that have shrunk to a line or a point."""
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (a != c)]
