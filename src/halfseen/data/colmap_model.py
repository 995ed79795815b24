"""COLMAP sparse models as plain records, the same for text and binary files.

Ids are neither ordered nor contiguous. Since COLMAP 3.12 a model also holds rigs (sensors fixed to one another) and frames
(one pose of a rig); images keep their own pose, which must agree with sensor_from_rig * rig_from_world.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from halfseen.cameras.cameras import Intrinsics
from halfseen.cameras.lens import Lens
from halfseen.cameras.rotations import quaternion_to_matrix
from halfseen.common.errors import UserError, quote

# Name, model id, number of parameters.
MODELS = (
    ("SIMPLE_PINHOLE", 0, 3),
    ("PINHOLE", 1, 4),
    ("SIMPLE_RADIAL", 2, 4),
    ("RADIAL", 3, 5),
    ("OPENCV", 4, 8),
    ("OPENCV_FISHEYE", 5, 8),
    ("FULL_OPENCV", 6, 12),
    ("SIMPLE_RADIAL_FISHEYE", 8, 4),
    ("RADIAL_FISHEYE", 9, 5),
)
CAMERA_SENSOR = 0
# A quaternion in a file may miss unit length by this much.
QUATERNION_TOLERANCE = 1e-3
# Image poses and rig poses may differ by this much (matrix entries; translation relative to its size).
POSE_TOLERANCE = 1e-6

Rigid = tuple[float, ...]  # qw qx qy qz tx ty tz


@dataclass(frozen=True)
class ModelCamera:
    """Intrinsics and lens under a COLMAP model name."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ModelImage:
    """A registered picture."""

    image_id: int
    pose: Rigid  # cam_from_world
    camera_id: int
    name: str


@dataclass(frozen=True)
class ModelRig:
    """Sensors (type, id) -> sensor_from_rig, None for the reference sensor."""

    sensors: dict[tuple[int, int], Rigid | None]


@dataclass(frozen=True)
class ModelFrame:
    """One pose of a rig and the pictures taken there."""

    rig_id: int
    pose: Rigid  # rig_from_world
    data: tuple[tuple[int, int, int], ...]  # (sensor type, sensor id, image id)


@dataclass(frozen=True)
class Model:
    """Everything in a sparse folder that is used here."""

    cameras: dict[int, ModelCamera]
    images: tuple[ModelImage, ...]
    xyz: np.ndarray  # [N, 3]
    rgb: np.ndarray  # [N, 3] uint8
    rigs: dict[int, ModelRig] = field(default_factory=dict)
    frames: tuple[ModelFrame, ...] = ()
    observations: int = 0  # entries of the points' tracks, which are counted and not kept


def model_name(model_id: int) -> tuple[str, int]:
    """(name, number of parameters) of a model id."""
    for name, number, count in MODELS:
        if number == model_id:
            return name, count
    raise _unsupported(f"model id {model_id}")


def model_id(name: str) -> tuple[int, int]:
    """(model id, number of parameters) of a model name."""
    for known, number, count in MODELS:
        if known == name:
            return number, count
    raise _unsupported(name)


def pinhole_and_lens(camera: ModelCamera) -> tuple[Intrinsics, Lens]:
    """(fx, fy, cx, cy) and the lens of a COLMAP camera."""
    p = camera.params
    match camera.model:
        case "SIMPLE_PINHOLE":
            return (p[0], p[0], p[1], p[2]), Lens()
        case "PINHOLE":
            return (p[0], p[1], p[2], p[3]), Lens()
        case "SIMPLE_RADIAL" | "RADIAL":
            lens = Lens("opencv", (*p[3:], 0.0) if len(p) == 4 else p[3:])
            return (p[0], p[0], p[1], p[2]), lens if lens.bends else Lens()
        case "SIMPLE_RADIAL_FISHEYE" | "RADIAL_FISHEYE":
            return (p[0], p[0], p[1], p[2]), Lens("fisheye", (*p[3:], *([0.0] * 4))[:4])
        case "OPENCV_FISHEYE":
            return (p[0], p[1], p[2], p[3]), Lens("fisheye", p[4:])
        case _:  # OPENCV, FULL_OPENCV: k1 k2 p1 p2 [k3 k4 k5 k6]
            lens = Lens("opencv", p[4:])
            return (p[0], p[1], p[2], p[3]), lens if lens.bends else Lens()


def camera_from(intrinsics: Intrinsics, lens: Lens, width: int, height: int) -> ModelCamera:
    """The smallest COLMAP camera model that holds these parameters exactly."""
    if lens.model == "fisheye":
        return ModelCamera("OPENCV_FISHEYE", width, height, (*intrinsics, *lens.padded(4)))
    if not lens.bends:
        return ModelCamera("PINHOLE", width, height, tuple(intrinsics))
    params = lens.padded(8)
    if any(params[4:]):
        return ModelCamera("FULL_OPENCV", width, height, (*intrinsics, *params))
    return ModelCamera("OPENCV", width, height, (*intrinsics, *params[:4]))


def check_frames(model: Model, where: str) -> None:
    """Rig and image poses must tell the same story; a contradiction is reported, not resolved."""
    poses = {image.image_id: image for image in model.images}
    for frame in model.frames:
        rig = model.rigs.get(frame.rig_id)
        for kind, sensor, image_id in frame.data:
            image = poses.get(image_id)
            if rig is None or kind != CAMERA_SENSOR or image is None or (kind, sensor) not in rig.sensors:
                continue
            offset = rig.sensors[(kind, sensor)]
            composed = rigid_matrix(frame.pose) if offset is None else rigid_matrix(offset) @ rigid_matrix(frame.pose)
            own = rigid_matrix(image.pose)
            if float((composed - own).abs().max()) > POSE_TOLERANCE * max(1.0, float(own.abs().max())):
                raise UserError(
                    f"{where}: image {quote(image.name)} has two different poses",
                    got="frames/rigs files that contradict the images file",
                    accepted="files written by one COLMAP run",
                    do="Export the model again, or remove the frames and rigs files.",
                )


def rigid_matrix(pose: Rigid) -> torch.Tensor:
    """4x4 matrix of a rigid transform."""
    values = torch.tensor(pose, dtype=torch.float64)
    if not bool(torch.isfinite(values).all()) or abs(float(values[:4].norm()) - 1) > QUATERNION_TOLERANCE:
        raise UserError(
            "a COLMAP pose is not usable",
            got=f"{tuple(pose)}",
            accepted="a unit quaternion and a finite translation",
            do="Export the model again.",
        )
    out = torch.eye(4, dtype=torch.float64)
    out[:3, :3], out[:3, 3] = quaternion_to_matrix(values[:4]), values[4:]
    return out


def _unsupported(got: str) -> UserError:
    accepted = ", ".join(name for name, _, _ in MODELS)
    return UserError(
        "the COLMAP camera model is not supported",
        got=quote(got),
        accepted=accepted,
        do="Undistort the model with COLMAP first.",
    )
