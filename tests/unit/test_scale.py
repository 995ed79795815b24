"""Units of work: queued, retried, never done twice, and not lost with a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from scale_support import squares

from halfseen.common.errors import UserError
from halfseen.scale import units
from halfseen.scale.units import Unit


def numbered(*numbers: int) -> list[Unit]:
    return [Unit(str(n), n) for n in numbers]


def test_units_are_done_once_and_failures_are_told_apart(tmp_path: Path) -> None:
    found = {r.name: r for r in units.run(numbered(2, 7, 13, -1), squares, tmp_path, workers=2)}
    assert {n: r.state for n, r in found.items()} == {"2": "done", "7": "done", "13": "failed", "-1": "failed"}
    assert found["13"].error == "RuntimeError: unlucky"
    assert "no root" in found["-1"].error
    assert (tmp_path / "7" / "result").read_text() == "49"
    assert not (tmp_path / "13").exists()
    again = {r.name: r.state for r in units.run(numbered(2, 7, 3), squares, tmp_path)}
    assert again == {"2": "was there", "7": "was there", "3": "done"}


def test_a_killed_process_costs_one_try(tmp_path: Path) -> None:
    found = {r.name: r.state for r in units.run(numbered(9, 1, 2, 3), squares, tmp_path, workers=1)}
    assert found == {"9": "done", "1": "done", "2": "done", "3": "done"}


def test_who_always_dies_takes_nobody_along(tmp_path: Path) -> None:
    found = {r.name: r for r in units.run(numbered(99, 1, 2, 3, 4, 5), squares, tmp_path, workers=3)}
    assert {n: r.state for n, r in found.items()} == {"99": "failed"} | {str(n): "done" for n in range(1, 6)}
    assert "ended from outside" in found["99"].error


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="share a name"):
        list(units.run(numbered(1, 1), squares, tmp_path))
    with pytest.raises(UserError, match="--workers"):
        list(units.run(numbered(1), squares, tmp_path, workers=0))


def test_a_cluster_does_the_same(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    found = {r.name: r.state for r in units.run(numbered(2, 7, 13), squares, tmp_path, backend="ray")}
    assert found == {"2": "done", "7": "done", "13": "failed"}


def test_without_ray_the_way_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UserError, match="halfseen\\[cluster\\]"):
        list(units.run(numbered(1), squares, tmp_path, backend="ray"))
