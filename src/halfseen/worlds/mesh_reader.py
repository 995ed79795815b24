"""Opening users' mesh files: through trimesh, with limits, and with a resolver that never leaves the mesh's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside

SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
# Meshes beyond this are refused before they fill the memory.
MAX_FACES = 5_000_000
MAX_BYTES = 2**30


@dataclass(frozen=True)
class Opened:
    """A trimesh scene, its number of triangles, and the side files that it names and that are not there."""

    scene: Any
    faces: int
    missing: tuple[str, ...]


def open_mesh(path: Path, room: int = MAX_FACES) -> Opened:
    """The file as a scene of at most `room` triangles; all else is a UserError."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError("this is no mesh", got=quote(path.name), accepted=", ".join(SUFFIXES), do="Convert it first.")
    _check_bytes(path)
    side_files = _SideFiles(path)
    try:
        scene = _load(path, side_files)
        placed = [scene.geometry[scene.graph[name][1]] for name in scene.graph.nodes_geometry]
        faces = sum(len(g.faces) for g in placed if hasattr(g, "faces"))
    except Exception as error:
        if side_files.refused:
            raise side_files.refused[0] from error
        if isinstance(error, FileNotFoundError) and side_files.missing:
            raise UserError(
                f"mesh {quote(path.name)} is not whole",
                got=f"no file {quote(side_files.missing[0])}, which it names",
                accepted="a mesh with all the files that belong to it, in the same folder",
                do="Put that file beside it, or export the mesh as one .glb.",
            ) from error
        got = f"a broken file ({str(error)[:120] or type(error).__name__})"
        raise UserError(
            f"mesh {quote(path.name)} cannot be read", got=got, accepted=", ".join(SUFFIXES), do="Export it again."
        ) from error
    if side_files.refused:
        # The reader carries on without a texture that it may not have; we do not.
        raise side_files.refused[0]
    if faces > room:
        raise UserError(
            f"mesh {quote(path.name)} is too large",
            got=f"{faces} faces",
            accepted=f"up to {room}" + ("" if room == MAX_FACES else f" more (of {MAX_FACES} in a scene)"),
            do="Simplify it first.",
        )
    return Opened(scene, faces, tuple(dict.fromkeys(side_files.missing)))


class _SideFiles:
    """What a mesh may ask for: files in its own folder. Remembers what was not there, and what was not allowed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.missing: list[str] = []
        self.refused: list[UserError] = []

    def get(self, name: str) -> bytes:
        try:
            file = inside(self.path.parent, name, what=f"{self.path.name}: a side file")
        except UserError as error:
            self.refused.append(error)
            raise
        if not file.is_file():
            self.missing.append(name)
            raise FileNotFoundError(name)
        try:
            _check_bytes(file)
        except UserError as error:
            self.refused.append(error)
            raise
        return file.read_bytes()


def _load(path: Path, side_files: _SideFiles) -> Any:
    import trimesh
    from trimesh.resolvers import Resolver

    class _Inside(Resolver):
        def __init__(self) -> None:
            """Nothing to set up: the folder is the mesh's own."""

        def get(self, name: str) -> bytes:
            return side_files.get(name)

        def keys(self) -> list[str]:
            return []

        def namespaced(self, namespace: str) -> Resolver:
            return self

        def write(self, name: str, data: bytes) -> None:
            raise PermissionError(name)

    with path.open("rb") as f:
        return trimesh.load_scene(f, file_type=path.suffix[1:].lower(), resolver=_Inside())


def _check_bytes(path: Path) -> None:
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_BYTES:
        raise UserError(
            f"file {quote(path.name)} is too large",
            got=f"{size / 2**30:.1f} GiB",
            accepted=f"up to {MAX_BYTES / 2**30:g} GiB",
            do="Simplify it first.",
        )
