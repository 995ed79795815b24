"""Pairs for fixers: which fits are made for them, and all of them as units of work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import torch

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import formats
from halfseen.methods.difix3d import fitted, pair_files
from halfseen.methods.difix3d.fitted import DRIVES, STRATEGIES, Job, Kind, Strategy
from halfseen.scale import units
from halfseen.scale.units import Backend, Report, Unit
from halfseen.worlds.seeds import Purpose

# How often each strategy is chosen where none is named; drives are needed for the last two.
_OFTEN: dict[Strategy, float] = {"sparse": 0.6, "underfit": 0.2, "cycle": 0.08, "cross": 0.12}
_DIGITS = 8
_T = TypeVar("_T", bound=str)
# How often each kind of field is fitted where none is named: a hash grid and the looks at its fog take ten times as long.
_KINDS: dict[Kind, float] = {"gaussians": 0.9, "hashgrid": 0.1}
# Of so many jobs one is for the part `test`; no divisor of other turns, so that it has of everything.
_TEST_EVERY = 11
OUTDOOR = "outdoor"
# Families of worlds take turns: objects as often as places.
_FAMILIES = ("rooms", "chairs", "tabletop", "cars", "rooms", "chairs", OUTDOOR, "cars")


def jobs(
    count: int,
    *,
    captures: Sequence[Path] = (),
    strategies: Sequence[Strategy] = (),
    families: Sequence[str] = (),
    kinds: Sequence[Kind] = (),
    first: int = 0,
    steps: int = 300,
    size: tuple[int, int] = (160, 128),
) -> dict[str, list[Job]]:
    """`count` jobs by the part that they are for; job n follows from n. Captures take turns; without any, worlds of train seeds."""
    for path in captures:
        formats.read([path]).cameras()
    if captures and not set(strategies or STRATEGIES) - set(DRIVES):
        raise UserError(
            "these pairs need a drive",
            got=", ".join(strategies),
            accepted="sparse or underfit for captures; cycle and cross for worlds",
            do="Change --strategies.",
        )
    out: dict[str, list[Job]] = {part: [] for part in pair_files.PARTS}
    for number in range(first, first + count):
        # Of captures whole ones are held out, of worlds jobs, each of which has a world of its own.
        test = _is_test(number % len(captures) if captures else number)
        purpose: Purpose = "validation" if test else "train"
        part: Literal["train", "test"] = "test" if test else "train"
        some = [s for s in strategies or STRATEGIES if not (captures and s in DRIVES)]
        strategy = _drawn("strategy", number, {s: _OFTEN[s] for s in some})
        kind = kinds[number % len(kinds)] if kinds else _drawn("kind", number, _KINDS)
        places = families or _FAMILIES
        family = OUTDOOR if strategy in DRIVES else places[number % len(places)]
        capture = str(captures[number % len(captures)].resolve()) if captures else ""
        job = Job(strategy, kind, number, "" if captures else family, capture, purpose, part)
        out[part].append(replace(job, steps=steps, width=size[0], height=size[1]))
    return out


def _is_test(number: int) -> bool:
    return number % _TEST_EVERY == _TEST_EVERY - 2


def _drawn(name: str, number: int, often: Mapping[_T, float]) -> _T:
    """One of these for a job, as often as is said: drawn, not by turns, so that every family has of all."""
    shares = torch.tensor(list(often.values()))
    return list(often)[int(torch.multinomial(shares, 1, generator=generator(0, f"pairs/{name}", number)))]


def name_of(job: Job) -> str:
    """The folder of a job; one that is asked for in another way has another folder."""
    told = hashlib.sha256(repr(job).encode()).hexdigest()[:_DIGITS]
    return f"{job.number:06d}-{job.strategy}-{job.kind}-{told}"


def make(found: dict[str, list[Job]], out: Path, *, workers: int = 1, backend: Backend = "local") -> Iterator[Report]:
    """Do the jobs into a folder, and list all pairs of it when they are done. What is there is kept."""
    # In the order of their numbers, so that both parts grow together.
    every = sorted((job for some in found.values() for job in some), key=lambda job: job.number)
    asked = [Unit(name_of(job), job) for job in every]
    try:
        yield from units.run(asked, fitted.make, out, workers=workers, backend=backend)
    finally:
        merge(out)


def merge(out: Path) -> dict[str, int]:
    """List every pair that is in a folder; their numbers by part."""
    if not out.is_dir():
        return dict.fromkeys(pair_files.PARTS, 0)
    return pair_files.merge(out, [f.name for f in sorted(out.glob("[0-9]*-*-*")) if (f / pair_files.FILE).is_file()])
