"""DTU as its own server lays it out, for the few-view protocol of pixelNeRF and RegNeRF. One folder of pictures is a capture:

    Rectified/images/scanN/rect_001_3_r5000.png     view 1, light 3, 1600 x 1200 (r7000 from view 50 on)
    Calibration/cal18/pos_001.txt                   3x4 projection matrix, millimetres to pixels
    submission_data/idrmasks/scanN/000.png          object masks by view - 1, for some scans in mask/ below

Calibration and masks are looked for in the folder and in those above it. Masks are for evaluation only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_text
from halfseen.data import build, emit, projections, protocols
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.images import resize

NAME = "dtu"
CALIBRATION, MASKS = "Calibration/cal18", "submission_data/idrmasks"
# Scans whose masks lie one folder deeper have this one.
DEEPER = "mask"
# The protocol's light; other lights of a scan lie in the same folder.
LIGHT = 3
_PICTURE = re.compile(rf"rect_(\d{{3,6}})_{LIGHT}_r[57]000\.png")
_GLOB = f"rect_*_{LIGHT}_r*.png"
# The protocol shows full pictures at a quarter of their size, 400 x 300.
FULL_SIZE, SHRINK = (1600, 1200), 4
# From scanN up to the folder of the data set: images/, Rectified/, its root, and one to spare.
_UP = 4
# A calibration file holds 12 numbers.
_MAX_TEXT = 10_000
# Views of a scan that has more than 49 have their exposure in the name.
_LATE, _LATE_SUFFIX, _SUFFIX = 50, "r7000", "r5000"


def find(folder: Path) -> bool:
    """Whether this folder holds the pictures of one scan."""
    return any(_PICTURE.fullmatch(p.name) for p in folder.glob(_GLOB))


def read(folder: Path) -> Capture:
    """Read one scan (millimetres, DTU's world)."""
    photos = {int(m.group(1)): p for p in sorted(folder.glob(_GLOB), reverse=True) if (m := _PICTURE.fullmatch(p.name))}
    build.check_count(len(photos), folder.name)
    ones = sorted(photos)
    pictures = [build.picture(photos[i]) for i in ones]
    calibration = _above(folder, CALIBRATION)
    if calibration is None:
        raise UserError(
            f"the cameras of {quote(folder.name)} are missing",
            got=f"no {CALIBRATION} in the folder or above it",
            accepted="DTU's calibration files beside Rectified/",
            do="Copy them there.",
        )
    masks = projections.masks_of(_mask_folder(folder), [i - 1 for i in ones], pictures)
    views = []
    for i, picture, mask in zip(ones, pictures, masks, strict=True):
        path = calibration / f"pos_{i:03d}.txt"
        camera = projections.camera(_projection(path), (picture.width, picture.height), path.name)
        views.append(View(picture.path.name, picture, camera, mask=mask))
    judged = any(m is not None for m in masks)
    splits = build.read_splits(folder, [True] * len(views)) + protocols.dtu_splits([i - 1 for i in ones])
    return Capture(
        tuple(views),
        NAME,
        folder,
        splits=splits,
        mask_role="evaluation" if judged else None,
        units="millimetres",
        notes=(projections.EVALUATION_NOTE,) if judged else (),
    )


def at_protocol_size(capture: Capture) -> Capture:
    """Views as the protocol measures them: means of 4 x 4 pixels, masks by the first pixel of each (OpenCV's nearest)."""
    return replace(capture, views=tuple(map(_shrunk, capture.views)))


def _shrunk(view: View) -> View:
    size = (view.image.width, view.image.height)
    if size != FULL_SIZE or view.camera is None or view.lens.bends:
        raise UserError(
            f"view {quote(view.name)} is no full picture of DTU",
            got=f"{size[0]} x {size[1]}",
            accepted=f"posed pictures of {FULL_SIZE[0]} x {FULL_SIZE[1]} without distortion",
            do="Use the rectified pictures as they are, or another protocol.",
        )
    mask = None if view.mask is None else PictureArray(view.mask.read_grey()[::SHRINK, ::SHRINK].contiguous())
    image = PictureArray(resize.shrink(view.image.read()[..., :3], SHRINK))
    return replace(view, image=image, mask=mask, camera=view.camera.resized(image.width, image.height))


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a capture as one scan, with calibration and masks in the folder itself; returns what was lost."""
    flat, changed = projections.straight(capture)
    matrices = projections.matrices(flat.cameras())
    order = emit.order(emit.files(flat))
    for new, i in enumerate(order, 1):
        exposure = _LATE_SUFFIX if new >= _LATE else _SUFFIX
        emit.write_picture(flat.views[i].image, folder / f"rect_{new:03d}_{LIGHT}_{exposure}.png")
        rows = (" ".join(repr(float(v)) for v in row) for row in matrices[i])
        write_text(folder / CALIBRATION / f"pos_{new:03d}.txt", "\n".join(rows) + "\n")
        mask = flat.views[i].mask
        if mask is not None:
            emit.write_mask(mask, folder / MASKS / f"{new - 1:03d}.png")
    lost = emit.write_splits(capture, folder, {old: new for new, old in enumerate(order)})
    units = [f"the unit {capture.units} is lost"] if capture.units not in ("unknown", "millimetres") else []
    return lost + projections.losses(capture) + changed + units


def _mask_folder(folder: Path) -> Path:
    """Where the scan's masks lie, if anywhere; our writer puts them right into the folder, which may be renamed later."""
    masks = _above(folder, f"{MASKS}/{folder.resolve().name}")
    if masks is None:
        return folder / MASKS
    return masks / DEEPER if (masks / DEEPER).is_dir() else masks


def _above(folder: Path, name: str) -> Path | None:
    """A folder of this name inside `folder` or one of those above it."""
    start = folder.resolve()
    return next((p / name for p in (start, *start.parents[:_UP]) if (p / name).is_dir()), None)


def _projection(path: Path) -> np.ndarray:
    """A 3x4 matrix as text."""
    try:
        with path.open(encoding="utf-8", errors="replace") as f:
            words = f.read(_MAX_TEXT).split()
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        return np.array([float(w) for w in words], dtype=np.float64).reshape(3, 4)
    except ValueError as error:
        raise UserError(
            f"{quote(path.name)} cannot be read", got=str(error)[:200], accepted="3x4 numbers", do="Write it again."
        ) from error
