"""Pairs of true fits: made, listed in the published layout, read back, and learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from halfseen.api import pairs as api_pairs
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.images import io
from halfseen.methods.difix3d import fitted, pair_files, pairs, training
from halfseen.methods.difix3d.fitted import Job
from halfseen.priors.networks import fixer_small
from halfseen.priors.training import LoopConfig

JOB = Job("sparse", "gaussians", 3, family="clevr", views=7, width=48, height=40, steps=12, each=2)


def test_a_sparse_fit_gives_pairs_in_the_published_layout(tmp_path: Path) -> None:
    fitted.make(JOB, tmp_path / "000003-sparse-gaussians")
    numbers = api_pairs.merge(tmp_path)
    assert numbers["train"] > 0
    assert numbers["test"] == 0
    document = json.loads((tmp_path / "pairs.json").read_text())
    assert set(document) == {"train", "test"}
    for entry in document["train"].values():
        assert {"image", "target_image", "ref_image", "prompt"} <= set(entry)
        assert entry["prompt"] == "remove degradation"
        assert entry["severity"] in (0.5, 0.75, 1.0)
        assert 13 < entry["psnr"] < 36
        assert io.read(tmp_path / entry["image"]).shape == (40, 48, 3)
    for item in pair_files.listed(tmp_path, "train"):
        pair = pair_files.read(item)
        assert pair.shown.shape == (10, 40, 48)
        stored = io.read(tmp_path / item.entry["image"]).movedim(-1, 0)
        assert torch.allclose(pairs.unpacked(pair.shown)[:3], stored, atol=1e-6)
        assert pair.references.shape == (1, 3, 40, 48)


@pytest.mark.parametrize("strategy", ["underfit", "cycle", "cross"])
def test_every_strategy_makes_pairs(strategy: fitted.Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Six steps of 48 pixels make nothing that one could learn from.
    monkeypatch.setattr(fitted, "_TEACHES", (5.0, 36.0))
    drive = strategy != "underfit"
    job = replace(JOB, strategy=strategy, family="outdoor" if drive else "clevr", views=9, steps=6)
    fitted.make(job, tmp_path / "job")
    rows = json.loads((tmp_path / "job" / "pairs.json").read_text())["train"]
    assert rows
    assert all(r["strategy"] == strategy for r in rows.values())
    if strategy == "underfit":
        assert {r["severity"] for r in rows.values()} <= {2 / 6, 3 / 6, 4 / 6, 5 / 6}


def test_lists_of_others_are_read_by_their_pictures_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        io.write_png(tmp_path / f"{name}.png", torch.rand(16, 24, 3))
    entry = {"image": str(tmp_path / "a.png"), "target_image": "b.png", "ref_image": "c.png", "prompt": "x"}
    (tmp_path / "data.json").write_text(json.dumps({"train": {"one": entry}, "test": {}}))
    (item,) = pair_files.listed(tmp_path / "data.json", "train")
    pair = pair_files.read(item, (32, 8))
    shown = pairs.unpacked(pair.shown)
    assert shown[3].eq(1).all()
    assert not shown[4:].any()
    assert pair.references.shape == (1, 3, 8, 32)
    for broken in ({"train": {"one": {"image": "a.png"}}}, {"train": []}, []):
        (tmp_path / "data.json").write_text(json.dumps(broken))
        with pytest.raises(UserError):
            pair_files.listed(tmp_path / "data.json", "train")


def test_a_list_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    io.write_png(tmp_path / "a.png", torch.rand(8, 8, 3))
    entry = {"image": "../a.png", "target_image": "../a.png"}
    (tmp_path / "in" / "pairs.json").write_text(json.dumps({"train": {"one": entry}, "test": {}}))
    with pytest.raises(UserError):
        pair_files.read(pair_files.listed(tmp_path / "in", "train")[0])


def test_jobs_follow_from_their_numbers_and_captures_take_no_drives(still_life_folder: Path) -> None:
    found = api_pairs.jobs(40)
    assert found == api_pairs.jobs(40)
    more = api_pairs.jobs(20, first=20)
    assert [j for j in found["train"] if j.number >= 20] == more["train"]
    assert {j.strategy for j in found["train"]} == set(fitted.STRATEGIES)
    assert all(j.purpose == "validation" for j in found["test"])
    assert len(found["test"]) == 3
    assert all(j.family == "outdoor" for part in found.values() for j in part if j.strategy in ("cycle", "cross"))
    with pytest.raises(UserError, match="needs a drive"):
        fitted.make(replace(JOB, strategy="cycle"), Path("nowhere"))
    capture = [still_life_folder]
    taken = api_pairs.jobs(30, captures=capture)
    assert all(j.strategy in ("sparse", "underfit") and j.capture for part in taken.values() for j in part)
    assert not taken["test"], "one capture is not both learned from and held out"
    with pytest.raises(UserError, match="need a drive"):
        api_pairs.jobs(3, captures=capture, strategies=("cycle",))
    assert api_pairs.name_of(JOB) != api_pairs.name_of(replace(JOB, steps=13))


def test_the_trainer_draws_from_true_fits_too(tmp_path: Path) -> None:
    fitted.make(JOB, tmp_path / "000003-sparse-gaussians")
    fitted.make(replace(JOB, number=9, purpose="validation", part="test"), tmp_path / "000009-sparse-gaussians")
    api_pairs.merge(tmp_path)
    few = pairs.PairsConfig(families=("chairs",), width=48, height=48, views=6, each=3)
    cfg = training.Config(
        network=fixer_small.Config(widths=(16, 32), blocks=1, heads=2),
        loop=LoopConfig(steps=4, batch=4),
        pairs=few,
        window=2,
        reuse=2,
        workers=0,
        side=32,
        fits=str(tmp_path),
        fits_share=1.0,
    )
    task, twin = training.FixerTask(cfg), training.FixerTask(cfg)
    batch, same = task.batch(range(4)), twin.batch(range(4))
    assert all(torch.equal(batch[k], same[k]) for k in batch)
    numbers = task.validate(task.networks)
    assert 8 < numbers["psnr_fits_before"] < 34
    assert abs(numbers["psnr_fits_after"] - numbers["psnr_fits_before"]) < 1
    task.close()


def test_every_family_has_both_kinds_of_field() -> None:
    for families in ((), ("chairs", "cars", "tabletop", "chairs", "cars")):
        made = [job for some in api_pairs.jobs(400, strategies=["sparse"], families=families).values() for job in some]
        found = {(job.kind, job.family) for job in made}
        assert found == {(kind, job.family) for job in made for kind in ("gaussians", "hashgrid")}


def test_photos_that_are_fitted_are_taken_by_a_camera_and_the_truth_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "_PHOTOGRAPHED", 1.0)
    capture, flawed = fitted._captures(replace(JOB, family="chairs", views=4), generator(0, "capture"))
    for truth, photo in zip(capture.views, flawed.views, strict=True):
        assert not torch.equal(truth.image.read(), photo.image.read()), "exposure"
        assert truth.camera is not None
        assert photo.camera is not None
        assert not torch.equal(truth.camera.c2w, photo.camera.c2w), "pose"
    taken = fitted._photographed(capture, generator(0, "taken"))
    for before, after in zip(capture.views, taken.views, strict=True):
        clean, seen = before.image.read()[..., :3], after.image.read()[..., :3]
        assert before.mask is not None
        empty = before.mask.read_grey() == 0
        assert not torch.equal(clean, seen)
        assert seen[empty].eq(1).all()
    monkeypatch.setattr(fitted, "_PHOTOGRAPHED", 0.0)
    assert fitted._photographed(capture, generator(0, "taken")) is capture
