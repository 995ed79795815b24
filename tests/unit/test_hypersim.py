"""Hypersim from its own layout: depth in closed form, the official table, refusals; and a training that learns from it."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from halfseen.api import priors
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import hypersim
from halfseen.data.hypersim import Listed
from halfseen.methods.diffusionerf import training as recipe
from halfseen.methods.diffusionerf.rooms import Rooms
from halfseen.priors import training
from halfseen.priors.networks import patch_small
from halfseen.priors.training import LoopConfig

HEADER = (
    "scene_name",
    "camera_name",
    "frame_id",
    "included_in_public_release",
    "exclude_reason",
    "split_partition_name",
)
ROWS = (
    ("ai_001_001", "cam_00", "0", "True", "", "train"),
    ("ai_001_001", "cam_00", "7", "True", "", "train"),
    ("ai_001_001", "cam_01", "0", "False", "bad", "train"),
    ("ai_002_010", "cam_00", "3", "True", "", "val"),
    ("ai_009_009", "cam_00", "0", "True", "", "train"),  # not downloaded
)


def table(folder, rows=ROWS, header=HEADER):
    with (folder / hypersim.TABLE).open("w", newline="") as f:
        csv.writer(f).writerows([header, *rows])


def plane(z):
    """Distances [768, 1024] to a wall at right angles to the optical axis."""
    y, x = np.mgrid[0:768, 0:1024] + 0.5
    return z * np.sqrt(((x - 512) ** 2 + (y - 384) ** 2) / 886.81**2 + 1)


def write_frame(h5py, folder, frame, distances, colours=None):
    frame.colours(folder).parent.mkdir(parents=True, exist_ok=True)
    frame.distances(folder).parent.mkdir(parents=True, exist_ok=True)
    colours = np.full((768, 1024, 3), 40 + frame.frame, np.uint8) if colours is None else colours
    Image.fromarray(colours).save(frame.colours(folder), quality=95)
    with h5py.File(frame.distances(folder), "w") as file:
        file.create_dataset("dataset", data=distances.astype(np.float16), compression="gzip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two frames to learn from and one to be judged on; the first has a hole in its depth."""
    h5py = pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("hypersim")
    table(folder)
    holed = plane(2.0)
    holed[:80, :80] = np.nan
    holed[100:108, 900:908] = 0
    write_frame(h5py, folder, Listed("ai_001_001", "cam_00", 0), holed)
    write_frame(h5py, folder, Listed("ai_001_001", "cam_00", 7), plane(4.0))
    write_frame(h5py, folder, Listed("ai_001_001", "cam_01", 0), plane(9.0))
    write_frame(h5py, folder, Listed("ai_002_010", "cam_00", 3), plane(3.0))
    return folder


def test_distances_become_depth():
    z = hypersim.z_depth(torch.from_numpy(plane(2.5)).float())
    torch.testing.assert_close(z, torch.full((768, 1024), 2.5), atol=1e-5, rtol=0)
    bad = torch.tensor([[torch.nan, torch.inf, -1.0, 0.0]])
    assert hypersim.z_depth(bad).tolist() == [[0, 0, 0, 0]]


def test_the_table_says_which_frames_there_are(folder):
    found = hypersim.frames(folder, "train")
    assert [(f.scene, f.camera, f.frame) for f in found] == [("ai_001_001", "cam_00", 0), ("ai_001_001", "cam_00", 7)]
    assert [f.scene for f in hypersim.frames(folder, "val")] == ["ai_002_010"]
    with pytest.raises(UserError, match="none of the 0 frames of partition test"):
        hypersim.frames(folder, "test")


def test_a_frame_at_a_quarter_of_its_size(folder):
    shot = hypersim.read(folder, Listed("ai_001_001", "cam_00", 0))
    assert (shot.rgb.shape, shot.depth.shape) == ((192, 256, 3), (192, 256))
    assert float((shot.rgb - 40 / 255).abs().max()) < 2 / 255
    known = torch.ones(192, 256, dtype=torch.bool)
    known[:20, :20] = False
    known[25:27, 225:227] = False
    assert torch.equal(shot.valid, known)
    assert float((shot.depth[known] - 2).abs().max()) < 2e-3, "half precision of the file"
    assert not shot.depth[~known].any()


