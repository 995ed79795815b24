"""Shapes that worlds are made of: rounded boxes, lathes, lofts, tubes, sheets. Smooth where things are smooth.

All stand around the origin; `mesh.move`, `turn`, `stretch` place them. Sizes are half extents or radii in world units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halfseen.worlds.mesh import Array, Mesh, build, join, smooth_normals

_TINY = 1e-9


def grid_faces(rows: int, columns: int, *, wrap: bool = False) -> NDArray[np.int64]:
    """Triangles of a grid of vertices stored row by row; `wrap` joins the last column to the first."""
    r = np.arange(rows - 1)[:, None]
    c = np.arange(columns if wrap else columns - 1)[None]
    n = (c + 1) % columns
    a, b, d, e = r * columns + c, r * columns + n, (r + 1) * columns + c, (r + 1) * columns + n
    return np.concatenate([np.stack([a, b, e], -1).reshape(-1, 3), np.stack([a, e, d], -1).reshape(-1, 3)])


def box(half: Sequence[float], bevel: float = 0.0, steps: int = 3, cells: int = 1) -> Mesh:
    """Box with rounded edges. `cells` subdivides the flat parts, for light that varies over them."""
    h = np.asarray(half, np.float64)
    radius = min(bevel, float(h.min()) * 0.999)
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            sides.append(_box_side(h, radius, steps, cells, axis, sign))
    return join(sides)


def _box_side(h: Array, radius: float, steps: int, cells: int, axis: int, sign: float) -> Mesh:
    """One face with its share of the rounding, a grid that is fine along the edges."""
    u, v = (axis + 1) % 3, (axis + 2) % 3
    gu, gv = (_edge_grid(h[i], radius, steps, cells) for i in (u, v))
    points = np.zeros((len(gu), len(gv), 3))
    points[..., u], points[..., v] = np.meshgrid(gu, gv, indexing="ij")
    points[..., axis] = sign * h[axis]
    flat = points.reshape(-1, 3)
    inner = np.clip(flat, -(h - radius), h - radius)
    direction = flat - inner
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    if radius > _TINY:
        flat = inner + radius * direction / np.maximum(length, _TINY)
        normal = direction / np.maximum(length, _TINY)
    else:
        normal = np.zeros_like(flat)
        normal[:, axis] = sign
    faces = grid_faces(len(gu), len(gv))
    # Rows along u and columns along v run counter-clockwise about -axis.
    return build(flat, faces[:, ::-1] if sign > 0 else faces, uv=flat[:, (u, v)], normal=normal)


def _edge_grid(half: float, radius: float, steps: int, cells: int) -> Array:
    """Coordinates along one side: rounding, flat part, rounding. Angles are even, so the rounding is."""
    middle = np.linspace(-(half - radius), half - radius, cells + 1)
    if radius <= _TINY:
        return middle
    # A face takes the rounding up to 45 degrees: projected from the inner edge, that is radius * tan(angle).
    angle = np.linspace(np.pi / 4, 0, steps, endpoint=False)
    outer = half - radius + radius * np.tan(angle)
    return np.concatenate([-outer, middle, outer[::-1]])


def lathe(profile: Sequence[tuple[float, float]], segments: int = 32, *, smooth: int = 0) -> Mesh:
    """Turn a profile of (radius, z), bottom to top, about z. `smooth` rounds of corner cutting round the profile."""
    curve = _cut_corners(np.asarray(profile, np.float64), smooth)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    xyz = np.concatenate(
        [curve[:, :1, None] * ring[None], np.broadcast_to(curve[:, 1:, None], (len(curve), segments + 1, 1))], -1
    )
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    around = angle * max(float(curve[:, 0].max()), _TINY)
    uv = np.stack(np.broadcast_arrays(around[None], length[:, None]), -1).reshape(-1, 2)
    faces = grid_faces(len(curve), segments + 1)
    flat = xyz.reshape(-1, 3)
    return build(flat, faces, uv=uv, normal=_seamless(flat, faces, len(curve), segments + 1))


def loft(sections: Array, *, closed: bool = True, caps: bool = True) -> Mesh:
    """Skin over sections [R, C, 3], each a ring. A capped skin is turned outside out whichever way its rings run."""
    rows, columns = sections.shape[:2]
    if closed:
        sections = np.concatenate([sections, sections[:, :1]], 1)
        columns += 1
    flat = sections.reshape(-1, 3)
    faces = grid_faces(rows, columns)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(sections.mean(1), axis=0), axis=1))])
    around = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(sections[rows // 2], axis=0), axis=1))])
    uv = np.stack(np.meshgrid(along, around, indexing="ij"), -1).reshape(-1, 2)
    normal = _seamless(flat, faces, rows, columns) if closed else None
    skin = build(flat, faces, uv=uv, normal=normal)
    if not (caps and closed):
        return skin
    whole = join([skin, _cap(sections[0, :-1], reverse=True), _cap(sections[-1, :-1], reverse=False)])
    return whole if _volume(whole) >= 0 else _inside_out(whole)


def tube(path: Array, radius: float | Array, segments: int = 12) -> Mesh:
    """Round bar along a path [R, 3], with its ends closed; the frame is carried along without twisting."""
    path = np.asarray(path, np.float64)
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), _TINY)
    side = np.cross(tangent[0], np.eye(3)[np.abs(tangent[0]).argmin()])
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = []
    for point, direction, r in zip(path, tangent, np.broadcast_to(radius, len(path)), strict=True):
        side = side - (side @ direction) * direction
        side /= max(float(np.linalg.norm(side)), _TINY)
        other = np.cross(direction, side)
        rings.append(point + r * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other))
    return loft(np.asarray(rings))


def sheet(size: tuple[float, float], cells: tuple[int, int]) -> Mesh:
    """Flat rectangle in the plane z = 0, facing up, divided into cells."""
    x = np.linspace(-size[0] / 2, size[0] / 2, cells[0] + 1)
    y = np.linspace(-size[1] / 2, size[1] / 2, cells[1] + 1)
    xyz = np.zeros((cells[0] + 1, cells[1] + 1, 3))
    xyz[..., 0], xyz[..., 1] = np.meshgrid(x, y, indexing="ij")
    flat = xyz.reshape(-1, 3)
    return build(flat, grid_faces(cells[0] + 1, cells[1] + 1)[:, ::-1], uv=flat[:, :2].copy())


def ellipsoid(radii: Sequence[float], segments: int = 24, power: float = 2.0) -> Mesh:
    """Ellipsoid; a power above 2 makes it boxy (superellipsoid)."""
    lat = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    profile = [(float(_signed(np.cos(a), 2 / power)), float(_signed(np.sin(a), 2 / power))) for a in lat]
    ball = lathe(profile, segments)
    angle = np.arctan2(ball.xyz[:, 1], ball.xyz[:, 0])
    radius = np.linalg.norm(ball.xyz[:, :2], axis=1)
    xyz = np.stack(
        [radius * _signed(np.cos(angle), 2 / power), radius * _signed(np.sin(angle), 2 / power), ball.xyz[:, 2]], -1
    )
    xyz *= np.asarray(radii)
    return build(xyz, ball.faces, uv=ball.uv, normal=_seamless(xyz, ball.faces, segments // 2 + 1, segments + 1))


def rounded_section(half_width: float, low: float, high: float, count: int, power: float) -> Array:
    """Superellipse ring [count, 2] in (y, z) between two heights, counter-clockwise seen from +x."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    y = half_width * _signed(np.cos(angle), 2 / power)
    z = (low + high) / 2 + (high - low) / 2 * _signed(np.sin(angle), 2 / power)
    return np.stack([y, z], -1)


