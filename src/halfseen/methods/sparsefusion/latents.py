"""The trained autoencoder in use: latents with a spread of one."""

from __future__ import annotations

from dataclasses import replace

import torch

from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.methods.sparsefusion import autoencoding
from halfseen.priors import weights
from halfseen.priors.networks.autoencoder import Autoencoder


def load(name: str, device: torch.device) -> Autoencoder:
    """The autoencoder of a name or a folder, frozen; its scale follows from the spread that its card states."""
    stored = weights.load_for(name, autoencoding.ROLE)
    config = configs.from_plain(autoencoding.Config, stored.config["config"], f"{name}: config")
    spread = float(stored.config.get("held_out", {}).get(autoencoding.SPREAD, 0.0))
    if spread <= 0:
        raise UserError(
            f"the autoencoder {quote(name)} does not say how its latents spread",
            got="no held-out numbers at its last step",
            accepted=f"a card with {autoencoding.SPREAD}",
            do="Publish a step that was judged (loop.validate_every).",
        )
    scaled = replace(config, network=replace(config.network, scale=1 / spread))
    nets = autoencoding.networks(scaled)
    weights.fill(nets, stored)
    net = nets[autoencoding.NETWORK].to(device).train(mode=False).requires_grad_(requires_grad=False)
    assert isinstance(net, Autoencoder)
    return net
