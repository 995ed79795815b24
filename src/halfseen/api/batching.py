"""Many captures, each rebuilt into a run of its own: units of work of which nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halfseen.api.reconstruction import reconstruct
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import read_json, write_json
from halfseen.data import formats
from halfseen.runs import run as runs
from halfseen.scale import units
from halfseen.scale.units import Backend, Report, Unit

# What may differ from capture to capture, as `api.reconstruct` has it.
OPTIONS = {
    "method": str, "variant": str, "profile": str, "field": str, "views": int, "max_size": int, "steps": int,
    "budget": float, "seed": int,
}  # fmt: skip
_CAPTURE, _NAME = "capture", "name"
SUMMARY = "batch.json"


@dataclass(frozen=True)
class Task:
    """One capture and how it is rebuilt."""

    capture: str
    options: Mapping[str, Any]


def read_list(path: Path, shared: Mapping[str, Any]) -> list[Unit]:
    """The units of a folder of captures, or of a list: a capture on each line (# begins a remark), or JSON [{"capture", "name", option: value, ...}].

    Paths are relative to the list. `shared` options hold where an entry says nothing else.
    """
    try:
        entries = _in_folder(path) if path.is_dir() else _entries(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the list {quote(str(path))} cannot be read",
            got=str(error),
            accepted="a folder of captures, a text file with a capture on each line, or JSON",
            do="Check the path.",
        ) from error
    if not entries:
        raise UserError(
            f"the list {quote(str(path))} is empty", got="no capture", accepted="one on each line", do="Add some."
        )
    found = []
    for entry in entries:
        unknown = sorted(set(entry) - set(OPTIONS) - {_CAPTURE, _NAME})
        wrong = [
            k for k, kind in OPTIONS.items() if k in entry and not isinstance(entry[k], int if kind is float else kind)
        ]
        wrong = [k for k in wrong if not (OPTIONS[k] is float and isinstance(entry[k], float))]
        if unknown or wrong or not isinstance(entry.get(_CAPTURE), str):
            raise UserError(
                f"an entry of {quote(str(path))} cannot be used",
                got=", ".join([*unknown, *wrong]) or json.dumps(entry),
                accepted=", ".join([_CAPTURE, _NAME, *OPTIONS]),
                do="Correct it.",
            )
        capture = (path.parent / entry[_CAPTURE]).resolve()
        options = {**shared, **{k: v for k, v in entry.items() if k in OPTIONS}}
        name = str(entry.get(_NAME, capture.name))
        if Path(name).name != name or name in ("", ".", ".."):
            raise UserError("a name is no name of a folder", got=quote(name), accepted="no slashes", do="Change it.")
        found.append(Unit(name, Task(str(capture), options)))
    return found


def _in_folder(folder: Path) -> list[dict[str, Any]]:
    """An entry for each capture right inside, wherever it is a link to."""
    return [{_CAPTURE: str(p.absolute()), _NAME: p.name} for p in formats.captures_in(folder)]


def _entries(path: Path, text: str) -> list[dict[str, Any]]:
    if path.suffix.lower() != ".json":
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        return [{_CAPTURE: line} for line in lines if line]
    data = read_json(path)
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise UserError(
            f"{quote(str(path))} is no list",
            got=type(data).__name__,
            accepted='[{"capture": ..., "views": 3}, ...]',
            do="Correct it.",
        )
    return data


def run(found: Sequence[Unit], out: Path, *, workers: int = 1, backend: Backend = "local") -> Iterator[Report]:
    """Rebuild all into out/NAME; a run that was stopped goes on. batch.json says what became of each."""
    rows: dict[str, dict[str, Any]] = {}
    for report in units.run(found, rebuild, out, workers=workers, backend=backend, done=finished):
        rows[report.name] = _row(report, out / report.name)
        write_json(out / SUMMARY, {"runs": [rows[k] for k in sorted(rows)]})
        yield report


def rebuild(task: Task, folder: Path) -> None:
    """One unit: a run, or the rest of one."""
    stopped = (folder / runs.CONFIG).is_file()
    reconstruct(task.capture, out=folder, resume=stopped, **({} if stopped else task.options))


def finished(folder: Path) -> bool:
    """Whether a run has its numbers."""
    return (folder / runs.METRICS).is_file()


def _row(report: Report, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": report.name, "state": report.state, "seconds": round(report.seconds, 1)}
    if finished(folder):
        metrics = read_json(folder / runs.METRICS)
        row |= {k: metrics[k] for k in ("psnr_inputs", "psnr_held_out") if k in metrics}
    return row if not report.error else {**row, "error": report.error}
