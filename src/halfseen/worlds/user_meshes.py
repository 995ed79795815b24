"""Users' own meshes as models: glTF, GLB, OBJ, PLY, STL with textures, palettes or vertex colours, and scenes of several.

Files are read through trimesh with a resolver that never leaves the mesh's folder. glTF and OBJ are y-up, PLY and STL z-up,
unless the caller knows better. A model is centred and scaled into a sphere; what it was scaled by is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds.light import Light
from halfseen.worlds.materials import Material
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.render import Model

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
SCENE = "scene.json"
Up = Literal["auto", "y", "z"]
_Y_UP = (".glb", ".gltf", ".obj")
# Meshes beyond this are refused before they fill the memory.
MAX_FACES = 5_000_000
# Edges sharper than this (degrees) stay sharp where a file gives no normals.
_CREASE = 40.0
_RADIUS = 0.75
_LIGHT = Light((0.45, -0.5, 0.74), sun_strength=1.0, sun_radius=0.2, zenith=(0.8, 0.82, 0.86), horizon=(0.9, 0.9, 0.9))
_GREY = (0.6, 0.6, 0.6)
# Vertices closer than one part in this of the mesh's size are the same place.
_WELD, _TINY = 1e6, 1e-20


@dataclass(frozen=True)
class Loaded:
    """A model ready for rendering, and how it was brought there from the file's frame: x -> (x_zup - centre) * scale."""

    model: Model
    centre: tuple[float, float, float]
    scale: float


@dataclass(frozen=True)
class _Parts:
    meshes: list[Mesh]
    materials: list[Material]
    images: list[NDArray[np.float32]]


def find(folder: Path) -> list[Path]:
    """Mesh files and scene files of a folder, sorted; or the file itself."""
    if folder.is_file():
        return [folder]
    scenes = sorted(folder.glob(f"*/{SCENE}")) + sorted(folder.glob(SCENE))
    return scenes or sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def load(path: Path, up: Up = "auto", radius: float = _RADIUS) -> Loaded:
    """Read a mesh, or a scene.json with placements, centred and scaled into a sphere."""
    parts = _Parts([], [], [])
    if path.suffix.lower() == ".json":
        _read_scene(path, up, parts)
    else:
        _read_mesh(path, up, np.eye(4), parts)
    if not parts.meshes:
        raise UserError(
            f"{quote(path.name)} holds no triangles",
            got="an empty mesh",
            accepted="surfaces made of triangles",
            do="Export it again.",
        )
    whole = X.join(parts.meshes)
    low, high = X.bounds(whole)
    centre = (low + high) / 2
    extent = float(np.linalg.norm(whole.xyz - centre, axis=1).max())
    if not extent > 0:
        raise UserError(
            f"{quote(path.name)} has no extent",
            got="all corners in one point",
            accepted="a surface",
            do="Export it again, or correct 'scale'.",
        )
    scale = radius / extent
    placed = replace(whole, xyz=(whole.xyz - centre) * scale)
    x, y, z = centre.tolist()
    return Loaded(Model(placed, parts.materials, _LIGHT, images=tuple(parts.images)), (x, y, z), scale)


def _read_scene(path: Path, up: Up, parts: _Parts) -> None:
    """scene.json: {"objects": [{"mesh": FILE, "position": [x, y, z], "degrees": TURN_ABOUT_Z, "scale": S}]}, z up."""
    for i, data in enumerate(Fields.of(read_json(path), path.name).items("objects")):
        item = Fields.of(data, f"{path.name}: object {i}")
        mesh = inside(path.parent, item.text("mesh"), what=f"{item.where}: 'mesh'")
        matrix = np.eye(4)
        matrix[:3, :3] = X.rotation("z", item.number("degrees", 0.0)) * item.number("scale", 1.0)
        position = item.values.get("position", [0, 0, 0])
        if not isinstance(position, list) or len(position) != 3:
            raise UserError(
                f"{item.where}: 'position' is not usable", got=quote(position), accepted="[x, y, z]", do="Correct it."
            )
        matrix[:3, 3] = [finite(v, f"{item.where}: 'position'") for v in position]
        _read_mesh(mesh, up, matrix, parts)


def _read_mesh(path: Path, up: Up, place: NDArray[np.float64], parts: _Parts) -> None:
    scene = _open(path)
    turn = np.eye(4)
    if up == "y" or (up == "auto" and path.suffix.lower() in _Y_UP):
        turn[:3, :3] = X.rotation("x", 90)
    for name in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[name]
        mesh = scene.geometry[geometry]
        if hasattr(mesh, "faces") and len(mesh.faces):
            _add(mesh, place @ turn @ np.asarray(transform), parts)


