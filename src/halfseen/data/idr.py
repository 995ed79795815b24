"""Captures of IDR, NeuS and DVR: `image/`, `mask/` and an archive `cameras*.npz` with, for each view i,

    world_mat_i    4x4, padded K [R | t]: world to pixels
    scale_mat_i    4x4: the unit sphere around the object to the world (millimetres on DTU)

P_i = (world_mat_i @ scale_mat_i)[:3], so that the capture lies in the frame of the unit sphere; `to_world` leads out of it.
DTU's scans are known by their pictures' size and their number of cameras, and state that data set's splits.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError, quote
from halfseen.data import build, dtu, emit, projections, protocols
from halfseen.data.capture import Capture, View

NAME = "idr"
# The archive that is read when a folder holds several: NeuS's, then IDR's; others by name.
ARCHIVES = ("cameras_sphere.npz", "cameras.npz")
IMAGE_FOLDERS = ("image", "images")
MASKS = "mask"
_WORLD, _SCALE = "world_mat_", "scale_mat_"
_MEMBER = re.compile(rf"{_WORLD}(\d{{1,6}})")
# A 4x4 matrix of float64 takes 256 bytes with its header; a larger member is something else.
_MAX_MEMBER = 4096
# Scale matrices of one archive agree to this, and are a scale and a shift to this (relative).
_SAME = 1e-5
# DTU's scans have this many cameras.
DTU_COUNTS = (49, 64)


def find(folder: Path) -> bool:
    """Whether this folder holds the format."""
    return bool(_archives(folder)) and any((folder / n).is_dir() for n in IMAGE_FOLDERS)


def read(folder: Path) -> Capture:
    """Read a capture, in the frame of its unit sphere."""
    archives = _archives(folder)
    world, scale = _read_archive(archives[0])
    images = next(folder / n for n in IMAGE_FOLDERS if (folder / n).is_dir())
    photos = build.photos_in(images)
    build.check_count(len(photos), images.name)
    numbers = projections.numbers_of(photos, world, archives[0].name)
    pictures = [build.picture(p) for p in photos]
    masks = projections.masks_of(folder / MASKS, numbers, pictures)
    views = []
    for number, picture, mask in zip(numbers, pictures, masks, strict=True):
        where = f"{archives[0].name}: view {number}"
        camera = projections.camera((world[number] @ scale)[:3], (picture.width, picture.height), where)
        views.append(View(f"{images.name}/{picture.path.name}", picture, camera, mask=mask))
    judged = any(m is not None for m in masks)
    of_dtu = len(world) in DTU_COUNTS and all((p.width, p.height) == dtu.FULL_SIZE for p in pictures)
    stated = protocols.dtu_splits(numbers) if of_dtu else ()
    notes = [projections.EVALUATION_NOTE] if judged else []
    if len(archives) > 1:
        notes.append(f"{archives[0].name} was read, of {', '.join(p.name for p in archives)}")
    return Capture(
        tuple(views),
        NAME,
        folder,
        splits=build.read_splits(folder, [True] * len(views)) + stated,
        mask_role="evaluation" if judged else None,
        notes=tuple(notes),
    )


def to_world(folder: Path) -> Similarity:
    """From the capture's frame to the world of the archive (millimetres on DTU)."""
    archives = _archives(folder)
    if not archives:
        raise UserError(
            f"{quote(folder.name)} holds no archive of cameras",
            got="no cameras*.npz",
            accepted="a folder of IDR, NeuS or DVR",
            do="Check the path.",
        )
    scale = torch.from_numpy(_read_archive(archives[0])[1])
    return Similarity(float(scale[0, 0]), torch.eye(3, dtype=torch.float64), scale[:3, 3].clone())


def write(capture: Capture, folder: Path) -> list[str]:
    """Write a capture; returns what was lost. Pictures get numbers for names; the world is the capture's own frame."""
    flat, changed = projections.straight(capture)
    matrices = projections.matrices(flat.cameras())
    order = emit.order(emit.files(flat))
    arrays = {}
    for new, i in enumerate(order):
        view = flat.views[i]
        emit.write_picture(view.image, folder / IMAGE_FOLDERS[0] / f"{new:06d}{emit.suffix(view.image)}")
        if view.mask is not None:
            emit.write_mask(view.mask, folder / MASKS / f"{new:03d}.png")
        arrays[f"{_WORLD}{new}"] = np.concatenate([matrices[i], np.eye(4)[3:]])
        arrays[f"{_SCALE}{new}"] = np.eye(4)
    np.savez(folder / ARCHIVES[1], allow_pickle=False, **arrays)
    lost = emit.write_splits(capture, folder, {old: new for new, old in enumerate(order)})
    return lost + projections.losses(capture) + changed


def _archives(folder: Path) -> list[Path]:
    """Archives of cameras, the preferred one first."""
    rank = {name: i for i, name in enumerate(ARCHIVES)}
    return sorted(folder.glob("cameras*.npz"), key=lambda p: (rank.get(p.name, len(rank)), p.name))


def _read_archive(path: Path) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """({number: world matrix [4, 4]}, the scale matrix [4, 4] that all views share)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = {m.group(0): int(m.group(1)) for n in archive.files if (m := _MEMBER.fullmatch(n))}
            build.check_count(len(names), path.name)
            world = {number: _matrix(archive, name) for name, number in names.items()}
            scales = [_matrix(archive, f"{_SCALE}{number}") for number in world]
    except UserError:
        raise
    except Exception as error:
        raise _bad(path, str(error)[:200] or "a broken file") from error
    if any(np.abs(s - scales[0]).max() > _SAME * np.abs(scales[0]).max() for s in scales):
        raise _bad(path, "scale matrices that differ from view to view")
    _check_scale(scales[0], path)
    return world, scales[0]


def _matrix(archive: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """One 4x4 matrix, refused by its size before it is read."""
    if name not in archive.files:
        raise ValueError(f"no {name}")
    if archive.zip is None or archive.zip.getinfo(f"{name}.npy").file_size > _MAX_MEMBER:
        raise ValueError(f"{name} is too large")
    array = archive[name]
    if array.shape != (4, 4) or array.dtype.kind not in "fiu":
        raise ValueError(f"{name} of shape {array.shape} and type {array.dtype}")
    out = array.astype(np.float64)
    if not np.isfinite(out).all():
        raise ValueError(f"{name} with NaN or infinity")
    return out


def _check_scale(scale: np.ndarray, path: Path) -> None:
    """A scale matrix is one positive scale and a shift."""
    plain = np.eye(4) * scale[0, 0]
    plain[3, 3], plain[:3, 3] = 1, scale[:3, 3]
    if not scale[0, 0] > 0 or np.abs(scale - plain).max() > _SAME * scale[0, 0]:
        raise _bad(path, "a scale matrix that is not one scale and a shift")


def _bad(path: Path, got: str) -> UserError:
    return UserError(
        f"{quote(path.name)} cannot be read",
        got=got,
        accepted=f"an archive of 4x4 matrices {_WORLD}i and {_SCALE}i",
        do="Write it again.",
    )
