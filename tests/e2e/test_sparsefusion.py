"""SparseFusion from its trainings, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support import cli

import halfseen as hs
from halfseen.bench import claims, rows
from halfseen.bench import objects as objects_of_claims
from halfseen.cameras.cameras import Cameras
from halfseen.data import transforms_write
from halfseen.data.capture import PictureArray
from halfseen.images.color import WHITE, over
from halfseen.methods.sparsefusion import algorithm, latents, looking, view_prior
from halfseen.metrics.image import psnr
from halfseen.runs import record
from halfseen.worlds import sample
from halfseen.worlds.families import by_name
from halfseen.worlds.render import prepare
from halfseen.worlds.seeds import seed_of

AUTOENCODER = (
    "network.widths=[16,32]", "network.blocks=1", "size=16", "rendered=24", "views=3", "window=2", "workers=0",
    'families=["cars","chairs"]', "loop.batch=2", "loop.steps=4", "loop.save_every=2", "loop.validate_every=4",
)  # fmt: skip
OBJECTS = (
    "size=16", "rendered=24", "most=2", "views=4", "window=2", "workers=0", 'families=["cars","chairs"]', "repeats=2",
    "eft.encoder.widths=[16]", "eft.layers=1", "eft.feedforward=16", "eft.depths=4",
    "vldm.unet.widths=[16,32]", "vldm.unet.time=16", "vldm.unet.heads=2",
    "loop.batch=2", "loop.steps=4", "loop.save_every=2", "loop.validate_every=4",
)  # fmt: skip


def sets(settings: tuple[str, ...]) -> list[str]:
    return [part for s in settings for part in ("--set", s)]


def trained(name: str, folder: Path, settings: tuple[str, ...], *more: object) -> Path:
    """Trained and published by the commands that train real ones."""
    training = folder.with_name(f"{folder.name}-training")
    assert cli("prior", "train", name, "--out", training, "--device", "cpu", *more, *sets(settings)) == 0
    assert cli("prior", "publish", training, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("autoencoder-f4", tmp_path_factory.mktemp("priors") / "autoencoder", AUTOENCODER)


def test_latents_are_scaled_by_what_the_card_says(autoencoder: Path) -> None:
    spread = json.loads((autoencoder / "config.json").read_text())["held_out"]["latent_spread"]
    net = latents.load(str(autoencoder), torch.device("cpu"))
    assert net.config.scale == pytest.approx(1 / spread)
    picture = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(net.encode(picture), net.distribution(picture)[0] / spread)


@pytest.mark.parametrize("stage", ["joint", "eft"])
def test_both_networks_learn_in_one_loop_or_one_after_the_other(autoencoder: Path, tmp_path: Path, stage: str) -> None:
    settings = (*OBJECTS, f"autoencoder={autoencoder}", f"stage={stage}")
    first = trained("sparsefusion-objects", tmp_path / "first", settings)
    rows = [json.loads(line) for line in (tmp_path / "first-training" / "log.jsonl").read_text().splitlines()]
    assert {"psnr_cells", "psnr_eft"} <= set(rows[-1])
    assert ("noise" in rows[-1], "psnr_sample" in rows[-1]) == (stage == "joint", stage == "joint")
    if stage == "joint":
        assert {k.partition(".")[0] for k in load_file(first / "model.safetensors")} == {"eft", "vldm"}
        return
    then = trained("sparsefusion-objects", tmp_path / "then", (*settings, "stage=vldm"), "--begin", first)
    before, after = (load_file(p / "model.safetensors") for p in (first, then))
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert {k.partition(".")[0] for k in after} == {"eft", "vldm"}


@pytest.fixture(scope="module")
def objects(autoencoder: Path) -> Path:
    return trained("sparsefusion-objects", autoencoder.with_name("objects"), (*OBJECTS, f"autoencoder={autoencoder}"))


@pytest.fixture(scope="module")
def chair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chair")
    transforms_write.write(sample.capture(by_name("chairs"), 3, layout="hemisphere", views=4, size=(32, 24)), folder)
    return folder


QUICK = (
    "imagining.views=3", "imagining.rounds=2", "imagining.looks=2", "fit.work=4000", "fit.least_rays=64",
    "fit.most_rays=256", "fit.hashgrid.levels=3", "fit.hashgrid.finest=32", "fit.hashgrid.log2_entries=10",
    "fit.triplane.side=16", "fit.gaussians.start=200", "fit.gaussians.most=400", "fit.pictures.seeds=random",
)  # fmt: skip


def run(chair: Path, prior: Path, out: Path, *more: object, settings: tuple[str, ...] = QUICK) -> None:
    command = ["reconstruct", chair, "--out", out, "--method", "sparsefusion", "--prior", f"views={prior}"]
    ask = ["--view-ids", "0,2", "--steps", 8, "--device", "cpu", "--max-size", 32]
    assert cli(*command, *ask, *more, *sets(settings)) == 0


@pytest.mark.parametrize("field", ["hashgrid", "gaussians", "triplane"])
def test_a_run_ends_and_renders_on_every_field(chair: Path, objects: Path, tmp_path: Path, field: str) -> None:
    run(chair, objects, tmp_path / "r", "--field", field)
    rows = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    # Two rounds of three views, two looks each.
    assert [r["facts"]["prior_calls"] for r in rows if "facts" in r][-1] == 12
    assert cli("render", tmp_path / "r", "--orbit", 2, "--out", tmp_path / "frames") == 0
    assert len(list((tmp_path / "frames" / "rgb").glob("*.png"))) == 2
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert any("no held-out camera is used" in note for note in config["assumed"])


def test_photos_that_do_not_say_what_is_the_object_are_cut_out(
    objects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As what stands out from a ground of one colour, or by a mask beside the photo; and the run says so."""
    made = sample.capture(by_name("cars"), 3, layout="hemisphere", views=3, size=(96, 72))
    bare = tuple(replace(v, image=PictureArray(v.image.read()[..., :3]), mask=None, depth=None) for v in made.views)
    folder = tmp_path / "car"
    transforms_write.write(replace(made, views=bare, mask_role=None, background=None, on_background=False), folder)
    photo = sorted((folder / "images").iterdir())[2]
    assert made.views[2].mask is not None
    given = made.views[2].mask.read_grey()
    Image.fromarray((given.numpy() * 255).astype(np.uint8)).save(photo.with_name(photo.stem + ".mask.png"))
    run(folder, objects, tmp_path / "r", "--max-size", 96)
    said = capsys.readouterr().err
    assert "stands out from a ground of one colour" in said
    assert f"{photo.stem}.mask.png" in said
    found = hs.open_run(tmp_path / "r").capture()
    assert found.mask_role == "object"
    for view, true in zip(found.views, (made.views[0], made.views[2]), strict=True):
        assert view.mask is not None
        assert true.mask is not None
        a, b = view.mask.read_grey() > 0.5, true.mask.read_grey() > 0.5
        assert float((a & b).sum() / (a | b).sum()) > 0.9


