"""Users' own meshes as models: glTF, GLB, OBJ, PLY, STL with textures, palettes or vertex colours, and scenes of several.

glTF and OBJ are y-up, PLY and STL z-up, unless the caller knows better. A model is centred and scaled into a sphere; what it
was scaled by is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.mesh_reader import MAX_FACES, SUFFIXES, open_mesh
from halfseen.worlds.render import Model

SCENE = "scene.json"
Up = Literal["auto", "y", "z"]
_Y_UP = (".glb", ".gltf", ".obj")
_LINEAR = (".glb", ".gltf")
# Metres in one unit.
UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254, "ft": 0.3048}
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
    notes: tuple[str, ...] = ()  # what was not as it should be: sentences


@dataclass(frozen=True)
class _Parts:
    """What has been read so far, of one file or of all files of a scene."""

    meshes: list[Mesh] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    images: list[NDArray[np.float32]] = field(default_factory=list)
    # Number in `images` of each (picture, factor); the pictures are kept so that their ids stay theirs.
    known: dict[tuple[int, Rgb], tuple[int, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)


def find(folder: Path) -> list[Path]:
    """Mesh files and scene files of a folder, sorted; or the file itself."""
    if folder.is_file():
        return [folder]
    scenes = sorted(folder.glob(f"*/{SCENE}")) + sorted(folder.glob(SCENE))
    return scenes or loose(folder)


def loose(folder: Path) -> list[Path]:
    """All mesh files below a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def load(path: Path, up: Up = "auto", radius: float = _RADIUS) -> Loaded:
    """Read a mesh, or a scene.json with placements, centred and scaled into a sphere."""
    parts = _Parts()
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
    return Loaded(
        Model(placed, parts.materials, _LIGHT, images=tuple(parts.images)), (x, y, z), scale, tuple(parts.notes)
    )


def _read_scene(path: Path, up: Up, parts: _Parts) -> None:
    """scene.json, z up: {"objects": [{"mesh": FILE, "position": [x, y, z], "degrees": TURN_ABOUT_Z, "scale": S, ...}]}.

    "unit" (mm, cm, m, in, ft) says what one unit of the file is and brings it to metres; "up" is that of the file.
    """
    for i, data in enumerate(Fields.of(read_json(path), path.name).items("objects")):
        item = Fields.of(data, f"{path.name}: object {i}")
        mesh = inside(path.parent, item.text("mesh"), what=f"{item.where}: 'mesh'")
        unit = _choice(item, "unit", "m", tuple(UNITS))
        matrix = np.eye(4)
        matrix[:3, :3] = X.rotation("z", item.number("degrees", 0.0)) * (item.number("scale", 1.0) * UNITS[unit])
        position = item.values.get("position", [0, 0, 0])
        if not isinstance(position, list) or len(position) != 3:
            raise UserError(
                f"{item.where}: 'position' is not usable", got=quote(position), accepted="[x, y, z]", do="Correct it."
            )
        matrix[:3, 3] = [finite(v, f"{item.where}: 'position'") for v in position]
        own: Any = _choice(item, "up", up, ("auto", "y", "z"))
        _read_mesh(mesh, own, matrix, parts)


def _choice(item: Fields, key: str, default: str, accepted: tuple[str, ...]) -> str:
    value = item.values.get(key, default)
    if value not in accepted:
        raise UserError(
            f"{item.where}: '{key}' is not known", got=quote(value), accepted=", ".join(accepted), do="Correct it."
        )
    return str(value)


def _read_mesh(path: Path, up: Up, place: NDArray[np.float64], parts: _Parts) -> None:
    opened = open_mesh(path, MAX_FACES - sum(parts.faces))
    parts.faces.append(opened.faces)
    for name in opened.missing:
        note = f"{path.name}: {quote(name)} is not there; what it would colour is grey"
        parts.notes.extend([note] if note not in parts.notes else [])
    turn = np.eye(4)
    if up == "y" or (up == "auto" and path.suffix.lower() in _Y_UP):
        turn[:3, :3] = X.rotation("x", 90)
    scene = opened.scene
    for name in scene.graph.nodes_geometry:
        transform, geometry = scene.graph[name]
        mesh = scene.geometry[geometry]
        if hasattr(mesh, "faces") and len(mesh.faces):
            _add(mesh, place @ turn @ np.asarray(transform), parts, path.name)


