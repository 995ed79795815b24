"""LLFF captures: `images/` and `poses_bounds.npy`, N x 17: a 3x5 matrix (pose with columns down, right, backward; then
height, width, focal) and the near and far depth of each view. Rows follow the pictures sorted by name; the principal point is
the middle. Every eighth view is held out (`protocols.llff`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.common.errors import UserError
from halfseen.data import build, emit
from halfseen.data.capture import Capture, View, read_npy
from halfseen.data.normalise import depth_ranges

NAME = "llff"
FILE = "poses_bounds.npy"
_IMAGE_FOLDERS = ("images", "images_4", "images_8")
_COLUMNS = 17


def find(folder: Path) -> bool:
    """Whether this folder holds the format."""
    return (folder / FILE).is_file()


def read(folder: Path) -> Capture:
    """Read a capture."""
    table = read_npy(folder / FILE, "f").astype(np.float64)
    if table.ndim != 2 or table.shape[1] != _COLUMNS:
        raise UserError(
            f"{FILE} has the wrong shape",
            got=str(table.shape),
            accepted=f"N x {_COLUMNS}",
            do="Write it again with LLFF's tools.",
        )
    build.check_count(len(table), FILE)
    images = next((folder / n for n in _IMAGE_FOLDERS if (folder / n).is_dir()), folder)
    photos = build.photos_in(images)
    if len(photos) != len(table):
        raise UserError(
            f"{FILE} and the pictures do not match",
            got=f"{len(table)} poses, {len(photos)} pictures in {images.name}/",
            accepted="one pose for each picture, in the order of their names",
            do="Remove the pictures that have no pose.",
        )
    views = tuple(_view(path, row, i) for i, (path, row) in enumerate(zip(photos, table, strict=True)))
    return Capture(views, NAME, folder, splits=build.read_splits(folder, [True] * len(views)))


def _view(path: Path, row: np.ndarray, index: int) -> View:
    where = f"{FILE} row {index}"
    matrix = torch.from_numpy(row[:15].reshape(1, 3, 5))
    c2w = build.pose(convert.opencv_from_llff(matrix[..., :4])[0].numpy(), where)
    height, width, focal = matrix[0, :, 4].tolist()
    picture = build.picture(path)
    size = (picture.width, picture.height)
    values = build.scaled_intrinsics((focal, focal, width / 2, height / 2), (width, height), size, where)
    near, far = row[15:].tolist()
    bounds = (near, far) if 0 < near < far < np.inf else None
    return View(f"{path.parent.name}/{path.name}", picture, build.camera(c2w, values, size, where), near_far=bounds)


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a capture; returns what was lost. Pictures that one centred camera cannot describe are resampled."""
    capture.cameras()
    bounds = depth_ranges(capture)
    flat, changed = emit.shared_pinhole(capture, centre=True)
    names = emit.files(flat)
    order = emit.order(names)
    cameras = flat.cameras()
    poses = convert.llff_from_opencv(cameras.c2w)
    rows = []
    for i in order:
        width, height = cameras.size(i)
        intrinsics = poses.new_tensor([[height], [width], [cameras.intrinsics[i, 0].item()]])
        rows.append(np.concatenate([torch.cat([poses[i], intrinsics], 1).reshape(-1).numpy(), bounds[i]]))
        emit.write_picture(flat.views[i].image, folder / "images" / names[i])
    np.save(folder / FILE, np.stack(rows))
    guessed = [] if all(v.near_far for v in capture.views) else ["near and far depths were estimated"]
    lost = emit.write_splits(capture, folder, {old: new for new, old in enumerate(order)})
    return lost + emit.losses(capture, ("poses", "bounds", "lens", "splits")) + changed + guessed
