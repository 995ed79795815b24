"""Write `transforms.json`: the richest of the formats, so nothing of a capture is lost in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from halfseen.cameras import convert
from halfseen.cameras.lens import Lens
from halfseen.common.jsonfile import write_json
from halfseen.data import emit, ply
from halfseen.data.capture import Capture, Depth, View
from halfseen.data.load import aligned_depth
from halfseen.data.transforms import DEPTH_UNIT, FILE
from halfseen.images import io

POINTS = "points3D.ply"


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a capture; returns what was lost."""
    capture.cameras()
    stems = emit.stems(capture)
    order = emit.order(emit.files(capture))
    frames = [_frame(capture.views[i], stems[i], folder) for i in order]
    document = _hoist(frames)
    if capture.points is not None:
        ply.write_points(folder / POINTS, capture.points)
        document["ply_file_path"] = POINTS
    if any(v.depth is not None for v in capture.views):
        document["depth_unit_scale_factor"] = DEPTH_UNIT
    if capture.mask_role is not None:
        document["mask_role"] = capture.mask_role
    if capture.background is not None:
        document["background"] = list(capture.background)
    if capture.on_background:
        document["on_background"] = True
    if capture.units != "unknown":
        document["units"] = capture.units
    listed = [split for split in capture.splits if split.name in ("filenames", "blender")]
    for split in listed[:1]:
        for key, ids in (("train_filenames", split.train), ("test_filenames", split.test)):
            document[key] = [f"images/{emit.files(capture)[i]}" for i in ids]
    rank = {old: new for new, old in enumerate(order)}
    rest = replace(capture, splits=tuple(s for s in capture.splits if s not in listed[:1]))
    lost = emit.write_splits(rest, folder, rank)
    write_json(folder / FILE, {**document, "frames": frames})
    return lost + emit.losses(capture, ("poses", "lens", "masks", "depth", "points", "splits", "bounds"))


def _frame(view: View, stem: str, folder: Path) -> dict[str, Any]:
    assert view.camera is not None
    name = f"images/{stem}{emit.suffix(view.image)}"
    emit.write_picture(view.image, folder / name)
    frame: dict[str, Any] = {"file_path": name, **_intrinsics(view)}
    if view.mask is not None:
        frame["mask_path"] = f"masks/{stem}.png"
        emit.write_mask(view.mask, folder / frame["mask_path"])
    if view.depth is not None:
        frame["depth_file_path"] = _write_depth(aligned_depth(view) or view.depth, folder, stem)
    if view.near_far is not None:
        frame["near"], frame["far"] = view.near_far
    frame["transform_matrix"] = convert.swap_opengl(view.camera.c2w)[0].tolist()
    return frame


def _intrinsics(view: View) -> dict[str, Any]:
    assert view.camera is not None
    fx, fy, cx, cy = view.camera.intrinsics[0].tolist()
    width, height = view.camera.size()
    out: dict[str, Any] = {
        "camera_model": _model(view.lens),
        "fl_x": fx,
        "fl_y": fy,
        "cx": cx,
        "cy": cy,
        "w": width,
        "h": height,
    }
    if view.lens.model == "fisheye":
        out |= dict(zip(("k1", "k2", "k3", "k4"), view.lens.padded(4), strict=True))
    elif view.lens.model == "opencv":
        out |= dict(zip(("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"), view.lens.padded(8), strict=True))
    return out


def _model(lens: Lens) -> str:
    if lens.model == "fisheye":
        return "OPENCV_FISHEYE"
    if not lens.bends:
        return "PINHOLE"
    # k4 to k6 are the denominators of OpenCV's rational model, which plain OPENCV does not have.
    return "FULL_OPENCV" if any(lens.padded(8)[5:]) else "OPENCV"


def _write_depth(depth: Depth, folder: Path, stem: str) -> str:
    """Keep a 16-bit file in millimetres as it is; anything else becomes float32 in the same unit, which loses nothing."""
    (folder / "depth").mkdir(exist_ok=True)
    png = isinstance(depth.source, Path) and depth.source.suffix == ".png"
    if png and depth.unit == DEPTH_UNIT and not depth.invalid:
        name = f"depth/{stem}.png"
        io.write_depth16(folder / name, np.round(depth.read() / DEPTH_UNIT))
        return name
    name = f"depth/{stem}.npy"
    np.save(folder / name, (depth.read() / DEPTH_UNIT).astype(np.float32))
    return name


def _hoist(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Move intrinsics that all frames share to the top, as every reader prefers."""
    keys = [
        k
        for k in frames[0]
        if k not in ("file_path", "mask_path", "depth_file_path", "near", "far", "transform_matrix")
    ]
    if any([f.get(k) for k in keys] != [frames[0][k] for k in keys] for f in frames):
        return {}
    top = {k: frames[0][k] for k in keys}
    for frame in frames:
        for key in keys:
            del frame[key]
    return top
