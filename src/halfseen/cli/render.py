"""`halfseen render`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from halfseen.cli.progress import Progress
from halfseen.common.errors import UserError

if TYPE_CHECKING:
    from halfseen.cameras.cameras import Cameras
    from halfseen.runs.run import Run


@dataclass(frozen=True)
class Render:
    """Render a run: colour, depth, opacity, and which pixels the photos saw."""

    path_of_run: tyro.conf.Positional[Path]
    """The run folder."""
    out: Path
    """A new folder for rgb/, depth/, alpha/, seen/."""
    cameras: Path | None = None
    """Cameras in the capture's own frame: nerfstudio or Blender style JSON."""
    orbit: int | None = None
    """This many frames around the scene."""
    path: Path | None = None
    """Key cameras (same JSON) to fly through, with --frames pictures in all."""
    frames: int = 60
    """Number of pictures along --path."""
    video: bool = False
    """Also write video.mp4."""
    fps: float = 24.0
    """Pictures a second of the video."""

    def run(self) -> None:
        from halfseen import api
        from halfseen.export import frames as framing

        run = api.open_run(self.path_of_run)
        cameras = self._cameras(run)
        progress = Progress("rendering")
        for i in framing.write(iter(api.render(run, cameras)), self.out, fps=self.fps if self.video else None):
            progress.update(i + 1, len(cameras))
        print(f"{len(cameras)} frames in {self.out}")

    def _cameras(self, run: Run) -> Cameras:
        from halfseen import api
        from halfseen.cameras import paths
        from halfseen.cameras.cameras import make
        from halfseen.images import video

        given = [
            n for n, v in (("--cameras", self.cameras), ("--orbit", self.orbit), ("--path", self.path)) if v is not None
        ]
        if len(given) != 1:
            raise UserError(
                "render needs one choice of cameras",
                got=" and ".join(given) or "none",
                accepted="--cameras, --orbit or --path",
                do="Give one of them.",
            )
        if self.frames < 1:
            raise UserError("--frames is too small", got=str(self.frames), accepted="1 or more", do="Change it.")
        if self.video:
            video.check_fps(self.fps)
        if self.cameras is not None:
            return _noted(*api.read_cameras(self.cameras, run))
        if self.orbit is not None:
            return api.orbit(run, self.orbit)
        assert self.path is not None
        keys = _noted(*api.read_cameras(self.path, run))
        return make(paths.interpolate(keys.c2w, self.frames), keys.intrinsics[0], keys.size(0))


def _noted(cameras: Cameras, notes: list[str]) -> Cameras:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return cameras
