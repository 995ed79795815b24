"""Units of work in processes of this machine, one thread each."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from halfseen.common.threads import begin_worker
from halfseen.scale.units import Outcome, Unit, Work, tried

_KILLED = "the process that worked on it was ended from outside, or ran out of memory"


Asked = tuple[Unit, Work, Path]


class LocalPool:
    """See `units.Pool`. A process that is killed takes the pool with it, and nobody can say which unit did it: all that were under way
    are tried again one by one, and only who falls alone is blamed."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._new()
        self._waiting: deque[Asked] = deque()
        self._suspects: deque[Asked] = deque()
        self._ended: deque[tuple[Unit, Outcome]] = deque()
        self._under_way: dict[Future[Outcome], Asked] = {}

    def put(self, unit: Unit, work: Work, folder: Path) -> None:
        """Queue a unit."""
        self._waiting.append((unit, work, folder))

    def get(self) -> tuple[Unit, Outcome]:
        """The next unit that ended."""
        while not self._ended:
            self._fill()
            wait(self._under_way, return_when=FIRST_COMPLETED)
            self._collect()
        return self._ended.popleft()

    def _fill(self) -> None:
        """Give every worker something to do; a suspect is alone."""
        if self._suspects and not self._under_way:
            self._submit(self._suspects.popleft())
        elif not self._suspects:
            while self._waiting and len(self._under_way) < self._workers:
                self._submit(self._waiting.popleft())

    def _submit(self, asked: Asked) -> None:
        unit, work, folder = asked
        self._under_way[self._pool.submit(tried, work, unit.args, folder)] = asked

    def _collect(self) -> None:
        """Take in what ended; after a death in the pool, what did not end is suspect."""
        fallen: list[Asked] = []
        for future in [f for f in self._under_way if f.done()]:
            asked = self._under_way.pop(future)
            try:
                self._ended.append((asked[0], future.result()))
            except BrokenProcessPool:
                fallen.append(asked)
        if not fallen:
            return
        fallen += self._under_way.values()
        self._under_way = {}
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new()
        if len(fallen) == 1:
            self._ended.append((fallen[0][0], Outcome(0.0, _KILLED)))
        else:
            self._suspects.extend(fallen)

    def close(self) -> None:
        """End the processes; what they are at is thrown away."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=begin_worker)
