"""nerfstudio, instant-ngp and Blender `transforms.json`: OpenGL camera-to-world, intrinsics at the top or in each frame.

Also read: `transforms_train.json` + `_val` + `_test` (Blender), masks, depth maps (millimetres unless `depth_unit_scale_factor`
says otherwise), point clouds, `train_filenames`, and seva's split files. Frames are ordered by file path, as nerfstudio and
seva order them, so that split ids mean the same views; Blender's keep the order of their files.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.data import build, ply
from halfseen.data import transforms_camera as camera_keys
from halfseen.data.capture import Capture, Colour, Depth, MaskRole, PictureFile, Split, View, read_npy
from halfseen.images import io

NAME = "transforms"
FILE = "transforms.json"
BLENDER_PARTS = ("train", "val", "test")
# nerfstudio: depth files hold millimetres of the scene's unit.
DEPTH_UNIT = 0.001
_BLENDER_SUFFIXES = (".png", ".jpg", ".jpeg")
_KNOWN_KEYS = (
    "frames", "ply_file_path", "depth_unit_scale_factor", "mask_role", "background", "on_background", "units",
    "train_filenames", "val_filenames", "test_filenames",
)  # fmt: skip


def find(folder: Path) -> bool:
    """Whether this folder holds the format."""
    return (folder / FILE).is_file() or (folder / "transforms_train.json").is_file()


def read(folder: Path) -> Capture:
    """Read a capture."""
    if (folder / FILE).is_file():
        return _read_single(folder)
    return _read_blender(folder)


def _read_single(folder: Path) -> Capture:
    top = Fields.of(read_json(folder / FILE), FILE)
    listed, notes = _read_frames(folder, top)
    listed.sort(key=lambda pair: pair[0])
    build.check_unique((name for name, _ in listed), FILE)
    views = tuple(view for _, view in listed if view is not None)
    absent = [name for name, view in listed if view is None]
    if absent:
        named = ", ".join(absent[:3])
        notes.append(f"{len(absent)} of {len(listed)} listed pictures are absent and were left out ({named}, ...)")
    notes += _beside(folder, views, "ply_file_path" in top)
    points = None
    if "ply_file_path" in top:
        points = ply.read_points(inside(folder, top.text("ply_file_path"), what=f"{FILE}: 'ply_file_path'"))
    role, background = _mask_role(top)
    return Capture(
        views,
        NAME,
        folder,
        points=points,
        splits=_listed_splits(top, views) + build.read_splits(folder, [view is not None for _, view in listed]),
        mask_role=role,
        background=background,
        on_background=top.values.get("on_background") is True,
        units=top.text("units", "unknown"),
        unkept=_unkept(top),
        notes=tuple(notes),
    )


def _beside(folder: Path, views: tuple[View, ...], listed_points: bool) -> list[str]:
    """Notes on what lies beside the listed files and is not used: pictures without a pose, point clouds."""
    used = {v.image.path for v in views if isinstance(v.image, PictureFile)}
    rest = [p.name for parent in sorted({p.parent for p in used}) for p in build.photos_in(parent) if p not in used]
    masks = {v.mask.path.name for v in views if isinstance(v.mask, PictureFile)}
    rest = [name for name in rest if name not in masks]
    notes = []
    if rest:
        notes.append(
            f"{len(rest)} pictures beside the listed ones have no pose and are not used ({', '.join(rest[:3])})"
        )
    clouds = [] if listed_points else sorted(p.name for p in folder.glob("*.ply"))
    if clouds:
        notes.append(f"{clouds[0]} is not listed as 'ply_file_path' and is not used")
    return notes


def _read_blender(folder: Path) -> Capture:
    views: list[View] = []
    ids: dict[str, tuple[int, ...]] = {}
    notes: list[str] = []
    for part in BLENDER_PARTS:
        path = folder / f"transforms_{part}.json"
        if path.is_file():
            listed, more = _read_frames(folder, Fields.of(read_json(path), path.name))
            found = [view for _, view in listed if view is not None]
            ids[part] = tuple(range(len(views), len(views) + len(found)))
            views += found
            notes += more
            if len(found) < len(listed):
                notes.append(f"{path.name}: {len(listed) - len(found)} pictures are absent and were left out")
    build.check_unique((v.name for v in views), "transforms_*.json")
    split = Split("blender", ids.get("train", ()), ids.get("test", ids.get("val", ())))
    return Capture(tuple(views), NAME, folder, splits=(split,), notes=tuple(dict.fromkeys(notes)))


def _read_frames(folder: Path, top: Fields) -> tuple[list[tuple[str, View | None]], list[str]]:
    """(name, view or None where the picture is absent) of all frames, and notes."""
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    listed: list[tuple[str, View | None]] = []
    notes = []
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        name = frame.text("file_path")
        path = _picture_path(folder, name, frame.where)
        if path is None:
            listed.append((name.removeprefix("./"), None))
            continue
        view, note = _view(folder, top, frame, path)
        listed.append((view.name, view))
        notes += [note] if note else []
    if all(view is None for _, view in listed):
        raise UserError(
            f"{top.where}: no listed picture exists",
            got=quote(listed[0][0]),
            accepted="pictures beside the file",
            do="Copy the pictures next to it.",
        )
    return listed, list(dict.fromkeys(notes))


def _picture_path(folder: Path, name: str, where: str) -> Path | None:
    """The picture that a frame names; Blender leaves the extension out. Every candidate must lie inside the folder."""
    for suffix in ("", *_BLENDER_SUFFIXES):
        path = inside(folder, name + suffix, what=f"{where}: 'file_path'")
        if path.is_file():
            return path
    return None


def _view(folder: Path, top: Fields, frame: Fields, path: Path) -> tuple[View, str | None]:
    image = build.picture(path)
    merged = camera_keys.merge(top, frame)
    intrinsics, note = camera_keys.of_picture(merged, image)
    view = View(
        name=path.relative_to(folder.resolve()).as_posix(),
        image=image,
        camera=build.camera(camera_keys.pose(frame), intrinsics, (image.width, image.height), frame.where),
        lens=camera_keys.lens(merged),
        mask=_mask(folder, frame, image),
        depth=_depth(folder, top, frame, image),
        near_far=_near_far(frame),
    )
    return view, note


def _mask(folder: Path, frame: Fields, image: PictureFile) -> PictureFile | None:
    if "mask_path" not in frame:
        return None
    mask = build.picture(inside(folder, frame.text("mask_path"), what=f"{frame.where}: 'mask_path'"))
    build.check_aspect((mask.width, mask.height), image, f"{frame.where}: the mask")
    return mask


def _depth(folder: Path, top: Fields, frame: Fields, image: PictureFile) -> Depth | None:
    if "depth_file_path" not in frame:
        return None
    path = inside(folder, frame.text("depth_file_path"), what=f"{frame.where}: 'depth_file_path'")
    unit = top.number("depth_unit_scale_factor", DEPTH_UNIT)
    if unit <= 0:
        raise UserError(
            f"{FILE}: 'depth_unit_scale_factor' is not usable", got=f"{unit:g}", accepted="above 0", do="Correct it."
        )
    size = _npy_size(path, frame.where) if path.suffix == ".npy" else io.probe_depth(path)
    build.check_aspect(size, image, f"{frame.where}: the depth map")
    return Depth(path, *size, unit)


def _npy_size(path: Path, where: str) -> tuple[int, int]:
    shape = read_npy(path, "f").shape
    if len(shape) != 2:
        got = f"shape {shape}"
        raise UserError(
            f"{where}: the depth map is not usable", got=got, accepted="one value for each pixel", do="Write it again."
        )
    return int(shape[1]), int(shape[0])


def _near_far(frame: Fields) -> tuple[float, float] | None:
    if "near" not in frame or "far" not in frame:
        return None
    near, far = frame.number("near"), frame.number("far")
    return (near, far) if 0 < near < far else None


def _mask_role(top: Fields) -> tuple[MaskRole | None, Colour | None]:
    """`mask_role` and `background` are ours; other writers do not state them."""
    role: MaskRole | None = None
    if "mask_role" in top:
        match top.text("mask_role"):
            case "object":
                role = "object"
            case "valid":
                role = "valid"
            case "evaluation":
                role = "evaluation"
            case other:
                accepted = ", ".join(get_args(MaskRole))
                raise UserError(
                    f"{FILE}: 'mask_role' is not usable", got=quote(other), accepted=accepted, do="Correct it."
                )
    if "background" not in top:
        return role, None
    colour = [finite(c, f"{FILE}: 'background'") for c in top.items("background")]
    if len(colour) != 3 or not all(0 <= c <= 1 for c in colour):
        raise UserError(
            f"{FILE}: 'background' is not usable",
            got=f"{colour}",
            accepted="three numbers from 0 to 1",
            do="Correct it.",
        )
    return role, (colour[0], colour[1], colour[2])


def _unkept(top: Fields) -> tuple[str, ...]:
    """Keys of other tools that are not carried along; named so that a conversion can say so."""
    keys = sorted(set(top.values) - set(_KNOWN_KEYS) - set(camera_keys.KEYS))
    return (f"the keys {', '.join(keys)} of {FILE}",) if keys else ()


def _listed_splits(top: Fields, views: tuple[View, ...]) -> tuple[Split, ...]:
    if "train_filenames" not in top:
        return ()
    index = {v.name: i for i, v in enumerate(views)}

    def ids(key: str) -> tuple[int, ...]:
        names = top.items(key) if key in top else []
        return tuple(index[n.removeprefix("./")] for n in names if isinstance(n, str) and n.removeprefix("./") in index)

    return (Split("filenames", ids("train_filenames"), ids("test_filenames") or ids("val_filenames")),)
