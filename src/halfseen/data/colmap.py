"""COLMAP captures: `images/` beside `sparse/0/` (or `sparse/`), text or binary."""

from __future__ import annotations

from pathlib import Path

import torch

from halfseen.cameras import convert
from halfseen.cameras.cameras import Cameras, Intrinsics
from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside
from halfseen.data import build, colmap_binary, colmap_text, emit
from halfseen.data.capture import Capture, Points, View
from halfseen.data.colmap_model import (
    CAMERA_SENSOR,
    Model,
    ModelCamera,
    ModelFrame,
    ModelImage,
    ModelRig,
    camera_from,
    check_frames,
    pinhole_and_lens,
    rigid_matrix,
)

NAME = "colmap"
NAME_TEXT = "colmap-text"
_SPARSE = ("sparse/0", "sparse", "colmap/sparse/0", ".")
_IMAGE_FOLDERS = ("images", "input", ".")
_WRITTEN_SPARSE = "sparse/0"


def find(folder: Path) -> bool:
    """Whether this folder holds a binary model."""
    return _sparse(folder, "bin") is not None


def find_text(folder: Path) -> bool:
    """Whether this folder holds a text model."""
    return _sparse(folder, "txt") is not None


def read(folder: Path) -> Capture:
    """Read a capture with a binary model."""
    sparse = _sparse(folder, "bin")
    assert sparse is not None
    return _capture(folder, colmap_binary.read(sparse), NAME)


def read_text(folder: Path) -> Capture:
    """Read a capture with a text model."""
    sparse = _sparse(folder, "txt")
    assert sparse is not None
    return _capture(folder, colmap_text.read(sparse), NAME_TEXT)


def write(capture: Capture, folder: Path) -> list[str]:
    """Write images and a binary model; returns what was lost."""
    colmap_binary.write(_model(capture, folder), _made(folder))
    return _losses(capture, folder)


def write_text(capture: Capture, folder: Path) -> list[str]:
    """Write images and a text model; returns what was lost."""
    colmap_text.write(_model(capture, folder), _made(folder))
    return _losses(capture, folder)


def _sparse(folder: Path, suffix: str) -> Path | None:
    for name in _SPARSE:
        if all((folder / name / f"{part}.{suffix}").is_file() for part in ("cameras", "images")):
            return folder / name
    return None


def _made(folder: Path) -> Path:
    sparse = folder / _WRITTEN_SPARSE
    sparse.mkdir(parents=True, exist_ok=True)
    return sparse


def _capture(folder: Path, model: Model, layout: str) -> Capture:
    build.check_count(len(model.images), "the COLMAP model")
    build.check_unique((i.name for i in model.images), "the COLMAP model")
    check_frames(model, "the COLMAP model")
    images = next((folder / n for n in _IMAGE_FOLDERS if (folder / n).is_dir()), folder)
    views, absent, present = [], [], []
    for image in sorted(model.images, key=lambda i: i.name):
        path = inside(images, image.name, what="the COLMAP model: image name")
        present.append(path.is_file())
        if present[-1]:
            views.append(_view(path, image, model))
        else:
            absent.append(image.name)
    if not views:
        raise UserError(
            "no picture of the COLMAP model exists",
            got=quote(absent[0]),
            accepted=f"pictures in {quote(images.name)}/",
            do="Copy the pictures there.",
        )
    notes = (
        (f"{len(absent)} of {len(model.images)} registered pictures are absent and were left out",) if absent else ()
    )
    points = Points(model.xyz, model.rgb) if len(model.xyz) else None
    return Capture(tuple(views), layout, folder, points=points, splits=build.read_splits(folder, present), notes=notes)


def _unkept(model: Model) -> tuple[str, ...]:
    out = []
    if model.observations:
        out.append(f"{model.observations} observations of points in pictures")
    if any(len(rig.sensors) > 1 for rig in model.rigs.values()):
        out.append("rigs of several cameras")
    return tuple(out)


def _view(path: Path, image: ModelImage, model: Model) -> View:
    camera = model.cameras.get(image.camera_id)
    where = f"COLMAP image {quote(image.name)}"
    if camera is None:
        raise UserError(
            f"{where} names a camera that is not there",
            got=str(image.camera_id),
            accepted=f"{sorted(model.cameras)[:12]}",
            do="Export the model again.",
        )
    intrinsics, lens = pinhole_and_lens(camera)
    picture = build.picture(path)
    size = (picture.width, picture.height)
    scaled = build.scaled_intrinsics(intrinsics, (camera.width, camera.height), size, where)
    w2c = rigid_matrix(image.pose)
    quaternion = torch.tensor([image.pose[:4]], dtype=torch.float64)
    c2w = convert.opencv_from_colmap(quaternion, w2c[None, :3, 3])
    return View(image.name, picture, build.camera(build.pose(c2w[0].numpy(), where), scaled, size, where), lens)


def _model(capture: Capture, folder: Path) -> Model:
    """Records of a capture; pictures are written on the way."""
    cameras = capture.cameras()
    quaternions, translations = convert.colmap_from_opencv(cameras.c2w)
    known: dict[ModelCamera, int] = {}
    images, frames = [], []
    for i, (view, name) in enumerate(zip(capture.views, emit.files(capture), strict=True)):
        emit.write_picture(view.image, folder / "images" / name)
        camera = camera_from(_intrinsics(cameras, i), view.lens, *cameras.size(i))
        camera_id = known.setdefault(camera, len(known) + 1)
        pose = (*quaternions[i].tolist(), *translations[i].tolist())
        images.append(ModelImage(i + 1, pose, camera_id, name))
        frames.append(ModelFrame(camera_id, pose, ((CAMERA_SENSOR, camera_id, i + 1),)))
    points = capture.points or Points(torch.zeros(0, 3).numpy(), torch.zeros(0, 3, dtype=torch.uint8).numpy())
    rigs = {i: ModelRig({(CAMERA_SENSOR, i): None}) for i in known.values()}
    return Model({i: c for c, i in known.items()}, tuple(images), points.xyz, points.rgb, rigs, tuple(frames))


def _intrinsics(cameras: Cameras, view: int) -> Intrinsics:
    fx, fy, cx, cy = cameras.intrinsics[view].tolist()
    return fx, fy, cx, cy


def _losses(capture: Capture, folder: Path) -> list[str]:
    rank = {old: new for new, old in enumerate(emit.order(emit.files(capture)))}
    return emit.write_splits(capture, folder, rank) + emit.losses(capture, ("poses", "lens", "points", "splits"))
