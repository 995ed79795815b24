"""NerfDiff from its training to objects from one photo, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch
from PIL import Image
from support import cli

import halfseen as hs
from halfseen.bench import claims
from halfseen.common.files import sha256
from halfseen.data import srn, transforms_write
from halfseen.images.color import WHITE, over
from halfseen.metrics.image import psnr
from halfseen.worlds import sample
from halfseen.worlds.families import by_name
from halfseen.worlds.render import prepare, render
from halfseen.worlds.seeds import seed_of

TINY = (
    "size=16", "views=4", "window=2", "workers=0", "rays=64", 'families=["chairs","clevr"]',
    "nerf.unet.attention=[1]", "nerf.unet.widths=[16,32]", "nerf.unet.heads=2",
    "nerf.sampling.uniform=8", "nerf.sampling.resampled=8",
    "cdm.unet.attention=[1]", "cdm.unet.widths=[16,32]", "cdm.unet.heads=2", "cdm.unet.time=16", "cdm.unet.tokens=16",
    "photos=2", "others=2", "loop.batch=2", "loop.save_every=2",
)  # fmt: skip
NERF = (*TINY, "nerf.unet.outside=27", "loop.steps=4", "loop.validate_every=4")
CDM = (*NERF[:-2], "stage=cdm", "loop.steps=8", "loop.validate_every=8")
QUICK = (
    "guidance.times=2", "guidance.views=3", "guidance.rays=64", "side=32", "lessons=2",
    "fit.work=4000", "fit.least_rays=64", "fit.most_rays=256",
)  # fmt: skip
FIELDS = {
    "triplane": (),
    "hashgrid": ("fit.hashgrid.levels=3", "fit.hashgrid.finest=32", "fit.hashgrid.log2_entries=10"),
    "gaussians": ("fit.gaussians.start=200", "fit.gaussians.most=400", "fit.pictures.seeds=random"),
}


def sets(settings: tuple[str, ...]) -> list[str]:
    return [part for s in settings for part in ("--set", s)]


@pytest.fixture(scope="module")
def priors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The field's network, both networks and the rival's, each of a few steps, trained and published by the commands that train real ones."""
    folder = tmp_path_factory.mktemp("priors")
    out = {name: folder / name for name in ("nerf", "whole", "rival")}
    for name, recipe, begin, settings in (
        ("nerf", "nerfdiff-objects-64", [], NERF),
        ("whole", "nerfdiff-objects-64", ["--begin", out["nerf"]], CDM),
        ("rival", "pixelnerf-objects-64", [], (*NERF[:-3], "nerf.unet.outside=16", *NERF[-2:], "nerf.layers.width=16")),
    ):
        training = folder / f"{name}-training"
        assert cli("prior", "train", recipe, "--out", training, "--device", "cpu", *begin, *sets(settings)) == 0
        assert cli("prior", "publish", training, "--out", out[name]) == 0
    return out


@pytest.fixture(scope="module")
def chair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chair in SRN's layout: three views, of which the first is the photo."""
    folder = tmp_path_factory.mktemp("chair") / "chair"
    folder.mkdir()
    made = sample.capture(by_name("chairs"), seed_of("validation", 1), layout="hemisphere", views=3, size=(32, 32))
    srn.write(made, folder)
    return folder


def run(chair: Path, prior: Path, out: Path, *more: object, settings: tuple[str, ...] = QUICK) -> None:
    command = ["reconstruct", chair, "--out", out, "--method", "nerfdiff", "--prior", f"object={prior}"]
    views = ["--view-ids", "0"] if chair.is_dir() else []
    assert cli(*command, *views, "--device", "cpu", *more, *sets(settings)) == 0


def test_training_goes_on_from_a_published_field_and_leaves_it_as_it_is(priors: dict[str, Path]) -> None:
    from safetensors.torch import load_file

    before, after = (load_file(priors[k] / "model.safetensors") for k in ("nerf", "whole"))
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert {k.partition(".")[0] for k in after} == {"nerf", "cdm"}
    rows = [
        json.loads(line) for line in (priors["whole"].parent / "whole-training" / "log.jsonl").read_text().splitlines()
    ]
    assert {"left_0.4", "psnr_render", "psnr_sample"} <= set(rows[-1])
    assert (priors["whole"].parent / "nerf-training" / "sheets" / "00000004.png").is_file()


