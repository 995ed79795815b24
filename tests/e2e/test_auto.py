"""What `--method auto` takes, and that the run says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import cli

from halfseen.api import choosing
from halfseen.data import transforms_write
from halfseen.data.capture import Capture, PictureArray
from halfseen.worlds import sample
from halfseen.worlds.families import by_name


def written(family: str, layout: str, folder: Path, *, bare: bool = False) -> Path:
    """Three views of a world, with its masks or without."""
    made = sample.capture(by_name(family), 3, layout=layout, views=4, size=(64, 48))
    transforms_write.write(unmasked(made) if bare else made, folder)
    return folder


def unmasked(made: Capture) -> Capture:
    views = tuple(replace(v, image=PictureArray(v.image.read()[..., :3]), mask=None, depth=None) for v in made.views)
    return replace(made, views=views, mask_role=None, background=None, on_background=False)


def config_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "config.json").read_text())
    return found


@pytest.mark.parametrize(
    ("family", "layout", "views", "wanted"),
    [
        ("rooms", "forward", "0,1,2", ("difix3d", "renders-only")),
        ("cars", "hemisphere", "0,2", ("sparsefusion", "distilled")),
    ],
)
def test_auto_takes_what_fits_the_photos_and_says_why(
    tmp_path: Path, family: str, layout: str, views: str, wanted: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(family, layout, tmp_path / "capture")
    ask = ("reconstruct", folder, "--out", tmp_path / "run", "--view-ids", views, "--steps", 4, "--max-size", 48)
    assert cli(*ask, "--device", "cpu") == 0
    request = config_of(tmp_path / "run")["request"]
    assert (request["method"], request["variant"]) == wanted
    assert f"auto took {wanted[0]} {wanted[1]}" in capsys.readouterr().err
    assert cli("reconstruct", folder, "--out", tmp_path / "run", "--resume") == 0


def test_what_names_a_setting_is_plain(tmp_path: Path) -> None:
    """A setting, a variant or a prior belongs to a method: then nothing is chosen."""
    folder = written("cars", "hemisphere", tmp_path / "capture")
    ask = ("reconstruct", folder, "--view-ids", "0,2", "--steps", 2, "--max-size", 32, "--device", "cpu")
    for name, extra in (("set", ("--set", "work=4000")), ("variant", ("--variant", "basic"))):
        assert cli(*ask, "--out", tmp_path / name, *extra) == 0
        assert config_of(tmp_path / name)["request"]["method"] == "plain"


def test_an_object_on_white_is_an_object_and_a_room_is_none() -> None:
    car = unmasked(sample.capture(by_name("cars"), 3, layout="hemisphere", views=3, size=(64, 48)))
    found = choosing.choose(car.select((1,)))
    assert (found.method, found.variant, found.field) == ("nerfdiff", "ngd", "triplane")
    found = choosing.choose(car.select((0, 1)))
    assert (found.method, found.alone) == ("sparsefusion", True)
    found, share = choosing.choose(car), choosing.known_share(car, alone=True)
    assert (found.method, found.alone) == ("difix3d", True)
    assert choosing.known_share(car) < share < 1, "of all pixels, most of which are white, stereo knows less"
    assert found.field == ("gaussians" if share >= 0.4 else "hashgrid")
    room = unmasked(sample.capture(by_name("rooms"), 3, layout="forward", views=3, size=(64, 48)))
    found = choosing.choose(room)
    assert (found.method, found.alone) == ("difix3d", False)
    share = choosing.known_share(room)
    assert 0 < share < 1
    assert found.field == ("gaussians" if share >= 0.5 else "hashgrid")
    assert choosing.choose(room, "gaussians").field == "gaussians"
