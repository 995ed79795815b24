"""COLMAP's binary files, little endian. Every count is checked against the bytes that are left before it is believed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_bytes
from halfseen.data.colmap_model import Model, ModelCamera, ModelFrame, ModelImage, ModelRig, model_id, model_name

_MAX_NAME = 4096
_POINT2D = 24  # x, y (float64) and a point id (int64)
_POINT3D = 43  # id, xyz, rgb, error; then a track length and its entries
_TRACK = 8


class _Cursor:
    """Bytes of one file and a position; reading past the end is a user error that names the file."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise from_os_error(error, path) from error

    def take(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + layout)
        self.need(size)
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += size
        return values

    def need(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise self.broken(f"{size} more bytes promised, {len(self.data) - self.at} present")

    def count(self, smallest: int) -> int:
        """A 64-bit count of records of at least `smallest` bytes."""
        (count,) = self.take("Q")
        self.need(count * smallest)
        return int(count)

    def skip(self, size: int) -> None:
        self.need(size)
        self.at += size

    def name(self) -> str:
        end = self.data.find(b"\x00", self.at, self.at + _MAX_NAME)
        if end < 0:
            raise self.broken("an image name without an end")
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text

    def broken(self, got: str) -> UserError:
        return UserError(
            f"COLMAP file {quote(self.path.name)} cannot be read",
            got=got,
            accepted="a whole binary model",
            do="Export the model again.",
        )


def read(folder: Path) -> Model:
    """Read cameras.bin, images.bin and, where present, points3D.bin, rigs.bin, frames.bin."""
    xyz, rgb, observations = _read_points(folder / "points3D.bin")
    rigs = _read_rigs(folder / "rigs.bin") if (folder / "rigs.bin").is_file() else {}
    frames = _read_frames(folder / "frames.bin") if (folder / "frames.bin").is_file() else ()
    return Model(
        _read_cameras(folder / "cameras.bin"), _read_images(folder / "images.bin"), xyz, rgb, rigs, frames, observations
    )


def _read_cameras(path: Path) -> dict[int, ModelCamera]:
    cursor = _Cursor(path)
    cameras = {}
    for _ in range(cursor.count(24)):
        camera_id, model, width, height = cursor.take("IiQQ")
        name, n = model_name(model)
        cameras[camera_id] = ModelCamera(name, width, height, cursor.take(f"{n}d"))
    return cameras


def _read_images(path: Path) -> tuple[ModelImage, ...]:
    cursor = _Cursor(path)
    images = []
    for _ in range(cursor.count(64)):
        values = cursor.take("I7dI")
        name = cursor.name()
        cursor.skip(cursor.take("Q")[0] * _POINT2D)
        images.append(ModelImage(values[0], values[1:8], values[8], name))
    return tuple(images)


def _read_points(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    if not path.is_file():
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), 0
    cursor = _Cursor(path)
    count = cursor.count(_POINT3D + 8)
    xyz, rgb = np.zeros((count, 3)), np.zeros((count, 3), np.uint8)
    observations = 0
    for i in range(count):
        values = cursor.take("Q3d3BdQ")
        observations += values[8]
        xyz[i], rgb[i] = values[1:4], values[4:7]
        cursor.skip(values[8] * _TRACK)
    return xyz, rgb, observations


def _read_rigs(path: Path) -> dict[int, ModelRig]:
    cursor = _Cursor(path)
    rigs = {}
    for _ in range(cursor.count(8)):
        rig_id, sensors = cursor.take("II")
        found: dict[tuple[int, int], tuple[float, ...] | None] = {}
        if sensors:
            kind, sensor_id = cursor.take("iI")
            found[(kind, sensor_id)] = None
        for _ in range(1, sensors):
            kind, sensor_id, has_pose = cursor.take("iIB")
            found[(kind, sensor_id)] = cursor.take("7d") if has_pose else None
        rigs[rig_id] = ModelRig(found)
    return rigs


def _read_frames(path: Path) -> tuple[ModelFrame, ...]:
    cursor = _Cursor(path)
    frames = []
    for _ in range(cursor.count(68)):
        values = cursor.take("II7dI")
        cursor.need(values[9] * 16)
        data = tuple((k, s, d) for k, s, d in (cursor.take("iIQ") for _ in range(values[9])))
        frames.append(ModelFrame(values[1], values[2:9], data))
    return tuple(frames)


def write(model: Model, folder: Path) -> None:
    """Write all five files."""
    out = [struct.pack("<Q", len(model.cameras))]
    for camera_id, camera in model.cameras.items():
        number, n = model_id(camera.model)
        out.append(struct.pack(f"<IiQQ{n}d", camera_id, number, camera.width, camera.height, *camera.params))
    write_bytes(folder / "cameras.bin", b"".join(out))
    out = [struct.pack("<Q", len(model.images))]
    for image in model.images:
        out += [
            struct.pack("<I7dI", image.image_id, *image.pose, image.camera_id),
            image.name.encode() + b"\x00",
            struct.pack("<Q", 0),
        ]
    write_bytes(folder / "images.bin", b"".join(out))
    out = [struct.pack("<Q", len(model.xyz))]
    for i, (xyz, rgb) in enumerate(zip(model.xyz, model.rgb, strict=True)):
        out.append(struct.pack("<Q3d3BdQ", i + 1, *xyz.tolist(), *rgb.tolist(), 0.0, 0))
    write_bytes(folder / "points3D.bin", b"".join(out))
    _write_rigs(model, folder)


def _write_rigs(model: Model, folder: Path) -> None:
    out = [struct.pack("<Q", len(model.rigs))]
    for rig_id, rig in model.rigs.items():
        out.append(struct.pack("<II", rig_id, len(rig.sensors)))
        for i, (sensor, pose) in enumerate(rig.sensors.items()):
            out.append(struct.pack("<iI", *sensor))
            if i:
                out.append(struct.pack("<B7d", 1, *pose) if pose else struct.pack("<B", 0))
    write_bytes(folder / "rigs.bin", b"".join(out))
    out = [struct.pack("<Q", len(model.frames))]
    for i, frame in enumerate(model.frames):
        out.append(struct.pack("<II7dI", i + 1, frame.rig_id, *frame.pose, len(frame.data)))
        out += [struct.pack("<iIQ", *entry) for entry in frame.data]
    write_bytes(folder / "frames.bin", b"".join(out))
