"""`halfseen render`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from halfseen.cli.progress import Progress, say
from halfseen.common.errors import UserError

if TYPE_CHECKING:
    from halfseen.cameras.cameras import Cameras
    from halfseen.runs.run import Run

_SIZES = (8, 8192)


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
    size: int | None = None
    """Longer side of the pictures with --orbit and --path (default: the work size of the run)."""
    frames: int = 60
    """Number of pictures along --path."""
    video: bool = False
    """Also write video.mp4."""
    fps: float = 24.0
    """Pictures a second of the video."""
    fix: bool = False
    """Repair every picture with a fixer, whatever the run's method does."""
    no_fix: bool = False
    """Show the scene as it is, where the run's method would repair every picture."""
    fixer: str | None = None
    """The fixer for --fix: a name from `prior list` or a folder."""

    def run(self) -> None:
        from halfseen import api
        from halfseen.export import frames as framing

        run = api.open_run(self.path_of_run)
        if not run.finished and (done := run.checkpoints()):
            say(f"note: this run is not finished; shown is step {done[-1]} of {run.config['method']['steps']}")
        cameras = self._cameras(run)
        progress, tallied = Progress("rendering"), framing.no_pixels()
        fps = self.fps if self.video else None
        frames = api.render(run, cameras, fix=self._fix(), fixer=self.fixer)
        for i, frame in enumerate(frames.write(self.out, fps=fps), 1):
            progress.update(i, len(cameras))
            tallied += framing.tally(frame)
        print(f"{len(cameras)} frames in {self.out}")
        shares = framing.seen_shares(tallied).items()
        print("pixels seen by photos: " + ", ".join(f"{100 * share:.0f} % {name}" for name, share in shares))

    def _fix(self) -> bool | None:
        if self.fix and self.no_fix:
            raise UserError(
                "--fix and --no-fix exclude each other", got="both", accepted="one or none", do="Leave one out."
            )
        return True if self.fix else False if self.no_fix else None

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
            return self._sized(api.orbit(run, self.orbit))
        assert self.path is not None
        keys = _noted(*api.read_cameras(self.path, run))
        return self._sized(make(paths.interpolate(keys.c2w, self.frames), keys.intrinsics[0], keys.size(0)))

    def _sized(self, cameras: Cameras) -> Cameras:
        """The cameras with the longer side of their pictures as asked."""
        if self.size is None:
            return cameras
        if not _SIZES[0] <= self.size <= _SIZES[1]:
            accepted = f"{_SIZES[0]} to {_SIZES[1]}"
            raise UserError("--size is out of range", got=str(self.size), accepted=accepted, do="Change it.")
        width, height = cameras.size()
        longer = max(width, height)
        return cameras.resized(max(1, round(width * self.size / longer)), max(1, round(height * self.size / longer)))


def _noted(cameras: Cameras, notes: list[str]) -> Cameras:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return cameras
