"""A fit that somebody watches: its progress, what was decided about repairs, and how it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halfseen.cli.progress import Progress, say
from halfseen.cli.stopping import Stop

if TYPE_CHECKING:
    from halfseen.runs.snapshot import Snapshot

_DECIDED = "strength"


class Fitting:
    """From `begin` to `end`, a line now and then for every step."""

    def __init__(self, what: str) -> None:
        self._progress, self._stop, self._told = Progress(what), Stop(), False

    def begin(self) -> None:
        """The clock starts here."""
        self._progress.begin()

    def step(self, snapshot: Snapshot) -> None:
        """A step is done: show it, and stop here if that was asked for."""
        if not self._told and _DECIDED in snapshot.facts:
            self._told = True
            share = snapshot.facts[_DECIDED]
            say(
                f"by photos that were left out, repairs count {share:g}"
                if share
                else "repairs help no left-out photo: none is made"
            )
        self._progress.update(snapshot.step, snapshot.total, f"error {snapshot.losses.get('rgb', 0):.4f}")
        self._stop.check()

    def end(self) -> None:
        """Interrupts are as before."""
        self._stop.end()
