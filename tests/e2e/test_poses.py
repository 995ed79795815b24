"""Photos without cameras, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import cli

import halfseen as hs
from halfseen.cameras.cameras import make
from halfseen.data import transforms_write
from halfseen.data.capture import PictureArray, View
from halfseen.images.io import read_grey
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


def test_objects_are_cut_out_where_all_cameras_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A car before grey noise, at the side of its photos; beside it stands something that cameras do not look at."""
    true = sample.capture(by_name("cars"), 5, layout="orbit", views=3, size=(96, 96))
    views, masks = [], []
    for i, view in enumerate(true.views):
        assert view.mask is not None
        assert view.camera is not None
        cover = view.mask.read_grey()[..., None]
        ground = 0.35 + 0.1 * torch.rand(96, 160, 3, generator=torch.Generator().manual_seed(i))
        ground[30:70, 140:155] = torch.tensor([0.8, 0.2, 0.2])
        ground[:, :96] = view.image.read()[..., :3] * cover + ground[:, :96] * (1 - cover)
        fx, fy, cx, cy = view.camera.intrinsics[0].tolist()
        camera = make(view.camera.c2w, (fx, fy, cx, cy), (160, 96))
        views.append(View(view.name, PictureArray(ground), camera))
        masks.append(torch.nn.functional.pad(cover[..., 0], (0, 64)) > 0.5)
    (tmp_path / "car").mkdir()
    transforms_write.write(replace(true, views=tuple(views), mask_role=None, background=None), tmp_path / "car")
    assert cli("data", "mask", tmp_path / "car", "--out", tmp_path / "masks") == 0
    assert "where all cameras look" in capsys.readouterr().out
    for path, wanted in zip(sorted((tmp_path / "masks").glob("*.mask.png")), masks, strict=True):
        found = read_grey(path) > 0.5
        assert float((found & wanted).sum()) > 0.8 * float((found | wanted).sum())
