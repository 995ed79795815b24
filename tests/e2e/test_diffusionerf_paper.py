"""The sizes of the paper as configuration, and the published checkpoint's layout: read without running anything in it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from support import cli, dotted

from halfseen.api.requests import request_of
from halfseen.data import transforms_write
from halfseen.data.capture import Split
from halfseen.methods.diffusionerf import patch_prior
from halfseen.methods.diffusionerf.algorithm import METHOD
from halfseen.priors.networks import patch_unet
from halfseen.priors.schedules import squared_cosine

REDUCED = patch_unet.Config(width=16, multipliers=(1, 2))
# The paper's sizes, brought down to what a test can wait for; everything else stays.
SMALLER = (
    "fit.least_rays=64",
    "fit.most_rays=64",
    "fit.hashgrid.levels=3",
    "fit.hashgrid.finest=32",
    "fit.hashgrid.log2_entries=10",
    "fit.hashgrid.sampling.uniform=16",
    "fit.hashgrid.sampling.resampled=8",
    "patches.side=16",
    "steps=3",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the published layout at reduced width: other means than weights, and the diffusion's own buffers beside them."""
    torch.manual_seed(0)
    net = patch_unet.PatchUnet(REDUCED).state_dict()
    buffers = {"betas": torch.zeros(1000)}
    means = {f"ema_model.model.{k}": v for k, v in net.items()} | {f"ema_model.{k}": v for k, v in buffers.items()}
    online = {f"model.{k}": torch.zeros_like(v) for k, v in net.items()} | buffers
    path = tmp_path_factory.mktemp("published") / "rgbd-patch-diffusion.pt"
    torch.save(
        {"step": 650_000, "model": online, "opt": {}, "ema": means | {"step": torch.tensor(1)}, "scaler": {}}, path
    )
    return path


def test_the_running_means_are_read_and_asked_at_integer_times(published: Path) -> None:
    prior = patch_prior.load(str(published), torch.device("cpu"))
    assert (prior.rule, prior.colour, prior.disparity, prior.multiple) == ("metric", True, True, 2)
    torch.manual_seed(0)
    net = patch_unet.PatchUnet(REDUCED)
    level = squared_cosine().level(torch.tensor([47]))
    x = torch.rand(1, 4, 16, 16)
    with torch.no_grad():
        wanted = (x - level.sigma * net(x, torch.tensor([47]))) / level.alpha
        assert torch.allclose(prior.denoiser(x, level), wanted, atol=1e-6)


def test_the_table_of_the_reference_run_is_the_paper_profile() -> None:
    cfg = METHOD.profiles["paper"]["geometric-prior"]
    grid = cfg.fit.hashgrid
    assert (cfg.steps, cfg.fit.least_rays, cfg.fit.most_rays) == (12_000, 1024, 1024)
    assert (grid.levels, grid.features, grid.log2_entries, grid.base, grid.finest) == (17, 2, 21, 16, 15_360)
    assert (grid.sampling.kind, grid.sampling.uniform, grid.sampling.resampled) == ("resample", 512, 128)
    assert (grid.decoder.hidden, grid.decoder.geometry, grid.decoder.colour_hidden, grid.decoder.colour_layers) == (
        64,
        15,
        128,
        3,
    )
    assert (cfg.patches.side, cfg.patches.from_photos, cfg.score.weight, cfg.score.tau) == (48, 0.25, 0.2, 0.1)
    # As sums over 1024 rays: 1.5e-5, 1e-3 and 1e-5.
    means = (cfg.geometric.distortion, cfg.geometric.foreground, cfg.geometric.frustum)
    assert means == pytest.approx((1.5e-5 * 1024, 1e-3 * 1024, 1e-5 * 1024), rel=0.01)


def test_a_run_of_the_paper_profile_with_a_published_prior(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    transforms_write.write(dotted(size=(48, 36), intrinsics=(45.0, 45.0, 24.0, 18.0)), folder)
    sets = [part for s in SMALLER for part in ("--set", s)]
    common = (
        "--method",
        "diffusionerf",
        "--profile",
        "paper",
        "--prior",
        f"patch={published}",
        "--views",
        2,
        "--max-size",
        48,
    )
    assert cli("reconstruct", folder, "--out", tmp_path / "r", *common, *sets) == 0
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["request"]["profile"] == "paper"
    assert config["method"]["patches"]["from_photos"] == 0.25
    provenance = json.loads((tmp_path / "r" / "provenance.json").read_text())
    assert provenance["priors"][0]["name"] == published.name


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"model": {}}, "no network under"),
        ({"ema": {"ema_model.model.init_conv.weight": torch.zeros(16, 4, 7, 7)}}, "does not fit"),
        (Hostile(), "is no checkpoint"),
    ],
)
def test_other_files_are_refused_and_run_nothing(
    content: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "x.pt", pickle_module=pickle)
    folder = tmp_path / "c"
    folder.mkdir()
    transforms_write.write(dotted(size=(48, 36), intrinsics=(45.0, 45.0, 24.0, 18.0)), folder)
    common = ("--method", "diffusionerf", "--prior", "patch=x.pt", "--views", 2, "--max-size", 48, "--steps", 2)
    assert cli("reconstruct", folder, "--out", tmp_path / "r", *common) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_methods_without_sizes_of_a_paper_say_so(
    tmp_path: Path, still_life_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("reconstruct", still_life_folder, "--out", tmp_path / "r", "--profile", "paper") == 2
    assert "method plain has no such profile" in capsys.readouterr().err


def test_photos_of_the_paper_profile_are_as_large_as_there() -> None:
    split = Split("all", (0, 1, 2), ())
    sizes = {p: request_of(METHOD, None, None, split, None, 0, None, (), profile=p).max_size for p in METHOD.profiles}
    assert sizes == {"small": 256, "paper": 504}
    assert request_of(METHOD, None, None, split, 300, 0, None, (), profile="paper").max_size == 300


def test_what_the_reference_run_alone_has() -> None:
    paper, small = METHOD.profiles["paper"]["geometric-prior"], METHOD.profiles["small"]["geometric-prior"]
    assert (paper.geometric.distortion_floor, paper.fit.grey, paper.score.reach) == (
        1e-3,
        pytest.approx(0.808, abs=1e-3),
        0,
    )
    assert (small.geometric.distortion, small.fit.grey) == (0, None)
    assert (paper.geometric.frustum_first, paper.geometric.frustum_later) == (100, 0.01)
    # Sums over a patch's 48 x 48 rays beside sums over 1024 of photos.
    assert paper.geometric.on_patches == 2.25
    assert paper.fit.distortion == 0, "the geometric losses have their own"
