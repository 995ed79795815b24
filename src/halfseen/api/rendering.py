"""Rendering a run: at given cameras, around the scene, into folders and videos. Everything in the user's frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halfseen.api import finishing
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.data import normalise, transforms_camera
from halfseen.export import frames as framing
from halfseen.images import color
from halfseen.poses import around
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

ORBIT_FPS = 24.0
ORBIT_FRAMES = 60


@dataclass(frozen=True)
class Frames:
    """Renderings to be: nothing is computed before `save`, `write` or iteration."""

    run: Run
    cameras: Cameras  # user's frame
    # Whether renderings are repaired by a fixer: as the run's method does (None), in any case, or not at all; and by which.
    fix: bool | None = None
    fixer: str | None = None

    def __iter__(self) -> Iterator[framing.Frame]:
        field = load_field(self.run)
        after = finishing.after_of(self.run, field, fix=self.fix, prior=self.fixer)
        return framing.render(field, self.run.capture(), self.cameras, background_of(self.run), after)

    def save(self, path: str | Path) -> Path:
        """Write an mp4, or a folder with rgb/, depth/, alpha/ and seen/; either says where it came from."""
        path = Path(path)
        if path.suffix.lower() == ".mp4":
            framing.write_video(self, path, self.run, ORBIT_FPS, finishing.told(self.run, self.fix, self.fixer))
        else:
            list(self.write(path))
        return path

    def write(self, folder: Path, *, fps: float | None = None) -> Iterator[framing.Frame]:
        """Write a folder that appears when all frames are there, and yield each; `fps` adds a video."""
        more = finishing.told(self.run, self.fix, self.fixer)
        return framing.write(iter(self), self.cameras, folder, self.run, fps=fps, more=more)


def render(run: Run, cameras: Cameras, *, fix: bool | None = None, fixer: str | None = None) -> Frames:
    """Render a run at cameras of the user's frame; `fix` repairs renderings, or does not, whatever the run's method says."""
    return Frames(run, cameras, fix, fixer)


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
    return around.path(cameras, frame, count)


def background_of(run: Run) -> tuple[float, float, float]:
    """The colour behind a run's scene: the object's own background, else white."""
    r, g, b = run.config.get("background") or color.WHITE
    return float(r), float(g), float(b)
