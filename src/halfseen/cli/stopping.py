"""Ctrl-C during a fit: the step at hand is ended and kept, so that --resume goes on from it. A second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from halfseen.cli.progress import say


class Stop:
    """From the first `check` to `end` an interrupt is a wish that `check` grants; before, there is nothing to keep."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def check(self) -> None:
        """Between two steps: stop here if that was asked for; from the first on, take over interrupts (the main thread alone can)."""
        if self.asked:
            raise KeyboardInterrupt
        if self._before is None and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def end(self) -> None:
        """Give interrupts back."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        self.end()
        say("stopping after this step, which is kept")
