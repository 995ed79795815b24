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
from halfseen.images import color, video
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

# A full circle is shown when the photos span at least this angle around the scene; else a swing between them.
ORBIT_SPREAD = 60.0
ORBIT_FPS = 24.0
ORBIT_FRAMES = 60


@dataclass(frozen=True)
class Frames:
    """Renderings to be: nothing is computed before `save` or iteration."""

    run: Run
    cameras: Cameras  # user's frame

    def __iter__(self) -> Iterator[framing.Frame]:
        field, captured = load_field(self.run), self.run.capture().cameras()
        return framing.render(field, captured, self.cameras, background_of(self.run))

    def save(self, path: str | Path) -> Path:
        """Write an mp4, or a folder with rgb/, depth/, alpha/ and seen/."""
        path = Path(path)
        if path.suffix == ".mp4":
            video.write_mp4(path, (f.rgb for f in self), ORBIT_FPS)
        else:
            list(framing.write(iter(self), path))
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
    """Cameras around a run's scene: a circle at the photos' distance and height, or a swing between photos that face one way."""
    if count < 1:
        raise UserError(
            "--orbit needs a number of frames", got=str(count), accepted="1 or more", do="Write --orbit 60."
        )
    capture = run.capture()
    cameras, frame = capture.cameras(), normalise.measure(capture)
    towards = cameras.centres - frame.focus
    spread = float(checks.view_angles(cameras, frame.focus).max())
    if spread >= ORBIT_SPREAD or len(cameras) == 1:
        level = torch.asin((towards @ frame.up / towards.norm(dim=-1)).clamp(-1, 1))
        poses = paths.orbit(
            frame.focus, frame.up, frame.distance, float(torch.rad2deg(level.median())), count, towards[0]
        )
    else:
        middle = int(torch.cdist(cameras.centres, cameras.centres.mean(0, keepdim=True)).argmin())
        swing = (cameras.centres - cameras.centres.mean(0)) @ cameras.c2w[middle, :3, :3]
        x, y, z = swing.abs().amax(0).tolist()
        poses = paths.spiral(cameras.c2w[middle], frame.distance, (x, y, z), count)
    return make(poses, cameras.intrinsics[0], cameras.size(0))


def background_of(run: Run) -> tuple[float, float, float]:
    """The colour behind a run's scene: the object's own background, else white."""
    r, g, b = run.config.get("background") or color.WHITE
    return float(r), float(g), float(b)