def test_both_networks_learn_in_one_loop_too(priors: dict[str, Path], tmp_path: Path) -> None:
    joint = (*CDM, "stage=joint", "loop.steps=10", "cdm_grad_to_nerf=true")
    shutil.copytree(priors["whole"], tmp_path / "begun")
    config = json.loads((tmp_path / "begun" / "config.json").read_text())
    (tmp_path / "begun" / "config.json").write_text(json.dumps({**config, "hours": 2.5}))
    assert (
        cli(
            "prior",
            "train",
            "nerfdiff-objects-64",
            "--out",
            tmp_path / "t",
            "--begin",
            tmp_path / "begun",
            *sets(joint),
        )
        == 0
    )
    # The hours of what it went on from count.
    assert json.loads((tmp_path / "t" / "training.json").read_text())["hours"] > 2.5
    rows = [json.loads(line) for line in (tmp_path / "t" / "log.jsonl").read_text().splitlines()]
    assert {"colour", "velocity"} <= set(rows[-1])


@pytest.mark.parametrize("field", FIELDS)
def test_a_run_ends_and_renders_on_every_field(
    chair: Path, priors: dict[str, Path], tmp_path: Path, field: str
) -> None:
    settings = (*QUICK, *FIELDS[field])
    run(chair, priors["whole"], tmp_path / "r", "--field", field, "--steps", 20, "--max-size", 32, settings=settings)
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["views"] == 1
    assert metrics["held_out"]["count"] == 2
    rows = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows if r["event"] == "checkpoint"][-1] == 20
    assert cli("render", tmp_path / "r", "--orbit", 2, "--out", tmp_path / "frames") == 0
    assert np.asarray(Image.open(tmp_path / "frames" / "rgb" / "00000.png")).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("stop", "field"),
    [(3, "triplane"), (8, "triplane"), (16, "triplane"), (17, "triplane"), (18, "hashgrid"), (18, "gaussians")],
)
def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    chair: Path, priors: dict[str, Path], tmp_path: Path, stop: int, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a time, at its end, at the distillation's end, and in the refinement, where other fields begin."""
    from halfseen.runs import record

    whole = hs.reconstruct(chair, **_asked(priors, tmp_path / "whole", field))
    monkeypatch.setattr(record, "CHECKPOINT_SECONDS", 0.0)

    class Stopped(Exception):
        pass

    def watch(snapshot: object) -> None:
        if snapshot.step == stop:  # type: ignore[attr-defined]
            raise Stopped

    with pytest.raises(Stopped):
        hs.reconstruct(chair, **_asked(priors, tmp_path / "part", field), on_snapshot=watch)
    part = hs.reconstruct(chair, **_asked(priors, tmp_path / "part", field), resume=True)
    last = [sorted((r.path / "checkpoints").iterdir())[-1] for r in (whole, part)]
    assert last[0].name == last[1].name
    assert [sha256(p) for p in sorted(last[0].iterdir())] == [sha256(p) for p in sorted(last[1].iterdir())]


def _asked(priors: dict[str, Path], out: Path, field: str) -> dict[str, object]:
    return {
        "out": out, "method": "nerfdiff", "view_ids": (0,), "steps": 20, "max_size": 32, "device": "cpu",
        "priors": (f"object={priors['whole']}",), "settings": (*QUICK, *FIELDS[field]), "field": field,
    }  # fmt: skip


