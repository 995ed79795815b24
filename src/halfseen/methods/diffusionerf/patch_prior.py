"""A patch prior as it is used: its network, and the denoiser of colour and disparity that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from halfseen.common import config as configs
from halfseen.common.rng import untouched
from halfseen.methods.diffusionerf.training_config import Config
from halfseen.priors import patches, published, weights
from halfseen.priors.contract import Denoiser
from halfseen.priors.denoisers import of_noise, of_part
from halfseen.priors.networks import patch_small, patch_unet
from halfseen.priors.schedules import squared_cosine

ROLE = "patch"


@dataclass(frozen=True)
class PatchPrior:
    """A denoiser of all four channels, and what it knows of them."""

    denoiser: Denoiser
    rule: patches.Rule
    colour: bool = True
    disparity: bool = True
    # Sides of patches are multiples of this.
    multiple: int = 1


def load(name_or_path: str, device: torch.device) -> PatchPrior:
    """The prior of a name or folder, or the published checkpoint (.pt)."""
    if Path(name_or_path).suffix in weights.FOREIGN:
        net = published.load(Path(name_or_path)).to(device)
        config = Config(kind="paper", unet=net.config, disparity="metric", side=48)
        return _prior(config, net)
    stored = weights.load_for(name_or_path, ROLE)
    config = configs.from_plain(Config, stored.config["config"], "config.json: config")
    nets = networks(config)
    weights.fill(nets, stored)
    return _prior(config, nets["denoiser"].to(device))


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained network. Its start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "patch-rgbd/init"):
        small = config.kind == "small"
        return {"denoiser": patch_small.PatchSmall(config.network) if small else patch_unet.PatchUnet(config.unet)}


def denoiser_of(config: Config, network: nn.Module) -> Denoiser:
    """The denoiser of all four channels that a network of this config is."""
    part = patches.part(config.channels)
    own = of_noise(network, None if config.kind == "small" else squared_cosine())
    return own if part == patches.ALL else of_part(own, part)


def _prior(config: Config, network: nn.Module) -> PatchPrior:
    colour, disparity = patches.knows(config.channels)
    return PatchPrior(denoiser_of(config, network), config.disparity, colour, disparity, config.multiple)