def asked(prior: Path, out: Path) -> dict[str, Any]:
    return {
        "method": "sparsefusion", "out": out, "view_ids": (0, 2), "steps": 8, "max_size": 32, "device": "cpu",
        "priors": (f"views={prior}",), "settings": QUICK,
    }  # fmt: skip


@pytest.mark.parametrize("stop", [2, 4, 7])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    chair: Path, objects: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the transformer's pictures are learned from, in a round, and in the refinement."""
    whole = hs.reconstruct(chair, **asked(objects, tmp_path / "whole"))
    monkeypatch.setattr(record, "CHECKPOINT_SECONDS", 0.0)

    class Stopped(Exception):
        pass

    def watch(snapshot: Any) -> None:
        if snapshot.step == stop:
            raise Stopped

    with pytest.raises(Stopped):
        hs.reconstruct(chair, **asked(objects, tmp_path / "parts"), on_snapshot=watch)
    parts = hs.reconstruct(chair, **asked(objects, tmp_path / "parts"), resume=True)
    first, second = (r.load()[1]["field"] for r in (whole, parts))
    assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("variant", ["eft", "vldm"])
def test_what_is_beside_it_is_shown_in_the_place_of_renderings(
    chair: Path, objects: Path, tmp_path: Path, variant: str
) -> None:
    run(chair, objects, tmp_path / variant, "--variant", variant)
    assert cli("render", tmp_path / variant, "--orbit", 1, "--out", tmp_path / "shown") == 0
    assert cli("render", tmp_path / variant, "--orbit", 1, "--no-fix", "--out", tmp_path / "field") == 0
    pictures = [np.asarray(Image.open(tmp_path / k / "rgb" / "00000.png")) for k in ("shown", "field")]
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize(
    "settings", [("imagining.schedule=fresh", "imagining.sampler=ancestral-plms"), ("imagining.space=latent",)]
)
def test_other_ways_to_distil(chair: Path, objects: Path, tmp_path: Path, settings: tuple[str, ...]) -> None:
    run(chair, objects, tmp_path / "r", settings=(*QUICK, *settings))
    assert (tmp_path / "r" / "metrics.json").is_file()


