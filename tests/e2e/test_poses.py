"""Photos without cameras, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import cli

import halfseen as hs
from halfseen.data import transforms_write
from halfseen.worlds import sample
from halfseen.worlds.families import by_name


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of captures with one room of three photos."""
    folder = tmp_path_factory.mktemp("captures")
    (folder / "room").mkdir()
    room = sample.capture(by_name("rooms"), 11, layout="forward", views=3, size=(320, 240))
    transforms_write.write(room, folder / "room")
    return folder


def test_photos_become_a_capture_with_cameras(rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted((rooms / "room" / "images").iterdir())
    assert cli("data", "pose", *photos, "--out", tmp_path / "posed", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["placed"] for r in found["rows"]] == [True] * 3
    assert found["error"] < 2
    assert len(hs.load(tmp_path / "posed").cameras()) == 3
    assert cli("data", "pose", *photos[:2], "--out", tmp_path / "two", "--fov", 60) == 0
    said = capsys.readouterr().out
    assert "cameras of 2 of 2 photos were found" in said
    assert "as --fov says" in said


def test_what_is_found_is_measured_beside_the_captures_own_cameras(
    rooms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("bench", "poses", "--captures", rooms, "--sets", "room", "absent", "--counts", 3, 9, "--seeds", 1)
    assert cli(*ask, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["set"], row["photos"], row["placed"]) == ("room", 3, 3)
    assert row["turn"] < 2
    assert row["shift"] < 8


def test_cameras_are_given_by_a_file(rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted((rooms / "room" / "images").iterdir())
    ask = ("reconstruct", *photos, "--steps", 2, "--max-size", 32, "--out", tmp_path / "run")
    cameras = rooms / "room" / "transforms.json"
    assert cli(*ask, "--poses", cameras) == 0
    assert "cameras are those of transforms.json" in capsys.readouterr().err
    assert cli(*ask, "--poses", cameras, "--fov", 50) == 2
    assert "--poses says how wide photos are" in capsys.readouterr().err
