"""`halfseen reconstruct`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from halfseen.cli.fitting import Fitting
from halfseen.cli.progress import compiling, duration, say, seconds_of
from halfseen.common.errors import UserError, quote

if TYPE_CHECKING:
    from halfseen.methods.contract import Estimate
    from halfseen.runs.run import Run


@dataclass(frozen=True)
class Reconstruct:
    """Rebuild a scene from photos into a run folder."""

    capture: tyro.conf.Positional[tuple[Path, ...]]
    """A folder in any supported layout, photos, or a video."""
    out: Path | None = None
    """The run folder (default: runs/CAPTURE-METHOD, with the method as it is named here)."""
    method: Literal["auto", "plain", "diffusionerf", "difix3d", "nerfdiff", "sparsefusion"] = "auto"
    """Which system rebuilds the scene; auto looks at the photos, and says what it took and why (plain where a setting, variant or prior is named)."""
    variant: str | None = None
    """A variant of the method (plain: classic, basic; diffusionerf: prior, geometric, geometric-prior; difix3d: plus, progressive, at-once, renders-only, per-step, base, filled; nerfdiff: ngd, feedforward, sample-then-fit, sds, diffusion-only, pixelnerf; sparsefusion: distilled, eft, vldm, pixelnerf)."""
    field: Literal["hashgrid", "triplane", "gaussians"] | None = None
    """What the scene is made of."""
    views: int | None = None
    """Use this many input views, chosen by the capture's protocol; the rest is held out."""
    view_ids: str | None = None
    """Use exactly these views, such as 1,10,19 (see 'halfseen data info')."""
    split: Literal["clusters", "walks"] | None = None
    """Hold out by place: the smaller of two clusters of cameras, or the second of two walks (names in two folders)."""
    profile: Literal["small", "paper"] = "small"
    """Sizes of networks and fields: small ones for a laptop, or those of the method's paper."""
    max_size: int | None = None
    """Longer side of the photos while fitting, in pixels (default: 256; with --profile paper, what the paper has)."""
    steps: int | None = None
    """Optimiser steps (default: the method's own)."""
    budget: str | None = None
    """Time to spend on the fit, such as 90s, 5m or 1h: as many steps as fit into it here. Compiling kernels comes on top, once."""
    format: str | None = None
    """Which layout to read when the folder holds several."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    seed: int = 0
    """Same photos, seed and machine give the same bytes."""
    prior: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="ROLE=NAME[:WEIGHT]")] = ()
    """Use another prior (a name from 'halfseen prior list', or a folder), or another weight for it (nerfdiff: how much of the field's rendering guides the next look, from 0 to 1)."""
    target_poses: Path | None = None
    """Cameras that difix3d's repaired views look from (JSON as for render --cameras; default: around the photos)."""
    poses: Path | None = None
    """Cameras of photos that have none (JSON as for render --cameras, with `file_path` or in the photos' order; default: found by what the photos share)."""
    fov: float | None = None
    """Horizontal opening angle in degrees of photos without cameras (default: what their EXIF data say, else 50 for a single photo; for several it is found)."""
    distance: float | None = None
    """How far before such a photo's camera the object is, in any unit; that is the scene's scale (default: 2)."""
    resume: bool = False
    """Go on with the run in --out where it stopped."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="A.B=C")] = ()
    """Change one setting of the method; may be given several times."""

    def run(self) -> None:
        from halfseen import api

        if self.resume and not self.capture:
            raise UserError(
                "--resume needs the capture too",
                got="none",
                accepted="the folder, photos or video that the run began with: what it left out is measured at the end",
                do=f"Write halfseen reconstruct CAPTURE --out {self.out or 'RUN'} --resume.",
            )
        if self.resume and self.budget is not None:
            say("note: --budget was turned into a number of steps when the run began; that stays as it is")
        capture = api.load(*self.capture, layout=self.format)
        name = capture.folder.resolve().name if len(self.capture) == 1 else "photos"
        out = self.out or api.default_out(name, self.method, capture)
        watched = Fitting("fitting")

        def start(run: Run, estimate: Estimate | None) -> None:
            _announce(run, estimate)
            watched.begin()

        say(f"reading {' '.join(map(str, self.capture))}")
        try:
            run = api.reconstruct(
                capture,
                out=out,
                method=self.method,
                variant=self.variant,
                profile=self.profile,
                field=self.field,
                views=self.views,
                view_ids=_ids(self.view_ids),
                split_by=self.split,
                max_size=self.max_size,
                steps=self.steps,
                budget=None if self.budget is None else seconds_of(self.budget),
                seed=self.seed,
                device=self.device,
                resume=self.resume,
                settings=self.set,
                priors=self.prior,
                target_poses=self.target_poses,
                poses=self.poses,
                fov=self.fov,
                distance=self.distance,
                on_compile=compiling(),
                on_start=start,
                on_snapshot=watched.step,
            )
        finally:
            watched.end()
        _summary(run)


# Seconds that no step costs and that are worth a word.
_LONG = 5.0


def _announce(run: Run, estimate: Estimate | None) -> None:
    """Say what was assumed, what is being done, and what it will cost, before it starts."""
    request, split = run.config["request"], run.config["split"]

    def sizes(key: str) -> str:
        return ", ".join(f"{w}x{h}" for w, h in run.config[key])

    for note in run.config["assumed"]:
        say(f"note: {note}")
    say(
        f"{len(split['train'])} input views ({split['name']}), photos {sizes('photo_sizes')}, work size {sizes('work_sizes')}"
    )
    say(
        f"method {request['method']} {request['variant']}, field {run.config['field']['kind']}; scene found by {run.config['normalised_by']}"
    )
    if estimate is not None:
        peak, held = estimate.peak / 2**20, estimate.held / 2**20
        first = f" ({duration(estimate.before)} however many steps)" if estimate.before >= _LONG else ""
        say(
            f"estimate: {duration(estimate.seconds)}{first} and {peak:.0f} MiB, of which the program holds {held:.0f} already"
        )
    else:
        say(f"resuming after step {run.checkpoints()[-1]}")


def _summary(run: Run) -> None:
    from halfseen.common.jsonfile import read_json

    metrics = read_json(run.path / "metrics.json")
    print(f"run: {run.path}")
    if "psnr_held_out" in metrics:
        count = metrics["held_out"]["count"]
        print(f"PSNR on {count} held-out photos: {metrics['psnr_held_out']:.2f} dB (see previews/held-out.png)")
    print(
        f"PSNR on {metrics['inputs']['count']} of its {metrics['views']} inputs: {metrics['psnr_inputs']:.2f} dB, which says little of other views"
    )
    print(f"next: halfseen render {run.path} --orbit 60 --out {run.path.name}-orbit --video")


def _ids(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            "--view-ids cannot be read",
            got=quote(text),
            accepted="numbers with commas, such as 1,10,19",
            do="Correct it.",
        ) from error
