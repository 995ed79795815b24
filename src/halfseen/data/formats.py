"""The table of capture formats, and the one way in. A new format is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.data import (
    abo,
    clevr3d,
    co3d,
    co3d_write,
    colmap,
    dtu,
    idr,
    llff,
    photos,
    rgbd,
    srn,
    transforms,
    transforms_write,
    video_frames,
)
from halfseen.data.capture import Capture
from halfseen.images import io, video


@dataclass(frozen=True)
class Format:
    """A layout on disk: is it here, read it, write it (returning what was lost)."""

    name: str
    find: Callable[[Path], bool]
    read: Callable[[Path], Capture]
    write: Callable[[Capture, Path], list[str]]
    describe: str


@dataclass(frozen=True)
class ReadOnly:
    """A layout that is only read: others' data sets as they are downloaded."""

    name: str
    find: Callable[[Path], bool]
    read: Callable[[Path], Capture]
    describe: str


# In order of preference when a folder holds several: richer cameras first.
FORMATS = (
    Format(
        transforms.NAME,
        transforms.find,
        transforms.read,
        transforms_write.write,
        "transforms.json (nerfstudio, instant-ngp, Blender)",
    ),
    Format(colmap.NAME, colmap.find, colmap.read, colmap.write, "COLMAP sparse/0, binary"),
    Format(colmap.NAME_TEXT, colmap.find_text, colmap.read_text, colmap.write_text, "COLMAP sparse/0, text"),
    Format(llff.NAME, llff.find, llff.read, llff.write, "LLFF poses_bounds.npy"),
    Format(idr.NAME, idr.find, idr.read, idr.write, "IDR, NeuS or DVR cameras*.npz with image/ and mask/"),
    Format(dtu.NAME, dtu.find, dtu.read, dtu.write, "DTU rectified pictures of one scan with Calibration/cal18"),
    Format(rgbd.NAME, rgbd.find, rgbd.read, rgbd.write, "RGB-D frames with pose files (7-Scenes)"),
    Format(srn.NAME, srn.find, srn.read, srn.write, "ShapeNet-SRN, one instance"),
    Format(co3d.NAME, co3d.find, co3d.read, co3d_write.write, "CO3Dv2, one sequence"),
    Format(photos.NAME, photos.find, photos.read, photos.write, "photos without cameras"),
    Format(video_frames.NAME, video_frames.find, video_frames.read, video_frames.write, "a video without cameras"),
)


# Data sets whose layout nothing else reads.
READ_ONLY = (
    ReadOnly(abo.NAME, abo.find, abo.read, "Amazon Berkeley Objects, one item"),
    ReadOnly(clevr3d.NAME, clevr3d.find, clevr3d.read, "CLEVR3D, its first scene"),
)

# What other tools call these formats.
ALIASES = {
    "nerfstudio": "transforms", "instant-ngp": "transforms", "blender": "transforms", "7-scenes": "rgbd", "rgb-d": "rgbd",
    "shapenet-srn": "srn", "co3dv2": "co3d", "neus": "idr", "dvr": "idr", "colmap-binary": "colmap",
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Names of all formats."""
    return tuple(f.name for f in FORMATS)


def by_name(name: str) -> Format:
    """A format by its name."""
    for entry in FORMATS:
        if entry.name == ALIASES.get(name.lower(), name.lower()):
            return entry
    raise UserError("the format is not known", got=quote(name), accepted=", ".join(names()), do="Choose one of these.")


def read(paths: Sequence[Path], layout: str | None = None) -> Capture:
    """Read a capture: one folder in any layout, one video, one camera file, or one or more photos."""
    try:
        return _read([Path(p) for p in paths], layout)
    except OSError as error:
        raise from_os_error(error) from error


def _read(paths: list[Path], layout: str | None) -> Capture:
    if not paths:
        raise UserError("no capture given", got="nothing", accepted="a folder, photos, or a video", do="Name one.")
    first = paths[0]
    if len(paths) == 1 and not first.exists():
        raise UserError(
            "the capture does not exist",
            got=quote(str(first)),
            accepted="a folder, photos, or a video",
            do="Check the path.",
        )
    if len(paths) == 1 and first.is_dir():
        return _read_folder(first, layout)
    if len(paths) == 1 and first.suffix.lower() in video.VIDEO_SUFFIXES:
        return video_frames.read_file(first)
    if len(paths) == 1 and first.name == transforms.FILE:
        return _read_folder(first.parent, transforms.NAME)
    for path in paths:
        if path.suffix.lower() not in io.PHOTO_SUFFIXES:
            raise UserError(
                "this is no photo",
                got=quote(str(path)),
                accepted=", ".join(io.PHOTO_SUFFIXES),
                do="Name photos only, or one folder.",
            )
    return photos.read_list(paths, first.parent)


def _read_folder(folder: Path, layout: str | None) -> Capture:
    present = [f for f in (*READ_ONLY, *FORMATS) if f.find(folder)]
    if layout is not None:
        chosen = next((f for f in READ_ONLY if f.name == layout.lower()), None) or by_name(layout)
        if chosen not in present:
            found = ", ".join(f.name for f in present) or "none"
            raise UserError(
                f"{quote(str(folder))} does not hold the format {layout}",
                got=f"formats found: {found}",
                accepted=layout,
                do="Choose a format that is there.",
            )
    elif not present:
        raise UserError(
            f"{quote(str(folder))} holds no capture",
            got="an empty folder" if not any(folder.iterdir()) else "files of no known layout",
            accepted="; ".join(f.describe for f in (*FORMATS, *READ_ONLY)),
            do=_where(folder),
        )
    else:
        chosen = present[0]
    capture = chosen.read(folder)
    if chosen.name == photos.NAME:
        capture = _poses_elsewhere(capture, folder)
    others = [f.name for f in present if f not in (chosen,) and f.name != photos.NAME]
    return (
        capture.noted(f"the folder also holds {', '.join(others)}; {chosen.name} was read (--format chooses)")
        if others and layout is None
        else capture
    )


def _poses_elsewhere(capture: Capture, folder: Path) -> Capture:
    """Photos without poses, with a note where poses lie one folder up or in a folder inside."""
    posed = [f for f in FORMATS if f.name not in (photos.NAME, video_frames.NAME)]
    above = folder.resolve().parent
    beside = [f.name for f in posed if f.find(above)]
    if beside:
        return capture.noted(f"poses lie one folder up, in {beside[0]} format: name {quote(str(above.name))} instead")
    inside = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and any(f.find(p) for f in posed)]
    if inside:
        return capture.noted(f"poses lie one folder down: name {quote(str(folder / inside[0]))} instead")
    return capture


def captures_in(folder: Path) -> list[Path]:
    """The captures right inside a folder, by name."""
    return [p for p in sorted(folder.iterdir()) if p.is_dir() and any(f.find(p) for f in FORMATS)]


def _where(folder: Path) -> str:
    """Advice for a folder that is no capture: the captures right inside it, if there are any."""
    inside = [p.name for p in captures_in(folder)]
    if not inside:
        return "Point at the folder that holds the photos."
    return f"Point at one of the captures inside it, such as {quote(inside[0])} (there are {len(inside)})."
