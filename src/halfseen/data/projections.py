"""What readers of DTU-like captures share: cameras as projection matrices, pictures and masks that are told by their numbers.

Frames: P [3, 4] maps world points to pixels, P = K [R | t] up to scale and sign, with the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.lens import pinhole_for
from halfseen.common.errors import UserError, quote
from halfseen.data import build, emit
from halfseen.data.capture import Capture, PictureFile, View
from halfseen.data.load import relens

# These matrices count pixels from the middle of the first one, ours from its corner. Measured on DTU scan 65: matched features
# miss their epipolar lines by 0.41 px (median) this way, by 0.45 px without it.
HALF_PIXEL = 0.5
# A skew beyond this share of the focal length is no camera of ours (DTU's is 2e-7).
MAX_SKEW = 1e-3
# A matrix whose 3x3 block is flatter than this (determinant of its rows at unit length) projects nothing.
_FLAT = 1e-9
# Longer numbers in file names are dates or hashes.
_MAX_DIGITS = 9
EVALUATION_NOTE = (
    "masks are for evaluation only: no fit sees them (convert to transforms and state mask_role to change that)"
)


def camera(projection: np.ndarray, size: tuple[int, int], where: str) -> Cameras:
    """One checked camera (world of the matrix, OpenCV axes) of P [3, 4] for a picture of `size` (width, height)."""
    if not np.isfinite(projection).all() or np.abs(projection).max() > build.MAX_COORDINATE:
        raise _bad(where, "NaN, infinity or numbers beyond 10^12")
    rows = projection[:, :3]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if lengths.min() == 0 or abs(np.linalg.det(rows / lengths)) < _FLAT:
        raise _bad(where, "a matrix without a camera centre")
    k, c2w = convert.opencv_from_projection(torch.from_numpy(projection[None]))
    fx, fy, cx, cy = (float(k[0, i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if abs(float(k[0, 0, 1])) > MAX_SKEW * fx:
        raise _bad(where, f"a skew of {float(k[0, 0, 1]):.3g} px")
    cx, cy = cx + HALF_PIXEL, cy + HALF_PIXEL
    if not (0 <= cx <= size[0] and 0 <= cy <= size[1]):
        raise UserError(
            f"{where}: the matrix was made for pictures of another size",
            got=f"a principal point at ({cx:.0f}, {cy:.0f}) of a picture of {size[0]} x {size[1]}",
            accepted="the pictures that the matrices were made for",
            do="Use the full-size pictures; --max-size makes them smaller.",
        )
    return build.camera(build.pose(c2w[0].numpy(), where), (fx, fy, cx, cy), size, where)


def matrices(cameras: Cameras) -> np.ndarray:
    """P [V, 3, 4] of cameras, float64, counting pixels as `camera` does."""
    shift = cameras.intrinsics.new_tensor([0, 0, HALF_PIXEL, HALF_PIXEL])
    return convert.projection_from_opencv(replace(cameras, intrinsics=cameras.intrinsics - shift)).numpy()


def numbers_of(paths: Sequence[Path], known: Iterable[int], what: str) -> list[int]:
    """The number of the camera of each picture: its file name where all names are known numbers, else its rank by name."""
    cameras = sorted(known)
    named = [_number(p) for p in paths]
    if set(named) <= set(cameras):
        numbers = [n for n in named if n is not None]
        build.check_unique(map(str, numbers), what)
        return numbers
    if len(paths) == len(cameras):
        return cameras
    raise UserError(
        f"{what} and the pictures do not match",
        got=f"{len(cameras)} cameras, {len(paths)} pictures such as {quote(paths[0].name)}",
        accepted="pictures named by the numbers of their cameras, or one for each camera",
        do="Rename or remove pictures.",
    )


def masks_of(folder: Path, numbers: Sequence[int], pictures: Sequence[PictureFile]) -> list[PictureFile | None]:
    """The masks of views with these numbers: files of a folder that are named by them (000.png), checked for their shape."""
    files = build.photos_in(folder) if folder.is_dir() else []
    by_number = {_number(p): p for p in files}
    out: list[PictureFile | None] = []
    for number, picture in zip(numbers, pictures, strict=True):
        path = by_number.get(number)
        mask = None if path is None else build.picture(path)
        if mask is not None:
            build.check_aspect((mask.width, mask.height), picture, f"{folder.name}/{mask.path.name}")
        out.append(mask)
    return out


def straight(capture: Capture) -> tuple[Capture, list[str]]:
    """The capture with its lenses undone, each view with a pinhole camera of its own, and what that changed."""
    if not any(v.lens.bends for v in capture.views):
        return capture, []
    views: list[View] = []
    for view in capture.views:
        assert view.camera is not None
        views.append(relens(view, view.camera, pinhole_for(view.camera, view.lens)) if view.lens.bends else view)
    return replace(capture, views=tuple(views)), [
        "pictures were undistorted, because the format has no room for lens distortion"
    ]


def losses(capture: Capture) -> list[str]:
    """What writers of projection matrices lose; they keep poses, splits, masks, and name pictures by numbers."""
    lost = emit.losses(capture, ("poses", "lens", "splits", "names", "masks"))
    if any(v.mask is not None for v in capture.views) and capture.mask_role != "evaluation":
        lost.append("what masks mean is lost: they will be read as masks for evaluation only")
    return [*lost, "file names were replaced by numbers"]


def _number(path: Path) -> int | None:
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() and len(path.stem) <= _MAX_DIGITS else None


def _bad(where: str, got: str) -> UserError:
    return UserError(
        f"{where}: the projection matrix is not usable",
        got=got,
        accepted="P = K [R | t], 3x4, without skew",
        do="Correct or remove this view.",
    )
