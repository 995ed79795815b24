"""Places from which one more photo could be taken: on a sphere around what was photographed, at the photos' distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.data import check as checks
from halfseen.data.normalise import Frame
from halfseen.poses.around import ORBIT_SPREAD

# Steps between places, in degrees; how far beyond the photos' own span they go where photos were taken from one side; and the heights that a
# person reaches.
_STEP, _RISE, _BEYOND, _LOWEST, _HIGHEST = 20.0, 20.0, 30.0, -10.0, 70.0
_TURN = 360.0


@dataclass(frozen=True)
class Place:
    """Where a camera stands around the middle: degrees from the east, anticlockwise from above, and degrees above."""

    azimuth: float
    height: float


def of_cameras(cameras: Cameras, frame: Frame) -> list[Place]:
    """Where cameras stand."""
    away = torch.nn.functional.normalize(cameras.centres.double() - frame.focus.double(), dim=-1)
    up, east, north = _axes(frame)
    height = torch.rad2deg(torch.asin((away @ up).clamp(-1, 1)))
    azimuth = torch.rad2deg(torch.atan2(away @ north, away @ east))
    return [Place(a, h) for a, h in zip(azimuth.tolist(), height.tolist(), strict=True)]


def around(cameras: Cameras, frame: Frame, *, alone: bool) -> list[Place]:
    """All places: around the whole of an object that is `alone`, and of what photos look at from different sides; a little beyond the photos'
    span where they do not."""
    own = of_cameras(cameras, frame)
    level = sorted(p.height for p in own)[len(own) // 2]
    rises = [max(_LOWEST, min(_HIGHEST, level + k * _RISE)) for k in (-1, 0, 1)]
    middle, half = 0.0, _TURN / 2
    apart = float(checks.view_angles(cameras, frame.focus).max()) if len(cameras) > 1 else _TURN
    if apart < ORBIT_SPREAD and not alone:
        x, y = (sum(f(math.radians(p.azimuth)) for p in own) for f in (math.cos, math.sin))
        middle = math.degrees(math.atan2(y, x))
        half = max(abs(turned(middle, p.azimuth)) for p in own) + _BEYOND
    count = int(2 * half / _STEP)
    steps = [middle - half + (k + 0.5) * 2 * half / count for k in range(count)]
    return [Place(a, h) for h in dict.fromkeys(rises) for a in steps]


def cameras_at(places: list[Place], like: Cameras, frame: Frame) -> Cameras:
    """Cameras at places that look at the middle, with the lens of the first of some cameras."""
    up, east, north = _axes(frame)
    poses = []
    for place in places:
        a, h = math.radians(place.azimuth), math.radians(place.height)
        away = math.cos(h) * (math.cos(a) * east + math.sin(a) * north) + math.sin(h) * up
        poses.append(paths.look_at(frame.focus.double() + frame.distance * away, frame.focus.double(), up))
    return make(torch.stack(poses), like.intrinsics[0], like.size(0))


def turned(start: float, end: float) -> float:
    """Degrees from one azimuth to another, in (-180, 180]: to the right as somebody stands who looks at the middle."""
    return (end - start + _TURN / 2) % _TURN - _TURN / 2


def _axes(frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Up, east and north of the frame's middle."""
    up = torch.nn.functional.normalize(frame.up.double(), dim=0)
    seed = torch.eye(3, dtype=torch.float64)[int(up.abs().argmin())]
    east = torch.nn.functional.normalize(seed - (seed @ up) * up, dim=0)
    return up, east, torch.linalg.cross(up, east)
