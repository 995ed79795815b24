"""Progress with an honest time to go: one line that rewrites itself on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from halfseen.common.errors import UserError, quote

# Without a terminal, a line every so many seconds.
_SPARSE_SECONDS = 5.0
_REWRITE_SECONDS = 0.2
# The time to go follows the recent pace: weight of the newest step in the running mean.
_PACE = 0.05
# Seconds in the units of --budget.
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Progress:
    """Counts steps on stderr."""

    def __init__(self, what: str) -> None:
        now = time.monotonic()
        self.what, self.started, self.shown, self.before, self.pace, self.first = what, now, now, now, 0.0, True

    def begin(self) -> None:
        """The clock starts here: what came before was getting ready."""
        self.started = self.before = time.monotonic()

    def update(self, step: int, total: int, detail: str = "") -> None:
        """Note that `step` of `total` is done."""
        now = time.monotonic()
        taken, self.before = now - self.before, now
        if self.first:
            # The first step pays for setting up; it says nothing about the pace.
            self.first = False
            return
        self.pace = taken if self.pace == 0 else (1 - _PACE) * self.pace + _PACE * taken
        terminal = sys.stderr.isatty()
        if step < total and now - self.shown < (_REWRITE_SECONDS if terminal else _SPARSE_SECONDS):
            return
        self.shown = now
        left = (
            f"{duration(self.pace * (total - step))} to go" if step < total else f"took {duration(now - self.started)}"
        )
        line = f"{self.what}: {step}/{total}, {left}{', ' + detail if detail else ''}"
        print(
            f"\r{line:<78}" if terminal else line,
            end="\n" if step == total or not terminal else "",
            file=sys.stderr,
            flush=True,
        )


def compiling() -> Callable[[int, int], None]:
    """Progress of compiling kernels (`methods.contract.OnCompile`); nothing is printed when all of them are there."""
    shown: list[Progress] = []

    def update(done: int, parts: int) -> None:
        if not shown:
            say("compiling the kernels that this needs (once for each kind of field and method)")
            shown.append(Progress("compiling kernels"))
        shown[0].update(done, parts)

    return update


def duration(seconds: float) -> str:
    """12 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def seconds_of(text: str) -> float:
    """Seconds of a --budget such as 90, 90s, 5m or 2h."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError as error:
        raise UserError(
            "--budget cannot be read", got=quote(text), accepted="a number with s, m or h", do="Write --budget 5m."
        ) from error


def say(text: str) -> None:
    """A line for the person who waits, beside what is printed as the result."""
    print(text, file=sys.stderr, flush=True)
