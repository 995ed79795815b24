"""Things that are made ahead of use: numbers to things, by workers, in a window that moves on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Generic, TypeVar

from halfseen.common.threads import begin_worker

# Things that are made before the window needs them, for each worker.
_AHEAD = 2
Made = TypeVar("Made")
Kept = TypeVar("Kept")


class Ahead(Generic[Made, Kept]):
    """`make(n)` for the n of a window. Workers (0: this process, when one is asked for) need `make` to be a function of a module.

    Close it: it owns processes.
    """

    def __init__(
        self, make: Callable[[int], Made], keep: Callable[[Made, int], Kept], window: int, workers: int
    ) -> None:
        self._make, self._keep, self._window, self._workers = make, keep, window, workers
        self._kept: dict[int, Kept] = {}
        self._coming: dict[int, Future[Made]] = {}
        self._pool: ProcessPoolExecutor | None = None
        if workers > 0:
            self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin_worker)

    def close(self) -> None:
        """Stop the workers; what they are at is thrown away."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def get(self, first: int, number: int) -> Kept:
        """Thing `number` of the window that begins at `first`; what lies before it is dropped."""
        self._prefetch(first)
        for old in [n for n in self._kept if n < first]:
            del self._kept[old]
        if number not in self._kept:
            future = self._coming.pop(number, None)
            made = future.result() if future is not None else self._make(number)
            self._kept[number] = self._keep(made, number)
        return self._kept[number]

    def _prefetch(self, first: int) -> None:
        """Keep workers busy with what comes next."""
        if self._pool is None:
            return
        for old in [n for n in self._coming if n < first]:
            self._coming.pop(old).cancel()
        for number in range(first, first + self._window + _AHEAD * self._workers):
            if number not in self._kept and number not in self._coming:
                self._coming[number] = self._pool.submit(self._make, number)
