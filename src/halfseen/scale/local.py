"""Units of work in processes of this machine, one thread each."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from halfseen.common.threads import begin_worker
from halfseen.scale.units import Outcome, Unit, Work, tried

_KILLED = "the process that worked on it was ended from outside, or ran out of memory"


class LocalPool:
    """See `units.Pool`. A process that is killed takes the pool with it: what was under way is tried again in a new one."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._new()
        self._under_way: dict[Future[Outcome], tuple[Unit, Work, Path]] = {}

    def put(self, unit: Unit, work: Work, folder: Path) -> None:
        """Queue a unit."""
        self._under_way[self._pool.submit(tried, work, unit.args, folder)] = (unit, work, folder)

    def get(self) -> tuple[Unit, Outcome]:
        """The next unit that ended."""
        ended = next(iter(wait(self._under_way, return_when=FIRST_COMPLETED).done))
        unit = self._under_way.pop(ended)[0]
        try:
            return unit, ended.result()
        except BrokenProcessPool:
            self._renew()
            return unit, Outcome(0.0, _KILLED)

    def close(self) -> None:
        """End the processes; what they are at is thrown away."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _renew(self) -> None:
        """A new pool with what the broken one still had to do."""
        rest = list(self._under_way.values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool, self._under_way = self._new(), {}
        for unit, work, folder in rest:
            self.put(unit, work, folder)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, mp_context=get_context("spawn"), initializer=begin_worker)
