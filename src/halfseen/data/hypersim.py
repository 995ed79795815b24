"""Hypersim (Roberts et al. 2021) as it is downloaded: rendered rooms with depth, for the training of patch priors. 1024 x 768 frames:

    metadata_images_split_scene_v1.csv                                             which frames are released, and their partition
    ai_XXX_YYY/images/scene_cam_XX_final_preview/frame.NNNN.tonemap.jpg            colours, tone-mapped
    ai_XXX_YYY/images/scene_cam_XX_geometry_hdf5/frame.NNNN.depth_meters.hdf5      distance to the camera's centre, metres

A frame is read at a quarter of its size: colours as means of 4 x 4 pixels, z-depth from one pixel of each block. HDF5 needs `h5py`.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras.rays import pixel_centres
from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.images import io, resize

Partition = Literal["train", "val", "test"]
TABLE = "metadata_images_split_scene_v1.csv"
# One camera took all frames: 60 degrees wide, with its principal point in the middle.
FOCAL, SIZE = 886.81, (1024, 768)
SHRINK = 4
# The pixel of a block whose depth stands for it: as near to the middle as there is one.
_PICK = SHRINK // 2
_COLUMNS = ("scene_name", "camera_name", "frame_id", "included_in_public_release", "split_partition_name")
_SCENE, _CAMERA = re.compile(r"ai_\d{3}_\d{3}"), re.compile(r"cam_\d{2}")
_KEY = "dataset"


@dataclass(frozen=True)
class Listed:
    """One frame of the official table."""

    scene: str
    camera: str
    frame: int

    def colours(self, folder: Path) -> Path:
        images = folder / self.scene / "images"
        return images / f"scene_{self.camera}_final_preview" / f"frame.{self.frame:04d}.tonemap.jpg"

    def distances(self, folder: Path) -> Path:
        images = folder / self.scene / "images"
        return images / f"scene_{self.camera}_geometry_hdf5" / f"frame.{self.frame:04d}.depth_meters.hdf5"


@dataclass(frozen=True)
class Shot:
    """One frame at a quarter of its size: 256 x 192."""

    rgb: Tensor  # [H, W, 3] float32 sRGB in [0, 1]
    depth: Tensor  # [H, W] float32 z-depth in metres, 0 where it is not known
    valid: Tensor  # [H, W] bool


def frames(folder: Path, partition: Partition) -> tuple[Listed, ...]:
    """Released frames of a partition that are on disk, in the order of the official table."""
    try:
        with (folder / TABLE).open(newline="", encoding="utf-8-sig", errors="replace") as f:
            rows = [*csv.DictReader(f)]
    except OSError as error:
        raise from_os_error(error, folder / TABLE) from error
    except csv.Error as error:
        raise _bad_table(str(error)) from error
    if not rows or any(c not in rows[0] for c in _COLUMNS):
        raise _bad_table("a table without these columns")
    wanted = [r for r in rows if r["included_in_public_release"] == "True" and r["split_partition_name"] == partition]
    here = tuple(f for f in map(_listed, wanted) if f.colours(folder).is_file() and f.distances(folder).is_file())
    if not here:
        raise UserError(
            f"{quote(str(folder))} holds no frames of Hypersim",
            got=f"none of the {len(wanted)} frames of partition {partition}",
            accepted="ai_XXX_YYY/images with previews (.tonemap.jpg) and geometry (.depth_meters.hdf5)",
            do="Download some scenes of that partition.",
        )
    return here


def read(folder: Path, frame: Listed) -> Shot:
    """Read one frame."""
    pixels = io.read(frame.colours(folder))[..., :3]
    if (pixels.shape[1], pixels.shape[0]) != SIZE:
        raise _bad_frame(frame.colours(folder), f"{pixels.shape[1]} x {pixels.shape[0]} pixels")
    picked = z_depth(_distances(frame.distances(folder)))[_PICK::SHRINK, _PICK::SHRINK]
    return Shot(resize.shrink(pixels, SHRINK), picked, picked > 0)


def z_depth(distances: Tensor) -> Tensor:
    """z-depth [H, W] of distances to the camera's centre; what is not a finite positive number becomes 0."""
    height, width = distances.shape
    away = pixel_centres(width, height) - torch.tensor([width / 2, height / 2])
    cosine = (FOCAL / (away.square().sum(-1) + FOCAL**2).sqrt()).reshape(height, width)
    known = torch.isfinite(distances) & (distances > 0)
    return torch.where(known, distances * cosine, 0.0)


def _distances(path: Path) -> Tensor:
    """The one dataset of a file, float32; links and data outside the file are not followed."""
    h5py = _library()
    try:
        with h5py.File(path, "r") as file:
            own = isinstance(file.get(_KEY, getlink=True), h5py.HardLink)
            data = file[_KEY] if own else None
            if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
                raise _bad_frame(path, f"no dataset {quote(_KEY)} of its own")
            if data.shape != SIZE[::-1] or data.dtype.kind != "f":
                raise _bad_frame(path, f"{data.dtype} of shape {data.shape}")
            return torch.from_numpy(data[:].astype(np.float32))
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise _bad_frame(path, str(error)[:200]) from error


def _library() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "Hypersim's depth needs the HDF5 library",
            got="no h5py",
            accepted="halfseen with its extra 'hypersim'",
            do="Run 'pip install halfseen[hypersim]'.",
        ) from error
    return h5py


def _listed(row: dict[str, str]) -> Listed:
    """A row, whose names must be of the one form that they have: they become paths."""
    scene, camera, frame = row["scene_name"], row["camera_name"], row["frame_id"]
    if not _SCENE.fullmatch(scene) or not _CAMERA.fullmatch(camera) or not re.fullmatch(r"\d{1,4}", frame):
        raise _bad_table(f"a frame {scene}, {camera}, {frame}")
    return Listed(scene, camera, int(frame))


def _bad_table(got: str) -> UserError:
    return UserError(
        f"{TABLE} cannot be read",
        got=quote(got),
        accepted=", ".join(_COLUMNS),
        do="Copy it from the Hypersim repository (evermotion_dataset/analysis).",
    )


def _bad_frame(path: Path, got: str) -> UserError:
    return UserError(
        f"Hypersim frame {quote(path.name)} cannot be read",
        got=got,
        accepted=f"{SIZE[0]} x {SIZE[1]} pixels, in HDF5 a dataset {quote(_KEY)} of floating point",
        do="Download the scene again.",
    )
