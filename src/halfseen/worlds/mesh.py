"""Triangle meshes as records, and the operations that build worlds from them. z is up, one unit is about one metre or one object.

Every vertex carries what shading needs: its normal, the place `tex` in its part's own frame (solid textures stay with the part
however it is moved), and `uv` along the surface. Every face names a material by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A point where normals cancel (a cone's tip) keeps this length of its sum as its normal's divisor.
_TINY = 1e-12


@dataclass(frozen=True)
class Mesh:
    """N vertices and M triangles, counter-clockwise from outside."""

    xyz: Array  # [N, 3]
    faces: NDArray[np.int32]  # [M, 3]
    normal: Array  # [N, 3] unit
    tex: Array  # [N, 3] position in the part's frame
    uv: Array  # [N, 2] along the surface, in the same units
    material: NDArray[np.int32]  # [M]

    def __len__(self) -> int:
        return len(self.faces)


def build(
    xyz: Array, faces: NDArray[np.integer], *, uv: Array | None = None, normal: Array | None = None, material: int = 0
) -> Mesh:
    """A mesh with smooth normals (area-weighted over shared vertices) unless given, textured by its own coordinates."""
    xyz, corners = np.asarray(xyz, np.float64), np.asarray(faces, np.int32)
    normal = smooth_normals(xyz, corners) if normal is None else normal
    uv = xyz[:, :2].copy() if uv is None else uv
    return Mesh(xyz, corners, normal, xyz.copy(), uv, np.full(len(corners), material, np.int32))


def smooth_normals(xyz: Array, faces: NDArray[np.integer]) -> Array:
    """Unit normals at vertices, the area-weighted mean over their faces."""
    a, b, c = (xyz[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    total = np.zeros_like(xyz)
    for i in range(3):
        np.add.at(total, faces[:, i], cross)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), _TINY)


def faceted(mesh: Mesh) -> Mesh:
    """The mesh with flat faces: vertices are no longer shared."""
    flat = mesh.faces.reshape(-1)
    xyz = mesh.xyz[flat]
    faces = np.arange(len(flat), dtype=np.int32).reshape(-1, 3)
    return Mesh(xyz, faces, smooth_normals(xyz, faces), mesh.tex[flat], mesh.uv[flat], mesh.material)


def paint(mesh: Mesh, material: int) -> Mesh:
    """The mesh in one material."""
    return replace(mesh, material=np.full(len(mesh), material, np.int32))


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(m.xyz) for m in meshes)])
    return Mesh(
        np.concatenate([m.xyz for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]).astype(np.int32),
        np.concatenate([m.normal for m in meshes]),
        np.concatenate([m.tex for m in meshes]),
        np.concatenate([m.uv for m in meshes]),
        np.concatenate([m.material for m in meshes]),
    )


def move(mesh: Mesh, by: Sequence[float] | Array) -> Mesh:
    """Translate; textures move along."""
    return replace(mesh, xyz=mesh.xyz + np.asarray(by, np.float64))


def shift_uv(mesh: Mesh, u: float, v: float) -> Mesh:
    """Move the origin of the surface coordinates."""
    return replace(mesh, uv=mesh.uv + np.array([u, v]))


def grain(mesh: Mesh, axis: str) -> Mesh:
    """Let the grain of wood (which runs along z in a part's own frame) run along another axis of the part."""
    return replace(mesh, tex=mesh.tex[:, {"x": (1, 2, 0), "y": (2, 0, 1), "z": (0, 1, 2)}[axis]])


def turn(mesh: Mesh, axis: str, degrees: float) -> Mesh:
    """Rotate about a coordinate axis through the origin; textures move along."""
    matrix = rotation(axis, degrees)
    return replace(mesh, xyz=_turned(mesh.xyz, matrix), normal=_turned(mesh.normal, matrix))


def _turned(xyz: Array, matrix: Array) -> Array:
    """Vectors [N, 3] times a matrix, summed in this order on every machine (a BLAS picks its own)."""
    return xyz[:, :1] * matrix[:, 0] + xyz[:, 1:2] * matrix[:, 1] + xyz[:, 2:] * matrix[:, 2]


def stretch(mesh: Mesh, by: Sequence[float]) -> Mesh:
    """Scale along the axes; textures are scaled too, so that their grain keeps its size."""
    factor = np.asarray(by, np.float64)
    normal = mesh.normal / factor
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), _TINY)
    faces = mesh.faces[:, ::-1] if np.prod(factor) < 0 else mesh.faces
    return replace(
        mesh, xyz=mesh.xyz * factor, tex=mesh.tex * np.abs(factor), normal=normal, faces=np.ascontiguousarray(faces)
    )


def mirror(mesh: Mesh, axis: int) -> Mesh:
    """Reflect across the plane through the origin at right angles to an axis."""
    factor = np.ones(3)
    factor[axis] = -1
    return stretch(mesh, factor.tolist())


def bend(mesh: Mesh, field: Array) -> Mesh:
    """Displace vertices by [N, 3] and compute normals anew; textures stay with the undisplaced shape."""
    xyz = mesh.xyz + field
    return replace(mesh, xyz=xyz, normal=smooth_normals(xyz, mesh.faces))


def rotation(axis: str, degrees: float) -> Array:
    """Rotation matrix about x, y or z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.eye(3)
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def bounds(mesh: Mesh) -> tuple[Array, Array]:
    """Smallest and largest coordinates."""
    return mesh.xyz.min(0), mesh.xyz.max(0)


def on_ground(mesh: Mesh) -> Mesh:
    """The mesh centred over the origin and standing on z = 0."""
    low, high = bounds(mesh)
    middle = (low + high) / 2
    return move(mesh, (-middle[0], -middle[1], -low[2]))


def into_sphere(mesh: Mesh, radius: float) -> Mesh:
    """Centred on its bounding box and scaled into a sphere; the textures' grain scales along."""
    low, high = bounds(mesh)
    centred = mesh.xyz - (low + high) / 2
    factor = radius / np.linalg.norm(centred, axis=1).max()
    return replace(mesh, xyz=centred * factor)
