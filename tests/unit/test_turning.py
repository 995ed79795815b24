"""Cameras of photos that are off, found again while a field is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import halfseen as hs
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import generator
from halfseen.data import load, normalise
from halfseen.data.capture import Capture
from halfseen.fields import gaussians, hashgrid, kinds
from halfseen.methods.photometric import config, fit, turning
from halfseen.methods.photometric.turning import Turning
from halfseen.poses import framing
from halfseen.worlds import sample
from halfseen.worlds.families import by_name

CPU = torch.device("cpu")
FIELDS: dict[str, kinds.Config] = {
    "hashgrid": hashgrid.Config(levels=6, finest=64, log2_entries=12),
    "gaussians": gaussians.Config(start=800, most=1200),
}
SMALL = replace(
    config.BASIC, steps=80, work=30_000, most_rays=1024, hashgrid=FIELDS["hashgrid"], gaussians=FIELDS["gaussians"],
    pictures=config.Pictures(seeds="random"),
)  # fmt: skip


def car() -> Capture:
    return sample.capture(by_name("cars"), 3, layout="hemisphere", views=4, size=(48, 48))


def test_cameras_are_moved_in_their_own_axes() -> None:
    """A quarter turn about the camera's x (down comes to be where it looked), then a step along its own z as it was."""
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = torch.tensor([1.0, 2.0, 3.0])
    cameras = Cameras(pose[None], torch.ones(1, 4, dtype=torch.float64), torch.tensor([[4, 4]]))
    by = torch.tensor([[torch.pi / 2, 0, 0, 0, 0, 0.5]], dtype=torch.float64)
    found = turning.moved(cameras, by)
    torch.testing.assert_close(found.forward[0], torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(found.centres[0], torch.tensor([1.0, 2.0, 3.5], dtype=torch.float64))
    torch.testing.assert_close(turning.moved(cameras, torch.zeros_like(by)).c2w, cameras.c2w)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_camera_that_is_off_is_found_again(kind: str) -> None:
    """Against a field that was fitted to photos where they are: of 1.4 pixels less than a third is left."""
    loaded = load.load(car(), 48)
    frame = framing.measure(loaded)
    boxed, to_user = normalise.move(loaded, frame.to_box), frame.to_box.inverse()
    cfg = config.resolve(replace(SMALL, steps=300), boxed, kind)
    going = fit.begin(boxed, to_user, cfg, 0, CPU)
    for _ in fit.steps(going, cfg, 0, 0):
        pass
    off = torch.zeros(4, 6, dtype=torch.float64)
    off[1] = torch.tensor([0.02, -0.02, 0.01, 0.0, 0.0, 0.0])
    wrong, by, photos = turning.moved(going.given, off), torch.zeros_like(off), going.photos
    for look in range(12):
        back = boxed.background or (1.0, 1.0, 1.0)
        by = turning.better(going.field, photos, wrong, by, 1, back, Turning(rate=0.5), generator(0, "t", look))
    assert not by[[0, 2, 3]].any(), "only the camera that is looked at moves"
    left = turning.moved(wrong, by)
    assert apart(left, going.given, 1) < apart(wrong, going.given, 1) / 3


def apart(a: Cameras, b: Cameras, view: int) -> float:
    """Pixels (of 48, along the diagonal) that points at the object's place are apart: turns and shifts together."""
    points = torch.tensor([[0.0, 0, 0], [0.2, 0, 0], [0, 0.2, 0], [0, 0, 0.2]], dtype=torch.float64)
    found = []
    for cameras in (a, b):
        inside = points @ cameras.w2c[view, :3, :3].T + cameras.w2c[view, :3, 3]
        found.append(inside[:, :2] / inside[:, 2:] * cameras.intrinsics[view, :2])
    return float((found[0] - found[1]).norm(dim=1).mean())


def test_a_run_that_was_stopped_has_the_same_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from halfseen.runs import record

    monkeypatch.setattr(record, "CHECKPOINT_SECONDS", 0.0)
    settings = (
        "turning.every=2", "turning.since=0", "turning.rays=16", "work=4000", "least_rays=64", "most_rays=256",
        "hashgrid.levels=3", "hashgrid.finest=32", "hashgrid.log2_entries=10",
    )  # fmt: skip
    ask = {"method": "plain", "variant": "basic", "steps": 12, "view_ids": (0, 1, 2), "max_size": 32, "device": "cpu"}
    whole = hs.reconstruct(car(), **ask, settings=settings, out=tmp_path / "whole")  # type: ignore[arg-type]

    class Stopped(Exception):
        pass

    def watch(snapshot: object) -> None:
        if getattr(snapshot, "step", 0) == 7:
            raise Stopped

    with pytest.raises(Stopped):
        hs.reconstruct(car(), **ask, settings=settings, out=tmp_path / "parts", on_snapshot=watch)  # type: ignore[arg-type]
    parts = hs.reconstruct(car(), **ask, settings=settings, out=tmp_path / "parts", resume=True)  # type: ignore[arg-type]
    first, second = (r.load()[1]["turned"]["by"] for r in (whole, parts))
    assert first[1:].any()
    assert not first[0].any()
    assert torch.equal(first, second)
