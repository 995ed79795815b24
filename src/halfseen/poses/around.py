"""Cameras around what was photographed: a circle, a swing over the arc that photos span, or a spiral before it."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.data import check as checks
from halfseen.data.normalise import Frame

# A full circle is shown when the photos span at least this angle around the scene; else a swing between them.
ORBIT_SPREAD = 60.0
# ... unless they leave a gap of this many degrees: then the camera swings over the arc that they span, and back.
OPEN_GAP, FULL_CIRCLE = 100.0, 360.0


def path(cameras: Cameras, frame: Frame, count: int) -> Cameras:
    """`count` cameras at the photos' distance and height, in their frame."""
    towards = cameras.centres - frame.focus
    arc = _arc(towards, frame.up)
    if arc is None and len(cameras) > 1 and float(checks.view_angles(cameras, frame.focus).max()) < ORBIT_SPREAD:
        middle = int(torch.cdist(cameras.centres, cameras.centres.mean(0, keepdim=True)).argmin())
        swing = (cameras.centres - cameras.centres.mean(0)) @ cameras.c2w[middle, :3, :3]
        x, y, z = swing.abs().amax(0).tolist()
        poses = paths.spiral(cameras.c2w[middle], frame.distance, (x, y, z), count)
    else:
        level = torch.rad2deg(torch.asin((towards @ frame.up / towards.norm(dim=-1)).clamp(-1, 1)).median())
        start, span = arc or (towards[0], FULL_CIRCLE)
        poses = paths.orbit(frame.focus, frame.up, frame.distance, float(level), count, start, span)
    return make(poses, cameras.intrinsics[0], cameras.size(0))


def _arc(towards: Tensor, up: Tensor) -> tuple[Tensor, float] | None:
    """The arc that photos span around a scene: (direction of its start, degrees); None when they go all around or nowhere."""
    if len(towards) < 2:
        return None
    east = torch.nn.functional.normalize(towards[0] - (towards[0] @ up) * up, dim=0)
    north = torch.linalg.cross(up, east)
    azimuth = torch.rad2deg(torch.atan2(towards @ north, towards @ east)).sort().values
    gaps = torch.cat([azimuth.diff(), azimuth[:1] + FULL_CIRCLE - azimuth[-1:]])
    widest = int(gaps.argmax())
    span = FULL_CIRCLE - float(gaps[widest])
    if float(gaps[widest]) < OPEN_GAP or span < ORBIT_SPREAD:
        return None
    first = torch.deg2rad(azimuth[(widest + 1) % len(azimuth)])
    return torch.cos(first) * east + torch.sin(first) * north, span
