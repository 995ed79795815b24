"""Cameras as nerfstudio's JSON spells them: intrinsics and lens of a frame, and whole camera files without pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras, Intrinsics, concat
from halfseen.cameras.lens import PINHOLE, Lens
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.data import build
from halfseen.data.capture import PictureFile
from halfseen.images import io

# Keys that a frame may state for itself; they replace those at the top.
_FOCAL_KEYS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
# nerfstudio's order of `distortion_params`.
_LISTED = ("k1", "k2", "k3", "k4", "p1", "p2")
KEYS = (*_FOCAL_KEYS, "cx", "cy", "w", "h", "camera_model", "is_fisheye", "distortion_params", *_COEFFICIENTS)
_PINHOLE = ("PINHOLE", "SIMPLE_PINHOLE")
_OPENCV = ("OPENCV", "RADIAL", "SIMPLE_RADIAL", "FULL_OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "FISHEYE", "EQUIDISTANT")
_SIZE_LIMIT = 10**6


def merge(top: Fields, frame: Fields) -> Fields:
    """The frame's own camera keys over those at the top. A focal length of its own, in any spelling, replaces all of those."""
    own = {k: frame.values[k] for k in KEYS if k in frame.values}
    base = top.values
    if any(k in own for k in _FOCAL_KEYS):
        base = {k: v for k, v in base.items() if k not in _FOCAL_KEYS}
        if "fl_x" in own and "fl_y" not in own and "fl_y" in top.values:
            base = {**base, "fl_y": top.values["fl_y"]}
    return Fields({**base, **own}, frame.where)


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
    c = _coefficients(fields)
    if model not in _PINHOLE + _OPENCV + _FISHEYE:
        accepted = ", ".join(_PINHOLE + _OPENCV + _FISHEYE)
        do = "Undistort the pictures first."
        raise UserError(f"{fields.where}: camera model is not supported", got=quote(model), accepted=accepted, do=do)
    unused = {"p1", "p2", "k5", "k6"} if model in _FISHEYE else set() if model == "FULL_OPENCV" else {"k4", "k5", "k6"}
    unused = set(_COEFFICIENTS) if model in _PINHOLE else unused
    extra = [k for k in sorted(unused) if c[k]]
    if extra:
        got = ", ".join(f"{k}={c[k]:g}" for k in extra)
        accepted = "coefficients that the model has (FULL_OPENCV has k1 to k6, OPENCV_FISHEYE k1 to k4, PINHOLE none)"
        raise UserError(
            f"{fields.where}: {model} has no such distortion", got=got, accepted=accepted, do="Correct 'camera_model'."
        )
    if model in _FISHEYE:
        return Lens("fisheye", tuple(c[k] for k in ("k1", "k2", "k3", "k4")))
    params = tuple(c[k] for k in ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"))
    return Lens("opencv", params) if any(params) else PINHOLE


def _coefficients(fields: Fields) -> dict[str, float]:
    """Distortion coefficients by name, from single keys or nerfstudio's list."""
    found = {k: fields.number(k, 0.0) for k in _COEFFICIENTS}
    if "distortion_params" in fields:
        listed = [finite(v, f"{fields.where}: 'distortion_params'") for v in fields.items("distortion_params")]
        if len(listed) > len(_LISTED) or any(found.values()):
            got = f"{len(listed)} numbers" + (" beside single coefficients" if any(found.values()) else "")
            accepted = f"up to {len(_LISTED)} numbers ({', '.join(_LISTED)}), or single keys"
            raise UserError(
                f"{fields.where}: 'distortion_params' is not usable", got=got, accepted=accepted, do="Correct it."
            )
        found |= dict(zip(_LISTED, listed, strict=False))
    return found


def read_file(path: Path, default_size: tuple[int, int] | None = None) -> tuple[Cameras, list[str]]:
    """Cameras of a render request, and notes: `frames[].transform_matrix`, intrinsics at the top or in each frame.

    No pictures are needed. `default_size` serves files that state no `w` and `h`, as Blender's do not.
    """
    top = Fields.of(read_json(path), path.name)
    frames = top.items("frames")
    build.check_count(len(frames), top.where)
    batch, bent = [], False
    for i, data in enumerate(frames):
        frame = Fields.of(data, f"{top.where}: frame {i}")
        merged = merge(top, frame)
        width, height = _size(merged, default_size)
        focal = _focal(merged, (width, height))
        if focal is None:
            got = "neither 'fl_x' nor 'camera_angle_x'"
            raise UserError(f"{frame.where}: no focal length", got=got, accepted="one of them", do="Add it.")
        intrinsics = (*focal, merged.number("cx", width / 2), merged.number("cy", height / 2))
        batch.append(build.camera(pose(frame), intrinsics, (round(width), round(height)), frame.where))
        bent = bent or lens(merged).bends
    notes = ["the camera file states lens distortion; pictures are rendered without it"] if bent else []
    return concat(batch), notes


def document(cameras: Cameras) -> dict[str, Any]:
    """Cameras as plain data that `read_file` reads back: OpenGL camera-to-world, intrinsics in each frame."""
    frames = []
    for i in range(len(cameras)):
        fx, fy, cx, cy = cameras.intrinsics[i].tolist()
        width, height = cameras.size(i)
        pose_ = convert.swap_opengl(cameras.c2w[i]).tolist()
        frames.append({"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": width, "h": height, "transform_matrix": pose_})
    return {"camera_model": "PINHOLE", "frames": frames}


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
