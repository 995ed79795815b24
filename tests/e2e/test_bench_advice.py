"""Advice beside places drawn at random, through the command line."""

from __future__ import annotations

import json

import pytest
from support import cli

from halfseen.bench import advice


def test_the_advised_photo_is_held_beside_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fit before, one with the advised photo and one with each of the others, all measured on photos that none of them saw."""
    monkeypatch.setattr(advice, "WORLDS", (("cars", 3, "hemisphere"),))
    monkeypatch.setattr(advice, "SIZE", (32, 32))
    monkeypatch.setattr(advice, "VIEWS", 8)
    assert cli("bench", "advice", "--draws", 2, "--steps", 30, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["world"] == "cars-3"
    assert len(row["others"]) == 2
    assert row["gain"] == pytest.approx(row["advised"] - sum(row["others"]) / 2)
    assert min(row["before"], row["advised"], *row["others"]) > 5
    assert len({row["advised"], *row["others"]}) == 3, "photos from three places"
