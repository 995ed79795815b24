"""Cameras and masks for photos that have none: from a file, from what photos share, or assumed for a single photo of an object."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from halfseen.common.errors import UserError
from halfseen.common.files import new_folder
from halfseen.data import build
from halfseen.data.capture import ELSEWHERE, Capture
from halfseen.images import io, resize
from halfseen.methods.contract import Method
from halfseen.poses import foreground, given, one_photo, register
from halfseen.poses.register import Report

# The sheet of masks, the longer side of its photos, and how much of what is not the object is seen there.
_SHEET, _SHOWN, _DARK = "sheet.png", 256, 0.15


def with_cameras(
    capture: Capture, method: Method, fov: float | None, distance: float | None, poses: Path | None, seed: int
) -> Capture:
    """The capture with cameras. Of a single photo of an object what is missing is assumed, where the method can do with that; several photos
    without cameras are placed by what they share."""
    if poses is not None:
        if fov is not None or distance is not None:
            raise UserError(
                "--poses says how wide photos are and where they were taken",
                got="--poses with --fov or --distance",
                accepted="one of them",
                do="Leave the others out.",
            )
        return given.posed(capture, poses)
    # Where poses lie elsewhere, or are there for some photos, the user is to decide.
    bare = not any(v.camera for v in capture.views) and not any(n.startswith(ELSEWHERE) for n in capture.notes)
    if bare and len(capture) > 1 and distance is None:
        return register.posed(capture, fov, seed)[0]
    asked = fov is not None or distance is not None
    if asked or (not capture.posed and len(capture) == 1 and method.one_photo):
        capture = one_photo.posed(capture, fov, distance)
    capture.cameras()
    return capture


def pose(capture: Capture, fov: float | None = None, seed: int = 0) -> tuple[Capture, Report]:
    """Place the photos of a capture by what they share, whatever cameras it has; and what became of each."""
    return register.posed(capture, fov, seed)


def mask(capture: Capture, out: Path) -> tuple[str, ...]:
    """Write a mask of the object for every photo into a new folder, and a sheet of them all; by what they were cut out, in sentences."""
    found = foreground.masks(capture, range(len(capture)))
    rows = []
    with new_folder(out) as partial:
        for i, view in enumerate(capture.views):
            own, pixels = found[i][0], view.image.read()
            grey = pixels[..., 3] if own is None else own.read_grey()
            name = f"{PurePosixPath(view.name).stem}{build.MASK_BESIDE}"
            io.write_png(partial / name, grey[..., None].expand(-1, -1, 3))
            rows.append(_shown(pixels[..., :3], grey))
        wide = max(r.shape[1] for r in rows)
        padded = [torch.nn.functional.pad(r, (0, 0, 0, wide - r.shape[1])) for r in rows]
        io.write_png(partial / _SHEET, torch.cat(padded))
    return foreground.said(found)


def _shown(photo: Tensor, mask: Tensor) -> Tensor:
    """A photo beside itself with all but the object darkened."""
    width, height = resize.fit(photo.shape[1], photo.shape[0], _SHOWN)
    small = resize.resize(photo, width, height)
    cover = resize.resize(mask[..., None], width, height)
    return torch.cat([small, small * (_DARK + (1 - _DARK) * cover)], 1)
