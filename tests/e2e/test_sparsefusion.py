"""SparseFusion from its trainings, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import cli

from halfseen.methods.sparsefusion import latents

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
