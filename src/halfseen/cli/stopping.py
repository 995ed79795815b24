"""Ctrl-C during a fit: the step at hand is ended and kept, so that --resume goes on from it. A second one stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from halfseen.cli.progress import say


class Stop:
    """Between `begin` and `end` an interrupt is a wish that `check` grants."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def begin(self) -> None:
        """Take over interrupts, which the main thread alone can do."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def check(self) -> None:
        """Between two steps: stop here if that was asked for."""
        if self.asked:
            raise KeyboardInterrupt

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
