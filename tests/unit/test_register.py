"""Cameras of photos that have none: found by what they share, or given in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch

from halfseen.cameras.rotations import angle_between
from halfseen.common.errors import UserError
from halfseen.data import transforms_camera
from halfseen.data.capture import Capture, PictureArray
from halfseen.poses import given, register
from halfseen.worlds import sample
from halfseen.worlds.families import by_name

SIZE = (360, 270)


@pytest.fixture(scope="module")
def room() -> Capture:
    """Four photos of a room from places beside each other, and their true cameras."""
    return sample.capture(by_name("rooms"), 11, layout="forward", views=4, size=SIZE)


def bare(capture: Capture) -> Capture:
    return replace(capture, views=tuple(replace(v, camera=None, depth=None) for v in capture.views), points=None)


def apart(found: Capture, true: Capture) -> tuple[float, float]:
    """Worst errors over pairs of photos: of the rotation between them, and of the direction from one to the other, in degrees."""
    names = {v.name: v.camera for v in true.views}
    a = found.cameras().c2w.double()
    b = torch.cat([names[v.name].c2w.double() for v in found.views])  # type: ignore[union-attr]
    turns, shifts = [], []
    for i, j in combinations(range(len(a)), 2):
        one, two = (c[i].inverse() @ c[j] for c in (a, b))
        turns.append(float(torch.rad2deg(angle_between(one[:3, :3], two[:3, :3]))))
        u, v = (torch.nn.functional.normalize(t[:3, 3], dim=0) for t in (one, two))
        shifts.append(float(torch.rad2deg(torch.acos((u @ v).clamp(-1, 1)))))
    return max(turns), max(shifts)


def test_cameras_of_a_room_are_found(room: Capture) -> None:
    placed, report = register.posed(bare(room), None, 0)
    assert len(placed) == 4
    assert all(p.placed and p.matches > 30 and p.points > 30 for p in report.photos)
    turn, shift = apart(placed, room)
    assert turn < 2
    assert shift < 6
    # The widest baseline is one long, what is shown lies around the origin, and up is up.
    centres = placed.cameras().centres
    assert float(torch.cdist(centres, centres).max()) == pytest.approx(1, abs=1e-6)
    assert placed.points is not None
    assert float(torch.from_numpy(placed.points.xyz).median(0).values.norm()) < 0.3
    assert float(placed.cameras().up.mean(0)[2]) > 0.9
    assert any("cameras of 4 of 4 photos were found" in n for n in placed.notes)
    again, _ = register.posed(bare(room), None, 0)
    assert torch.equal(again.cameras().c2w, placed.cameras().c2w)


def test_two_photos_are_placed_with_a_stated_angle(room: Capture) -> None:
    camera = room.views[0].camera
    assert camera is not None
    fov = float(torch.rad2deg(2 * torch.atan(SIZE[0] / (2 * camera.intrinsics[0, 0]))))
    two = room.select([0, 1])
    placed, report = register.posed(bare(two), fov, 0)
    turn, shift = apart(placed, two)
    assert turn < 2
    assert shift < 10
    assert report.focal_by.startswith("as --fov says")


def test_a_photo_of_another_place_is_left_out_and_named(room: Capture) -> None:
    other = bare(sample.capture(by_name("outdoor"), 4, layout="drive", views=1, size=SIZE))
    views = (*bare(room).views[:3], replace(other.views[0], name="elsewhere.png"))
    placed, report = register.posed(replace(bare(room), views=views), None, 0)
    assert [v.name for v in placed.views] == [v.name for v in room.views[:3]]
    (left,) = (p for p in report.photos if not p.placed)
    assert left.name == "elsewhere.png"
    assert "elsewhere.png was left out" in report.sentences[-1]


def test_photos_that_share_nothing_are_refused() -> None:
    plain = torch.ones(60, 80, 3)
    noise = torch.rand(60, 80, 3, generator=torch.Generator().manual_seed(0))
    room = sample.capture(by_name("rooms"), 11, layout="forward", views=2, size=(80, 60))
    pictures = (plain, noise)
    views = tuple(replace(v, image=PictureArray(p)) for v, p in zip(bare(room).views, pictures, strict=True))
    with pytest.raises(UserError, match="share nothing by which their cameras could be found"):
        register.posed(replace(bare(room), views=views), None, 0)


def test_cameras_of_a_file_are_taken_by_name_or_in_order(room: Capture, tmp_path: Path) -> None:
    document = transforms_camera.document(room.cameras())
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(document))
    assert torch.allclose(given.posed(bare(room), path).cameras().c2w, room.cameras().c2w, atol=1e-6)
    for frame, view in zip(reversed(document["frames"]), room.views, strict=True):
        frame["file_path"] = f"photos/{Path(view.name).name}"
    path.write_text(json.dumps(document))
    turned = given.posed(bare(room), path)
    assert torch.allclose(turned.cameras().c2w, room.cameras().c2w.flip(0), atol=1e-6)
    document["frames"] = document["frames"][:2]
    path.write_text(json.dumps(document))
    fewer = given.posed(bare(room), path)
    assert [v.name for v in fewer.views] == [v.name for v in room.views[2:]]
    assert any("2 photos without a camera" in n for n in fewer.notes)
    for frame in document["frames"]:
        del frame["file_path"]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="does not fit the photos"):
        given.posed(bare(room), path)
