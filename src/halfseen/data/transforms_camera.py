"""Cameras as nerfstudio's JSON spells them: intrinsics and lens of a frame, and whole camera files without pictures."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras, Intrinsics, concat
from halfseen.cameras.lens import PINHOLE, Lens
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import Fields, read_json
from halfseen.data import build
from halfseen.data.capture import PictureFile
from halfseen.images import io

# Keys that a frame may state for itself; they replace those at the top.
_FOCAL_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h", "camera_angle_x", "camera_angle_y")
_LENS_KEYS = ("camera_model", "is_fisheye", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
KEYS = _FOCAL_KEYS + _LENS_KEYS
_PINHOLE = ("PINHOLE", "SIMPLE_PINHOLE")
_OPENCV = ("OPENCV", "RADIAL", "SIMPLE_RADIAL", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE", "EQUIDISTANT")
_SIZE_LIMIT = 10**6


def merge(top: Fields, frame: Fields) -> Fields:
    """The frame's own camera keys over those at the top."""
    return Fields({**top.values, **{k: frame.values[k] for k in KEYS if k in frame.values}}, frame.where)


def pose(frame: Fields) -> Tensor:
    """Checked OpenCV camera-to-world [4, 4] of a frame's `transform_matrix`."""
    return convert.swap_opengl(build.pose(frame.values.get("transform_matrix"), f"{frame.where}: 'transform_matrix'"))


def of_picture(fields: Fields, image: PictureFile) -> tuple[Intrinsics, str | None]:
    """Intrinsics for the picture's real size, and a note when something was guessed or rescaled."""
    actual = (image.width, image.height)
    stated = _size(fields, actual)
    focal = _focal(fields, stated)
    note = None
    if focal is None:
        guess = io.focal_from_exif(image.path)
        value = guess or build.DEFAULT_FOCAL * max(actual)
        focal, stated = (value, value), actual
        source = "EXIF" if guess else f"{build.DEFAULT_FOCAL:g} x the longer side"
        note = f"no focal length in the file: guessed {value:.0f} px from {source}"
    values = (*focal, fields.number("cx", stated[0] / 2), fields.number("cy", stated[1] / 2))
    scaled = build.scaled_intrinsics(values, stated, actual, fields.where)
    if scaled != values and note is None:
        note = f"intrinsics stated for {stated[0]:g} x {stated[1]:g} were scaled to the pictures ({actual[0]} x {actual[1]})"
    return scaled, note


def lens(fields: Fields) -> Lens:
    """The distortion model; without `camera_model` the coefficients are OpenCV's, as instant-ngp has them."""
    fisheye = fields.values.get("is_fisheye") is True
    model = fields.text("camera_model", "OPENCV_FISHEYE" if fisheye else "OPENCV").upper()
    k = [fields.number(f"k{i}", 0.0) for i in range(1, 7)]
    if model in _PINHOLE:
        return PINHOLE
    if model in _FISHEYE:
        return Lens("fisheye", tuple(k[:4]))
    if model not in _OPENCV:
        accepted = ", ".join(_PINHOLE + _OPENCV + _FISHEYE)
        do = "Undistort the pictures first."
        raise UserError(f"{fields.where}: camera model is not supported", got=quote(model), accepted=accepted, do=do)
    params = (k[0], k[1], fields.number("p1", 0.0), fields.number("p2", 0.0), *k[2:])
    return Lens("opencv", params) if any(params) else PINHOLE


def read_file(path: Path) -> Cameras:
    """Cameras of a render request: `frames[].transform_matrix`, intrinsics at the top or in each frame; no pictures needed."""
    top = Fields.of(read_json(path), path.name)
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    batch = []
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        merged = merge(top, frame)
        width, height = _size(merged, None)
        focal = _focal(merged, (width, height))
        if focal is None:
            got = "neither 'fl_x' nor 'camera_angle_x'"
            raise UserError(f"{frame.where}: no focal length", got=got, accepted="one of them", do="Add it.")
        intrinsics = (*focal, merged.number("cx", width / 2), merged.number("cy", height / 2))
        batch.append(build.camera(pose(frame), intrinsics, (round(width), round(height)), frame.where))
    return concat(batch)


def _size(fields: Fields, default: tuple[int, int] | None) -> tuple[float, float]:
    width = fields.number("w", None if default is None else default[0])
    height = fields.number("h", None if default is None else default[1])
    if not (1 <= width <= _SIZE_LIMIT and 1 <= height <= _SIZE_LIMIT and width * height <= io.MAX_PIXELS):
        got = f"{width:g} x {height:g}"
        raise UserError(
            f"{fields.where}: 'w' and 'h' are not usable",
            got=got,
            accepted="a picture size in pixels",
            do="Correct them.",
        )
    return width, height


def _focal(fields: Fields, size: tuple[float, float]) -> tuple[float, float] | None:
    """(fx, fy) in pixels of the stated size. One of them, or one angle, is enough; None when nothing is stated."""
    fx = fields.number("fl_x") if "fl_x" in fields else _from_angle(fields, "camera_angle_x", size[0])
    fy = fields.number("fl_y") if "fl_y" in fields else None
    if fy is None and "fl_x" not in fields:
        fy = _from_angle(fields, "camera_angle_y", size[1])
    if fx is None and fy is None:
        return None
    return (fx if fx is not None else fy), (fy if fy is not None else fx)  # type: ignore[return-value]


def _from_angle(fields: Fields, key: str, side: float) -> float | None:
    if key not in fields:
        return None
    angle = fields.number(key)
    if not 0 < angle < math.pi:
        got = f"{angle:g}"
        raise UserError(
            f"{fields.where}: '{key}' is not usable", got=got, accepted="radians between 0 and pi", do="Correct it."
        )
    return 0.5 * side / math.tan(0.5 * angle)
