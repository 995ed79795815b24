"""The patch prior from training to a reconstruction, through the command line, on every kind of field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import as_bytes, cli, dotted

import halfseen as hs
from halfseen.common import config as configs
from halfseen.common.files import sha256
from halfseen.data import load as loading
from halfseen.data import normalise, transforms_write
from halfseen.methods.diffusionerf import patch_prior
from halfseen.methods.diffusionerf.algorithm import METHOD
from halfseen.methods.diffusionerf.patch_prior import PatchPrior
from halfseen.poses import framing

TINY = (
    "network.widths=[16,32]",
    "network.blocks=1",
    "loop.steps=6",
    "loop.batch=8",
    "loop.save_every=3",
    "loop.validate_every=6",
    'families=["tabletop"]',
    "views=2",
    "window=1",
    "workers=0",
    "width=64",
    "height=48",
)
FIELDS = {
    "hashgrid": (
        "fit.work=8000",
        "fit.least_rays=64",
        "fit.hashgrid.levels=3",
        "fit.hashgrid.finest=32",
        "fit.hashgrid.log2_entries=10",
    ),
    "triplane": ("fit.work=8000", "fit.least_rays=64"),
    "gaussians": ("fit.gaussians.start=200", "fit.gaussians.most=400", "fit.pictures.seeds=random"),
}


def sets(settings: tuple[str, ...]) -> list[str]:
    return [part for s in settings for part in ("--set", s)]


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of a few steps, trained and published by the commands that train real ones."""
    folder = tmp_path_factory.mktemp("prior")
    assert cli("prior", "train", "patch-rgbd", "--out", folder / "t", "--device", "cpu", *sets(TINY)) == 0
    assert cli("prior", "publish", folder / "t", "--out", folder / "weights") == 0
    return folder / "weights"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture") / "c"
    folder.mkdir()
    transforms_write.write(as_bytes(dotted(size=(48, 36), intrinsics=(45.0, 45.0, 24.0, 18.0))), folder)
    return folder


