"""`halfseen batch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from halfseen.cli.progress import Progress, say, seconds_of
from halfseen.common.errors import UserError


@dataclass(frozen=True)
class Batch:
    """Rebuild many captures, one run each. The same command goes on where it stopped."""

    list: tyro.conf.Positional[Path]
    """A folder of captures, a text file with a capture on each line, or JSON: [{"capture": "a/", "views": 3}, ...]."""
    out: Path
    """The folder of the runs."""
    method: Literal["auto", "plain", "diffusionerf", "difix3d", "nerfdiff", "sparsefusion"] = "auto"
    """Which system rebuilds the scenes."""
    variant: str | None = None
    """A variant of the method."""
    field: Literal["hashgrid", "triplane", "gaussians"] | None = None
    """What scenes are made of."""
    views: int | None = None
    """Input views of each capture."""
    max_size: int | None = None
    """Longer side of the photos while fitting, in pixels."""
    steps: int | None = None
    """Optimiser steps (default: the method's own)."""
    budget: str | None = None
    """Time for each fit, such as 5m."""
    seed: int = 0
    """Same photos, seed and machine give the same bytes."""
    workers: int = 1
    """Processes, one core each."""
    backend: Literal["local", "ray"] = "local"
    """Where they run: on this machine, or on a Ray cluster."""

    def run(self) -> None:
        from halfseen.api import batching

        own = ("method", "variant", "field", "views", "max_size", "steps", "seed")
        shared = {k: getattr(self, k) for k in own if getattr(self, k) is not None}
        shared |= {} if self.budget is None else {"budget": seconds_of(self.budget)}
        found = batching.read_list(self.list, shared)
        progress, failed = Progress("runs"), 0
        for i, report in enumerate(batching.run(found, self.out, workers=self.workers, backend=self.backend), 1):
            progress.update(i, len(found), f"{report.name} {report.state}")
            if report.state == "failed":
                failed += 1
                say(f"{report.name} failed: {report.error}")
        print(f"{len(found) - failed} of {len(found)} runs in {self.out} ({batching.SUMMARY})")
        if failed:
            raise UserError(
                "some runs failed", got=str(failed), accepted="none", do="See above; then repeat the command."
            )
