"""Where cameras stand: orbits and spheres around objects, walks through rooms, drives along streets. OpenCV cameras, world frame.

Every layout is a function of a `Stage` and a seed, and gives cameras in the order in which a person would take the photos.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import derive_seed

# SRN's camera: focal length in picture widths (525 / 512), and the number of random training views.
SRN_FOCAL = 525.0 / 512.0
SRN_VIEWS = 50
# Sines of elevations of views all around, and of those from above.
SPHERE, HEMISPHERE = (-0.999, 0.999), (0.02, 0.98)
# Elevation range of photos that people take of things (degrees).
_HAND_HELD = (5.0, 50.0)
# The rig of three cameras: half the angle between the outer ones (degrees), spacing in metres.
_RIG, _RIG_ANGLE, _RIG_SPACING = 3, 40.0, 0.3
# Where a car drives, in half widths of the street right of its middle line, and how far it sways: clear of parked cars.
_DRIVE_OFFSET, _DRIVE_SWAY, _SWAY_RATE = -0.08, 0.1, 0.05
# No drive goes further than this share of half the street's length.
_DRIVE_END = 0.75


@dataclass(frozen=True)
class Stage:
    """What a family offers to cameras."""

    focus: tuple[float, float, float]  # what one looks at
    distance: float  # from there to cameras around an object
    focal: float  # in picture widths
    half: tuple[float, float, float] | None = None  # half extents of the space that may be walked; None for objects
    eye: float = 0.0  # height of the eyes


Layout = Callable[[Stage, int, tuple[int, int], int], Cameras]


def _cameras(stage: Stage, eye: Tensor, target: Tensor, size: tuple[int, int]) -> Cameras:
    poses = paths.look_at(
        eye.to(torch.float64), target.to(torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    )
    width, height = size
    f = stage.focal * width
    return cams.make(poses, (f, f, width / 2, height / 2), size)


def _around(stage: Stage, directions: np.ndarray, size: tuple[int, int]) -> Cameras:
    focus = torch.tensor(stage.focus, dtype=torch.float64)
    eye = focus + stage.distance * torch.from_numpy(directions)
    return _cameras(stage, eye, focus.expand_as(eye), size)


def _unit(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Directions [V, 3] from angles in radians."""
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], -1)


