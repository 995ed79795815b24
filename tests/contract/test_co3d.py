"""CO3Dv2's layout: written, read, listed, and what is wrong with broken trees."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import cli

from halfseen.cameras import convert
from halfseen.common.errors import UserError
from halfseen.data import co3d, co3d_write, formats, transforms_write
from halfseen.data import load as loading
from halfseen.data.capture import Capture
from halfseen.worlds import sample
from halfseen.worlds.families import by_name


@pytest.fixture(scope="module")
def chair() -> Capture:
    return sample.capture(by_name("chairs"), 3, layout="hemisphere", views=4, size=(40, 32))


def tree(chair: Capture, root: Path, names: tuple[str, ...] = ("b", "a")) -> list[dict[str, Any]]:
    """A root of one category with some sequences, as downloads are laid out."""
    frames = [f for name in names for f in co3d_write.write_sequence(chair, root, "chair", name)]
    lists = {"train": [co3d_write.entry(f) for f in frames[:4]], "test": [co3d_write.entry(f) for f in frames[4:]]}
    co3d_write.write_annotations(root, "chair", frames, {"fewview_dev": lists})
    return frames


def test_what_is_written_is_read(chair: Capture, tmp_path: Path) -> None:
    tree(chair, tmp_path)
    found = formats.read([tmp_path / "chair" / "b"])
    assert (found.layout, found.mask_role, found.background) == ("co3d", "object", (0.0, 0.0, 0.0))
    torch.testing.assert_close(found.cameras().c2w, chair.cameras().c2w, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(found.cameras().intrinsics, chair.cameras().intrinsics, atol=1e-9, rtol=1e-12)
    for view, own in zip(found.views, chair.views, strict=True):
        assert view.mask is not None
        assert own.mask is not None
        torch.testing.assert_close(view.mask.read_grey(), own.mask.read_grey(), atol=1 / 255, rtol=0)
        assert view.depth is not None
        assert own.depth is not None
        # Half floats have eleven digits.
        np.testing.assert_allclose(view.depth.read(), own.depth.read(), rtol=2**-10)
    shown = loading.load(found, 32).views[0].image.read()
    assert float(shown[0, 0].max()) == 0


def test_a_category_and_a_root_give_their_first_sequence(chair: Capture, tmp_path: Path) -> None:
    tree(chair, tmp_path)
    for folder in (tmp_path, tmp_path / "chair"):
        found = formats.read([folder])
        assert found.views[0].name.startswith("chair/a/images/")
        assert any("1 other sequences" in note for note in found.notes)
    category = co3d.annotated(tmp_path / "chair")
    assert co3d.sequences(category) == ["a", "b"]
    sets = co3d.set_list(tmp_path / "chair", "fewview_dev")
    assert sets["test"][0] == ("a", 0, co3d.read_sequence(category, "a").views[0].name)
    with pytest.raises(UserError, match="is not annotated"):
        co3d.read_sequence(category, "c")


def test_frames_that_show_nothing_are_left_out_and_said(chair: Capture, tmp_path: Path) -> None:
    frames = tree(chair, tmp_path)
    frames[0]["mask"]["mass"], frames[1]["mask"], frames[2]["mask"]["mass"] = 0.0, None, 1.0
    co3d_write.write_annotations(tmp_path, "chair", frames)
    found = formats.read([tmp_path / "chair" / "b"])
    assert len(found) == 1
    assert any("3 frames whose mask shows nothing" in note for note in found.notes)


def test_sequences_that_are_known_to_be_broken_are_not_listed(chair: Capture, tmp_path: Path) -> None:
    tree(chair, tmp_path, ("fine", co3d.LEFT_OUT[0]))
    assert co3d.sequences(co3d.annotated(tmp_path / "chair")) == ["fine"]


def test_both_ways_to_state_intrinsics(chair: Capture, tmp_path: Path) -> None:
    frames = tree(chair, tmp_path)
    for f, i in zip(frames, [*range(4), *range(4)], strict=True):
        camera = chair.cameras()[i].to(torch.float64)
        r, t, focal, principal = (v[0].tolist() for v in convert.pytorch3d_from_opencv(camera, "ndc_norm_image_bounds"))
        f["viewpoint"] = {"R": r, "T": t, "focal_length": focal, "principal_point": principal}
    co3d_write.write_annotations(tmp_path, "chair", frames)
    found = formats.read([tmp_path / "chair" / "a"])
    torch.testing.assert_close(found.cameras().intrinsics, chair.cameras().intrinsics, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["image"].update(path="../../outside.png"), "leaves"),
        (lambda f: f["viewpoint"].update(R=[[1, 0], [0, 1]]), "'R' is not usable"),
        (lambda f: f["viewpoint"].update(T=[0, 0, "far"]), "'T' is not usable"),
        (lambda f: f["viewpoint"].update(intrinsics_format="pixels"), "'intrinsics_format' is not known"),
        (lambda f: f.update(viewpoint=None), "viewpoint"),
        (lambda f: f.pop("sequence_name"), "sequence_name"),
    ],
)
def test_broken_annotations_say_what_is_wrong(chair: Capture, tmp_path: Path, change: Any, words: str) -> None:
    frames = tree(chair, tmp_path, ("a",))
    names = [dict(f) for f in frames]
    change(frames[0])
    packed = gzip.compress(json.dumps(frames).encode())
    co3d_write.write_annotations(tmp_path, "chair", names)
    (tmp_path / "chair" / co3d.FRAMES).write_bytes(packed)
    with pytest.raises(UserError, match=words):
        formats.read([tmp_path / "chair" / "a"])


@pytest.mark.parametrize(
    "packed", [b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b"[", mtime=0)[:-4]], ids=range(3)
)
def test_annotations_that_cannot_be_unpacked(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "a" / co3d.IMAGES).mkdir(parents=True)
    (tmp_path / co3d.FRAMES).write_bytes(packed)
    with pytest.raises(UserError, match="cannot be read"):
        formats.read([tmp_path / "a"])


def test_worlds_in_this_layout_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    capture = sample.capture(by_name("cars"), 5, layout="hemisphere", views=3, size=(16, 16))
    transforms_write.write(capture, folder)
    assert cli("data", "convert", folder, "--to", "co3d", "--out", tmp_path / "root") == 0
    assert (tmp_path / "root" / "object" / co3d.FRAMES).is_file()
    assert cli("data", "info", tmp_path / "root") == 0
    assert "co3d" in capsys.readouterr().out
    assert Image.open(next((tmp_path / "root" / "object" / "sequence" / "depths").glob("*.png"))).mode.startswith("I")
