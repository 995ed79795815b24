"""Checks that every reader shares: cameras that are cameras, pictures that exist, ids that are in range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras.cameras import Cameras, Intrinsics
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import Fields, finite, read_json
from halfseen.data.capture import MAX_VIEWS, Picture, PictureFile, Split
from halfseen.images import io

# A rotation block may miss orthonormality by this much (files with six decimals do); beyond it the pose is not a pose.
ROTATION_TOLERANCE = 1e-3
# Focal lengths outside this range of image sides are typing errors (0.1 is a 157 degree lens, 1000 a telescope).
FOCAL_RANGE = (0.1, 1000.0)
# COLMAP's guess for photos without EXIF, in longer sides.
DEFAULT_FOCAL = 1.2
MAX_COORDINATE = 1e12
# What the name of a photo's mask has in the place of its suffix.
MASK_BESIDE = ".mask.png"
SPLIT_FILES = "train_test_split_*.json"


def pose(matrix: Any, where: str) -> torch.Tensor:
    """Check a 4x4 or 3x4 rigid matrix given as nested lists or an array: finite, a rotation, last row 0 0 0 1."""
    try:
        array = np.array(matrix, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _bad_pose(where, "something that is not a matrix of numbers") from error
    if array.shape not in ((4, 4), (3, 4)):
        raise _bad_pose(where, f"an array of shape {array.shape}")
    if not np.isfinite(array).all() or np.abs(array).max() > MAX_COORDINATE:
        raise _bad_pose(where, "NaN, infinity or coordinates beyond 10^12")
    if array.shape == (4, 4) and np.abs(array[3] - [0, 0, 0, 1]).max() > ROTATION_TOLERANCE:
        raise _bad_pose(where, f"a last row {array[3].tolist()}")
    rotation = array[:3, :3]
    off = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if off > ROTATION_TOLERANCE:
        raise _bad_pose(where, f"a 3x3 block that is not a rotation (off by {off:.3g})")
    if np.linalg.det(rotation) < 0:
        raise _bad_pose(where, "a mirrored rotation (determinant -1)")
    out = torch.eye(4, dtype=torch.float64)
    out[:3] = torch.from_numpy(array[:3])
    return out


def camera(c2w: torch.Tensor, intrinsics: Intrinsics, size: tuple[int, int], where: str) -> Cameras:
    """One checked pinhole camera (OpenCV axes)."""
    longer = max(size)
    for name, focal in zip(("fx", "fy"), intrinsics, strict=False):
        if not math.isfinite(focal) or not FOCAL_RANGE[0] * longer <= focal <= FOCAL_RANGE[1] * longer:
            raise UserError(
                f"{where}: focal length {name} is not usable",
                got=f"{focal:g} px for a picture of {size[0]} x {size[1]}",
                accepted=f"{FOCAL_RANGE[0]:g} to {FOCAL_RANGE[1]:g} times the longer side",
                do="Correct the intrinsics.",
            )
    cx, cy = intrinsics[2:]
    if not (math.isfinite(cx) and math.isfinite(cy)) or max(abs(cx), abs(cy)) > FOCAL_RANGE[1] * longer:
        raise UserError(
            f"{where}: the principal point is not usable",
            got=f"({cx:g}, {cy:g})",
            accepted="pixels near the picture",
            do="Correct it.",
        )
    return cams.make(c2w, intrinsics, size)


def scaled_intrinsics(
    values: Intrinsics, stated: tuple[float, float], actual: tuple[int, int], where: str
) -> Intrinsics:
    """Intrinsics (fx fy cx cy) of a stated image size, for the size the picture really has. The aspect must agree."""
    if tuple(map(round, stated)) == actual:
        return values
    if min(stated) < 1:
        raise UserError(
            f"{where}: the image size is not usable", got=f"{stated}", accepted="positive pixels", do="Correct it."
        )
    sx, sy = actual[0] / stated[0], actual[1] / stated[1]
    # A downscaled side is rounded to whole pixels, so the two factors may differ by one pixel's worth.
    if abs(sx - sy) > 1.0 / min(actual) + 1.0 / min(stated):
        raise UserError(
            f"{where}: camera and picture disagree in size",
            got=f"a picture of {actual[0]} x {actual[1]}, intrinsics for {stated[0]:g} x {stated[1]:g}",
            accepted="the same aspect ratio",
            do="Use the pictures that the cameras were made for.",
        )
    fx, fy, cx, cy = values
    return fx * sx, fy * sy, cx * sx, cy * sy


def picture(path: Path) -> PictureFile:
    """A picture source, with its size read from the header."""
    return PictureFile(path, *io.probe(path))


def photos_in(folder: Path) -> list[Path]:
    """Picture files directly in a folder, sorted by name; hidden files are skipped, and PHOTO.mask.png beside a photo of that name."""
    found = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in io.PHOTO_SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    masks = {p.stem + MASK_BESIDE for p in found}
    return [p for p in found if p.name not in masks]


def check_count(count: int, where: str) -> None:
    """Refuse captures of no views or of absurdly many."""
    if not 1 <= count <= MAX_VIEWS:
        raise UserError(
            f"{where} lists an unusable number of views",
            got=str(count),
            accepted=f"1 to {MAX_VIEWS}",
            do="Keep the frames that matter.",
        )


def check_unique(names: Iterable[str], where: str) -> None:
    """Refuse two frames that name the same picture."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(
                f"{where} lists a frame twice",
                got=quote(name),
                accepted="each picture once",
                do="Remove the duplicate.",
            )
        seen.add(name)


