"""`halfseen demo`: the whole road once, on a small capture that the library makes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from halfseen.cli.progress import Progress, compiling
from halfseen.common.files import new_folder

if TYPE_CHECKING:
    from halfseen.data.capture import Capture
    from halfseen.runs.run import Run

# The sample: a room photographed from a patch of places that face one way; three photos are inputs, the others are held out.
_FAMILY, _LAYOUT, _MEMBER = "rooms", "forward", 7
_VIEWS, _SIZE = 9, (256, 192)
_INPUTS = (0, 4, 8)
_METHOD, _FIELD = "plain", "gaussians"
_ORBIT = 30
_SHOWN = 3


@dataclass(frozen=True)
class Demo:
    """Make a small sample capture, rebuild it from three photos, render it from cameras that it never saw, and report."""

    out: Path = Path("demo")
    """A new folder for everything."""
    steps: int | None = None
    """Optimiser steps (default: the method's own)."""

    def run(self) -> None:
        from halfseen import api
        from halfseen.export import contact_sheet, sheet_text

        with new_folder(self.out):
            pass
        folder = self.out / "capture"
        print("making a room", flush=True)
        _make_sample(folder)
        capture = api.load(folder)
        report = api.check(capture)
        contact_sheet.write(capture, report, self.out / "contact-sheet.png")
        for line, _ in sheet_text.lines(report):
            print(f"  {line}")
        progress = Progress("fitting")
        run = api.reconstruct(
            capture,
            out=self.out / "run",
            method=_METHOD,
            views=len(_INPUTS),
            field=_FIELD,
            steps=self.steps,
            on_compile=compiling(),
            on_start=lambda *_: progress.begin(),
            on_snapshot=lambda s: progress.update(s.step, s.total),
        )
        score = _compare(run, capture, self.out / "held-out.png")
        print("rendering an orbit and writing the report", flush=True)
        api.render(run, api.orbit(run, _ORBIT)).save(self.out / "orbit.mp4")
        page = api.report(run, self.out / "report.html")
        print(
            f"{len(_INPUTS)} photos -> a scene; PSNR {score:.1f} dB on {_VIEWS - len(_INPUTS)} views that it never saw"
        )
        print(
            f"look at {self.out}/held-out.png (photo above, render below), {self.out}/orbit.mp4, {self.out}/contact-sheet.png"
        )
        print(f"report: {page.resolve()}")


def _make_sample(folder: Path) -> None:
    """One furnished room with its split file, in transforms layout."""
    from dataclasses import replace

    from halfseen import api
    from halfseen.data.capture import Split
    from halfseen.worlds import families, sample, seeds

    seed = seeds.seed_of("validation", _MEMBER)
    capture = sample.capture(families.by_name(_FAMILY), seed, layout=_LAYOUT, views=_VIEWS, size=_SIZE)
    held_out = tuple(i for i in range(_VIEWS) if i not in _INPUTS)
    split = Split(f"train_test_split_{len(_INPUTS)}", _INPUTS, held_out)
    api.convert(replace(capture, splits=(split,)), "transforms", folder)


def _compare(run: Run, capture: Capture, path: Path) -> float:
    """Render the held-out views beside their photos; returns the mean PSNR."""
    import torch

    from halfseen import api
    from halfseen.data.load import load
    from halfseen.images import io
    from halfseen.metrics.image import psnr

    held = load(capture.select(run.config["split"]["test"]), max(_SIZE))
    pairs = [(v.image.read(), f.rgb) for v, f in zip(held.views, api.render(run, held.cameras()), strict=True)]
    shown = pairs[:_SHOWN]
    io.write_png(path, torch.cat([torch.cat([p[row] for p in shown], 1) for row in (0, 1)], 0))
    return sum(psnr(a, b) for a, b in pairs) / len(pairs)