def test_an_oracle_denoiser_converges_to_the_true_object(
    objects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every imagined view is the true one, the field comes to show the object from all around, though two photos are all it has."""
    family, seed, size = by_name("cars"), 3, 32
    world = prepare(family.make(seed))
    capture = sample.capture(family, seed, layout="hemisphere", views=2, size=(size, size))
    found: dict[str, Any] = {}

    def truth(cameras: Cameras) -> torch.Tensor:
        """Over black, in the networks' range of sides."""
        shown = sample.views_of(world, family, found["to_user"].cameras(cameras).to(torch.float64))
        white = torch.stack([p.rgb for p in shown]).float(), torch.stack([p.mask for p in shown]).float()
        return (white[0] - (1 - white[1][..., None])).clamp(0, 1).movedim(-1, 1)

    def watch(snapshot: Any) -> None:
        found["field"] = snapshot.field

    begun = algorithm._begin

    def begin(prior: Any, seen: Any, to_user: Any, *rest: Any) -> Any:
        found["to_user"], found["made"] = to_user, begun(prior, seen, to_user, *rest)
        return found["made"]

    def oracle(prior: Any, name: str, told: torch.Tensor, *rest: Any) -> torch.Tensor:
        # The estimate asks of one view, to time it.
        return truth(found["made"].cameras) if len(told) > 1 else torch.zeros(1, 3, 16, 16)

    monkeypatch.setattr(algorithm, "_begin", begin)
    monkeypatch.setattr(view_prior, "imagined", oracle)
    # Opacities of a transformer that learned nothing would speak against the truth.
    settings = (
        "imagining.ground=black", "imagining.views=8", "imagining.rounds=3", "bootstrap=0.1", "refine=0.0", "fit.work=20000",
        "fit.least_rays=256", "fit.most_rays=1024", "fit.hashgrid.levels=6", "fit.hashgrid.finest=64",
        "fit.hashgrid.log2_entries=12", "fit.hashgrid.coarse_to_fine=0",
    )  # fmt: skip
    ask = {**asked(objects, tmp_path / "r"), "view_ids": (0, 1), "steps": 240}

    def apart(out: str, *more: str) -> float:
        """PSNR of what the field shows of the imagined views beside the truth."""
        hs.reconstruct(capture, **{**ask, "out": tmp_path / out, "settings": (*settings, *more)}, on_snapshot=watch)
        cameras = found["made"].cameras
        shown, wanted = looking.shown(found["field"], cameras), truth(cameras)
        pairs = zip(shown.movedim(1, -1), wanted.movedim(1, -1), strict=True)
        return fmean(psnr(a, b) for a, b in pairs)

    told = apart("oracle")
    # The same run that does not learn from what is imagined.
    assert told > apart("alone", "imagining.weight=0", "imagining.looks_alike=0") + 3
    assert told > 20


RIVAL = (
    "size=16", "rendered=24", "most=2", "views=4", "window=2", "workers=0", 'families=["cars","chairs"]',
    "rival.unet.widths=[16,32]", "rival.unet.outside=16", "rival.unet.heads=2", "rival.unet.attention=[1]", "rival.rays=16",
    "loop.batch=2", "loop.steps=4", "loop.save_every=2", "loop.validate_every=4",
)  # fmt: skip


def test_the_rival_is_trained_predicts_a_field_and_is_told_from_the_method(
    chair: Path, objects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rival = trained("pixelnerf-views-64", tmp_path / "rival", RIVAL)
    rows = [json.loads(line) for line in (tmp_path / "rival-training" / "log.jsonl").read_text().splitlines()]
    assert {"psnr", "psnr_cars", "psnr_chairs"} <= set(rows[-1])
    run(chair, rival, tmp_path / "r", "--variant", "pixelnerf", settings=())
    assert cli("render", tmp_path / "r", "--orbit", 1, "--out", tmp_path / "shown") == 0
    assert np.asarray(Image.open(tmp_path / "shown" / "rgb" / "00000.png")).std() > 0
    capsys.readouterr()
    wrong = ["--method", "sparsefusion", "--view-ids", "0,2", "--out", tmp_path / "x"]
    assert cli("reconstruct", chair, *wrong, "--prior", f"views={rival}") == 2
    assert "tells nothing of views" in capsys.readouterr().err
    assert cli("reconstruct", chair, *wrong, "--prior", f"views={objects}", "--variant", "pixelnerf") == 2
    assert "predicts no field" in capsys.readouterr().err


def test_claims_of_a_few_photos_stand_on_objects_and_have_plain_beside() -> None:
    asked = claims.cells("quick", None, "sparsefusion")
    assert {c.scene for c in asked} == {f"object-{f}-{i}" for f in ("cars", "chairs", "tabletop") for i in range(2)}
    assert [r.name for r in dict.fromkeys(c.row for c in asked)] == [
        "plain classic", "pixelnerf", "eft", "vldm", "sparsefusion",
    ]  # fmt: skip
    assert {c.views for c in asked} == {2}
    ablated = claims.cells("quick", None, "sparsefusion", ablations=True)[len(asked) :]
    assert {c.scene for c in ablated} == {"object-cars-0", "object-chairs-0"}
    for cell in ablated:
        rows.config_of(cell.row, 600)
    capture, split = objects_of_claims.orbit("object-chairs-0", None, 2, 16)
    assert (len(capture), len(split.train), len(split.test)) == (32, 2, 30)
    # All from one height.
    heights = capture.cameras().centres[:, 2]
    assert float(heights.std()) < 1e-3 * float(heights.mean().abs())


def test_what_is_shipped_knows_an_object_from_two_photos(tmp_path: Path) -> None:
    """A car that nobody learned from, from other sides: the transformer is nearer to the truth than the nearer photo, and what is imagined has
    more of a photo's edges than the transformer."""
    car = sample.capture(by_name("cars"), seed_of("validation", 0), layout="orbit", views=32, size=(64, 64))
    ask = {"method": "sparsefusion", "view_ids": (0, 5), "max_size": 64, "steps": 20}
    targets = car.select((2, 10, 16, 26))
    truth = [_on_white(v.image.read()) for v in targets.views]
    shown = {}
    for variant in ("eft", "vldm"):
        run = hs.reconstruct(car, out=tmp_path / variant, variant=variant, **ask)  # type: ignore[arg-type]
        shown[variant] = [f.rgb for f in hs.render(run, targets.cameras())]
    photos = [_on_white(car.views[i].image.read()) for i in (0, 5)]
    found = fmean(psnr(a, b) for a, b in zip(shown["eft"], truth, strict=True))
    beside = fmean(max(psnr(p, t) for p in photos) for t in truth)
    assert found > beside + 1, (found, beside)
    steep = {k: fmean(float((p[1:] - p[:-1]).abs().mean()) for p in ps) for k, ps in {**shown, "truth": truth}.items()}
    assert steep["truth"] > steep["vldm"] > 1.2 * steep["eft"], steep


def _on_white(picture: torch.Tensor) -> torch.Tensor:
    return over(picture[..., :3], picture[..., 3:].mean(-1), WHITE) if picture.shape[-1] == 4 else picture
