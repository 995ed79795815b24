"""The library's front door: load, check, convert, reconstruct, render. The command line adds words and files around it.

import halfseen as hs
run = hs.reconstruct(hs.load("photos/"), out="run", views=3)
hs.render(run, hs.orbit(run, 60)).save("orbit.mp4")
"""

from __future__ import annotations

from pathlib import Path

from halfseen.api.advising import advise
from halfseen.api.advising import save as save_advice
from halfseen.api.evaluation import compare, evaluate
from halfseen.api.exporting import export, report
from halfseen.api.fixing import fix
from halfseen.api.improving import improve
from halfseen.api.posing import mask, pose
from halfseen.api.priors import load_prior
from halfseen.api.reconstruction import reconstruct
from halfseen.api.rendering import Frames, orbit, read_cameras, render
from halfseen.api.requests import METHODS, default_out
from halfseen.api.surfaces import DTU_SURFACE, evaluate_surface
from halfseen.common.files import new_folder
from halfseen.data import check as checks
from halfseen.data import formats
from halfseen.data.capture import Capture
from halfseen.data.load import with_frames
from halfseen.runs import run as runs
from halfseen.runs.run import Run

__all__ = [
    "DTU_SURFACE",
    "METHODS",
    "Frames",
    "advise",
    "check",
    "compare",
    "convert",
    "default_out",
    "evaluate",
    "evaluate_surface",
    "export",
    "fix",
    "improve",
    "load",
    "load_prior",
    "mask",
    "open_run",
    "orbit",
    "pose",
    "read_cameras",
    "reconstruct",
    "render",
    "report",
    "save_advice",
]


def load(*capture: str | Path, layout: str | None = None) -> Capture:
    """Read a capture: a folder in any supported layout, photos, or a video. Nothing is decoded yet."""
    return formats.read([Path(p) for p in capture], layout)


def check(capture: Capture) -> checks.Report:
    """Numbers and warnings about a capture."""
    checks.decode_all(capture)
    return checks.check(capture)


def convert(capture: Capture, layout: str, out: str | Path) -> list[str]:
    """Write a capture in another format; returns sentences on what was lost."""
    target = formats.by_name(layout)
    capture = with_frames(capture)
    with new_folder(Path(out)) as partial:
        return target.write(capture, partial)


def open_run(path: str | Path) -> Run:
    """Open the folder of a reconstruction."""
    return runs.open_run(Path(path))
