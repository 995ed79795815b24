"""ShapeNet-SRN: `instance/{intrinsics.txt, rgb/*.png, pose/*.txt}`, one object a folder, white background, OpenCV camera-to-world.

    intrinsics.txt   f cx cy 0. / 0. 0. 0. / 1. / height width, and in old exports a fifth line: 1 for world-to-camera poses
    pose/*.txt       16 numbers on one line, or 4 lines of 4

Both releases of the cars are read (128 px with 50 views; 512 px with 250), as are folders of instances with an extra level
(`chairs_2.0_train`). A data set folder is listed by `instances`; one instance is a capture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from halfseen.cameras import convert
from halfseen.cameras.cameras import Intrinsics
from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_text
from halfseen.data import build, emit
from halfseen.data.capture import Capture, NotWhite, Picture, PictureArray, View
from halfseen.images import color

NAME = "srn"
INTRINSICS = "intrinsics.txt"
RGB, POSE = "rgb", "pose"
_POSE_NUMBERS = 16


def find(folder: Path) -> bool:
    """Whether this folder holds one instance."""
    return (folder / INTRINSICS).is_file() and (folder / POSE).is_dir() and (folder / RGB).is_dir()


def instances(folder: Path) -> list[Path]:
    """Folders of all instances below a data set folder, at any depth of two, sorted."""
    return sorted(
        p.parent for pattern in (f"*/{INTRINSICS}", f"*/*/{INTRINSICS}") for p in folder.glob(pattern) if find(p.parent)
    )


def read(folder: Path) -> Capture:
    """Read one instance."""
    intrinsics, stated, inverse = _read_intrinsics(folder / INTRINSICS)
    photos = build.photos_in(folder / RGB)
    build.check_count(len(photos), f"{folder.name}/{RGB}")
    views = []
    for path in photos:
        pose = folder / POSE / f"{path.stem}.txt"
        if not pose.is_file():
            raise UserError(
                f"{path.name} has no pose",
                got=f"no {POSE}/{pose.name}",
                accepted="one pose file for each picture",
                do="Copy the poses.",
            )
        picture = build.picture(path)
        size = (picture.width, picture.height)
        matrix = torch.from_numpy(_numbers(pose, _POSE_NUMBERS).reshape(1, 4, 4))
        c2w = build.pose(convert.opencv_from_srn(matrix, world_to_camera=inverse)[0].numpy(), f"{POSE}/{pose.name}")
        values = build.scaled_intrinsics(intrinsics, stated, size, INTRINSICS)
        views.append(
            View(
                f"{RGB}/{path.name}",
                picture,
                build.camera(c2w, values, size, pose.name),
                mask=NotWhite(picture.path, picture.width, picture.height),
            )
        )
    return Capture(
        tuple(views),
        NAME,
        folder,
        splits=build.read_splits(folder, [True] * len(views)),
        mask_role="object",
        background=color.WHITE,
        on_background=True,
    )


def _read_intrinsics(path: Path) -> tuple[Intrinsics, tuple[float, float], bool]:
    """((f, f, cx, cy), (width, height), whether poses are world-to-camera)."""
    try:
        lines = [line.split() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
        f, cx, cy = (float(v) for v in lines[0][:3])
        height, width = (float(v) for v in lines[3][:2])
        inverse = len(lines) > 4 and lines[4][:1] == ["1"]
    except OSError as error:
        raise from_os_error(error, path) from error
    except (ValueError, IndexError) as error:
        accepted = "f cx cy 0. / 0. 0. 0. / 1. / height width"
        raise UserError(
            f"{quote(path.name)} cannot be read", got=str(error), accepted=accepted, do="Write it again."
        ) from error
    if not (np.isfinite([f, cx, cy, height, width]).all() and min(height, width) >= 1):
        got = f"f={f:g}, size {width:g} x {height:g}"
        raise UserError(f"{quote(path.name)} is not usable", got=got, accepted="finite numbers", do="Correct it.")
    return (f, f, cx, cy), (width, height), inverse


def _numbers(path: Path, count: int) -> np.ndarray:
    try:
        return np.array(path.read_text("utf-8", "replace").split(), dtype=np.float64).reshape(count)
    except ValueError as error:
        raise UserError(
            f"{quote(path.name)} cannot be read", got=str(error), accepted=f"{count} numbers", do="Write it again."
        ) from error


def _on_white(view: View, capture: Capture) -> Picture:
    """The picture with what the mask leaves out made white; one that shows white there already is passed on."""
    mask = view.mask
    white_already = capture.on_background and capture.background == color.WHITE
    if mask is None or isinstance(mask, NotWhite) or white_already:
        return view.image
    alpha = mask.read_grey()
    return PictureArray(color.over(view.image.read()[..., :3], alpha, color.WHITE))


def write(capture: Capture, folder: Path) -> list[str]:
    """Write one instance; returns what was lost. Pictures are put over white and shown by one square pinhole camera."""
    flat, changed = emit.shared_pinhole(capture, centre=False, square=True)
    cameras = flat.cameras()
    order = emit.order(emit.files(flat))
    for new, i in enumerate(order):
        emit.write_picture(_on_white(flat.views[i], flat), folder / RGB / f"{new:06d}.png")
        text = " ".join(repr(float(v)) for v in cameras.c2w[i].reshape(-1))
        write_text(folder / POSE / f"{new:06d}.txt", text + "\n")
    fx, _, cx, cy = cameras.intrinsics[0].tolist()
    width, height = cameras.size(0)
    write_text(folder / INTRINSICS, f"{fx!r} {cx!r} {cy!r} 0.\n0. 0. 0.\n1.\n{height} {width}\n")
    lost = emit.write_splits(capture, folder, {old: new for new, old in enumerate(order)})
    return (
        lost
        + emit.losses(capture, ("poses", "masks", "lens", "names", "splits"))
        + changed
        + ["file names were replaced by numbers"]
    )
