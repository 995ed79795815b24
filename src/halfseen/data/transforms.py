"""nerfstudio, instant-ngp and Blender `transforms.json`: OpenGL camera-to-world, intrinsics at the top or in each frame.

Also read: `transforms_train.json` + `_val` + `_test` (Blender), masks, depth maps (millimetres unless `depth_unit_scale_factor`
says otherwise), point clouds, `train_filenames`, and seva's split files. Frames are ordered by file path, as nerfstudio and
seva order them, so that split ids mean the same views; Blender's keep the order of their files.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras, concat
from halfseen.cameras.lens import Lens
from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.data import build, ply
from halfseen.data.capture import Capture, Colour, Depth, MaskRole, PictureFile, Split, View, read_npy
from halfseen.images import io

NAME = "transforms"
FILE = "transforms.json"
BLENDER_PARTS = ("train", "val", "test")
# nerfstudio: depth files hold millimetres of the scene's unit.
DEPTH_UNIT = 0.001

_PINHOLE = ("PINHOLE", "SIMPLE_PINHOLE")
_OPENCV = ("OPENCV", "RADIAL", "SIMPLE_RADIAL", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE", "EQUIDISTANT")
_INTRINSIC_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "camera_angle_x", "camera_angle_y", "camera_model", "is_fisheye")
_SIZE_LIMIT = 10**6


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
    views, absent, notes = _read_frames(folder, top)
    views = sorted(views, key=lambda v: v.name)
    build.check_unique((v.name for v in views), FILE)
    splits = _listed_splits(top, views) + build.read_splits(folder, len(views))
    if absent:
        notes.append(f"{len(absent)} of {len(views) + len(absent)} listed pictures are absent and were left out ({', '.join(absent[:3])}, ...)")
    points = None
    if "ply_file_path" in top:
        points = ply.read_points(inside(folder, top.text("ply_file_path"), what=f"{FILE}: 'ply_file_path'"))
    role, background = _mask_role(top)
    return Capture(
        tuple(views), NAME, folder, points=points, splits=splits, mask_role=role, background=background,
        units=top.text("units", "unknown"), notes=tuple(notes),
    )  # fmt: skip


def _read_blender(folder: Path) -> Capture:
    views: list[View] = []
    ids: dict[str, tuple[int, ...]] = {}
    notes: list[str] = []
    for part in BLENDER_PARTS:
        path = folder / f"transforms_{part}.json"
        if path.is_file():
            found, absent, more = _read_frames(folder, Fields.of(read_json(path), path.name))
            ids[part] = tuple(range(len(views), len(views) + len(found)))
            views += found
            notes += more + [f"{path.name}: {len(absent)} pictures are absent and were left out" for _ in absent[:1]]
    build.check_unique((v.name for v in views), "transforms_*.json")
    split = Split("blender", ids.get("train", ()), ids.get("test", ids.get("val", ())))
    return Capture(tuple(views), NAME, folder, splits=(split,), notes=tuple(dict.fromkeys(notes)))


def _read_frames(folder: Path, top: Fields) -> tuple[list[View], list[str], list[str]]:
    """Views of all frames whose pictures exist, names of absent pictures, and notes."""
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    views, absent, notes = [], [], []
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        name = frame.text("file_path")
        path = _picture_path(folder, name, frame.where)
        if path is None:
            absent.append(name)
            continue
        view, note = _view(folder, top, frame, path)
        views.append(view)
        notes += [note] if note else []
    if not views:
        raise UserError(f"{top.where}: no listed picture exists", got=quote(absent[0]), accepted="pictures beside the file", do="Copy the pictures next to it.")
    return views, absent, list(dict.fromkeys(notes))


def _picture_path(folder: Path, name: str, where: str) -> Path | None:
    path = inside(folder, name, what=f"{where}: 'file_path'")
    if path.is_file():
        return path
    # Blender lists pictures without their extension.
    return next((p for s in (".png", ".jpg", ".jpeg") if (p := path.with_name(path.name + s)).is_file()), None)


def _view(folder: Path, top: Fields, frame: Fields, path: Path) -> tuple[View, str | None]:
    image = build.picture(path)
    c2w = convert.swap_opengl(build.pose(frame.values.get("transform_matrix"), f"{frame.where}: 'transform_matrix'"))
    merged = Fields({**top.values, **{k: frame.values[k] for k in _INTRINSIC_KEYS if k in frame.values}}, frame.where)
    values, note = _intrinsics(merged, image)
    mask = _mask(folder, frame)
    view = View(
        _relative_name(folder, path, frame), image, build.camera(c2w, *values, (image.width, image.height), frame.where),
        _lens(merged), mask, _depth(folder, top, frame), _near_far(frame),
    )  # fmt: skip
    return view, note


def _relative_name(folder: Path, path: Path, frame: Fields) -> str:
    name = path.relative_to(folder.resolve()).as_posix()
    return name or frame.text("file_path")


def _intrinsics(fields: Fields, image: PictureFile) -> tuple[tuple[float, ...], str | None]:
    """fx fy cx cy for the picture's real size, and a note when something was guessed or rescaled."""
    size = (image.width, image.height)
    width, height = fields.number("w", size[0]), fields.number("h", size[1])
    if not (1 <= width <= _SIZE_LIMIT and 1 <= height <= _SIZE_LIMIT):
        raise UserError(f"{fields.where}: 'w' and 'h' are not usable", got=f"{width:g} x {height:g}", accepted="the picture's size in pixels", do="Correct them.")
    fx = fields.number("fl_x") if "fl_x" in fields else _focal_from_angle(fields, "camera_angle_x", width)
    fy = fields.number("fl_y") if "fl_y" in fields else None
    note = None
    if fx is None and fy is None:
        guess = io.focal_from_exif(image.path)
        fx, width, height = guess or build.DEFAULT_FOCAL * max(size), float(size[0]), float(size[1])
        source = "EXIF" if guess else f"{build.DEFAULT_FOCAL:g} x the longer side"
        note = f"no focal length in the file: guessed {fx:.0f} px from {source}"
    if fy is None:
        fy = _focal_from_angle(fields, "camera_angle_y", height) if "camera_angle_y" in fields and "fl_x" not in fields else fx
    values = (fx or fy, fy, fields.number("cx", width / 2), fields.number("cy", height / 2))
    scaled = build.scaled_intrinsics([float(v) for v in values if v is not None], (width, height), size, fields.where)
    if scaled != values and note is None:
        note = f"intrinsics are stated for {width:g} x {height:g} and were scaled to the pictures ({size[0]} x {size[1]})"
    return scaled, note


