"""`halfseen prior pairs | tau`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from halfseen.cli.progress import Progress, say
from halfseen.common.errors import UserError


@dataclass(frozen=True)
class PriorPairs:
    """Make pairs for training a fixer: renderings of fits that saw too little, beside the truth. The same command goes on where it stopped."""

    captures: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Posed captures; without any, worlds are made."""
    out: Path = Path("pairs")
    """The folder for pictures and pairs.json."""
    count: int = 100
    """Fits in all."""
    first: int = 0
    """Number of the first of them, for making more elsewhere."""
    strategies: tuple[Literal["sparse", "underfit", "cycle", "cross"], ...] = ()
    """Ways of seeing too little (default: all that the source allows)."""
    families: tuple[str, ...] = ()
    """Families of worlds."""
    fields: tuple[Literal["gaussians", "hashgrid"], ...] = ()
    """Kinds of field (default: nine of ten are gaussians)."""
    steps: int = 300
    """Steps of each fit."""
    size: tuple[int, int] = (160, 128)
    """Width and height of worlds' pictures; of captures the longer side."""
    workers: int = 1
    """Processes."""
    backend: Literal["local", "ray"] = "local"
    """Where they run."""

    def run(self) -> None:
        from halfseen.api import pairs

        if self.count < 1 or self.first < 0:
            raise UserError(
                "--count or --first is too small",
                got=f"{self.count}, {self.first}",
                accepted="1 or more, 0 or more",
                do="Change it.",
            )
        found = pairs.jobs(
            self.count,
            captures=self.captures,
            strategies=self.strategies,
            families=self.families,
            kinds=self.fields,
            first=self.first,
            steps=self.steps,
            size=self.size,
        )
        progress, failed = Progress("pairs"), 0
        for i, report in enumerate(pairs.make(found, self.out, workers=self.workers, backend=self.backend), 1):
            progress.update(i, self.count, report.name)
            if report.state == "failed":
                failed += 1
                say(f"{report.name} failed: {report.error}")
        numbers = pairs.merge(self.out)
        print(f"{self.out / 'pairs.json'}: " + ", ".join(f"{n} for {part}" for part, n in numbers.items()))
        if failed:
            raise UserError(
                "some fits failed", got=f"{failed} of {self.count}", accepted="none", do="Give the same command again."
            )


@dataclass(frozen=True)
class PriorTau:
    """At which noise level Difix's graph repairs best: PSNR and SSIM of held-out pairs for each (figure 4 of the paper)."""

    prior: tyro.conf.Positional[str]
    """A folder of Difix's weights, or its name on the hub."""
    pairs: tyro.conf.Positional[Path]
    """A folder of pairs, or a list in the published layout."""
    taus: tuple[int, ...] = (1000, 800, 600, 400, 200, 10)
    """Noise levels, counted from one."""
    count: int = 16
    """Held-out pairs."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen.api import taus

        rows = []
        for row in taus.table(self.prior, self.pairs, self.taus, self.count):
            rows.append(row)
            if not self.json:
                print(f"tau {row['tau']:4.0f}  psnr {row['psnr']:6.2f}  ssim {row['ssim']:.4f}", flush=True)
        if self.json:
            print(json.dumps({"rows": rows}, indent=1))
