"""CO3Dv2 (Reizenstein et al. 2021), one sequence: photos all around one object, as it is downloaded.

    ROOT/CATEGORY/frame_annotations.jgz       one gzipped JSON list: pictures, masks, depth maps and PyTorch3D cameras of all sequences
    ROOT/CATEGORY/SEQUENCE/{images,masks,depths,depth_masks}/, pointcloud.ply
    ROOT/CATEGORY/set_lists/set_lists_SUBSET.json    {train, val, test: [[sequence, frame_number, image path], ...]}

Paths in these files are relative to ROOT. Masks are probabilities; depth maps are half floats in 16-bit words. A sequence folder is a
capture; of a category, or of a root with one category, the first sequence is read.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.cameras.convert import NdcFormat
from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.common.jsonfile import Fields, read_json
from halfseen.data import build, ply
from halfseen.data.capture import Capture, Depth, View
from halfseen.images import color, io

NAME = "co3d"
FRAMES, SEQUENCES, SETS = "frame_annotations.jgz", "sequence_annotations.jgz", "set_lists"
IMAGES, MASKS, DEPTHS, DEPTH_MASKS, POINTS = "images", "masks", "depths", "depth_masks", "pointcloud.ply"
# The ten categories that few-view methods are compared on.
TEN = ("donut", "apple", "hydrant", "vase", "cake", "ball", "bench", "suitcase", "teddybear", "plant")
# Sequences that SparseFusion leaves out.
LEFT_OUT = ("411_55952_107659", "376_42884_85882")
# A mask with no more than this (in pixels) shows nothing.
_LEAST_MASS = 1.0
_BOUNDS: NdcFormat = "ndc_norm_image_bounds"
# Of a category's annotations, unpacked: the largest has about a gigabyte.
_MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Category:
    """The frames of a category by sequence, in the order of the file."""

    folder: Path
    frames: dict[str, list[dict[str, Any]]]


def find(folder: Path) -> bool:
    """Whether this is a sequence, a category, or a root of categories."""
    return _category(folder) is not None


def read(folder: Path) -> Capture:
    """Read a sequence, or the first one of a category."""
    category = _category(folder)
    assert category is not None
    found = annotated(category)
    if folder.resolve().parent == category.resolve():
        return read_sequence(found, folder.name)
    names = sequences(found)
    build.check_count(len(names), f"{category.name}: sequences that can be used")
    first = read_sequence(found, names[0])
    others = len(names) - 1
    return first.noted(f"there are {others} other sequences; {names[0]} was read") if others else first


def sequences(category: Category) -> list[str]:
    """Names of the sequences that can be used, sorted."""
    return sorted(name for name in category.frames if name not in LEFT_OUT)


def read_sequence(category: Category, name: str) -> Capture:
    """One sequence. Frames whose mask shows nothing are left out, and said."""
    if name not in category.frames:
        raise UserError(
            f"sequence {quote(name)} is not annotated",
            got=f"{len(category.frames)} sequences in {FRAMES}",
            accepted=", ".join(sorted(category.frames)[:3]),
            do="Name one of these.",
        )
    listed = category.frames[name]
    usable = [f for f in listed if _shows(f)]
    build.check_count(len(usable), f"{FRAMES}: {name}")
    views = tuple(_view(category.folder.parent, frame) for frame in usable)
    build.check_unique((v.name for v in views), FRAMES)
    folder = category.folder / name
    points = ply.read_points(folder / POINTS) if (folder / POINTS).is_file() else None
    splits = build.read_splits(folder, [_shows(f) for f in listed])
    capture = Capture(views, NAME, folder, points, splits, mask_role="object", background=color.BLACK)
    empty = len(listed) - len(usable)
    return capture.noted(f"{empty} frames whose mask shows nothing were left out") if empty else capture


def set_list(category: Path, subset: str) -> dict[str, list[tuple[str, int, str]]]:
    """(sequence, frame number, image path) of each set of a subset, such as fewview_dev."""
    path = category / SETS / f"set_lists_{subset}.json"
    fields = Fields.of(read_json(path), path.name)
    return {key: [_entry(item, path.name) for item in fields.items(key)] for key in fields.values}


def annotated(folder: Path) -> Category:
    """The annotations of a category folder; they are kept while the file stays as it is."""
    file = folder / FRAMES
    state = file.stat() if file.is_file() else None
    return _annotated(folder, None if state is None else (state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(4)
def _annotated(folder: Path, state: tuple[int, int, int] | None) -> Category:
    del state
    frames: dict[str, list[dict[str, Any]]] = {}
    for number, item in enumerate(unpacked(folder / FRAMES)):
        fields = Fields.of(item, f"{FRAMES}: frame {number}")
        frames.setdefault(fields.text("sequence_name"), []).append(fields.values)
    return Category(folder, frames)


def unpacked(path: Path) -> list[Any]:
    """A gzipped JSON list, of bounded size."""
    try:
        with gzip.open(path) as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        found = json.loads(text)
        if not isinstance(found, list):
            raise TypeError(f"a {type(found).__name__}")
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{quote(path.name)} cannot be read",
            got=str(error)[:200],
            accepted="a gzipped JSON list of records",
            do="Copy it again.",
        ) from error
    return found


def _category(folder: Path) -> Path | None:
    """The folder with the annotations: this one, the one above a sequence, or the only one inside."""
    if (folder / FRAMES).is_file():
        return folder
    if (folder / IMAGES).is_dir() and (folder.resolve().parent / FRAMES).is_file():
        return folder.resolve().parent
    within = sorted(p.parent for p in folder.glob(f"*/{FRAMES}"))
    return within[0] if len(within) == 1 else None


def _shows(frame: dict[str, Any]) -> bool:
    mask = frame.get("mask")
    if not isinstance(mask, dict):
        return False
    mass = mask.get("mass")
    return mass is None or float(mass) > _LEAST_MASS


def _view(root: Path, frame: dict[str, Any]) -> View:
    name = Fields.of(frame.get("image"), f"{FRAMES}: image").text("path")
    where = f"{FRAMES}: {name}"
    picture = build.picture(inside(root, name, what=f"{where}: 'path'"))
    mask = build.picture(inside(root, Fields.of(frame["mask"], where).text("path"), what=f"{where}: mask"))
    build.check_aspect((mask.width, mask.height), picture, mask.path.name)
    camera = _camera(frame, (picture.width, picture.height), where)
    return View(name, picture, camera, mask=mask, depth=_depth(root, frame, where))


def _camera(frame: dict[str, Any], size: tuple[int, int], where: str) -> Any:
    """The camera of a frame, for the size that its picture has."""
    fields = Fields.of(frame.get("viewpoint"), f"{where}: viewpoint")
    form = fields.text("intrinsics_format", _BOUNDS)
    if form not in get_args(NdcFormat):
        raise UserError(
            f"{where}: 'intrinsics_format' is not known",
            got=quote(form),
            accepted=", ".join(get_args(NdcFormat)),
            do="Copy it again.",
        )
    height, width = _numbers(Fields.of(frame["image"], where), "size", 2)
    r, t = _numbers(fields, "R", 9).reshape(1, 3, 3), _numbers(fields, "T", 3)[None]
    focal, principal = (_numbers(fields, key, 2)[None] for key in ("focal_length", "principal_point"))
    stated = torch.tensor([[int(width), int(height)]])
    parts = [torch.from_numpy(v) for v in (r, t, focal, principal)]
    found = convert.opencv_from_pytorch3d(
        parts[0], parts[1], parts[2], parts[3], stated, "ndc_isotropic" if form == "ndc_isotropic" else _BOUNDS
    )
    fx, fy, cx, cy = found.intrinsics[0].tolist()
    values = build.scaled_intrinsics((fx, fy, cx, cy), (width, height), size, where)
    return build.camera(build.pose(found.c2w[0].numpy(), where), values, size, where)


def _depth(root: Path, frame: dict[str, Any], where: str) -> Depth | None:
    """The depth map, where one is there: half floats, known where its own mask is white."""
    stated = frame.get("depth")
    if not isinstance(stated, dict):
        return None
    fields = Fields.of(stated, f"{where}: depth")
    path = inside(root, fields.text("path"), what=f"{where}: depth")
    if not path.is_file():
        return None
    known = inside(root, fields.text("mask_path"), what=f"{where}: depth mask") if "mask_path" in fields else None
    width, height = io.probe_depth(path)
    unit = fields.number("scale_adjustment", 1.0)
    return Depth(path, width, height, unit, halves=True, known=known if known and known.is_file() else None)


def _numbers(fields: Fields, key: str, count: int) -> np.ndarray:
    try:
        numbers = np.array(fields.items(key), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        got = f"{len(numbers)} numbers" if len(numbers) else "something else"
        raise UserError(
            f"{fields.where}: '{key}' is not usable", got=got, accepted=f"{count} finite numbers", do="Copy it again."
        )
    return numbers


def _entry(item: Any, where: str) -> tuple[str, int, str]:
    if not (isinstance(item, list) and len(item) == 3 and isinstance(item[0], str) and isinstance(item[2], str)):
        raise UserError(
            f"{where}: an entry is not usable",
            got=quote(str(item)),
            accepted="[sequence, frame number, image path]",
            do="Copy it again.",
        )
    return item[0], int(item[1]), item[2]
