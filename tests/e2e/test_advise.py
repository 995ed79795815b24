"""Where one more photo would help most."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import cli

from halfseen.cameras import paths
from halfseen.cameras.cameras import make
from halfseen.data import normalise, transforms_write
from halfseen.poses import candidates
from halfseen.worlds import sample
from halfseen.worlds.families import by_name


@pytest.fixture(scope="module")
def one_side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A car of which four of twelve photos on a circle show one side."""
    folder = tmp_path_factory.mktemp("car")
    whole = sample.capture(by_name("cars"), 5, layout="orbit", views=12, size=(48, 48))
    transforms_write.write(whole.select([0, 1, 2, 3]), folder)
    return folder


def test_the_other_side_is_advised(one_side: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    ask = ("reconstruct", one_side, "--out", run, "--steps", 100, "--max-size", 48, "--method", "plain")
    assert cli(*ask) == 0
    capsys.readouterr()
    assert cli("advise", run, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    # Photos span 90 degrees; whatever is opposite of their middle is at least 100 from each end of it.
    assert "One more photo would help most about" in found["sentence"]
    assert (run / "advice.png").stat().st_size > 1000
    rows = found["rows"]
    assert len(rows) > 30
    by_gain = sorted(rows, key=lambda r: -r["gain"])
    assert by_gain[0]["azimuth"] == found["best"]["azimuth"]
    assert by_gain[0]["unseen"] + by_gain[0]["once"] > 0.5
    capture = sample.capture(by_name("cars"), 5, layout="orbit", views=12, size=(48, 48)).select([0, 1, 2, 3])
    frame = normalise.measure(capture)
    own = candidates.of_cameras(capture.cameras(), frame)
    assert min(abs(candidates.turned(p.azimuth, found["best"]["azimuth"])) for p in own) > 50
    assert cli("advise", run, "--out", tmp_path / "other.png") == 0
    assert "other.png" in capsys.readouterr().out


def test_to_the_right_is_where_somebody_who_looks_at_it_has_the_right() -> None:
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    eye = torch.tensor([[0.0, -2.0, 0.4], [2.0, 0.0, 0.4]], dtype=torch.float64)
    cameras = make(paths.look_at(eye, torch.zeros_like(eye), up), (50.0, 50.0, 24.0, 24.0), (48, 48))
    whole = sample.capture(by_name("cars"), 5, layout="orbit", views=2, size=(48, 48))
    capture = replace(
        whole, views=tuple(replace(v, camera=cameras[i].to(torch.float32)) for i, v in enumerate(whole.views))
    )
    frame = normalise.measure(capture)
    south, east = candidates.of_cameras(capture.cameras(), frame)
    # The camera in the south has the east on its right.
    assert float(cameras.c2w[0, :3, 0] @ eye[1]) > 0
    assert candidates.turned(south.azimuth, east.azimuth) == pytest.approx(90, abs=1)
    places = candidates.cameras_at([south, east], capture.cameras(), frame)
    assert torch.allclose(places.centres.float(), capture.cameras().centres, atol=0.05)


def test_photos_from_one_side_are_advised_about_that_side() -> None:
    room = sample.capture(by_name("rooms"), 11, layout="forward", views=4, size=(48, 36))
    frame = normalise.measure(room)
    own = candidates.of_cameras(room.cameras(), frame)
    places = candidates.around(room.cameras(), frame, alone=False)
    assert all(min(abs(candidates.turned(p.azimuth, o.azimuth)) for o in own) < 45 for p in places)
