"""How well photos are placed by what they share alone: real captures, whose own cameras are the truth and are not looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras import convert
from halfseen.cameras.rotations import angle_between
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import build, formats, photos
from halfseen.data.capture import Capture, View
from halfseen.poses import register

# Captures by the name of their folder, and of whom the poses are: those that came from COLMAP itself are counted apart.
OTHERS, COLMAPS = ("dtu_scan65", "co3d_apple", "redkitchen_rgbd", "fox"), ("banana", "llff_fern")
COUNTS = (2, 3, 4, 6, 10)
_APPLE, _CAMERAS = "co3d_apple", "gt_cameras.npz"


@dataclass(frozen=True)
class Row:
    """One drawing of photos."""

    set: str
    photos: int
    seed: int
    placed: int
    turn: float | None  # median over pairs of the error of the rotation between two photos, in degrees
    shift: float | None  # and of the direction from one to the other
    focal: float | None  # found, as a share of the true one
    sure: bool
    seconds: float


def rows(
    captures: Path, names: Sequence[str], counts: Sequence[int], seeds: int, told: Callable[[int, int, str], None]
) -> list[dict[str, Any]]:
    """All drawings of the captures that are at hand."""
    asked = list(_asked(captures, names, counts, seeds))
    out = []
    for done, (name, capture, count, seed) in enumerate(asked, 1):
        out.append(asdict(_row(name, capture, count, seed)))
        told(done, len(asked), f"{count} photos of {name}")
    return out


def _asked(
    captures: Path, names: Sequence[str], counts: Sequence[int], seeds: int
) -> Iterator[tuple[str, Capture, int, int]]:
    for name in names:
        if not (captures / name).is_dir():
            continue
        capture = read(captures / name)
        for count in counts:
            if count <= len(capture):
                yield from ((name, capture, count, seed) for seed in range(seeds))


def read(folder: Path) -> Capture:
    """The photos of a capture that have true cameras."""
    capture = _apple(folder) if folder.name == _APPLE else formats.read([folder])
    return capture.select([i for i, v in enumerate(capture.views) if v.camera is not None])


def _row(name: str, capture: Capture, count: int, seed: int) -> Row:
    chosen = torch.randperm(len(capture), generator=generator(seed, f"bench/poses/{name}"))[:count].tolist()
    true = capture.select(chosen)
    began = time.perf_counter()
    try:
        placed, report = register.posed(_bare(true), None, seed)
    except UserError:
        return Row(name, count, seed, 0, None, None, None, sure=False, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    turn, shift = errors(placed, true)
    known = fmean(float(v.camera.intrinsics[0, 0]) / max(v.camera.size()) for v in true.views if v.camera)
    return Row(name, count, seed, len(placed), turn, shift, report.focal / known, report.sure, seconds)


def _bare(capture: Capture) -> Capture:
    """The photos alone, with what their EXIF data say."""
    paths = [getattr(v.image, "path", None) for v in capture.views]
    if all(p is not None for p in paths):
        return photos.read_list([Path(p) for p in paths if p is not None], capture.folder)
    views = tuple(View(v.name, v.image) for v in capture.views)
    return replace(capture, views=views, points=None, splits=())


def errors(found: Capture, true: Capture) -> tuple[float, float]:
    """Medians over pairs of placed photos: the error of the rotation between them, and of the direction from one to the other, in degrees."""
    named = {Path(v.name).name: v.camera for v in true.views}
    a = found.cameras().c2w.double()
    b = torch.stack([_pose(named[Path(v.name).name]) for v in found.views])
    turns, shifts = [], []
    for i, j in combinations(range(len(a)), 2):
        one, two = (c[i].inverse() @ c[j] for c in (a, b))
        turns.append(float(torch.rad2deg(angle_between(one[:3, :3], two[:3, :3]))))
        shifts.append(_between(one[:3, 3], two[:3, 3]))
    return median(turns), median(shifts)


def _pose(camera: Any) -> Tensor:
    pose: Tensor = camera.c2w[0].double()
    return pose


def _between(a: Tensor, b: Tensor) -> float:
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
    return float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))


def table(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds: one line for each set and number of photos; errors are medians of those that were placed."""
    out = []
    for name, count in dict.fromkeys((r["set"], r["photos"]) for r in found):
        some = [r for r in found if (r["set"], r["photos"]) == (name, count)]
        done = [r for r in some if r["placed"]]
        line: dict[str, Any] = {"set": name, "photos": count, "placed": fmean(r["placed"] / count for r in some)}
        for key in ("turn", "shift", "focal"):
            line[key] = median(r[key] for r in done) if done else None
        out.append(
            line | {"sure": sum(r["sure"] for r in some), "of": len(some), "seconds": fmean(r["seconds"] for r in some)}
        )
    return out


def _apple(folder: Path) -> Capture:
    """Frames of a sequence of CO3D with their cameras as arrays: PyTorch3D's rotations and shifts, and focal lengths in half of the shorter
    side."""
    paths = build.photos_in(folder)
    with np.load(folder / _CAMERAS, allow_pickle=False) as archive:
        known = {k: archive[k] for k in ("gtR", "gtT", "gtFL")}
    capture = photos.read_list(paths, folder)
    sizes = torch.tensor([(v.image.width, v.image.height) for v in capture.views])
    rotation, shift, focal = (torch.from_numpy(known[k]).double() for k in ("gtR", "gtT", "gtFL"))
    cameras = convert.opencv_from_pytorch3d(
        rotation, shift, focal, torch.zeros(len(paths), 2).double(), sizes, "ndc_isotropic"
    )
    views = tuple(replace(v, camera=cameras[i]) for i, v in enumerate(capture.views))
    return replace(capture, views=views)