def orbit(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """A full circle at one height."""
    rng = _rng(seed, "orbit")
    azimuth = rng.random() * 2 * np.pi + 2 * np.pi * np.arange(count) / count
    return _around(stage, _unit(azimuth, np.full(count, np.radians(rng.uniform(*_HAND_HELD)))), size)


def sphere(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Random directions over the whole sphere, as SRN's training views."""
    rng = _rng(seed, "sphere")
    return _around(stage, _unit(rng.random(count) * 2 * np.pi, np.arcsin(rng.uniform(*SPHERE, count))), size)


def hemisphere(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Random directions over the upper half."""
    rng = _rng(seed, "hemisphere")
    return _around(stage, _unit(rng.random(count) * 2 * np.pi, np.arcsin(rng.uniform(*HEMISPHERE, count))), size)


def srn_test(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """SRN's test spiral of 251 views (or its first `count`)."""
    return _around(stage, paths.srn_spiral()[:count].numpy(), size)


def wide(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Few views far apart, at different heights and distances: wide baselines."""
    rng = _rng(seed, "wide")
    azimuth = rng.random() * 2 * np.pi + 2 * np.pi * (np.arange(count) + rng.uniform(-0.25, 0.25, count)) / count
    near = replace(stage, distance=1.0)
    directions = _unit(azimuth, np.radians(rng.uniform(*_HAND_HELD, count)))
    return _around(near, directions * (stage.distance * rng.uniform(0.85, 1.2, count))[:, None], size)


def forward(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Forward-facing: a patch of positions that all look the same way, as LLFF's."""
    rng = _rng(seed, "forward")
    azimuth, elevation = rng.random() * 2 * np.pi, np.radians(rng.uniform(8, 25))
    out = _unit(np.array([azimuth]), np.array([elevation]))[0]
    focus = torch.tensor(stage.focus, dtype=torch.float64)
    reach = stage.distance if stage.half is None else 0.85 * min(stage.half[:2])
    middle = focus + reach * torch.from_numpy(out)
    if stage.half is not None:
        middle[2] = stage.eye
    side = torch.tensor([-math.sin(azimuth), math.cos(azimuth), 0.0], dtype=torch.float64)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    offset = torch.from_numpy(rng.uniform(-1, 1, (count, 2))) * 0.12 * reach
    eye = middle + offset[:, :1] * side + 0.6 * offset[:, 1:] * up
    return _cameras(stage, eye, focus + 0.3 * (eye - middle), size)


def walk_a(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """A person walking through the place, looking ahead and to the middle."""
    return _walk(stage, count, size, _rng(seed, "walk a"), 0.0)


def walk_b(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Another walk through the same place, along the other side and looking elsewhere."""
    return _walk(stage, count, size, _rng(seed, "walk b"), np.pi)


def drive(stage: Stage, count: int, size: tuple[int, int], seed: int) -> Cameras:
    """Three cameras on a car (left, middle, right), frame after frame along +x: views come in threes."""
    rng = _rng(seed, "drive")
    half = stage.half or (10.0, 3.0, 2.0)
    frames = -(-count // _RIG)
    start = rng.uniform(-0.8, 0.2) * half[0]
    # A long drive takes shorter steps, so that the street does not end before it does.
    step = min(rng.uniform(0.5, 0.9), (_DRIVE_END * half[0] - start) / frames)
    eyes, targets = [], []
    for k in range(frames):
        x, y = start + k * step, half[1] * (_DRIVE_SWAY * math.sin(_SWAY_RATE * k) + _DRIVE_OFFSET)
        for angle, shift in ((_RIG_ANGLE, _RIG_SPACING), (0.0, 0.0), (-_RIG_ANGLE, -_RIG_SPACING)):
            eye = np.array([x, y + shift, stage.eye])
            heading = math.radians(angle)
            eyes.append(eye)
            targets.append(eye + np.array([math.cos(heading), math.sin(heading), -0.02]))
    chosen = slice(0, count)
    return _cameras(stage, torch.from_numpy(np.array(eyes))[chosen], torch.from_numpy(np.array(targets))[chosen], size)


def _walk(stage: Stage, count: int, size: tuple[int, int], rng: np.random.Generator, phase: float) -> Cameras:
    """A smooth path on an ellipse inside the walls with wandering gaze; objects are walked around instead."""
    if stage.half is None:
        arc = phase + np.linspace(0, np.pi * 0.9, count)
        return _around(stage, _unit(arc + rng.random(), np.radians(18 + 10 * np.sin(2 * arc))), size)
    t = phase + rng.random() + np.linspace(0, 1.35 * np.pi, count)
    wobble = 1 + 0.06 * np.sin(3 * t + rng.random() * 6)
    eye = np.stack(
        [
            0.74 * stage.half[0] * np.cos(t) * wobble,
            0.74 * stage.half[1] * np.sin(t) * wobble,
            stage.eye + 0.07 * np.sin(2.3 * t),
        ],
        -1,
    )
    gaze = t + np.pi + 0.5 * np.sin(1.7 * t + rng.random() * 6)
    far = np.stack([np.cos(gaze), np.sin(gaze), np.full(count, -0.22)], -1)
    return _cameras(stage, torch.from_numpy(eye), torch.from_numpy(eye + far), size)


def with_pose_noise(cameras: Cameras, degrees: float, distance: float, seed: int) -> Cameras:
    """Cameras whose stated poses are a little wrong: rotated by up to `degrees`, moved by up to `distance` (standard deviations)."""
    rng = _rng(seed, "pose noise")
    c2w = cameras.c2w.clone()
    for i in range(len(c2w)):
        axis = rng.normal(size=3)
        angle = math.radians(degrees) * rng.normal()
        k = torch.from_numpy(axis / np.linalg.norm(axis))
        skew = torch.tensor([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]], dtype=torch.float64)
        turn = torch.eye(3, dtype=torch.float64) + math.sin(angle) * skew + (1 - math.cos(angle)) * skew @ skew
        c2w[i, :3, :3] = c2w[i, :3, :3] @ turn
        c2w[i, :3, 3] += distance * torch.from_numpy(rng.normal(size=3))
    return replace(cameras, c2w=c2w)


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive_seed(seed, f"layout/{name}")))


LAYOUTS: dict[str, Layout] = {
    "orbit": orbit, "sphere": sphere, "hemisphere": hemisphere, "srn-test": srn_test, "wide": wide, "forward": forward,
    "walk-a": walk_a, "walk-b": walk_b, "drive": drive,
}  # fmt: skip
# Cameras that are one rig, where it is not one: `drive` has three side by side.
TOGETHER = {"drive": _RIG}
# Layouts that look from below too, or that are made for one thing on white.
AROUND_OBJECTS = frozenset({"sphere", "srn-test"})
