"""What writers share: pictures copied byte for byte where possible, names that are safe and unique, views made pinhole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras.cameras import Cameras, concat
from halfseen.cameras.lens import pinhole_for
from halfseen.common.jsonfile import write_json
from halfseen.data.capture import Capture, Picture, PictureFile
from halfseen.data.load import relens
from halfseen.images import io

# Suffixes that other tools read without further libraries; anything else is rewritten as PNG.
_COMMON_SUFFIXES = (".jpg", ".jpeg", ".png")
# Cameras closer than this (relative, in pixels) count as equal when a format stores only one.
_SAME = 1e-9
_SPLIT = "train_test_split_"


def stems(capture: Capture) -> list[str]:
    """One file stem for each view: the view's own file name when that is unique, else numbered."""
    safe = [_safe(v.name) for v in capture.views]
    return safe if len(set(safe)) == len(safe) else [f"{i:05d}" for i in range(len(safe))]


def _safe(name: str) -> str:
    stem = PurePosixPath(name).stem.lstrip(".") or "view"
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)


def files(capture: Capture) -> list[str]:
    """File names of all pictures."""
    return [stem + suffix(v.image) for stem, v in zip(stems(capture), capture.views, strict=True)]


def order(names: list[str]) -> list[int]:
    """The order in which readers that sort by file name will find these files. Every writer numbers its rows by it."""
    return sorted(range(len(names)), key=lambda i: names[i])


def write_splits(capture: Capture, folder: Path, rank: dict[int, int]) -> list[str]:
    """Write seva's split files with new view numbers; returns what was lost."""
    lost, used = [], set()
    for split in capture.splits:
        name = split.name if split.name.startswith(_SPLIT) else f"{_SPLIT}{len(split.train)}"
        if name in used:
            lost.append(f"split {split.name} is lost: another one has as many inputs")
            continue
        used.add(name)
        ids = {"train_ids": [rank[i] for i in split.train], "test_ids": [rank[i] for i in split.test]}
        write_json(folder / f"{name}.json", ids)
    return lost


def suffix(picture: Picture) -> str:
    """The suffix that `write_picture` will use."""
    own = picture.path.suffix if isinstance(picture, PictureFile) else ".png"
    return own if own.lower() in _COMMON_SUFFIXES else ".png"


def write_picture(picture: Picture, path: Path) -> None:
    """Copy the file when the suffix stays, else decode and write PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, PictureFile) and picture.path.suffix.lower() == path.suffix.lower():
        io.verify(picture.path)  # a broken file must not be passed on as if it were whole
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


def square_pixels(cameras: Cameras) -> bool:
    """Whether horizontal and vertical focal lengths agree in all views."""
    fx, fy = cameras.intrinsics[:, 0], cameras.intrinsics[:, 1]
    return bool((fx - fy).abs().max() <= _SAME * fx.abs().max())


def centred(cameras: Cameras) -> bool:
    """Whether all views have square pixels and the principal point in the middle."""
    fx, fy, cx, cy = cameras.intrinsics.unbind(-1)
    off = torch.stack([fx - fy, cx - cameras.sizes[:, 0] / 2, cy - cameras.sizes[:, 1] / 2])
    return bool(off.abs().max() <= _SAME * cameras.intrinsics.abs().max())


def shared_pinhole(capture: Capture, *, centre: bool, square: bool = False) -> tuple[Capture, list[str]]:
    """The capture resampled so that one pinhole camera serves all views, and what that changed.

    Used by formats that store a single camera. With `square`, pixels are square; with `centre`, the principal point is also the middle. The
    camera sees only what every photo shows, so no unknown pixels arise. Views that fit already are left as they are.
    """
    cameras = capture.cameras()
    bent = any(v.lens.bends for v in capture.views)
    fits = same_cameras(cameras) and (not centre or centred(cameras)) and (not square or square_pixels(cameras))
    if not bent and fits:
        return capture, []
    flat = concat([pinhole_for(cameras[i], v.lens) for i, v in enumerate(capture.views)])
    target = _common_camera(flat, centre, square)
    views = tuple(
        relens(v, cameras[i], replace(target, c2w=cameras.c2w[i : i + 1])) for i, v in enumerate(capture.views)
    )
    why = "lens distortion" if bent else "differing or off-centre intrinsics"
    width, height = target.size()
    sentence = f"pictures were resampled to one pinhole camera and cut to {width}x{height}, because the format has no room for {why}"
    return replace(capture, views=views), [sentence]


def _common_camera(cameras: Cameras, centre: bool, square: bool) -> Cameras:
    """One camera that sees what all of these see (same axes each): the smallest opening to each of the four sides."""
    focal, principal = cameras.intrinsics[:, :2], cameras.intrinsics[:, 2:]
    near = (principal / focal).amin(0)  # left, top
    far = ((cameras.sizes - principal) / focal).amin(0)  # right, bottom
    if centre:
        near = far = torch.minimum(near, far)
    f = focal.median(0).values
    f = f.max().expand(2) if centre or square else f
    size = torch.floor((near + far) * f + _SAME).clamp_min(1)
    middle = size / 2 if centre else near * f
    intrinsics = torch.cat([f, middle])
    return cams.make(cameras.c2w[:1], intrinsics, (int(size[0]), int(size[1])))


WORDS = {"depth": "depth maps", "lens": "lens coefficients", "bounds": "near and far depths"}


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
    lost = [
        f"{WORDS.get(n, n)} are lost: the format has no place for them"
        for n, there in has.items()
        if there and n not in keeps
    ]
    lost += [f"{what} are lost" for what in capture.unkept]
    if "names" not in keeps and [PurePosixPath(v.name).stem for v in capture.views] != stems(capture):
        lost.append("file names were replaced, because they are not unique or not plain")
    return lost
