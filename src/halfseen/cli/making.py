"""Captures made by many processes: what a job gives, how it is written, and that finished ones are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfseen.cli.progress import Progress
from halfseen.common.errors import UserError, quote
from halfseen.common.threads import begin_worker

if TYPE_CHECKING:
    from halfseen.worlds.sample import Shot

# Beside each capture: how it came about. In it, what was asked for, which a capture that is kept must share.
_ASKED = "asked"
FACTS, SURFACE, VISIBILITY = "world.json", "mesh.ply", "visibility"
# A visibility picture counts views in 16 bits.
_MOST_VIEWS = 65535


@dataclass(frozen=True)
class Made:
    """What one job gives: photos, facts worth keeping beside them, and what was not as it should be."""

    shot: Shot
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def _nothing(_: object) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Order:
    """How captures are written."""

    out: Path
    layout: str
    mesh: bool
    visibility: bool
    workers: int | None
    # What was asked for of all jobs, and what tells the source of one from another that has its name.
    asked: Mapping[str, Any]
    identify: Callable[[Any], Mapping[str, Any]] = _nothing


Work = Callable[[Any], Made]


def run(work: Work, jobs: Mapping[str, object], order: Order) -> None:
    """Do all jobs that are not done yet, in as many processes as there are cores."""
    from halfseen.data import formats

    formats.by_name(order.layout)
    if order.workers is not None and order.workers < 1:
        raise UserError("--workers is too small", got=str(order.workers), accepted="1 or more", do="Change it.")
    there = {name: job for name, job in jobs.items() if (order.out / name).exists()}
    for name, job in there.items():
        _check_kept(order.out / name, _asked(order, job))
    waiting = {name: job for name, job in jobs.items() if name not in there}
    progress = Progress("making captures")
    said: dict[str, None] = {}
    failed: list[UserError] = []
    for done, outcome in enumerate(_each(work, waiting, order), 1):
        if isinstance(outcome, UserError):
            failed.append(outcome)
        else:
            said.update(dict.fromkeys(outcome))
        progress.update(done, len(waiting))
    kept, made = len(jobs) - len(waiting), len(waiting) - len(failed)
    print(f"{made} captures in {order.out} as {order.layout}" + (f"; {kept} were there already" if kept else ""))
    for sentence in said:
        print(f"  {sentence}")
    _report(failed, len(waiting))


def _asked(order: Order, job: object) -> dict[str, Any]:
    """All that decides what a capture holds."""
    return {
        **order.asked,
        **order.identify(job),
        "layout": order.layout,
        "mesh": order.mesh,
        "visibility": order.visibility,
        "halfseen": metadata.version("halfseen"),
    }


def _check_kept(folder: Path, asked: Mapping[str, Any]) -> None:
    """A capture that is there already is kept only if it is what is asked for now."""
    from halfseen.common.jsonfile import read_json

    stored = read_json(folder / FACTS).get(_ASKED, {}) if (folder / FACTS).is_file() else {}
    different = [k for k in asked if stored.get(k) != asked[k]]
    if different:
        raise UserError(
            f"{quote(folder.name)} is there already, made in another way",
            got=", ".join(f"{k} {stored.get(k)}" for k in different),
            accepted=", ".join(f"{k} {asked[k]}" for k in different),
            do="Choose another --out, or remove that folder.",
        )


def _truth(shot: Shot) -> dict[str, Any]:
    """What the files state wrongly on purpose: where the cameras truly stood, and how each picture was exposed."""
    from halfseen.cameras.convert import swap_opengl

    facts: dict[str, Any] = {"exposure_stops_of_views": list(shot.stops)} if any(shot.stops) else {}
    if not bool((shot.capture.cameras().c2w == shot.cameras.c2w).all()):
        facts["true_transform_matrices"] = swap_opengl(shot.cameras.c2w).tolist()
    return facts


def _report(failed: list[UserError], count: int) -> None:
    """One thing that cannot be read must not keep the others from being made; it is an error all the same."""
    if count == 1 and failed:
        raise failed[0]
    if failed:
        for error in failed[1:]:
            print(f"halfseen: {error}", file=sys.stderr)
        print(f"{len(failed)} of {count} could not be made", file=sys.stderr)
        raise failed[0]


def _each(work: Work, waiting: Mapping[str, object], order: Order) -> Iterator[list[str] | UserError]:
    count = min(order.workers if order.workers is not None else os.cpu_count() or 1, len(waiting))
    if count <= 1:
        for name, job in waiting.items():
            yield _try(work, job, order.out / name, order)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=begin_worker) as pool:
        futures = [pool.submit(_try, work, job, order.out / name, order) for name, job in waiting.items()]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _try(work: Work, job: object, folder: Path, order: Order) -> list[str] | UserError:
    try:
        return _write(work, job, folder, order)
    except UserError as error:
        return error


def _write(work: Work, job: object, folder: Path, order: Order) -> list[str]:
    """Make one capture and write it; returns what there is to say. Runs in workers."""
    from halfseen.common.files import new_folder
    from halfseen.common.jsonfile import write_json
    from halfseen.data import formats
    from halfseen.worlds import mesh_file

    made = work(job)
    with new_folder(folder) as unfinished:
        lost = formats.by_name(order.layout).write(made.shot.capture, unfinished)
        write_json(unfinished / FACTS, {**made.facts, **_truth(made.shot), _ASKED: _asked(order, job)})
        if order.mesh:
            mesh_file.write(made.shot.world.model.mesh, unfinished / SURFACE)
        if order.visibility:
            _write_visibility(made.shot, unfinished / VISIBILITY)
    return [*(f"lost: {sentence}" for sentence in lost), *(f"note: {note}" for note in made.notes)]


def _write_visibility(shot: Shot, folder: Path) -> None:
    """One 16-bit picture for each view: how many of the views see the surface in each pixel; 0 where nothing is."""
    from halfseen.images.io import write_depth16
    from halfseen.worlds.sample import seen_by

    folder.mkdir()
    for i, count in enumerate(seen_by(shot.world, shot.cameras)):
        write_depth16(folder / f"{i:03d}.png", count.clamp(max=_MOST_VIEWS).numpy())