def curve(points: Sequence[Sequence[float]], count: int) -> Array:
    """`count` points on the Catmull-Rom curve through key points [K, D], evenly over the keys."""
    keys = np.asarray(points, np.float64)
    padded = np.concatenate([2 * keys[:1] - keys[1:2], keys, 2 * keys[-1:] - keys[-2:-1]])
    at = np.linspace(0, len(keys) - 1, count)
    i = np.minimum(at.astype(int), len(keys) - 2)
    t = (at - i)[:, None]
    p0, p1, p2, p3 = (padded[i + k] for k in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def _cut_corners(points: Array, rounds: int) -> Array:
    """Chaikin's corner cutting, ends kept."""
    for _ in range(rounds):
        a, b = points[:-1], points[1:]
        inner = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], 1).reshape(-1, points.shape[1])
        points = np.concatenate([points[:1], inner[1:-1], points[-1:]]) if len(points) > 2 else points
    return points


def _seamless(xyz: Array, faces: NDArray[np.integer], rows: int, columns: int) -> Array:
    """Smooth normals of a grid whose first and last columns are the same points; rows that shrink to a point share one."""
    normal = smooth_normals(xyz, faces.astype(np.int32)).reshape(rows, columns, 3)
    seam = normal[:, 0] + normal[:, -1]
    normal[:, 0] = normal[:, -1] = seam
    for row in (0, -1):
        if np.ptp(xyz.reshape(rows, columns, 3)[row], axis=0).max() < _TINY:
            normal[row] = normal[row].sum(0)
    flat = normal.reshape(-1, 3)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), _TINY)


def _volume(mesh: Mesh) -> float:
    """Signed volume: positive when faces look outwards."""
    a, b, c = (mesh.xyz[mesh.faces[:, i]] - mesh.xyz[0] for i in range(3))
    return float((a * np.cross(b, c)).sum()) / 6


def _inside_out(mesh: Mesh) -> Mesh:
    return replace(mesh, faces=np.ascontiguousarray(mesh.faces[:, ::-1]), normal=-mesh.normal)


def _cap(ring: Array, *, reverse: bool) -> Mesh:
    """Flat fan over a ring [C, 3]."""
    middle = ring.mean(0, keepdims=True)
    count = len(ring)
    i = np.arange(count)
    faces = np.stack([np.full(count, count), i, (i + 1) % count], -1)
    return build(np.concatenate([ring, middle]), faces[:, ::-1] if reverse else faces)


def _signed(value: Array | float, power: float) -> Array:
    """Power that keeps the sign."""
    return np.sign(value) * np.abs(value) ** power
