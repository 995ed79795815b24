"""Writes a capture in CO3Dv2's layout: a root with one category of one sequence, which `co3d.read` takes as it takes downloads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.convert import NdcFormat
from halfseen.cameras.lens import PINHOLE, pinhole_for
from halfseen.common.files import write_bytes
from halfseen.common.jsonfile import write_json
from halfseen.data import co3d, emit, ply
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.data.load import relens
from halfseen.images import io

# The names that a capture of its own gets.
CATEGORY, SEQUENCE = "object", "sequence"
_NDC: NdcFormat = "ndc_isotropic"


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a root of one sequence; returns what was lost."""
    capture.cameras()
    records = write_sequence(capture, folder, CATEGORY, SEQUENCE)
    write_annotations(folder, CATEGORY, records)
    order = emit.order(emit.files(capture))
    splits = emit.write_splits(capture, folder / CATEGORY / SEQUENCE, {old: new for new, old in enumerate(order)})
    bent = any(v.lens.bends for v in capture.views)
    lost = [*splits, *(["pictures were resampled without lens distortion"] if bent else [])]
    if any(v.mask is None for v in capture.views):
        lost.append("views without masks got masks that are white everywhere")
    if any(v.depth is not None for v in capture.views):
        lost.append("depth was rounded to half floats")
    return lost + emit.losses(capture, ("poses", "masks", "depth", "points", "lens", "splits"))


def write_sequence(capture: Capture, root: Path, category: str, sequence: str) -> list[dict[str, Any]]:
    """Write the files of one sequence; returns the annotations of its frames."""
    stems, home = emit.stems(capture), root / category / sequence
    order = emit.order(emit.files(capture))
    if capture.points is not None:
        home.mkdir(parents=True, exist_ok=True)
        ply.write_points(home / co3d.POINTS, capture.points)
    records = []
    for number, i in enumerate(order):
        view = _pinhole(capture.views[i])
        records.append(_frame(view, root, f"{category}/{sequence}", stems[i], sequence, number))
    return records


def write_annotations(
    root: Path, category: str, frames: Sequence[dict[str, Any]], sets: dict[str, dict[str, list[Any]]] | None = None
) -> None:
    """Write the annotations of a category, and its set lists by the name of their subset."""
    names = sorted({f["sequence_name"] for f in frames})
    whole = [{"sequence_name": n, "category": category, "viewpoint_quality_score": None} for n in names]
    for name, records in ((co3d.FRAMES, list(frames)), (co3d.SEQUENCES, whole)):
        packed = gzip.compress(json.dumps(records, allow_nan=False).encode(), mtime=0)
        (root / category).mkdir(parents=True, exist_ok=True)
        write_bytes(root / category / name, packed)
    for subset, lists in (sets or {}).items():
        (root / category / co3d.SETS).mkdir(exist_ok=True)
        write_json(root / category / co3d.SETS / f"set_lists_{subset}.json", lists)


def entry(frame: dict[str, Any]) -> list[Any]:
    """A frame as set lists name it."""
    return [frame["sequence_name"], frame["frame_number"], frame["image"]["path"]]


def _frame(view: View, root: Path, home: str, stem: str, sequence: str, number: int) -> dict[str, Any]:
    assert view.camera is not None
    path, mask = f"{home}/{co3d.IMAGES}/{stem}{emit.suffix(view.image)}", f"{home}/{co3d.MASKS}/{stem}.png"
    emit.write_picture(view.image, root / path)
    shape = (view.image.height, view.image.width)
    emit.write_mask(PictureArray(torch.ones(shape)) if view.mask is None else view.mask, root / mask)
    mass = float(np.prod(shape)) if view.mask is None else float(view.mask.read_grey().sum())
    return {
        "sequence_name": sequence,
        "frame_number": number,
        "frame_timestamp": float(number),
        "image": {"path": path, "size": list(shape)},
        "depth": None if view.depth is None else _depth(view, root, home, stem),
        "mask": {"path": mask, "mass": mass},
        "viewpoint": _viewpoint(view.camera),
        "meta": {"frame_type": "captured" if view.origin == "captured" else "generated"},
    }


def _viewpoint(camera: Cameras) -> dict[str, Any]:
    r, t, focal, principal = (v[0].tolist() for v in convert.pytorch3d_from_opencv(camera.to(torch.float64), _NDC))
    return {"R": r, "T": t, "focal_length": focal, "principal_point": principal, "intrinsics_format": _NDC}


def _depth(view: View, root: Path, home: str, stem: str) -> dict[str, Any]:
    """Half floats in 16-bit words, scaled so that the farthest is one, and where they are known."""
    assert view.depth is not None
    values = view.depth.read()
    scale = float(values.max()) or 1.0
    path, known = f"{home}/{co3d.DEPTHS}/{stem}.png", f"{home}/{co3d.DEPTH_MASKS}/{stem}.png"
    for name in (path, known):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    io.write_depth16(root / path, (values / scale).astype(np.float16).view(np.uint16))
    io.write_png(root / known, torch.from_numpy(values > 0).float())
    return {"path": path, "scale_adjustment": scale, "mask_path": known}


def _pinhole(view: View) -> View:
    """The view as a pinhole sees it."""
    assert view.camera is not None
    if not view.lens.bends:
        return view
    return replace(relens(view, view.camera, pinhole_for(view.camera, view.lens)), lens=PINHOLE)
