"""What of a photo is the object, where its ground is of one colour; and what is said of masks that cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import build
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.poses import foreground, one_photo
from halfseen.worlds import sample
from halfseen.worlds.families import by_name


def test_openings_of_an_object_before_one_colour_stay_open() -> None:
    """A chair's own mask is known: what is found agrees with it, between the bars of its back too."""
    shown = sample.capture(by_name("chairs"), 3, layout="hemisphere", views=3, size=(96, 96)).views[1]
    assert shown.mask is not None
    pixels = shown.image.read()[..., :3]
    found, said = foreground.mask_of(View("chair.png", PictureArray(pixels)))
    assert "one colour" in said
    assert found is not None
    true, cut = shown.mask.read_grey() > 0.5, found.read_grey() > 0.5
    assert float((true & cut).sum() / (true | cut).sum()) > 0.95


def test_a_ground_of_several_colours_is_left_to_grabcut() -> None:
    photo = torch.full((48, 64, 3), 0.8)
    photo[:, :32] = 0.7
    photo[14:34, 20:44] = torch.tensor([0.7, 0.1, 0.1])
    assert foreground.even(photo) is None
    noisy = (torch.full((48, 64, 3), 0.8) + 0.1 * torch.rand(48, 64, 3, generator=generator(0, "noise"))).clamp(0, 1)
    assert foreground.even(noisy) is None
    assert foreground.even(torch.ones(48, 64, 3)) is None, "nothing stands out"


def test_a_mask_of_another_shape_is_told_from_its_photo(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "car.png")
    Image.fromarray(np.full((80, 100), 255, np.uint8)).save(tmp_path / "car.mask.png")
    with pytest.raises(UserError, match=r"car\.mask\.png") as raised:
        foreground.mask_of(View("car.png", build.picture(tmp_path / "car.png")))
    assert raised.value.got == "100 x 80 for a picture of 64 x 64"


@pytest.mark.parametrize(("value", "words"), [(0.0, "the mask of car.png leaves nothing"), (1.0, "more than 95 %")])
def test_a_mask_of_all_or_nothing_is_named(value: float, words: str) -> None:
    view = View("car.png", PictureArray(torch.rand(32, 32, 3)), mask=PictureArray(torch.full((32, 32), value)))
    capture = Capture((view,), "photos", Path())
    if value == 0:
        with pytest.raises(UserError, match=words):
            one_photo.posed(capture, None, None)
    else:
        assert any(words in note for note in one_photo.posed(capture, None, None).notes)
        half = replace(view, mask=PictureArray((torch.arange(32) < 16).float().expand(32, 32)))
        assert not any(words in note for note in one_photo.posed(replace(capture, views=(half,)), None, None).notes)
