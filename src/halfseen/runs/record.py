"""Drive a method's generator and write down what happens: events, checkpoints, previews. Snapshots pass through."""

from __future__ import annotations

import math
import time
from collections.abc import Generator

from halfseen.common.errors import UserError
from halfseen.common.log import logger
from halfseen.images import io
from halfseen.runs.run import PREVIEWS, Run
from halfseen.runs.snapshot import Knobs, Snapshot

# A checkpoint at least this often in seconds, and at the end. What is lost by a kill is bounded by it.
CHECKPOINT_SECONDS = 20.0
# Losses go into events.jsonl every so many steps.
EVENT_STEPS = 50


def record(
    run: Run, snapshots: Generator[Snapshot, Knobs | None, None], *, checkpoint_seconds: float = CHECKPOINT_SECONDS
) -> Generator[Snapshot, None, None]:
    """Yield every snapshot after recording it. When it is closed between two steps, the last step is kept."""
    saved_at, started = time.monotonic(), time.monotonic()
    last: Snapshot | None = None
    for snapshot in snapshots:
        last = snapshot
        _check_finite(snapshot)
        done = snapshot.step == snapshot.total
        if snapshot.step % EVENT_STEPS == 0 or done:
            facts = {"facts": snapshot.facts} if snapshot.facts else {}
            run.event("step", step=snapshot.step, phase=snapshot.phase, losses=snapshot.losses, **facts)
        due = done or time.monotonic() - saved_at > checkpoint_seconds
        if due:
            _save(run, snapshot, started)
            for name, picture in snapshot.panels().items():
                io.write_png(run.path / PREVIEWS / f"{snapshot.step:09d}-{name}.png", picture)
            saved_at = time.monotonic()
        try:
            yield snapshot
        except GeneratorExit:
            if not due:
                _save(run, snapshot, started)
            raise
    if last is not None:
        run.event("fitted", step=last.step, seconds=round(time.monotonic() - started, 2))


def _save(run: Run, snapshot: Snapshot, started: float) -> None:
    run.save(snapshot.step, snapshot.state())
    run.event("checkpoint", step=snapshot.step, seconds=round(time.monotonic() - started, 2))
    logger.info("checkpoint at step %d", snapshot.step)


def _check_finite(snapshot: Snapshot) -> None:
    for name, value in snapshot.losses.items():
        if not math.isfinite(value):
            raise UserError(
                f"the fit broke at step {snapshot.step}",
                got=f"loss '{name}' is {value}",
                accepted="finite losses",
                do="Check the capture with 'halfseen data check', or lower the learning rates with --set.",
            )
