"""RGB-D folders in the style of 7-Scenes: `frame-000000.color.png|jpg`, `.depth.png` (16 bit millimetres), `.pose.txt`
(OpenCV camera-to-world in metres), `camera-intrinsics.txt` (3x3).

The intrinsics file of 7-Scenes is the depth camera's; the colour camera of that Kinect has another focal length, and depth is in
the depth camera's frame. `camera-intrinsics.color.txt`, which our writer makes, settles it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from halfseen.cameras.cameras import Intrinsics
from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_text
from halfseen.data import build, emit
from halfseen.data.capture import Capture, Depth, View
from halfseen.data.load import aligned_depth
from halfseen.images import io

NAME = "rgbd"
INTRINSICS = "camera-intrinsics.txt"
COLOUR_INTRINSICS = "camera-intrinsics.color.txt"
MILLIMETRE = 0.001
# 7-Scenes writes 65535 where the sensor saw nothing.
INVALID_DEPTH = (65535,)
# The Kinect of 7-Scenes at 640x480: the stated (depth) focal length, and the one that its colour images fit
# (epipolar error 1.2 px against 2.6 px on redkitchen).
KINECT_DEPTH_FOCAL, KINECT_COLOUR_FOCAL, KINECT_SIZE = 585.0, 518.0, (640, 480)
_COLOUR_SUFFIXES = (".color.png", ".color.jpg", ".color.jpeg")


def find(folder: Path) -> bool:
    """Whether this folder holds the format."""
    return next(iter(folder.glob("frame-*.pose.txt")), None) is not None


def read(folder: Path) -> Capture:
    """Read a capture (metres)."""
    poses = sorted(folder.glob("frame-*.pose.txt"))
    build.check_count(len(poses), "the folder")
    depth_k = _read_matrix(folder / INTRINSICS, 3) if (folder / INTRINSICS).is_file() else None
    colour_k = _read_matrix(folder / COLOUR_INTRINSICS, 3) if (folder / COLOUR_INTRINSICS).is_file() else None
    views, notes = [], []
    present: list[bool] = []
    for path in poses:
        stem = path.name.removesuffix(".pose.txt")
        colour = next((folder / (stem + s) for s in _COLOUR_SUFFIXES if (folder / (stem + s)).is_file()), None)
        present.append(colour is not None)
        if colour is None:
            continue
        view, note = _view(folder, stem, colour, path, depth_k, colour_k)
        views.append(view)
        notes += [note] if note else []
    if not views:
        raise UserError(
            "no colour picture exists",
            got=f"{len(poses)} pose files",
            accepted="frame-*.color.png or .jpg beside them",
            do="Copy the pictures.",
        )
    if not all(present):
        notes.append(f"{present.count(False)} frames without a colour picture were left out")
    splits = build.read_splits(folder, present)
    return Capture(tuple(views), NAME, folder, splits=splits, units="metres", notes=tuple(dict.fromkeys(notes)))


def _view(
    folder: Path, stem: str, colour: Path, pose: Path, depth_k: np.ndarray | None, colour_k: np.ndarray | None
) -> tuple[View, str | None]:
    picture = build.picture(colour)
    size = (picture.width, picture.height)
    values, own, note = _colour_intrinsics(size, depth_k, colour_k)
    c2w = build.pose(_read_matrix(pose, 4), pose.name)
    path = folder / f"{stem}.depth.png"
    depth = Depth(path, *io.probe_depth(path), MILLIMETRE, INVALID_DEPTH, own) if path.is_file() else None
    return View(colour.name, picture, build.camera(c2w, values, size, colour.name), depth=depth), note


def _colour_intrinsics(
    size: tuple[int, int], depth_k: np.ndarray | None, colour_k: np.ndarray | None
) -> tuple[Intrinsics, Intrinsics | None, str | None]:
    """Intrinsics of the colour picture, those of the depth map when they differ, and what was assumed."""
    stated = (
        None
        if depth_k is None
        else (float(depth_k[0, 0]), float(depth_k[1, 1]), float(depth_k[0, 2]), float(depth_k[1, 2]))
    )
    if colour_k is not None:
        colour = (float(colour_k[0, 0]), float(colour_k[1, 1]), float(colour_k[0, 2]), float(colour_k[1, 2]))
        return colour, (stated if stated != colour else None), None
    if stated is None:
        focal = build.DEFAULT_FOCAL * max(size)
        return (
            (focal, focal, size[0] / 2, size[1] / 2),
            None,
            f"no {INTRINSICS}: guessed a focal length of {focal:.0f} px",
        )
    if stated[:2] == (KINECT_DEPTH_FOCAL, KINECT_DEPTH_FOCAL) and size == KINECT_SIZE:
        colour = (KINECT_COLOUR_FOCAL, KINECT_COLOUR_FOCAL, stated[2], stated[3])
        note = f"{INTRINSICS} is the Kinect depth camera's ({KINECT_DEPTH_FOCAL:g} px); the colour camera is taken as {KINECT_COLOUR_FOCAL:g} px"
        return colour, stated, note
    return stated, None, None


def _read_matrix(path: Path, size: int) -> np.ndarray:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        array = np.array([float(w) for w in text.split()], dtype=np.float64).reshape(size, size)
    except ValueError as error:
        raise UserError(
            f"{quote(path.name)} cannot be read",
            got=str(error),
            accepted=f"{size}x{size} numbers",
            do="Write it again.",
        ) from error
    if size == 3 and not (np.isfinite(array).all() and array[0, 0] > 0 and array[1, 1] > 0):
        raise UserError(
            f"{quote(path.name)} is not usable",
            got=f"{array.tolist()}",
            accepted="positive finite focal lengths",
            do="Correct it.",
        )
    return array


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a capture; returns what was lost. One pinhole camera serves all frames; depth is rounded to millimetres."""
    flat, changed = emit.shared_pinhole(capture, centre=False)
    cameras = flat.cameras()
    order = emit.order(emit.files(flat))
    for new, i in enumerate(order):
        view, stem = flat.views[i], f"frame-{new:06d}"
        suffix = emit.suffix(view.image).lower()
        emit.write_picture(view.image, folder / f"{stem}.color{suffix}")
        write_text(folder / f"{stem}.pose.txt", _matrix_text(cameras.c2w[i]))
        depth = aligned_depth(view)
        if depth is not None:
            io.write_depth16(
                folder / f"{stem}.depth.png", np.round(depth.read() / MILLIMETRE).clip(0, INVALID_DEPTH[0] - 1)
            )
    fx, fy, cx, cy = cameras.intrinsics[0].tolist()
    k = _matrix_text(torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64))
    write_text(folder / INTRINSICS, k)
    write_text(folder / COLOUR_INTRINSICS, k)
    lost = emit.write_splits(capture, folder, {old: new for new, old in enumerate(order)})
    lost += emit.losses(capture, ("poses", "depth", "lens", "splits", "names"))
    names = ["file names were replaced by frame numbers"]
    rounded = (
        ["depth was rounded to millimetres of the capture's unit, at most 65.534 units"]
        if any(v.depth for v in capture.views)
        else []
    )
    return lost + changed + names + rounded


def _matrix_text(matrix: torch.Tensor) -> str:
    return "".join("\t".join(repr(float(v)) for v in row) + "\n" for row in matrix)
