"""What writers share: pictures copied byte for byte where possible, names that are safe and unique, views made pinhole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras.cameras import Cameras
from halfseen.data.capture import Capture, Picture, PictureFile
from halfseen.data.load import relens
from halfseen.images import io

# Suffixes that other tools read without further libraries; anything else is rewritten as PNG.
_COMMON_SUFFIXES = (".jpg", ".jpeg", ".png")
# Cameras closer than this (relative, in pixels) count as equal when a format stores only one.
_SAME = 1e-9


def stems(capture: Capture) -> list[str]:
    """One file stem for each view: the view's own file name when that is unique, else numbered."""
    names = [PurePosixPath(v.name).name.split(".")[0] or "view" for v in capture.views]
    safe = ["".join(c if c.isalnum() or c in "-_" else "_" for c in n) for n in names]
    return safe if len(set(safe)) == len(safe) else [f"{i:05d}" for i in range(len(safe))]


def suffix(picture: Picture) -> str:
    """The suffix that `write_picture` will use."""
    own = picture.path.suffix.lower() if isinstance(picture, PictureFile) else ".png"
    return own if own in _COMMON_SUFFIXES else ".png"


def write_picture(picture: Picture, path: Path) -> None:
    """Copy the file when the suffix stays, else decode and write PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, PictureFile) and picture.path.suffix.lower() == path.suffix:
        shutil.copyfile(picture.path, path)
    else:
        io.write_png(path, picture.read())


def write_mask(picture: Picture, path: Path) -> None:
    """Write a mask as a PNG; a PNG file is copied."""
    if isinstance(picture, PictureFile) and picture.path.suffix.lower() == ".png":
        write_picture(picture, path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        io.write_png(path, picture.read_grey())


def same_cameras(cameras: Cameras) -> bool:
    """Whether all views share intrinsics and size."""
    close = (cameras.intrinsics - cameras.intrinsics[:1]).abs().max() <= _SAME * cameras.intrinsics.abs().max()
    return bool(close) and bool((cameras.sizes == cameras.sizes[:1]).all())


def centred(cameras: Cameras) -> bool:
    """Whether all views have square pixels and the principal point in the middle."""
    fx, fy, cx, cy = cameras.intrinsics.unbind(-1)
    off = torch.stack([fx - fy, cx - cameras.sizes[:, 0] / 2, cy - cameras.sizes[:, 1] / 2])
    return bool(off.abs().max() <= _SAME * cameras.intrinsics.abs().max())


def shared_pinhole(capture: Capture, *, centre: bool) -> tuple[Capture, list[str]]:
    """The capture resampled so that one pinhole camera serves all views, and what that changed.

    Used by formats that store a single camera. With `centre`, pixels are square and the principal point is the middle.
    Views that fit already are left as they are, so nothing is resampled without need.
    """
    cameras = capture.cameras()
    bent = any(v.lens.bends for v in capture.views)
    if not bent and same_cameras(cameras) and (not centre or centred(cameras)):
        return capture, []
    focal = cameras.intrinsics[0].clone()
    width, height = cameras.size(0)
    if centre:
        focal[:2] = focal[:2].max()
        focal[2:] = torch.tensor([width / 2, height / 2])
    views = []
    for view in capture.views:
        camera = view.camera
        assert camera is not None
        views.append(relens(view, camera, cams.make(camera.c2w[0], focal, (width, height))))
    why = "lens distortion" if bent else "differing or off-centre intrinsics"
    return replace(capture, views=tuple(views)), [
        f"pictures were resampled to one pinhole camera, because the format has no room for {why}"
    ]


def losses(capture: Capture, keeps: Sequence[str]) -> list[str]:
    """Sentences on what a format cannot hold. `keeps` names what it can: poses, masks, depth, points, splits, lens, bounds."""
    has = {
        "poses": capture.posed,
        "lens": any(v.lens.bends for v in capture.views),
        "masks": any(v.mask is not None for v in capture.views),
        "depth": any(v.depth is not None for v in capture.views),
        "points": capture.points is not None,
        "splits": bool(capture.splits),
        "bounds": any(v.near_far is not None for v in capture.views),
    }
    return [
        f"{name} are lost: the format has no place for them"
        for name, present in has.items()
        if present and name not in keeps
    ]