def read_splits(folder: Path, present: Sequence[bool]) -> tuple[Split, ...]:
    """Split files of the seva / ReconFusion kind beside a capture: train_test_split_K.json.

    Their ids count all listed pictures, also those that are absent (`present` is False there); the result counts views.
    """
    splits = []
    for path in sorted(folder.glob(SPLIT_FILES)):
        fields = Fields.of(read_json(path), path.name)
        train, test = (_ids(fields, key, present) for key in ("train_ids", "test_ids"))
        if set(train) & set(test):
            got = f"{sorted(set(train) & set(test))[:8]} in both lists"
            raise UserError(
                f"{path.name} holds out what it trains on", got=got, accepted="two lists apart", do="Correct it."
            )
        splits.append(Split(path.stem, train, test))
    return tuple(splits)


def _ids(fields: Fields, key: str, present: Sequence[bool]) -> tuple[int, ...]:
    """Ids of one list, turned from numbers of listed pictures into numbers of views."""
    place = np.cumsum(present) - 1
    ids = []
    for value in fields.items(key):
        number = finite(value, f"{fields.where}: '{key}'")
        if number != int(number) or not 0 <= number < len(present) or not present[int(number)]:
            raise UserError(
                f"{fields.where}: '{key}' names a view that is not there",
                got=f"{number:g}",
                accepted=f"whole numbers from 0 to {len(present) - 1}, of pictures that exist",
                do="Correct the split file, or copy the missing pictures.",
            )
        ids.append(int(place[int(number)]))
    check_unique(map(str, ids), f"{fields.where}: '{key}'")
    return tuple(ids)


def check_aspect(part: tuple[int, int], image: Picture, where: str) -> None:
    """A mask or depth map must show the same frame as its picture, at any resolution."""
    sx, sy = part[0] / image.width, part[1] / image.height
    if abs(sx - sy) > 1.0 / min(image.width, image.height):
        got = f"{part[0]} x {part[1]} for a picture of {image.width} x {image.height}"
        raise UserError(
            f"{where} does not fit its picture", got=got, accepted="the same aspect ratio", do="Correct it."
        )


def _bad_pose(where: str, got: str) -> UserError:
    return UserError(
        f"{where}: the camera pose is not usable",
        got=got,
        accepted="a 4x4 camera-to-world matrix of a rotation and a position",
        do="Correct or remove this frame.",
    )
