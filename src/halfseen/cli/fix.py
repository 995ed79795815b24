"""`halfseen fix` and `halfseen improve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from halfseen.cli.fitting import Fitting
from halfseen.cli.progress import Progress, compiling, duration, say
from halfseen.common.errors import UserError

if TYPE_CHECKING:
    from halfseen.methods.contract import Estimate
    from halfseen.runs.run import Run

_LIST = "fixed.json"


@dataclass(frozen=True)
class Fix:
    """Repair renderings, whoever made them: pictures in, pictures out. What no reference shows is made up."""

    source: tyro.conf.Positional[Path]
    """A picture, a folder of pictures, or a folder that `halfseen render` wrote, of which rgb/ is read (of a run, render --fix knows more)."""
    out: Path
    """A new folder."""
    reference: Path | None = None
    """A photo of the same scene, or a folder of photos, of which the most alike are chosen for each picture."""
    references: int = 1
    """How many of them are shown to the fixer."""
    prior: str = "fixer"
    """The fixer: a name from `prior list`, a folder, or nvidia/difix_ref."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the fixer runs (auto: the CPU)."""

    def run(self) -> None:
        from halfseen.api import fixing
        from halfseen.common.files import new_folder
        from halfseen.common.jsonfile import write_json
        from halfseen.images import io

        if self.references < 0:
            raise UserError(
                "--references is too small", got=str(self.references), accepted="0 or more", do="Change it."
            )
        paths, rows, progress = fixing.pictures(self.source), [], Progress("fixing")
        found = fixing.fix(self.source, self.reference, prior=self.prior, count=self.references, device=self.device)
        with new_folder(self.out) as partial:
            for i, made in enumerate(found, 1):
                io.write_png(partial / f"{made.name}.png", made.rgb)
                row = {"name": made.name, "references": list(made.references), "changed": round(made.changed, 5)}
                rows.append(row if made.error is None else {**row, "expected_error": round(made.error, 5)})
                progress.update(i, len(paths), made.name)
            write_json(partial / _LIST, {"fixer": self.prior, "pictures": rows})
        changed = sum(float(str(r["changed"])) for r in rows) / len(rows)
        print(
            f"{len(rows)} pictures in {self.out}, changed by {100 * changed:.1f} % of full brightness on the mean ({_LIST})"
        )


@dataclass(frozen=True)
class Improve:
    """Go on from a run, or from splats of another program: repair views around the photos, and teach them to the scene."""

    source: tyro.conf.Positional[Path]
    """A run, or splats (.ply, .splat)."""
    out: Path
    """A new run folder."""
    capture: Path | None = None
    """The photos, with cameras in the frame of the splats. A run has its own; with its capture, held-out photos are measured."""
    variant: Literal["plus", "progressive", "at-once", "per-step", "renders-only"] = "plus"
    """How repairs are used."""
    steps: int = 400
    """Optimiser steps."""
    max_size: int | None = None
    """Longer side of the photos while fitting, in pixels (default: the run's, for splats 256)."""
    target_poses: Path | None = None
    """Cameras that repaired views look from (JSON as for render --cameras; default: around the photos)."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute (auto: the CPU)."""
    seed: int = 0
    """Same input, seed and machine give the same bytes."""
    prior: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="ROLE=NAME[:WEIGHT]")] = ()
    """Use another fixer, as fixer=FOLDER."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="A.B=C")] = ()
    """Change one setting of difix3d; may be given several times."""

    def run(self) -> None:
        from halfseen.api import evaluation, improving
        from halfseen.common.jsonfile import read_json

        watched = Fitting("improving")

        def start(run: Run, estimate: Estimate | None) -> None:
            for note in run.config["assumed"]:
                say(f"note: {note}")
            if estimate is not None:
                say(f"estimate: {duration(estimate.seconds)}, of which {duration(estimate.before)} however many steps")
            watched.begin()

        try:
            run = improving.improve(
                self.source,
                capture=self.capture,
                out=self.out,
                variant=self.variant,
                steps=self.steps,
                max_size=self.max_size,
                seed=self.seed,
                settings=self.set,
                priors=self.prior,
                target_poses=self.target_poses,
                device=self.device,
                on_compile=compiling(),
                on_start=start,
                on_snapshot=watched.step,
            )
        finally:
            watched.end()
        found = read_json(run.path / improving.IMPROVED)
        before, after = found["before"]["psnr"], found["after"]["psnr"]
        worst = min(found["gained"].values())
        print(f"run: {run.path}")
        of = "its inputs" if found["views"] == evaluation.INPUTS else "held-out photos"
        print(
            f"PSNR on {of}: {before:.2f} before, {after:.2f} dB after; the least that a view gained is {worst:+.2f} dB"
        )
        if found["views"] == evaluation.INPUTS:
            print("it learns from these, which says little of other views: --capture measures those")
        elif after < before:
            print(f"it got worse: keep {self.source}")
