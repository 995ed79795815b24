"""The true surface of a world as a PLY mesh with colours: what reconstructions are measured against."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfseen.common.files import write_bytes
from halfseen.worlds.mesh import Mesh


def write(mesh: Mesh, path: Path) -> None:
    """Write vertices, normals and triangles (binary little endian), in the frame of the world's cameras."""
    names = ("x", "y", "z", "nx", "ny", "nz")
    vertices = np.concatenate([mesh.xyz, mesh.normal], 1).astype("<f4")
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0", "comment halfseen world", f"element vertex {len(vertices)}"]
    header += [f"property float {n}" for n in names]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    write_bytes(path, "\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
