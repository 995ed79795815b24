"""Where a scene is, when its files do not say: what stereo finds decides the box, and everything after goes by the box."""

from dataclasses import replace

import pytest
import torch
from support import SMALL_FIT

import halfseen as hs
from halfseen.data import normalise
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.worlds import families, sample, seeds


def test_the_orbit_goes_around_what_stereo_found(tmp_path):
    """Photos side by side, whose files say nothing of depth: the way around is measured, and the same as the box's."""
    shot = sample.shoot(
        families.by_name("rooms"), seeds.seed_of("validation", 1), layout="forward", views=3, size=(96, 72)
    )
    poses = shot.cameras.c2w[1:2].repeat(3, 1, 1)
    poses[:, :3, 3] += torch.tensor([[-0.15], [0.0], [0.15]]).double() * poses[0, :3, 0]
    cameras = replace(shot.cameras, c2w=poses)
    pictures = sample.views_of(shot.world, families.by_name("rooms"), cameras)
    views = tuple(View(f"{i}.png", PictureArray(p.rgb), cameras[i]) for i, p in enumerate(pictures))
    bare = Capture(views, "images", tmp_path)
    run = hs.reconstruct(bare, out=tmp_path / "r", steps=1, settings=SMALL_FIT[1::2])
    assert "stereo" in run.config["normalised_by"]
    distance = float((bare.cameras().centres - run.to_user.points(torch.zeros(1, 3).double())).norm(dim=-1).median())
    assert distance != pytest.approx(normalise.measure(bare).distance, rel=0.1), "the guess is another"
    ahead = (hs.orbit(run, 8).centres - run.to_user.points(torch.zeros(1, 3).double())).norm(dim=-1)
    assert float(ahead.median()) == pytest.approx(distance, rel=0.05)