def _open(path: Path) -> Any:
    """The file as a trimesh scene; its side files are looked up inside its own folder only."""
    import trimesh
    from trimesh.resolvers import Resolver

    if path.suffix.lower() not in SUFFIXES:
        raise UserError("this is no mesh", got=quote(path.name), accepted=", ".join(SUFFIXES), do="Convert it first.")

    class _Inside(Resolver):
        def __init__(self) -> None:
            """Nothing to set up: the folder is the mesh's own."""

        def get(self, name: str) -> bytes:
            return inside(path.parent, name, what=f"{path.name}: a side file").read_bytes()

        def keys(self) -> list[str]:
            return []

        def namespaced(self, namespace: str) -> Resolver:
            return self

        def write(self, name: str, data: bytes) -> None:
            raise PermissionError(name)

    try:
        with path.open("rb") as f:
            scene = trimesh.load_scene(f, file_type=path.suffix[1:].lower(), resolver=_Inside())
        placed = [scene.geometry[scene.graph[name][1]] for name in scene.graph.nodes_geometry]
        faces = sum(len(g.faces) for g in placed if hasattr(g, "faces"))
    except UserError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {str(error)[:120]}"
        raise UserError(
            f"mesh {quote(path.name)} cannot be read", got=got, accepted=", ".join(SUFFIXES), do="Export it again."
        ) from error
    if faces > MAX_FACES:
        raise UserError(
            f"mesh {quote(path.name)} is too large",
            got=f"{faces} faces",
            accepted=f"up to {MAX_FACES}",
            do="Simplify it first.",
        )
    return scene


def _add(mesh: Any, matrix: NDArray[np.float64], parts: _Parts) -> None:
    """One trimesh geometry as our mesh: corners get their own vertices where edges are sharp."""
    xyz = np.asarray(mesh.vertices, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    faces = np.asarray(mesh.faces, np.int32)
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]
    if not np.isfinite(xyz).all():
        raise UserError(
            "a mesh has unusable vertices", got="NaN or infinity", accepted="finite coordinates", do="Export it again."
        )
    corners = faces.reshape(-1)
    flat = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    colour, uv, material, image = _surface(mesh, faces)
    if image is not None:
        material = replace(material, p1=float(len(parts.images)))
        parts.images.append(image)
    tex = xyz[corners] if colour is None else colour
    coordinates = np.zeros((len(corners), 2)) if uv is None else uv[corners]
    number = np.full(len(faces), len(parts.materials), np.int32)
    parts.meshes.append(Mesh(xyz[corners], flat, _creased(xyz, faces), tex, coordinates, number))
    parts.materials.append(material)


def _surface(
    mesh: Any, faces: NDArray[np.int32]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, Material, NDArray[np.float32] | None]:
    """(linear colour of each corner or None, uv or None, material, image or None)."""
    visual = mesh.visual
    if visual.kind == "texture":
        image, factor = _base_colour(visual.material)
        if image is not None and visual.uv is not None:
            return (
                None,
                np.asarray(visual.uv, np.float64),
                Material((1, 1, 1), M.IMAGE, grain=0.0, gloss=0.08),
                image * np.asarray(factor, np.float32),
            )
        return None, None, Material(_srgb(factor), grain=0.0, gloss=0.1), None
    if visual.kind in ("vertex", "face"):
        rgba = visual.face_colors if visual.kind == "face" else visual.vertex_colors
        rgb = np.asarray(rgba, np.float64)[:, :3] / 255
        corner = np.repeat(rgb, 3, 0) if visual.kind == "face" else rgb[faces.reshape(-1)]
        return _linear(corner), None, Material((1, 1, 1), M.VERTEX, grain=0.0, gloss=0.08), None
    return None, None, Material(_GREY, grain=0.0, gloss=0.1), None


def _base_colour(material: Any) -> tuple[NDArray[np.float32] | None, tuple[float, float, float]]:
    """(linear image [H, W, 3] or None, linear factor) of a trimesh material."""
    image = getattr(material, "baseColorTexture", None)
    image = getattr(material, "image", None) if image is None else image
    factor = getattr(material, "baseColorFactor", None)
    if factor is None:
        diffuse = getattr(material, "diffuse", None)
        linear = (
            np.ones(3) if diffuse is None or image is not None else _linear(np.asarray(diffuse, np.float64)[:3] / 255)
        )
    else:
        # glTF's factor is linear already; trimesh keeps it as 8 bits.
        values = np.asarray(factor)[:3]
        linear = values / 255 if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)
    r, g, b = linear.tolist()
    if image is None:
        return None, (r, g, b)
    try:
        pixels = np.asarray(image.convert("RGB"), np.float64) / 255
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(
            "a mesh's texture cannot be read",
            got=str(error)[:120],
            accepted="whole PNG or JPEG files",
            do="Export it again.",
        ) from error
    return _linear(pixels).astype(np.float32), (r, g, b)


def _linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    import torch

    from halfseen.images.color import linear_from_srgb

    return linear_from_srgb(torch.from_numpy(np.ascontiguousarray(srgb))).numpy()


def _srgb(linear: tuple[float, float, float]) -> tuple[float, float, float]:
    import torch

    from halfseen.images.color import srgb_from_linear

    r, g, b = srgb_from_linear(torch.tensor(linear)).tolist()
    return r, g, b


def _creased(xyz: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Normals of all corners [3 M, 3]: smooth over vertices in the same place, except across sharp edges.

    Each corner takes the mean of its vertex's faces if its own face agrees with that mean, else its own face's normal.
    """
    _, same = np.unique(
        np.round(xyz / max(float(np.ptp(xyz)), _TINY) * _WELD).astype(np.int64), axis=0, return_inverse=True
    )
    a, b, c = (xyz[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    own = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), _TINY)
    mean = np.zeros((int(same.max()) + 1, 3))
    for i in range(3):
        np.add.at(mean, same.reshape(-1)[faces[:, i]], cross)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), _TINY)
    smooth = mean[same.reshape(-1)[faces.reshape(-1)]]
    flat = np.repeat(own, 3, 0)
    agrees = (smooth * flat).sum(1) > np.cos(np.radians(_CREASE))
    return np.where(agrees[:, None], smooth, flat)