def test_colours_are_means_of_blocks(folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    frame = Listed("ai_003_001", "cam_00", 1)
    values = np.zeros((768, 1024, 3), np.uint8)
    values[:, 2::4] = 200
    write_frame(h5py, tmp_path, frame, plane(1.0), values)
    rgb = hypersim.read(tmp_path, frame).rgb
    assert float((rgb.mean((0, 1)) - 50 / 255).abs().max()) < 0.02
    assert float(rgb.std(dim=(0, 1)).max()) < 0.02


@pytest.mark.parametrize(
    "row",
    [
        ("../x", "cam_00", "0", "True", "", "train"),
        ("ai_001_001", "../..", "0", "True", "", "train"),
        ("ai_001_001", "cam_00", "-1", "True", "", "train"),
    ],
    ids=range(3),
)
def test_a_table_cannot_lead_out_of_the_folder(tmp_path, row):
    table(tmp_path, [row])
    with pytest.raises(UserError, match="cannot be read"):
        hypersim.frames(tmp_path, "train")


def test_other_tables_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        hypersim.frames(tmp_path, "train")
    table(tmp_path, header=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(UserError, match="scene_name"):
        hypersim.frames(tmp_path, "train")


def test_files_that_hold_something_else_are_refused(folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    frame = Listed("ai_003_001", "cam_00", 1)
    write_frame(h5py, tmp_path, frame, plane(1.0))
    path = frame.distances(tmp_path)

    def refused(fill, mode="w"):
        with h5py.File(path, mode) as file:
            fill(file)
        with pytest.raises(UserError, match="cannot be read"):
            hypersim.read(tmp_path, frame)

    refused(lambda f: f.create_dataset("other", data=plane(1.0)))
    refused(lambda f: f.create_dataset("dataset", data=np.zeros((4, 4))))
    refused(lambda f: f.create_dataset("dataset", data=np.zeros((768, 1024), np.int32)))
    refused(lambda f: f.create_group("dataset"))
    secret = Listed("ai_001_001", "cam_00", 0).distances(folder)
    refused(lambda f: f.__setitem__("dataset", h5py.ExternalLink(secret, "dataset")))
    layout = h5py.VirtualLayout((768, 1024), np.float16)
    layout[:] = h5py.VirtualSource(str(secret), "dataset", (768, 1024))
    refused(lambda f: f.create_virtual_dataset("dataset", layout))
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        hypersim.read(tmp_path, frame)


def test_without_the_library_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"halfseen\[hypersim\]"):
        hypersim.read(folder, Listed("ai_001_001", "cam_00", 0))


def config(folder, **changes):
    loop = LoopConfig(steps=4, batch=4, warm=1, save_every=2, validate_every=4, log_every=1, precision="fp32")
    network = patch_small.Config(widths=(16, 32), blocks=1, time=32)
    plain = recipe.Config(network=network, loop=loop, crops=2, side=8, large=16, workers=0, hypersim=str(folder))
    return replace(plain, **changes)


def test_draws_follow_from_their_position(folder):
    a, b = Rooms(str(folder), "train"), Rooms(str(folder), "train")
    ahead = [b.draw(i) for i in (11, 3, 5)]
    for i, frame in zip((11, 3, 5), ahead, strict=True):
        assert torch.equal(a.draw(i).rgb, frame.rgb)
        assert torch.equal(a.draw(i).depth, frame.depth)
    assert {a.draw(i).world for i in range(12)} == {0, 1}
    assert ahead[0].intrinsics.tolist() == [886.81 / 4, 886.81 / 4, 128, 96]


def test_crops_have_no_holes(folder):
    cfg = config(folder)
    frame = Rooms(str(folder), "train").draw(
        next(i for i in range(99) if Rooms(str(folder), "train").draw(i).world == 0)
    )
    for i in range(60):
        _, z, enough = recipe.crop(frame, 48, generator(0, "crops", i), recipe.least_there(cfg))
        assert enough
        assert bool((z > 0).all())


def test_training_learns_from_the_folder_and_resumes_to_the_same_bytes(folder, tmp_path):
    def run(where, stop=None):
        task = recipe.PatchTask(config(folder))
        for progress in training.train(task, task.config.loop, where, accel=training.accelerator("cpu")):
            if progress.step == stop:
                return
        task.close()

    run(tmp_path / "whole")
    run(tmp_path / "parts", 2)
    run(tmp_path / "parts")
    whole, parts = (training.newest(tmp_path / n)[0] for n in ("whole", "parts"))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_held_out_patches_are_of_the_validation_scenes(folder):
    held = recipe.held_out(config(folder, disparity="metric"))
    assert held.shape[1:] == (4, 16, 16)
    torch.testing.assert_close(held[:, 3], torch.full_like(held[:, 3], 2 * 0.2 / 3 - 1), atol=1e-3, rtol=0)


def test_the_card_says_what_it_learned_from(folder):
    cards = []
    for cfg in (config(folder), replace(config(folder), hypersim=None)):
        plain = {
            "config": priors.configs.to_plain(cfg),
            "step": 4,
            "samples": 16,
            "hours": 0.1,
            "machine": "x",
            "held_out": {},
        }
        cards.append(priors.card(recipe.PATCH_RGBD, plain, 10))
    assert "CC BY-SA" in cards[0]
    assert "partition val" in cards[0]
    assert "No photo, scan or mesh of anybody was used" not in cards[0]
    assert "No photo, scan or mesh of anybody was used" in cards[1]


def test_workers_read_what_one_process_reads(folder):
    with_workers, alone = Rooms(str(folder), "train", workers=1), Rooms(str(folder), "train")
    try:
        for i in range(3):
            assert torch.equal(with_workers.draw(i).depth, alone.draw(i).depth)
    finally:
        with_workers.close()
