"""`halfseen export` and `halfseen report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from halfseen.cli.progress import Progress


@dataclass(frozen=True)
class Export:
    """Write a run as a file for other programs, in the capture's own frame and scale."""

    path_of_run: tyro.conf.Positional[Path]
    """The run folder."""
    to: Path
    """FILE.ply or FILE.splat (Gaussians; a NeRF is baked into them), FILE.mesh.ply, FILE.glb or FILE.obj (a mesh), FILE.mp4 (an orbit),
    FILE.json (the photos' cameras), FILE.html (the report); or colmap/ (photos and cameras in a folder of another format)."""

    def run(self) -> None:
        from halfseen import api

        progress = Progress("baking")
        for sentence in api.export(api.open_run(self.path_of_run), self.to, on_step=progress.update):
            print(f"  {sentence}")
        print(f"{self.to}" + (f": {self.to.stat().st_size / 2**20:.1f} MiB" if self.to.is_file() else ""))


@dataclass(frozen=True)
class Report:
    """Write a run as one HTML page that can be sent: photos, renderings, what photos saw, numbers, an orbit, where it came from."""

    path_of_run: tyro.conf.Positional[Path]
    """The run folder."""
    out: Path | None = None
    """The page (default: report.html in the run folder)."""

    def run(self) -> None:
        from halfseen import api

        path = api.report(api.open_run(self.path_of_run), self.out, on_step=Progress("rendering").update)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, opens in any browser")
