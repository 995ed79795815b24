"""CLEVR3D (Stelzner et al. 2021, ObSuRF): many scenes of three views each in one folder.

    metadata.npz                     camera_pos [n, views, 3] and shape [n, slots], where 0 is no object
    images/img_SCENE_VIEW.png        320 x 240

Only places of cameras are stored: each looks at the origin, z is up, the horizon is level. The lens has 35 mm on a sensor 32 mm wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from halfseen.cameras import paths
from halfseen.common.errors import UserError, quote
from halfseen.data import build
from halfseen.data.capture import Capture, View

NAME = "clevr3d"
METADATA, IMAGES = "metadata.npz", "images"
# Focal length in picture widths.
FOCAL = 0.035 / 0.032
# Scenes of each split, by number (the first, and one beyond the last); and the most objects of scenes that others train on.
SPLITS = {"train": (0, 70_000), "val": (70_000, 75_000), "test": (85_000, 100_000)}
MOST_OBJECTS = 6
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Scenes:
    """The table of a data set."""

    folder: Path
    places: np.ndarray  # [n, views, 3] float64
    objects: np.ndarray  # [n] how many there are in each scene


def find(folder: Path) -> bool:
    """Whether this folder is the data set."""
    return (folder / METADATA).is_file() and (folder / IMAGES).is_dir()


def table(folder: Path) -> Scenes:
    """The data set's own table; nothing in it is executed."""
    path = folder / METADATA
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"{path.stat().st_size >> 20} MiB")
        with np.load(path, allow_pickle=False) as archive:
            places, shapes = np.asarray(archive["camera_pos"], np.float64), np.asarray(archive["shape"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"{quote(path.name)} cannot be read",
            got=str(error)[:200],
            accepted="arrays camera_pos [n, views, 3] and shape [n, slots]",
            do="Copy it again.",
        ) from error
    if places.ndim != 3 or places.shape[-1] != 3 or len(shapes) != len(places) or not np.isfinite(places).all():
        raise UserError(
            f"{quote(path.name)} holds other arrays",
            got=f"camera_pos {places.shape}, shape {shapes.shape}",
            accepted="camera_pos [n, views, 3] and shape [n, slots]",
            do="Copy it again.",
        )
    return Scenes(folder, places, (shapes.reshape(len(shapes), -1) != 0).sum(1))


def numbers(scenes: Scenes, split: str, most_objects: int = MOST_OBJECTS) -> list[int]:
    """Numbers of the scenes of a split that are there and have not too many objects."""
    first, end = SPLITS[split]
    return [n for n in range(first, min(end, len(scenes.places))) if scenes.objects[n] <= most_objects]


def read(folder: Path) -> Capture:
    """The first scene, as a capture of its own."""
    scenes = table(folder)
    return read_scene(scenes, 0).noted(f"the folder holds {len(scenes.places)} scenes, of which the first was read")


def read_scene(scenes: Scenes, number: int) -> Capture:
    """One scene."""
    if not 0 <= number < len(scenes.places):
        raise UserError(
            "the data set has no such scene",
            got=str(number),
            accepted=f"0 to {len(scenes.places) - 1}",
            do="Change it.",
        )
    views = []
    for k, place in enumerate(scenes.places[number]):
        path = scenes.folder / IMAGES / f"img_{number}_{k}.png"
        if not path.is_file():
            raise UserError("a picture is missing", got=quote(path.name), accepted="one for each view", do="Copy it.")
        picture = build.picture(path)
        size = (picture.width, picture.height)
        eye = torch.from_numpy(place)[None]
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        pose = paths.look_at(eye, torch.zeros_like(eye), up)[0]
        f = FOCAL * size[0]
        where = f"{METADATA}: scene {number}, view {k}"
        camera = build.camera(build.pose(pose.numpy(), where), (f, f, size[0] / 2, size[1] / 2), size, where)
        views.append(View(f"{IMAGES}/{path.name}", picture, camera))
    return Capture(tuple(views), NAME, scenes.folder)
