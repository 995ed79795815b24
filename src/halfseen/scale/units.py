"""Units of work that each fill one folder: queued, retried, and never done twice, because a folder that is there is done.

A unit's work may end at any time, by an error or by a killed process: its folder then is absent, and the unit is tried again. Results
are read from the folders, so that a local pool and a cluster are the same to whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from halfseen.common.errors import UserError, quote

Backend = Literal["local", "ray"]
# Work on arguments that fills a folder, whole or not at all. A function of a module: it is called in other processes.
Work = Callable[[Any, Path], None]


@dataclass(frozen=True)
class Unit:
    """One thing to do."""

    name: str  # of its folder
    args: Any


@dataclass(frozen=True)
class Report:
    """What became of a unit."""

    name: str
    state: Literal["done", "was there", "failed"]
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a worker says of one try."""

    seconds: float
    error: str = ""
    final: bool = False  # trying again would not help


class Pool(Protocol):
    """Where work is done: a queue that gives outcomes back in the order in which they come."""

    def put(self, unit: Unit, work: Work, folder: Path) -> None: ...
    def get(self) -> tuple[Unit, Outcome]: ...
    def close(self) -> None: ...


def is_there(folder: Path) -> bool:
    """Whether a unit's folder is done; folders appear whole."""
    return folder.is_dir() and any(folder.iterdir())


def run(
    units: Sequence[Unit],
    work: Work,
    out: Path,
    *,
    workers: int = 1,
    retries: int = 1,
    backend: Backend = "local",
    done: Callable[[Path], bool] = is_there,
) -> Iterator[Report]:
    """Do all units into out/NAME; reports come as they end. A unit is tried again `retries` times, but not after a user's error."""
    _check(units, workers)
    waiting = []
    for unit in units:
        if done(out / unit.name):
            yield Report(unit.name, "was there")
        else:
            waiting.append(unit)
    if not waiting:
        return
    pool, tries = _pool(backend, min(workers, len(waiting))), dict.fromkeys((u.name for u in waiting), 0)
    try:
        for unit in waiting:
            pool.put(unit, work, out / unit.name)
        left = len(waiting)
        while left:
            unit, outcome = pool.get()
            tries[unit.name] += 1
            if outcome.error and not outcome.final and tries[unit.name] <= retries:
                pool.put(unit, work, out / unit.name)
                continue
            left -= 1
            yield Report(unit.name, "failed" if outcome.error else "done", outcome.seconds, outcome.error)
    finally:
        pool.close()


def tried(work: Work, args: Any, folder: Path) -> Outcome:
    """One try, in whatever process this is. A user's error is told apart from others, which may pass."""
    began = time.monotonic()
    try:
        work(args, folder)
    except UserError as error:
        return Outcome(time.monotonic() - began, str(error), final=True)
    except Exception as error:  # noqa: BLE001 - whatever broke one unit must not break the others
        return Outcome(time.monotonic() - began, f"{type(error).__name__}: {error}")
    return Outcome(time.monotonic() - began)


def _pool(backend: Backend, workers: int) -> Pool:
    if backend == "ray":
        from halfseen.scale.cluster import RayPool

        return RayPool()
    from halfseen.scale.local import LocalPool

    return LocalPool(workers)


def _check(units: Sequence[Unit], workers: int) -> None:
    names = [u.name for u in units]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(
            "two units of work share a name", got=quote(twice[0]), accepted="different names", do="Rename one."
        )
    if workers < 1:
        raise UserError("--workers is too small", got=str(workers), accepted="1 or more", do="Change it.")
