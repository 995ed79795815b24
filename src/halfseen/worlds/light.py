"""Light, baked once for each object: a sky, a soft sun, occlusion and one bounce, at every vertex and without noise.

The same fixed directions serve all vertices, so neighbouring vertices differ smoothly. Irradiance is stored in units in which an
open, horizontal white surface under this light has the brightness `EXPOSED`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfseen.worlds.geometry import Geometry
from halfseen.worlds.materials import Rgb
from halfseen.worlds.mesh import Array

# Directions of the whole sphere that carry sky and bounce, and those around the sun.
_SKY_RAYS, _SUN_RAYS = 128, 12
# Scenes of many vertices take fewer directions, so that a room bakes in about a second: their number times this is the limit.
_RAY_BUDGET, _LEAST_RAYS = 4_000_000, 40
EXPOSED = 0.82
# Rays start this far off the surface, as a share of the object's size.
_OFFSET = 2e-3
# ... and never further than this in world units, so that a street's doors keep their shadows.
_MAX_OFFSET = 4e-3
# Vertices this near (as a share of the object's size) with normals this equal are one.
_SAME_PLACE, _SAME_NORMAL = 1e-5, 0.02
# Odd numbers that spread the columns of a vertex's key over 64 bits.
_KEY_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB)  # fmt: skip
# Vertices baked at once; bounds memory.
_BLOCK = 16384
# Least cosine sum that is divided by.
_DARK = 1e-9
_GOLDEN = np.pi * (3 - 5**0.5)
# What a blocked ray returns of the open sky: the light of one bounce off a middle grey neighbour.
_BOUNCE = 0.28


@dataclass(frozen=True)
class Light:
    """A sky with a gradient, and a sun with a soft edge (linear colours)."""

    sun_direction: tuple[float, float, float]  # towards the sun
    sun: Rgb = (1.0, 0.94, 0.85)
    sun_strength: float = 1.3
    sun_radius: float = 0.12  # radians: larger is softer
    zenith: Rgb = (0.55, 0.68, 0.90)
    horizon: Rgb = (0.95, 0.93, 0.90)
    ground: Rgb = (0.40, 0.37, 0.33)
    exposure: float = 1.0  # the camera's: inside houses it opens up


@dataclass(frozen=True)
class Baked:
    """Light at vertices."""

    irradiance: NDArray[np.float32]  # [N, 3]
    sun: NDArray[np.float32]  # [N] share of the sun that is visible, for highlights


def bake(geometry: Geometry, light: Light) -> Baked:
    """Gather sky, bounce and sun at every vertex of a geometry, a block of vertices at a time."""
    mesh = geometry.mesh
    one, same = _distinct(mesh.xyz, mesh.normal, _SAME_PLACE * geometry.size)
    sky = sphere_directions(int(np.clip(_RAY_BUDGET // max(len(one), 1), _LEAST_RAYS, _SKY_RAYS)))
    blocks = [_bake_block(geometry, light, sky, one[i : i + _BLOCK]) for i in range(0, len(one), _BLOCK)]
    irradiance, sun = np.concatenate([b.irradiance for b in blocks]), np.concatenate([b.sun for b in blocks])
    return Baked(irradiance[same], sun[same])


def _distinct(xyz: Array, normal: Array, cell: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Vertices [K] that differ in place or normal, and for every vertex [N] the one of them that it equals.

    Parts meet in seams, where several vertices are the same point of the same surface: those are lit once.
    """
    keys = np.concatenate([np.round(xyz / cell), np.round(normal / _SAME_NORMAL)], 1).astype(np.int64)
    # One number for each row; rows that collide by chance would have to be equal in all 64 bits.
    mixed = np.zeros(len(keys), np.uint64)
    for column, factor in zip(keys.T, _KEY_FACTORS, strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(factor) + column.view(np.uint64)
    _, one, same = np.unique(mixed, return_index=True, return_inverse=True)
    # Neighbours stay neighbours: rays that follow one another then walk through the same part of the scene.
    order = np.argsort(one)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return one[order], rank[same]


def _bake_block(geometry: Geometry, light: Light, sky: Array, block: NDArray[np.intp]) -> Baked:
    mesh = geometry.mesh
    normal = mesh.normal[block]
    start = mesh.xyz[block] + normal * min(_OFFSET * geometry.size, _MAX_OFFSET)
    radiance = sky_radiance(sky, light)
    direct, open_share = _gather(geometry, start, normal, sky, radiance)
    sun_directions = _cone(np.asarray(light.sun_direction), light.sun_radius, _SUN_RAYS)
    visible = _visible_share(geometry, start, normal, sun_directions)
    cosine = np.maximum(normal @ sun_directions.T, 0).mean(1)
    sun = np.asarray(light.sun) * light.sun_strength
    bounced = _BOUNCE * (1 - open_share)[:, None] * radiance.mean(0)
    total = direct + bounced + (visible * cosine)[:, None] * sun
    # An open floor sees the upper half of the sky and the whole sun.
    up = np.asarray([[0.0, 0.0, 1.0]])
    floor = (radiance * np.maximum(sky @ up.T, 0)).mean(0) * 4 + sun * max(float(sun_directions[:, 2].mean()), 0.05)
    return Baked((total * (EXPOSED * light.exposure / floor.mean())).astype(np.float32), visible.astype(np.float32))


def sky_radiance(directions: Array, light: Light) -> Array:
    """Colour of the sky in directions [D, 3], without the sun; below the horizon it is the lit ground."""
    z = directions[:, 2:]
    up = np.clip(z, 0, 1) ** 0.6
    sky = np.asarray(light.horizon) * (1 - up) + np.asarray(light.zenith) * up
    edge = np.clip(z / 0.1 + 0.5, 0, 1)
    return np.asarray(light.ground) * (1 - edge) + sky * edge


def sphere_directions(count: int) -> Array:
    """`count` unit vectors spread evenly over the sphere (Fibonacci)."""
    i = np.arange(count)
    z = 1 - (2 * i + 1) / count
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(_GOLDEN * i), radius * np.sin(_GOLDEN * i), z], -1)


def _cone(axis: Array, radius: float, count: int) -> Array:
    """`count` unit vectors within an angle of an axis."""
    axis = axis / np.linalg.norm(axis)
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    r = radius * np.sqrt((np.arange(count) + 0.5) / count)
    angle = _GOLDEN * np.arange(count)
    out = axis + r[:, None] * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _gather(
    geometry: Geometry, start: Array, normal: Array, directions: Array, radiance: Array
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sky irradiance [N, 3] and the cosine-weighted open share [N]."""
    cosine = np.maximum(normal @ directions.T, 0).astype(np.float32)  # [N, D]
    vertex, ray = np.nonzero(cosine)
    blocked = geometry.blocked(start.astype(np.float32)[vertex], directions.astype(np.float32)[ray])
    total = cosine.sum(1)
    cosine[vertex[blocked], ray[blocked]] = 0
    scale = 4.0 / len(directions)
    return scale * (cosine @ radiance.astype(np.float32)), cosine.sum(1) / np.maximum(total, _DARK)


def _visible_share(geometry: Geometry, start: Array, normal: Array, directions: Array) -> Array:
    """Share [N] of directions that reach the sky from each vertex."""
    facing = normal @ directions.T > 0
    vertex, ray = np.nonzero(facing)
    free = np.zeros(facing.shape)
    free[vertex, ray] = ~geometry.blocked(start[vertex], directions[ray])
    return free.mean(1)
