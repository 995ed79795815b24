"""What a process does when it is told to stop stays this program's matter."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ENDS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def untouched() -> Iterator[None]:
    """Around an import that installs handlers of its own in C (COLMAP prints a page of addresses when somebody ends the program): those of
    before are put back. Only the main thread may; elsewhere they stay as the import left them."""
    before = {number: signal.getsignal(number) for number in _ENDS}
    yield
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