def test_training_writes_numbers_sheets_and_a_card(prior: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = prior.parent / "t"
    rows = [json.loads(line) for line in (training / "log.jsonl").read_text().splitlines()]
    assert "disparity_0.35" in rows[-1]
    assert (training / "sheets" / "00000006.png").is_file()
    assert cli("prior", "info", prior, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["role"], found["step"], found["samples"]) == ("patch", 6, 48)
    card = (prior / "README.md").read_text()
    assert "disparity_0.35" in card
    assert "worlds" in card


def test_a_prior_is_saved_and_loaded_as_a_folder(prior: Path, tmp_path: Path) -> None:
    loaded = hs.load_prior(prior)
    assert loaded.role == "patch"
    loaded.save_pretrained(tmp_path / "copy")
    assert {p.name for p in (tmp_path / "copy").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    again = hs.load_prior(tmp_path / "copy")
    assert again.card == loaded.card
    for name, value in loaded.networks["denoiser"].state_dict().items():
        assert torch.equal(value, again.networks["denoiser"].state_dict()[name]), name


def test_training_goes_on_from_published_weights(prior: Path, tmp_path: Path) -> None:
    more = sets((*TINY, "loop.steps=8"))
    assert cli("prior", "train", "patch-rgbd", "--out", tmp_path / "t", "--begin", prior, "--device", "cpu", *more) == 0
    assert [p.name for p in sorted((tmp_path / "t" / "checkpoints").iterdir())] == ["step-00000008"]
    changed = sets(("loop.steps=9", "seed=3"))
    assert cli("prior", "train", "patch-rgbd", "--out", tmp_path / "t", "--device", "cpu", *changed) == 0
    assert cli("prior", "publish", tmp_path / "t", "--out", tmp_path / "weights") == 0
    told = json.loads((tmp_path / "weights" / "config.json").read_text())
    assert told["earlier"] == [
        {"until": 6, "settings": {"loop.steps": 6}},
        {"until": 8, "settings": {"loop.steps": 8, "seed": 0}},
    ]
    assert "until step 8 loop.steps=8, seed=0" in (tmp_path / "weights" / "README.md").read_text()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("variant", ["prior", "geometric-prior"])
def test_the_prior_pulls_on_every_field(field: str, variant: str, prior: Path, capture: Path, tmp_path: Path) -> None:
    settings = sets((*FIELDS[field], "patches.side=16", "patches.width=48", "patches.height=36", "patches.focal=40"))
    common = (
        "--method",
        "diffusionerf",
        "--variant",
        variant,
        "--field",
        field,
        "--views",
        2,
        "--steps",
        8,
        "--max-size",
        48,
    )
    for weight in ("1000", "0"):
        out = tmp_path / weight
        assert cli("reconstruct", capture, "--out", out, *common, "--prior", f"patch={prior}:{weight}", *settings) == 0
    digests = [sha256(next((tmp_path / w / "checkpoints").glob("*/field.safetensors"))) for w in ("1000", "0")]
    assert digests[0] != digests[1], "the prior made no difference"
    again = tmp_path / "again"
    assert cli("reconstruct", capture, "--out", again, *common, "--prior", f"patch={prior}:1000", *settings) == 0
    assert sha256(next((again / "checkpoints").glob("*/field.safetensors"))) == digests[0], "same input, same bytes"


def test_geometric_needs_no_prior(capture: Path, tmp_path: Path) -> None:
    settings = sets(FIELDS["hashgrid"])
    common = ("--method", "diffusionerf", "--variant", "geometric", "--views", 2, "--steps", 8, "--max-size", 48)
    assert cli("reconstruct", capture, "--out", tmp_path / "r", *common, *settings) == 0
    # What a run is, it knows itself: going on needs no --method.
    assert cli("reconstruct", capture, "--out", tmp_path / "r", "--resume") == 0
    assert cli("reconstruct", capture, "--out", tmp_path / "r", "--resume", "--method", "diffusionerf") == 0
    assert cli("reconstruct", capture, "--out", tmp_path / "r", "--resume", "--method", "plain") == 2
    events = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    assert torch.isfinite(torch.tensor(events[-1]["psnr_inputs"]))


def test_wrong_priors_are_refused_in_one_sentence(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("reconstruct", capture, "--out", tmp_path / "r", "--views", 2)
    for extra, said in (
        (("--method", "diffusionerf", "--prior", "patch=nowhere"), "no prior"),
        (("--method", "diffusionerf", "--prior", "fixer=x"), "accepted: patch=NAME_OR_PATH"),
        (("--method", "plain", "--prior", "patch=x"), "it uses none"),
    ):
        assert cli(*common, *extra) == 2
        assert said in capsys.readouterr().err


def _flat_grey(x: torch.Tensor, level: object, cond: object = None) -> torch.Tensor:
    """A prior to which mid-grey planes that face the camera are clean: disparity 0.5 is what has the median's depth."""
    del level, cond
    return torch.zeros_like(x)


@pytest.mark.parametrize(("pulls", "reach"), [("colour", 0.5), ("depth", 0.5), ("depth", 0.0)])
def test_the_prior_pulls_towards_what_it_takes_for_clean(
    pulls: str, reach: float, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_prior, "load", lambda name, device: PatchPrior(_flat_grey, "relative"))
    settings = (*FIELDS["hashgrid"], "patches.side=16", "patches.width=48", f"pulls={pulls}", f"score.reach={reach}")
    loaded = loading.load(hs.load(capture), 48)
    boxed = framing.measure(loaded)
    inputs = normalise.move(loaded, boxed.to_box)

    def apart(weight: float) -> float:
        start = replace(METHOD.variants["geometric-prior"], steps=60)
        chosen = configs.apply_overrides(start, (*settings, f"score.weight={weight}"))
        cfg = METHOD.resolve(chosen, loaded, "hashgrid")
        *_, last = METHOD.reconstruct(inputs, boxed.to_box.inverse(), cfg, 0, device=torch.device("cpu"))
        shown = last.field.render(inputs.cameras()[0], background=(0.5, 0.5, 0.5))
        if pulls == "colour":
            return float((shown.rgb.detach() - 0.5).abs().mean())
        depth = shown.mean_depth.detach()[shown.alpha.detach() > 0.5]
        return float((depth / depth.median() - 1).abs().mean())

    without, with_it = apart(0.0), apart(1e5 if pulls == "colour" else 1e4)
    assert with_it < 0.9 * without


def test_the_papers_recipe_goes_the_same_way(capture: Path, tmp_path: Path) -> None:
    tiny = [s for s in TINY if not s.startswith(("network", "loop.batch", "loop.steps"))]
    settings = sets((*tiny, "unet.width=16", "unet.multipliers=[1,2]", "loop.steps=3", "loop.batch=2", "large=16"))
    assert cli("prior", "train", "patch-rgbd-paper", "--out", tmp_path / "t", "--device", "cpu", *settings) == 0
    assert cli("prior", "publish", tmp_path / "t", "--out", tmp_path / "weights") == 0
    config = json.loads((tmp_path / "weights" / "config.json").read_text())
    assert (config["role"], config["config"]["kind"], config["config"]["disparity"]) == ("patch", "paper", "metric")
    common = ("--method", "diffusionerf", "--views", 2, "--steps", 4, "--max-size", 48)
    small = sets((*FIELDS["hashgrid"], "patches.side=16"))
    assert cli("reconstruct", capture, "--out", tmp_path / "r", *common, "--prior", f"patch={tmp_path / 'weights'}", *small) == 0  # fmt: skip


def test_patches_have_a_side_that_the_prior_can_take(
    prior: Path, capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--method", "diffusionerf", "--views", 2, "--steps", 2, "--max-size", 48, "--prior", f"patch={prior}")
    assert cli("reconstruct", capture, "--out", tmp_path / "r", *common, "--set", "patches.side=15") == 2
    assert "accepted: a multiple of 2" in capsys.readouterr().err
