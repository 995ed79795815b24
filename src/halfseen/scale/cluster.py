"""Units of work on a Ray cluster, or on this machine under Ray. All machines must see the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfseen.common.errors import UserError
from halfseen.scale.units import Outcome, Unit, Work, tried

_LOST = "the machine that worked on it was lost"


class RayPool:
    """See `units.Pool`. A cluster that is running is joined (RAY_ADDRESS), else one is begun here."""

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise UserError(
                "this needs Ray",
                got="no package ray",
                accepted="an environment with it",
                do="Run 'pip install halfseen[cluster]', or use --backend local.",
            ) from error
        self._ray: Any = ray
        self._began = not ray.is_initialized()
        if self._began:
            ray.init(log_to_driver=False, include_dashboard=False)
        # One core for each, which is what a worker of the local pool takes.
        self._tried = ray.remote(num_cpus=1, max_retries=0)(tried)
        self._under_way: dict[Any, Unit] = {}

    def put(self, unit: Unit, work: Work, folder: Path) -> None:
        """Queue a unit."""
        self._under_way[self._tried.remote(work, unit.args, folder.resolve())] = unit

    def get(self) -> tuple[Unit, Outcome]:
        """The next unit that ended."""
        ended = self._ray.wait(list(self._under_way), num_returns=1)[0][0]
        unit = self._under_way.pop(ended)
        try:
            outcome: Outcome = self._ray.get(ended)
        except self._ray.exceptions.RayError:
            return unit, Outcome(0.0, _LOST)
        return unit, outcome

    def close(self) -> None:
        """Leave the cluster, and end it if it was begun here."""
        for waiting in self._under_way:
            self._ray.cancel(waiting, force=True)
        if self._began:
            self._ray.shutdown()
