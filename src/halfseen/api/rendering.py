"""Rendering a run: at given cameras, around the scene, into folders and videos. Everything in the user's frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.common.errors import UserError
from halfseen.data import check as checks
from halfseen.data import normalise, transforms_camera
from halfseen.export import frames as framing
from halfseen.images import color
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

# A full circle is shown when the photos span at least this angle around the scene; else a swing between them.
ORBIT_SPREAD = 60.0
# ... unless they leave a gap of this many degrees: then the camera swings over the arc that they span, and back.
OPEN_GAP, FULL_CIRCLE = 100.0, 360.0
ORBIT_FPS = 24.0
ORBIT_FRAMES = 60


@dataclass(frozen=True)
class Frames:
    """Renderings to be: nothing is computed before `save` or iteration."""

    run: Run
    cameras: Cameras  # user's frame

    def __iter__(self) -> Iterator[framing.Frame]:
        return framing.render(load_field(self.run), self.run.capture(), self.cameras, background_of(self.run))

    def save(self, path: str | Path) -> Path:
        """Write an mp4, or a folder with rgb/, depth/, alpha/ and seen/; either says where it came from."""
        path = Path(path)
        if path.suffix.lower() == ".mp4":
            framing.write_video(self, path, self.run, ORBIT_FPS)
        else:
            list(framing.write(iter(self), self.cameras, path, self.run))
        return path


def render(run: Run, cameras: Cameras) -> Frames:
    """Render a run at cameras of the user's frame."""
    return Frames(run, cameras)


def read_cameras(path: str | Path, run: Run | None = None) -> tuple[Cameras, list[str]]:
    """Cameras from a JSON file in the capture's own frame (nerfstudio / Blender style), and notes on what was assumed.

    A file without picture sizes takes those of the run's photos.
    """
    sizes = run.config["photo_sizes"] if run is not None else []
    default = (int(sizes[0][0]), int(sizes[0][1])) if sizes else None
    return transforms_camera.read_file(Path(path), default)


def orbit(run: Run, count: int = ORBIT_FRAMES) -> Cameras:
    """Cameras around a run's scene, at the photos' distance and height: a circle, or a swing over the arc that was photographed."""
    if count < 1:
        raise UserError(
            "--orbit needs a number of frames", got=str(count), accepted="1 or more", do="Write --orbit 60."
        )
    capture = run.capture()
    cameras = capture.cameras()
    frame = normalise.of_box(run.to_user.inverse(), cameras, run.config["normalised_by"])
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


def _arc(towards: torch.Tensor, up: torch.Tensor) -> tuple[torch.Tensor, float] | None:
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


def background_of(run: Run) -> tuple[float, float, float]:
    """The colour behind a run's scene: the object's own background, else white."""
    r, g, b = run.config.get("background") or color.WHITE
    return float(r), float(g), float(b)