def test_a_budget_becomes_steps_of_all_phases(chair: Path, priors: dict[str, Path], tmp_path: Path) -> None:
    """What was planned is what is done: the last checkpoint is of the last step, and that is the run's number of steps."""
    run(chair, priors["whole"], tmp_path / "r", "--steps", 3000, "--max-size", 16, "--budget", "1s")
    config = json.loads((tmp_path / "r" / "config.json").read_text())["method"]
    rows = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    last = [r["step"] for r in rows if r["event"] == "checkpoint"][-1]
    assert 1 <= config["steps"] < 3000, "3,000 steps take more than a second"
    distilled = 2 * max(1, round(config["steps"] * (1 - config["refine"]) / 2))
    assert config["fit"]["steps"] == max(1, round(config["steps"] * config["refine"]))
    assert last == distilled + round(config["steps"] * config["refine"])


def test_one_photo_needs_no_choice_of_a_method(
    priors: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rgba = np.full((32, 40, 4), 255, np.uint8)
    rgba[..., 3] = 0
    rgba[8:24, 10:30] = (200, 40, 40, 255)
    Image.fromarray(rgba).save(tmp_path / "photo.png")
    ask = ["--variant", "feedforward", "--prior", f"object={priors['nerf']}", "--device", "cpu"]
    assert cli("reconstruct", tmp_path / "photo.png", *ask) == 0
    shutil.copyfile(tmp_path / "photo.png", tmp_path / "another.png")
    assert cli("reconstruct", tmp_path / "another.png", *ask) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["another-auto", "photo-auto"]


@pytest.mark.parametrize("variant", ["sample-then-fit", "sds"])
def test_other_ways_of_distilling(chair: Path, priors: dict[str, Path], tmp_path: Path, variant: str) -> None:
    run(chair, priors["whole"], tmp_path / "r", "--variant", variant, "--steps", 10, "--max-size", 16)
    assert (tmp_path / "r" / "metrics.json").is_file()


def test_variants_that_only_predict_say_so(
    chair: Path, priors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The field as it is predicted; samples in its renderings' place; and the rival."""
    found = {}
    for variant, prior in (("feedforward", "whole"), ("diffusion-only", "whole"), ("pixelnerf", "rival")):
        out = tmp_path / variant
        run(chair, priors[prior], out, "--variant", variant, "--max-size", 32, settings=())
        assert cli("render", out, "--orbit", 2, "--out", tmp_path / f"{variant}-frames") == 0
        found[variant] = np.asarray(Image.open(tmp_path / f"{variant}-frames" / "rgb" / "00000.png"))
        kind = json.loads((out / "config.json").read_text())["field"]["kind"]
        assert kind == ("projection" if variant == "pixelnerf" else "triplane")
    assert (found["feedforward"] != found["diffusion-only"]).any()
    # Samples are the same at every run.
    again = tmp_path / "again"
    run(chair, priors["whole"], again, "--variant", "diffusion-only", "--max-size", 32, settings=())
    assert cli("render", again, "--orbit", 2, "--out", tmp_path / "again-frames") == 0
    shown = np.asarray(Image.open(tmp_path / "again-frames" / "rgb" / "00000.png"))
    np.testing.assert_array_equal(shown, found["diffusion-only"])
    capsys.readouterr()
    refused = ["reconstruct", chair, "--view-ids", "0", "--out", tmp_path / "no", "--method", "nerfdiff"]
    assert cli(*refused, "--prior", f"object={priors['rival']}") == 2
    assert "predicts features on the photo" in capsys.readouterr().err
    assert (
        cli(*refused, "--prior", f"object={priors['whole']}", "--variant", "feedforward", "--field", "gaussians") == 2
    )
    assert "predicts a triplane" in capsys.readouterr().err
    assert cli(*refused, "--prior", f"object={priors['nerf']}", "--max-size", 16, *sets(QUICK)) == 2
    assert "has no diffusion model" in capsys.readouterr().err


def test_srns_protocol_takes_view_64_and_says_what_it_measures(
    priors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "chair"
    folder.mkdir()
    srn.write(sample.capture(by_name("chairs"), 5, layout="srn-test", views=251, size=(16, 16)), folder)
    out, ask = (
        tmp_path / "r",
        ["--method", "nerfdiff", "--variant", "feedforward", "--prior", f"object={priors['nerf']}"],
    )
    assert cli("reconstruct", folder, "--views", 1, "--out", out, *ask) == 0
    config = json.loads((out / "config.json").read_text())
    assert config["split"]["train"] == [64]
    assert any("the prior works at 16 x 16 px" in note for note in config["assumed"])
    capsys.readouterr()
    assert cli("evaluate", out, "--against", folder, "--protocol", "srn-subset", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["rows"]) == 11
    assert found["protocol"]["name"] == "srn-subset"
    assert found["protocol"]["colour"] == "8-bit truncated"
    assert "11 measured" in found["protocol"]["split"]
    assert cli("reconstruct", folder, "--view-ids", "3", "--out", tmp_path / "other", *ask) == 0
    assert cli("evaluate", tmp_path / "other", "--against", folder, "--protocol", "srn") == 2
    assert "none of SRN's protocol" in capsys.readouterr().err


@pytest.mark.parametrize("cut", ["alpha", "mask", "grabcut"])
def test_one_photo_without_a_camera(
    priors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: str
) -> None:
    """A red box off the middle: it is cut out, what is assumed is said, and it is where the photo shows it."""
    height, width = 90, 120
    rgb = np.full((height, width, 3), 205, np.uint8)
    rgb += np.random.default_rng(0).integers(0, 12, rgb.shape, dtype=np.uint8)
    inside = (slice(25, 60), slice(55, 95))
    rgb[inside] = (180, 30, 30)
    mask = np.zeros((height, width), np.uint8)
    mask[inside] = 255
    path = tmp_path / "photo.png"
    Image.fromarray(np.dstack([rgb, mask]) if cut == "alpha" else rgb).save(path)
    if cut == "mask":
        Image.fromarray(mask).save(tmp_path / "photo.mask.png")
    run(path, priors["whole"], tmp_path / "r", "--variant", "feedforward", "--fov", 40, "--distance", 3, settings=())
    said = capsys.readouterr()
    words = {"alpha": "transparency", "mask": "photo.mask.png", "grabcut": "GrabCut"}[cut]
    assert words in said.err + said.out
    assert "40 degrees wide, as --fov says" in said.err + said.out
    opened = hs.open_run(tmp_path / "r")
    capture = opened.capture()
    camera = capture.cameras()
    assert float(camera.centres.norm()) == pytest.approx(3.0, abs=1e-6)
    from halfseen.cameras import rays

    pixel, _ = rays.project(camera, torch.zeros(1, 3, dtype=torch.float64))
    at = pixel[0, 0] * torch.tensor([width, height]) / camera.sizes[0]
    assert at.tolist() == pytest.approx([75, 42.5], abs=1.5)
    shown = capture.views[0].mask
    assert shown is not None
    covered = shown.read_grey() > 0.5
    assert float(covered.float().mean()) == pytest.approx(35 * 40 / (height * width), rel=0.1)


def test_what_is_behind_a_scene_is_its_rim(
    priors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing tells what is behind things on CLEVR's floor: in training it is the mean colour of the photo's rim, and so it is in use."""
    folder = tmp_path / "floor"
    capture = sample.capture(by_name("clevr"), 5, layout="srn-test", views=4, size=(16, 16))
    transforms_write.write(capture, folder)
    ask = ["--method", "nerfdiff", "--variant", "feedforward", "--prior", f"object={priors['nerf']}"]
    assert cli("reconstruct", folder, "--view-ids", "1", "--out", tmp_path / "r", *ask) == 0
    assert "mean colour of the photo's rim" in capsys.readouterr().err
    photo = capture.views[1].image.read()
    rim = torch.ones(16, 16, dtype=torch.bool)
    rim[1:-1, 1:-1] = False
    behind = json.loads((tmp_path / "r" / "config.json").read_text())["background"]
    assert behind == pytest.approx(photo[rim].mean(0).tolist(), abs=2 / 255)
    assert hs.open_run(tmp_path / "r").capture().background == pytest.approx(behind, abs=1e-6)


def test_photos_that_cannot_be_used_are_refused(
    chair: Path, priors: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(plain)
    command = [
        "--method",
        "nerfdiff",
        "--variant",
        "feedforward",
        "--prior",
        f"object={priors['whole']}",
        "--out",
        tmp_path / "r",
    ]
    assert cli("reconstruct", plain, *command) == 2
    assert "no object can be told" in capsys.readouterr().err
    assert cli("reconstruct", chair, "--view-ids", "0", "--fov", 40, *command) == 2
    assert "has its own cameras" in capsys.readouterr().err
    assert cli("reconstruct", plain, *command, "--fov", 200) == 2
    assert "--fov cannot be used" in capsys.readouterr().err
    for size in ((2, 60), (300, 1)):
        Image.fromarray(np.full((*size, 3), 200, np.uint8)).save(plain)
        assert cli("reconstruct", plain, *command) == 2
        assert "too small or too narrow" in capsys.readouterr().err
    Image.fromarray(np.zeros((40, 40, 4), np.uint8)).save(plain)
    assert cli("reconstruct", plain, *command) == 2
    assert "transparency of plain.png leaves nothing" in capsys.readouterr().err


def test_what_is_shipped_knows_an_object_from_behind(tmp_path: Path) -> None:
    """A car that nobody learned from: its side and back are nearer to the truth than the mean picture of cars from anywhere, and than nothing."""
    cars, looks = by_name("cars"), (80, 101)
    car = sample.capture(cars, seed_of("validation", 0), layout="srn-test", views=251, size=(64, 64))
    run = hs.reconstruct(car, out=tmp_path / "r", method="nerfdiff", variant="feedforward", view_ids=(64,), max_size=64)
    targets = car.select(looks)
    truth = [v.image.read() for v in targets.views]
    truth = [over(t[..., :3], t[..., 3:].mean(-1), WHITE) if t.shape[-1] == 4 else t for t in truth]
    shown = fmean(psnr(f.rgb, t) for f, t in zip(hs.render(run, targets.cameras()), truth, strict=True))
    others = []
    for number in range(4):
        world = prepare(cars.make(seed_of("train", number)))
        cameras = sample.cameras_for(cars, seed_of("train", number), "srn-test", 251, (64, 64), world)
        others += [render(world, cameras[k], cars.background, supersample=1).rgb for k in (*looks, 150, 200)]
    mean = torch.stack(others).mean(0)
    beside = [fmean(psnr(m, t) for t in truth) for m in (mean, torch.ones_like(mean))]
    assert shown > max(beside) + 2, (shown, beside)


def test_objects_of_claims_have_the_protocols_views_and_lie_where_cameras_look() -> None:
    from halfseen.bench import objects

    assert objects.names(None, "quick") == tuple(
        f"object-{f}-{i}" for i in range(2) for f in ("cars", "chairs", "tabletop", "clevr")
    )
    capture, split = objects.spiral("object-clevr-0", None, 1, 16)
    assert (len(capture), split.train, len(split.test)) == (251, (64,), 250)
    cameras = capture.cameras()
    # Every camera's axis passes by the origin, where the object is taken to be.
    centres, axes = cameras.centres.double(), cameras.forward.double()
    beside = (centres - (centres * axes).sum(-1, keepdim=True) * axes).norm(dim=-1)
    assert float((beside / centres.norm(dim=-1)).max()) < 1e-3
    with pytest.raises(hs.UserError, match="the mesh of a claim is not there"):
        objects.spiral("mesh-meshes_cc0_kenney-chair", None, 1, 16)


def test_claims_leave_out_rows_whose_prior_is_not_shipped_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rival = "pixelnerf-objects-64"
    asked = claims.cells("quick", None, "nerfdiff")
    assert claims.without_priors(asked) == {"pixelnerf": rival}
    assert cli("bench", "claims", "--method", "nerfdiff", "--limit", 0, "--json") == 0
    said = capsys.readouterr()
    assert f"row pixelnerf is left out: {rival} is not shipped" in said.err
    assert json.loads(said.out)["cells"] == 0
    (tmp_path / rival).mkdir()
    assert claims.without_priors(asked) == {}
