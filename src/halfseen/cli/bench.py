"""`halfseen bench speed | claims | poses | advice`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from halfseen.cli.progress import Progress, compiling, duration
from halfseen.common.errors import UserError, quote

if TYPE_CHECKING:
    from halfseen.bench.claims import Cell


@dataclass(frozen=True)
class BenchSpeed:
    """Time the compiled loops beside their slow twins on this machine (a ratio says more than a time), and what an object from one photo costs."""

    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen.bench import speed, speed_objects, speed_splats

        rows = [{**asdict(r), "ratio": r.ratio, "aim": r.aim} for r in (*speed.rows(), *speed_splats.rows())]
        points = [asdict(p) for p in (*speed.curves(), *speed_splats.curves(), *speed_objects.curves())]
        if self.json:
            print(json.dumps({"rows": rows, "curves": points}, indent=1, allow_nan=False))
            return
        print(f"{'':<52}{'ms':>9}{'twin ms':>10}{'ratio':>8}{'aim':>5}{'ns each':>10}")
        for r in rows:
            print(
                f"{r['name']:<52}{r['ms']:>9.2f}{r['twin_ms']:>10.1f}{r['ratio']:>8.1f}{r['aim'] or '':>5}{r['ns_per_sample']:>10.1f}  {r['note']}"
            )
        for p in points:
            print(f"{p['curve']:<24}{p['size']:>9}{p['ms']:>12.2f} ms{p['ns_each']:>10.1f} ns each")


@dataclass(frozen=True)
class BenchClaims:
    """Compute the cells of claims that are not there yet, and print the tables and aims that follow from them."""

    out: Path = Path("claims")
    """Folder of cells/; cells that are there are kept."""
    captures: Path | None = None
    """Folder with real captures (llff_fern, fox, banana, dtu_scan65; for objects from one or a few photos, meshes_cc0_kenney and meshes_cc0_kaykit); without it the claims stand on worlds alone."""
    method: str = "plain"
    """Whose claims: plain, diffusionerf, difix3d, nerfdiff, sparsefusion."""
    tier: Literal["quick", "full"] = "quick"
    """quick takes 2 (plain), 9 (diffusionerf), 18 (difix3d), 11 (nerfdiff) or 8 (sparsefusion) minutes a scene on one core; full goes on for long."""
    scenes: tuple[str, ...] = ()
    """Only these scenes, such as room-0 llff_fern."""
    rows: tuple[str, ...] = ()
    """Only these rows, by their names."""
    inception: Path | None = None
    """Weights of Inception for FID and KID (a file of its own, which others give out)."""
    ablations: bool = False
    """Also what each part of the method is worth, on a few of the scenes."""
    row: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A row of your own: NAME=METHOD/VARIANT[/FIELD][,SETTING=VALUE ...], such as mine=diffusionerf/prior,prior=FOLDER."""
    limit: int | None = None
    """Compute at most this many new cells, and what else their fits serve."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen.bench import claims, rows, tables

        more = tuple(map(rows.parse, self.row))
        wanted = claims.cells(self.tier, self.captures, self.method, ablations=self.ablations, more=more)
        wanted = _possible(_chosen(wanted, self.scenes, self.rows), self.rows)
        if self.inception is not None:
            wanted = [replace(c, inception=str(self.inception)) for c in wanted]
        missing = [c for c in wanted if not claims.path_of(c, self.out).exists()][: self.limit]
        progress, told = Progress("cells"), compiling()
        seconds = 0.0
        for done, cell in enumerate(missing, 1):
            # Another row's fit may have served this one too.
            if not claims.path_of(cell, self.out).exists():
                seconds += claims.compute(cell, self.out, self.captures, told)
            progress.update(done, len(missing), f"{cell.row.name} on {cell.scene}")
        found = claims.read(wanted, self.out)
        table, controls, aims = tables.rows(found), tables.control_rows(found), tables.aims(found)
        gains = tables.beside(found)
        if self.json:
            record = {"rows": table, "controls": controls, "aims": aims, "gains": gains, "cells": len(found)}
            print(json.dumps(record, indent=1, allow_nan=False))
            return
        print(f"{len(missing)} cells computed in {duration(seconds)}, {len(found)} of {len(wanted)} in the tables")
        print(tables.markdown([*table, *controls], aims, gains))


@dataclass(frozen=True)
class BenchPoses:
    """Take the cameras away from real captures, find them by what photos share, and say how far off they are."""

    captures: Path
    """Folder with real captures (dtu_scan65, co3d_apple, redkitchen_rgbd, fox; banana, llff_fern)."""
    sets: tuple[str, ...] = ()
    """Only these."""
    counts: tuple[int, ...] = (2, 3, 4, 6, 10)
    """Numbers of photos that are drawn."""
    seeds: int = 3
    """Drawings of each number."""
    json: bool = False
    """Print one JSON object with every drawing."""

    def run(self) -> None:
        from halfseen.bench import poses

        progress = Progress("drawings")
        names = self.sets or (*poses.OTHERS, *poses.COLMAPS)
        found = poses.rows(self.captures, names, self.counts, self.seeds, progress.update)
        if self.json:
            print(json.dumps({"rows": found, "table": poses.table(found)}, indent=1, allow_nan=False))
            return
        print("| set | photos | placed | rotation (degrees) | direction (degrees) | focal | sure | seconds |")
        print("|---" * 8 + "|")
        for r in poses.table(found):
            errors = " | ".join("" if r[k] is None else f"{r[k]:.2f}" for k in ("turn", "shift", "focal"))
            print(
                f"| {r['set']} | {r['photos']} | {r['placed']:.0%} | {errors} | {r['sure']} of {r['of']} | {r['seconds']:.0f} |"
            )


@dataclass(frozen=True)
class BenchAdvice:
    """On worlds, add the photo that advice asks for, and photos from places drawn at random; PSNR on photos that no fit saw."""

    draws: int = 3
    """Places that are drawn, of each world."""
    steps: int = 400
    """Steps of each fit (plain classic)."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from statistics import fmean

        from halfseen import api
        from halfseen.bench import advice

        progress = Progress("worlds")
        tools = advice.Tools(api.reconstruct, api.advise)
        found = advice.rows(tools, self.draws, self.steps, progress.update)
        if self.json:
            print(json.dumps({"rows": [{**asdict(r), "gain": r.gain} for r in found]}, indent=1, allow_nan=False))
            return
        print("| world | three photos | and the advised one | and others | gain over their mean |")
        print("|---" * 5 + "|")
        for r in found:
            others = ", ".join(f"{o:.2f}" for o in r.others)
            print(f"| {r.world} | {r.before:.2f} | {r.advised:.2f} | {others} | {r.gain:+.2f} |")
        print(
            f"mean gain {fmean(r.gain for r in found):+.2f} dB; {sum(r.gain > 0 for r in found)} of {len(found)} gain"
        )


def _possible(wanted: list[Cell], asked: tuple[str, ...]) -> list[Cell]:
    """The cells without rows whose prior is not here, which is said; rows that were asked for by name stay."""
    from halfseen.bench import claims

    absent = {row: prior for row, prior in claims.without_priors(wanted).items() if row not in asked}
    for row, prior in absent.items():
        print(
            f"row {row} is left out: {prior} is not shipped (halfseen prior train {prior} --out t; prior publish t --out {prior}, here)",
            file=sys.stderr,
        )
    return [c for c in wanted if c.row.name not in absent]


def _chosen(wanted: list[Cell], scenes: tuple[str, ...], rows: tuple[str, ...]) -> list[Cell]:
    """The cells of some scenes and rows; empty: all."""
    for what, asked, there in (
        ("scenes", scenes, sorted({c.scene for c in wanted})),
        ("rows", rows, sorted({c.row.name for c in wanted})),
    ):
        unknown = [a for a in asked if a not in there]
        if unknown:
            raise UserError(
                f"--{what} names none of these claims",
                got=quote(unknown[0]),
                accepted=", ".join(there),
                do="Correct it.",
            )
    return [c for c in wanted if (not scenes or c.scene in scenes) and (not rows or c.row.name in rows)]
