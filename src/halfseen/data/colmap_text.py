"""COLMAP's text files: one record a line (two for images), `#` comments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_text
from halfseen.data.colmap_model import CAMERA_SENSOR, Model, ModelCamera, ModelFrame, ModelImage, ModelRig, model_id

_SENSORS = {"CAMERA": CAMERA_SENSOR, "IMU": 1}


def read(folder: Path) -> Model:
    """Read cameras.txt, images.txt and, where present, points3D.txt, rigs.txt, frames.txt."""
    xyz, rgb, observations = _read_points(folder / "points3D.txt")
    rigs = _read_rigs(folder / "rigs.txt") if (folder / "rigs.txt").is_file() else {}
    frames = _read_frames(folder / "frames.txt") if (folder / "frames.txt").is_file() else ()
    return Model(
        _read_cameras(folder / "cameras.txt"), _read_images(folder / "images.txt"), xyz, rgb, rigs, frames, observations
    )


def _rows(path: Path, *, keep_empty: bool = False) -> Iterator[tuple[str, list[str]]]:
    """(place, words) of every line that is no comment."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise from_os_error(error, path) from error
    for number, line in enumerate(lines, 1):
        if not line.startswith("#") and (line.strip() or keep_empty):
            yield f"{path.name} line {number}", line.split()


def _numbers(words: list[str], place: str, least: int) -> list[float]:
    try:
        values = [float(w) for w in words]
    except ValueError as error:
        raise _bad(place, str(error)) from error
    if len(values) < least or not np.isfinite(values).all():
        raise _bad(place, f"{len(values)} finite numbers where {least} are needed")
    return values


def _read_cameras(path: Path) -> dict[int, ModelCamera]:
    cameras = {}
    for place, words in _rows(path):
        if len(words) < 4:
            raise _bad(place, quote(" ".join(words)))
        _, count = model_id(words[1])
        values = _numbers([words[0], *words[2:]], place, 3 + count)
        cameras[int(values[0])] = ModelCamera(words[1], int(values[1]), int(values[2]), tuple(values[3 : 3 + count]))
    return cameras


def _read_images(path: Path) -> tuple[ModelImage, ...]:
    images = []
    rows = _rows(path, keep_empty=True)
    for place, words in rows:
        if not words:
            continue
        values = _numbers(words[:9], place, 9)
        if len(words) < 10:
            raise _bad(place, "an image without a name")
        images.append(ModelImage(int(values[0]), tuple(values[1:8]), int(values[8]), " ".join(words[9:])))
        next(rows, None)  # the image's 2D points, possibly an empty line
    return tuple(images)


def _read_points(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    if not path.is_file():
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), 0
    rows, observations = [], 0
    for place, words in _rows(path):
        rows.append(_numbers(words[1:7], place, 6))
        observations += max(0, len(words) - 8) // 2
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return table[:, :3], table[:, 3:].clip(0, 255).astype(np.uint8), observations


def _sensor(words: list[str], place: str) -> tuple[int, int]:
    if len(words) < 2 or words[0] not in _SENSORS:
        raise _bad(place, "a sensor that is neither CAMERA nor IMU")
    return _SENSORS[words[0]], int(_numbers(words[1:2], place, 1)[0])


def _read_rigs(path: Path) -> dict[int, ModelRig]:
    rigs = {}
    for place, words in _rows(path):
        rig_id = int(_numbers(words[:1], place, 1)[0])
        sensors: dict[tuple[int, int], tuple[float, ...] | None] = {}
        rest = words[2:]
        if rest:
            sensors[_sensor(rest, place)] = None
            rest = rest[2:]
        while rest:
            key = _sensor(rest, place)
            posed = rest[2:3] == ["1"]
            sensors[key] = tuple(_numbers(rest[3:10], place, 7)) if posed else None
            rest = rest[10 if posed else 3 :]
        rigs[rig_id] = ModelRig(sensors)
    return rigs


def _read_frames(path: Path) -> tuple[ModelFrame, ...]:
    frames = []
    for place, words in _rows(path):
        values = _numbers(words[:10], place, 10)
        entries = [words[i : i + 3] for i in range(10, len(words), 3)]
        data = tuple((*_sensor(e, place), int(_numbers(e[2:], place, 1)[0])) for e in entries)
        frames.append(ModelFrame(int(values[1]), tuple(values[2:9]), data))
    return tuple(frames)


def _text(values: Iterable[float]) -> str:
    return " ".join(repr(float(v)) for v in values)


def write(model: Model, folder: Path) -> None:
    """Write all five files; numbers keep every digit."""
    cameras = [f"{i} {c.model} {c.width} {c.height} {_text(c.params)}" for i, c in model.cameras.items()]
    images = [f"{m.image_id} {_text(m.pose)} {m.camera_id} {m.name}\n" for m in model.images]
    points = [
        f"{i + 1} {_text(xyz)} {rgb[0]} {rgb[1]} {rgb[2]} 0.0"
        for i, (xyz, rgb) in enumerate(zip(model.xyz, model.rgb, strict=True))
    ]
    names = {number: name for name, number in _SENSORS.items()}
    rigs = []
    for rig_id, rig in model.rigs.items():
        parts = []
        for i, ((kind, sensor), pose) in enumerate(rig.sensors.items()):
            parts.append(f"{names[kind]} {sensor}" + ("" if i == 0 else f" 1 {_text(pose)}" if pose else " 0"))
        rigs.append(f"{rig_id} {len(rig.sensors)} {' '.join(parts)}")
    frames = [
        f"{i + 1} {f.rig_id} {_text(f.pose)} {len(f.data)} " + " ".join(f"{names[k]} {s} {d}" for k, s, d in f.data)
        for i, f in enumerate(model.frames)
    ]
    for name, rows in (
        ("cameras", cameras),
        ("images", images),
        ("points3D", points),
        ("rigs", rigs),
        ("frames", frames),
    ):
        write_text(
            folder / f"{name}.txt",
            f"# {name} of a COLMAP model, written by halfseen\n" + "".join(r + "\n" for r in rows),
        )


def _bad(place: str, got: str) -> UserError:
    return UserError(
        f"COLMAP {place} cannot be read", got=got, accepted="COLMAP's text format", do="Export the model again."
    )
