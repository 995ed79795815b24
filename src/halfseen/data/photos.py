"""Plain photos, a folder or a list of them, without cameras. EXIF gives a guess of the focal length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from halfseen.common.errors import UserError, quote
from halfseen.data import build, emit
from halfseen.data.capture import Capture, View
from halfseen.images import io

NAME = "photos"
_IMAGE_FOLDERS = (".", "images", "image", "rgb")


def find(folder: Path) -> bool:
    """Whether this folder holds photos."""
    return _folder(folder) is not None


def read(folder: Path) -> Capture:
    """Read a capture without cameras."""
    images = _folder(folder)
    assert images is not None
    return read_list(build.photos_in(images), folder)


def read_list(paths: Sequence[Path], folder: Path) -> Capture:
    """Read the photos at these paths."""
    build.check_count(len(paths), "the list of photos")
    for path in paths:
        if not path.is_file():
            raise UserError(
                "a photo is missing", got=quote(str(path)), accepted=", ".join(io.PHOTO_SUFFIXES), do="Check the path."
            )
    build.check_unique((str(p.resolve()) for p in paths), "the list of photos")
    names = [p.name for p in paths]
    names = names if len(set(names)) == len(names) else [f"{i:03d}-{n}" for i, n in enumerate(names)]
    views = tuple(
        View(n, build.picture(p), focal_guess=io.focal_from_exif(p)) for n, p in zip(names, paths, strict=True)
    )
    return Capture(views, NAME, folder)


def write(capture: Capture, folder: Path) -> list[str]:
    """Write the pictures alone; returns what was lost."""
    for view, stem in zip(capture.views, emit.stems(capture), strict=True):
        emit.write_picture(view.image, folder / f"{stem}{emit.suffix(view.image)}")
    return emit.losses(capture, ())


def _folder(folder: Path) -> Path | None:
    return next((folder / n for n in _IMAGE_FOLDERS if (folder / n).is_dir() and build.photos_in(folder / n)), None)
