"""A mesh inside Embree: first hits and blocked rays. The only door to embreex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfseen.worlds.mesh import Array, Mesh

# A distance beyond which Embree has hit nothing.
_FAR = 1e30


@dataclass(frozen=True)
class Hits:
    """First hits of P rays; `face` is -1 where there is none."""

    face: NDArray[np.int32]  # [P]
    u: NDArray[np.float32]  # [P] barycentric weight of the face's second vertex
    v: NDArray[np.float32]  # [P] of its third
    t: NDArray[np.float32]  # [P] distance in units of the direction's length


class Geometry:
    """A mesh that rays can be shot at."""

    def __init__(self, mesh: Mesh) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.mesh = mesh
        self.size = float(np.linalg.norm(np.ptp(mesh.xyz, axis=0)))
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, mesh.xyz.astype(np.float32), mesh.faces.astype(np.int32))

    def first_hits(self, origins: Array, directions: Array) -> Hits:
        """Nearest hit of each ray [P, 3]."""
        found = self._scene.run(_float32(origins), _float32(directions), query="INTERSECT", output=True)
        return Hits(found["primID"].astype(np.int32), found["u"], found["v"], found["tfar"])

    def blocked(self, origins: NDArray[np.floating], directions: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether anything lies ahead of each ray [P, 3]."""
        if len(origins) == 0:
            return np.zeros(0, bool)
        hit: NDArray[np.int32] = self._scene.run(_float32(origins), _float32(directions), query="OCCLUDED")
        return hit == 0


def _float32(array: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
