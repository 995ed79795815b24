"""Cameras for photos from a file that stands beside them: nerfstudio's JSON, by the photos' names or in their order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import Fields, read_json
from halfseen.data import transforms_camera
from halfseen.data.capture import Capture


def posed(capture: Capture, path: Path) -> Capture:
    """The capture with the cameras of a file (OpenGL camera-to-world). Frames with a `file_path` are taken by their photos' names (without
    folders and suffixes); where none has one, in the order of the photos. Photos that the file does not name are left out."""
    first = capture.views[0].image
    cameras, notes = transforms_camera.read_file(path, (first.width, first.height))
    names = _names(path)
    if not any(names):
        if len(cameras) != len(capture):
            raise _unlike(path, f"{len(cameras)} cameras without names", f"{len(capture)}, one for each photo")
        order = list(range(len(capture)))
    else:
        place = {name: i for i, name in enumerate(names) if name}
        order = [place.get(PurePosixPath(v.name).stem, -1) for v in capture.views]
    kept = tuple(
        replace(view, camera=cameras[i].resized(view.image.width, view.image.height))
        for view, i in zip(capture.views, order, strict=True)
        if i >= 0
    )
    if not kept:
        wanted = ", ".join(v.name for v in capture.views[:3])
        raise _unlike(path, f"names such as {next(n for n in names if n)}", f"the photos' names: {wanted}")
    out = [v.name for v, i in zip(capture.views, order, strict=True) if i < 0]
    left = [f"{len(out)} photos without a camera in {path.name} were left out: {', '.join(out[:3])}"] if out else []
    return replace(capture, views=kept, splits=()).noted(f"cameras are those of {path.name}", *notes, *left)


def _names(path: Path) -> list[str]:
    """Stems of the photos that frames name; empty where one names none."""
    top = Fields.of(read_json(path), path.name)
    frames = [Fields.of(f, f"{path.name}: frame {i}") for i, f in enumerate(top.items("frames"))]
    return [PurePosixPath(f.text("file_path", "")).stem for f in frames]


def _unlike(path: Path, got: str, accepted: str) -> UserError:
    return UserError(f"{quote(path.name)} does not fit the photos", got=got, accepted=accepted, do="Correct --poses.")
