"""`Run`: a folder that can explain, resume and render itself.

config.json        what was asked, schema version          events.jsonl       one line for each thing that happened
inputs/            the photos as they were used             metrics.json       numbers; present only when the run is finished
provenance.json    hashes of the input files, versions      checkpoints/step-*/ safetensors + state.json
previews/          small pictures on the way
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfseen.cameras.similarity import Similarity
from halfseen.common import checkpoint
from halfseen.common.config import SCHEMA_VERSION
from halfseen.common.errors import UserError, quote
from halfseen.common.files import new_folder
from halfseen.common.jsonfile import read_json, write_json
from halfseen.data import transforms, transforms_write
from halfseen.data.capture import Capture
from halfseen.runs.snapshot import State

CONFIG, EVENTS, METRICS, PROVENANCE = "config.json", "events.jsonl", "metrics.json", "provenance.json"
INPUTS, CHECKPOINTS, PREVIEWS = "inputs", "checkpoints", "previews"
# What config.json must hold for a run to be used.
_CONFIG_KEYS = {
    "request": dict, "method": dict, "field": dict, "to_user": dict, "split": dict,
    "photo_sizes": list, "work_sizes": list, "assumed": list,
}  # fmt: skip
# Older checkpoints are removed; two are kept, so that a crash while writing never leaves none.
KEEP_CHECKPOINTS = 2


@dataclass(frozen=True)
class Run:
    """An opened run folder."""

    path: Path
    config: dict[str, Any]

    @property
    def to_user(self) -> Similarity:
        """Box frame to the user's frame."""
        return Similarity.from_plain(self.config["to_user"])

    def capture(self) -> Capture:
        """The inputs as the method sees them: undistorted, at work size, in the user's frame."""
        folder = self.path / INPUTS
        if not transforms.find(folder):
            raise _broken(self.path, f"no photos in {INPUTS}/")
        return transforms.read(folder)

    def event(self, kind: str, **values: Any) -> None:
        """Append one line to events.jsonl."""
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **values}, allow_nan=False)
        with (self.path / EVENTS).open("a", encoding="utf-8") as f:
            f.write(line + "\n")

    def events(self) -> list[dict[str, Any]]:
        """What happened, in order."""
        return [_event(line) for line in (self.path / EVENTS).read_text(encoding="utf-8").splitlines()]

    def seconds(self) -> float:
        """Seconds of fitting that the last checkpoint holds, over all the times that the run was gone on with."""
        total, here = 0.0, 0.0
        for event in self.events():
            if event.get("event") in ("start", "resume"):
                total, here = total + here, 0.0
            elif event.get("event") == "checkpoint":
                here = float(event.get("seconds", 0.0))
        return total + here

    def checkpoints(self) -> list[int]:
        """Steps of complete checkpoints, oldest first."""
        folders = (self.path / CHECKPOINTS).glob("step-*/" + checkpoint.META)
        return sorted(
            int(p.parent.name.removeprefix("step-")) for p in folders if p.parent.name.removeprefix("step-").isdigit()
        )

    def save(self, step: int, state: State) -> None:
        """Write a checkpoint and drop the oldest ones."""
        checkpoint.save(self._checkpoint(step), state, {"step": step, "schema": SCHEMA_VERSION})
        for old in self.checkpoints()[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(self._checkpoint(old))

    def load(self, step: int | None = None) -> tuple[int, State]:
        """Read a checkpoint, by default the last: (step, state)."""
        steps = self.checkpoints()
        if not steps:
            raise UserError(
                f"run {quote(str(self.path))} has nothing to show yet",
                got="no checkpoint: it was stopped before its first",
                accepted="a run that has kept a step",
                do="Give the command that began it again, with --resume.",
            )
        if step is not None and step not in steps:
            raise UserError(
                f"run {quote(str(self.path))} has no such checkpoint",
                got=str(step),
                accepted=", ".join(map(str, steps)),
                do="Name one of these.",
            )
        chosen = steps[-1] if step is None else step
        groups, _ = checkpoint.load(self._checkpoint(chosen))
        return chosen, groups

    @property
    def finished(self) -> bool:
        return (self.path / METRICS).is_file()

    def finish(self, metrics: dict[str, Any]) -> None:
        """Write metrics.json, which marks the run as finished."""
        write_json(self.path / METRICS, metrics)

    def _checkpoint(self, step: int) -> Path:
        return self.path / CHECKPOINTS / f"step-{step:09d}"


def create(path: Path, config: dict[str, Any], inputs: Capture, provenance: dict[str, Any]) -> Run:
    """Make a run folder that appears whole or not at all."""
    with new_folder(path) as partial:
        write_json(partial / CONFIG, {"schema": SCHEMA_VERSION, **config})
        write_json(partial / PROVENANCE, provenance)
        (partial / INPUTS).mkdir()
        transforms_write.write(inputs, partial / INPUTS)
        (partial / PREVIEWS).mkdir()
        (partial / EVENTS).touch()
    return open_run(path)


def open_run(path: Path) -> Run:
    """Open a run folder."""
    if not (path / CONFIG).is_file():
        raise UserError(
            f"{quote(str(path))} is no run",
            got="a folder without config.json" if path.is_dir() else "no such folder",
            accepted="a folder made by 'halfseen reconstruct'",
            do="Check the path.",
        )
    config = read_json(path / CONFIG)
    schema = config.get("schema") if isinstance(config, dict) else None
    if schema != SCHEMA_VERSION:
        do = "Use the version of halfseen that made it."
        accepted = f"schema {SCHEMA_VERSION}"
        raise UserError(
            f"run {quote(str(path))} cannot be opened", got=f"schema {quote(schema)}", accepted=accepted, do=do
        )
    for key, kind in _CONFIG_KEYS.items():
        if not isinstance(config.get(key), kind):
            raise _broken(path, f"no usable '{key}' in {CONFIG}")
    try:
        Similarity.from_plain(config["to_user"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _broken(path, f"no usable 'to_user' in {CONFIG}") from error
    return Run(path, config)


def _event(line: str) -> dict[str, Any]:
    """One line of events.jsonl; a line that a kill cut short says nothing."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _broken(path: Path, got: str) -> UserError:
    accepted = "a folder as 'halfseen reconstruct' leaves it"
    return UserError(f"run {quote(str(path))} is damaged", got=got, accepted=accepted, do="Reconstruct again.")