def _add(mesh: Any, matrix: NDArray[np.float64], parts: _Parts, name: str) -> None:
    """One trimesh geometry as our mesh: corners get their own vertices where edges are sharp."""
    xyz = np.asarray(mesh.vertices, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    faces = np.asarray(mesh.faces, np.int32)
    if np.linalg.det(matrix[:3, :3]) < 0:
        faces = faces[:, ::-1]
    colour, uv, material, picture = _surface(mesh, faces, linear=Path(name).suffix.lower() in _LINEAR)
    if picture is not None and _attribute(mesh) is not None:
        note = f"{name}: colours at vertices beside a texture are not used"
        parts.notes.extend([note] if note not in parts.notes else [])
    if not np.isfinite(xyz).all() or (uv is not None and not np.isfinite(uv).all()):
        raise UserError(
            f"mesh {quote(name)} has unusable vertices",
            got="NaN or infinity",
            accepted="finite coordinates and texture coordinates",
            do="Export it again.",
        )
    corners = faces.reshape(-1)
    flat = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    if picture is not None:
        material = replace(material, p1=float(_image_number(*picture, parts, name)))
    tex = xyz[corners] if colour is None else colour
    coordinates = np.zeros((len(corners), 2)) if uv is None else uv[corners]
    number = np.full(len(faces), len(parts.materials), np.int32)
    parts.meshes.append(Mesh(xyz[corners], flat, _creased(xyz, faces), tex, coordinates, number))
    parts.materials.append(material)


def _surface(
    mesh: Any, faces: NDArray[np.int32], *, linear: bool
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, Material, tuple[Any, Rgb] | None]:
    """(linear colour of each corner or None, uv or None, material, (picture, factor) or None).

    Colours at vertices are `linear` in glTF, by its specification, and sRGB elsewhere.
    """
    visual = mesh.visual
    if visual.kind == "texture":
        picture, factor = _base_colour(visual.material)
        if picture is not None and visual.uv is not None:
            uv = np.asarray(visual.uv, np.float64)
            return None, uv, Material((1, 1, 1), M.IMAGE, grain=0.0, gloss=0.08), (picture, factor)
        attribute = _attribute(mesh)
        if attribute is None:
            return None, None, Material(_srgb(factor), grain=0.0, gloss=0.1), None
        corner = attribute[faces.reshape(-1)] * np.asarray(factor)
        return corner, None, Material((1, 1, 1), M.VERTEX, grain=0.0, gloss=0.08), None
    if visual.kind in ("vertex", "face"):
        rgba = visual.face_colors if visual.kind == "face" else visual.vertex_colors
        rgb = np.asarray(rgba, np.float64)[:, :3] / 255
        corner = np.repeat(rgb, 3, 0) if visual.kind == "face" else rgb[faces.reshape(-1)]
        return corner if linear else _linear(corner), None, Material((1, 1, 1), M.VERTEX, grain=0.0, gloss=0.08), None
    return None, None, Material(_GREY, grain=0.0, gloss=0.1), None


def _attribute(mesh: Any) -> NDArray[np.float64] | None:
    """Linear colours [N, 3] at vertices that a glTF file states beside a material."""
    value = getattr(mesh.visual, "vertex_attributes", {}).get("color")
    if value is None or len(value) != len(mesh.vertices):
        return None
    values = np.asarray(value)[:, :3]
    return values / np.iinfo(values.dtype).max if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)


def _base_colour(material: Any) -> tuple[Any, Rgb]:
    """(picture or None, linear factor) of a trimesh material."""
    picture = getattr(material, "baseColorTexture", None)
    picture = getattr(material, "image", None) if picture is None else picture
    factor = getattr(material, "baseColorFactor", None)
    if factor is None:
        diffuse = getattr(material, "diffuse", None)
        plain = diffuse is None or picture is not None
        linear = np.ones(3) if plain else _linear(np.asarray(diffuse, np.float64)[:3] / 255)
    else:
        # glTF's factor is linear already; trimesh keeps it as 8 bits.
        values = np.asarray(factor)[:3]
        linear = values / 255 if np.issubdtype(values.dtype, np.integer) else values.astype(np.float64)
    r, g, b = linear.tolist()
    return picture, (r, g, b)


def _image_number(picture: Any, factor: Rgb, parts: _Parts, name: str) -> int:
    """The number of a picture times a factor among the scene's linear images [H, W, 3]; each is kept once."""
    key = (id(picture), factor)
    if key not in parts.known:
        try:
            pixels = np.asarray(picture.convert("RGB"), np.float64) / 255
        except (OSError, Image.DecompressionBombError) as error:
            raise UserError(
                f"a texture of {quote(name)} cannot be read",
                got=str(error)[:120],
                accepted="whole PNG or JPEG files",
                do="Export it again.",
            ) from error
        parts.known[key] = (len(parts.images), picture)
        parts.images.append(_linear(pixels).astype(np.float32) * np.asarray(factor, np.float32))
    return parts.known[key][0]


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
