"""Meshes as files: PLY, OBJ and glTF binary, each with colours at vertices, how many photos saw them, and where they came from."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from halfseen.common.errors import UserError
from halfseen.common.files import write_bytes, write_text
from halfseen.export import provenance
from halfseen.export.mesh import Mesh
from halfseen.images.color import linear_from_srgb

SUFFIXES = (".mesh.ply", ".obj", ".glb")
# Numbers of the glTF 2.0 specification: component types, targets of buffers, chunks of the binary container.
_UINT, _FLOAT, _ARRAY, _ELEMENTS = 5125, 5126, 34962, 34963
_MAGIC, _VERSION, _JSON, _BIN = b"glTF", 2, b"JSON", b"BIN\0"


def write(path: Path, mesh: Mesh, facts: dict[str, Any]) -> None:
    """Write by the suffix, in any case of letters."""
    if len(mesh.faces) == 0:
        raise UserError(
            "there is no surface to make a mesh of",
            got="a field that is nowhere opaque",
            accepted="a fit that shows something",
            do="Look at its renderings; fit longer, or with more photos.",
        )
    suffix = path.suffix.lower()
    if suffix == ".ply":
        _ply(path, mesh, facts)
    elif suffix == ".obj":
        _obj(path, mesh, facts)
    else:
        _glb(path, mesh, facts)


def _ply(path: Path, mesh: Mesh, facts: dict[str, Any]) -> None:
    vertices = np.zeros(len(mesh.xyz), [("xyz", "<f4", 3), ("rgb", "u1", 3), ("seen", "u1")])
    vertices["xyz"], vertices["rgb"], vertices["seen"] = mesh.xyz, mesh.rgb, mesh.seen
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply", "format binary_little_endian 1.0", *(f"comment {s}" for s in provenance.lines(facts)),
        f"element vertex {len(vertices)}",
        *(f"property float {n}" for n in "xyz"), *(f"property uchar {n}" for n in ("red", "green", "blue", "seen")),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header",
    ]  # fmt: skip
    write_bytes(path, ("\n".join(header) + "\n").encode() + vertices.tobytes() + faces.tobytes())


def _obj(path: Path, mesh: Mesh, facts: dict[str, Any]) -> None:
    """Colours follow the coordinates, as MeshLab and Blender read them; OBJ has no room for `seen`."""
    rows = [f"# {s}" for s in provenance.lines(facts)]
    rows += [
        f"v {x:.6g} {y:.6g} {z:.6g} {r / 255:.4f} {g / 255:.4f} {b / 255:.4f}"
        for (x, y, z), (r, g, b) in zip(mesh.xyz.tolist(), mesh.rgb.tolist(), strict=True)
    ]
    rows += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1).tolist()]
    write_text(path, "\n".join(rows) + "\n")


def _glb(path: Path, mesh: Mesh, facts: dict[str, Any]) -> None:
    """One primitive; colours are linear, as glTF wants them, and `_SEEN` is an attribute of its own. The axes are the user's."""
    # 32 bits hold small numbers only: the place of the mesh goes into the node.
    middle = mesh.xyz.mean(0) if len(mesh.xyz) else np.zeros(3)
    xyz = (mesh.xyz - middle).astype("<f4")
    rgb = linear_from_srgb(torch.from_numpy(mesh.rgb / 255.0)).numpy()
    linear = np.concatenate([rgb, np.ones((len(xyz), 1))], 1).astype("<f4")
    parts: list[NDArray[Any]] = [xyz, linear, mesh.seen.astype("<f4"), mesh.faces.astype("<u4").reshape(-1)]
    views, accessors, offset = [], [], 0
    for part, target, kind in zip(
        parts, (_ARRAY,) * 3 + (_ELEMENTS,), ("VEC3", "VEC4", "SCALAR", "SCALAR"), strict=True
    ):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": part.nbytes, "target": target})
        component = _UINT if target == _ELEMENTS else _FLOAT
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(part), "type": kind})
        offset += part.nbytes
    if len(xyz):
        accessors[0] |= {"min": xyz.min(0).tolist(), "max": xyz.max(0).tolist()}
    attributes = {"POSITION": 0, "COLOR_0": 1, "_SEEN": 2}
    document = {
        "asset": {"version": "2.0", "generator": "halfseen", "extras": {provenance.WORD: facts}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "translation": middle.tolist()}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(p.tobytes() for p in parts)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<I", len(text)) + _JSON + text + struct.pack("<I", len(binary)) + _BIN + binary
    write_bytes(path, _MAGIC + struct.pack("<II", _VERSION, 12 + len(chunks)) + chunks)


def facts_of_glb(data: bytes) -> dict[str, Any] | None:
    """The facts in a binary glTF file, if they are there."""
    if data[:4] != _MAGIC or len(data) < 20 or data[16:20] != _JSON:
        return None
    (length,) = struct.unpack("<I", data[12:16])
    try:
        found = json.loads(data[20 : 20 + length])["asset"]["extras"][provenance.WORD]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