def _focal_from_angle(fields: Fields, key: str, side: float) -> float | None:
    if key not in fields:
        return None
    angle = fields.number(key)
    if not 0 < angle < math.pi:
        raise UserError(f"{fields.where}: '{key}' is not usable", got=f"{angle:g}", accepted="radians between 0 and pi", do="Correct it.")
    return 0.5 * side / math.tan(0.5 * angle)


def _lens(fields: Fields) -> Lens:
    fisheye = fields.values.get("is_fisheye") is True
    model = fields.text("camera_model", "OPENCV_FISHEYE" if fisheye else "OPENCV").upper()
    k = [fields.number(f"k{i}", 0.0) for i in range(1, 7)]
    if model in _PINHOLE:
        return Lens()
    if model in _FISHEYE:
        return Lens("fisheye", tuple(k[:4]))
    if model not in _OPENCV:
        accepted = ", ".join(_PINHOLE + _OPENCV + _FISHEYE)
        raise UserError(f"{fields.where}: camera model is not supported", got=quote(model), accepted=accepted, do="Undistort the pictures first.")
    params = (k[0], k[1], fields.number("p1", 0.0), fields.number("p2", 0.0), *k[2:])
    return Lens("opencv", params) if any(params) else Lens()


def _mask(folder: Path, frame: Fields) -> PictureFile | None:
    if "mask_path" not in frame:
        return None
    return build.picture(inside(folder, frame.text("mask_path"), what=f"{frame.where}: 'mask_path'"))


def _depth(folder: Path, top: Fields, frame: Fields) -> Depth | None:
    if "depth_file_path" not in frame:
        return None
    path = inside(folder, frame.text("depth_file_path"), what=f"{frame.where}: 'depth_file_path'")
    unit = top.number("depth_unit_scale_factor", DEPTH_UNIT)
    if path.suffix == ".npy":
        shape = read_npy(path, "f").shape
        if len(shape) != 2:
            raise UserError(f"{frame.where}: the depth map is not usable", got=f"shape {shape}", accepted="one value for each pixel", do="Write it again.")
        return Depth(path, shape[1], shape[0], unit)
    return Depth(path, *io.probe(path), unit)


def _near_far(frame: Fields) -> tuple[float, float] | None:
    if "near" not in frame or "far" not in frame:
        return None
    near, far = frame.number("near"), frame.number("far")
    return (near, far) if 0 < near < far else None


def _mask_role(top: Fields) -> tuple[MaskRole | None, Colour | None]:
    """`mask_role` and `background` are ours; other writers do not state them."""
    role = top.values.get("mask_role")
    colour: Any = top.values.get("background")
    background = None
    if isinstance(colour, list) and len(colour) == 3:
        r, g, b = (finite(c, f"{top.where}: 'background'") for c in colour)
        background = (r, g, b)
    return (role if role in ("object", "valid") else None), background


def _listed_splits(top: Fields, views: list[View]) -> tuple[Split, ...]:
    if "train_filenames" not in top:
        return ()
    index = {v.name: i for i, v in enumerate(views)}

    def ids(key: str) -> tuple[int, ...]:
        names = top.items(key) if key in top else []
        return tuple(index[n.removeprefix("./")] for n in names if isinstance(n, str) and n.removeprefix("./") in index)

    return (Split("filenames", ids("train_filenames"), ids("test_filenames") or ids("val_filenames")),)


def read_cameras(path: Path) -> Cameras:
    """Cameras of a render request: `frames[].transform_matrix` with intrinsics at the top or in each frame; no pictures needed."""
    top = Fields.of(read_json(path), path.name)
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    batch = []
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        merged = replace(frame, values={**top.values, **frame.values})
        width, height = merged.number("w"), merged.number("h")
        if not (1 <= width <= _SIZE_LIMIT and 1 <= height <= _SIZE_LIMIT and width * height <= io.MAX_PIXELS):
            raise UserError(f"{frame.where}: 'w' and 'h' are not usable", got=f"{width:g} x {height:g}", accepted="a picture size in pixels", do="Correct them.")
        fx = merged.number("fl_x") if "fl_x" in merged else _focal_from_angle(merged, "camera_angle_x", width)
        if fx is None:
            raise UserError(f"{frame.where}: no focal length", got="neither 'fl_x' nor 'camera_angle_x'", accepted="one of them", do="Add it.")
        fy = merged.number("fl_y", fx)
        c2w = convert.swap_opengl(build.pose(frame.values.get("transform_matrix"), f"{frame.where}: 'transform_matrix'"))
        size = (round(width), round(height))
        batch.append(build.camera(c2w, fx, fy, merged.number("cx", width / 2), merged.number("cy", height / 2), size, frame.where))
    return concat(batch)
