"""Progress with an honest time to go: one line that rewrites itself on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import sys
import time

# Without a terminal, a line every so many seconds.
_SPARSE_SECONDS = 5.0
_REWRITE_SECONDS = 0.2
# The time to go follows the recent pace: weight of the newest step in the running mean.
_PACE = 0.05


class Progress:
    """Counts steps on stderr."""

    def __init__(self, what: str) -> None:
        now = time.monotonic()
        self.what, self.started, self.shown, self.before, self.pace, self.first = what, now, now, now, 0.0, True

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


def duration(seconds: float) -> str:
    """12 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
