"""The trained autoencoder in use: latents with a spread of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.common.files import sha256
from halfseen.methods.sparsefusion import autoencoding
from halfseen.priors import weights
from halfseen.priors.networks.autoencoder import Autoencoder
from halfseen.priors.weights import file_of

# The weights of an autoencoder that others trained: Stable Diffusion's, in a folder of diffusers' layout.
_FOREIGN = "diffusion_pytorch_model.safetensors"


class Sizes(Protocol):
    """Pixels of a latent's side, and its channels C."""

    @property
    def factor(self) -> int: ...

    @property
    def latent(self) -> int: ...


class LatentSpace(Protocol):
    """Pictures [N, 3, H, W] in [-1, 1] to latents [N, C, H / factor, W / factor] with a spread of about one, and back."""

    @property
    def config(self) -> Sizes: ...

    def encode(self, pictures: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...

    def to(self, device: torch.device) -> Any: ...


def hash_of(name: str) -> str:
    """The hash of an autoencoder's weights."""
    foreign = Path(name) / _FOREIGN
    return sha256(foreign if foreign.is_file() else file_of(name))


def same(name: str, wanted: str) -> None:
    """Refuse an autoencoder with other weights than the one that was learned with: latents would mean something else."""
    found = hash_of(name) if wanted else ""
    if found != wanted:
        raise UserError(
            f"the autoencoder {quote(name)} is not the one that was trained with",
            got=f"sha256 {found[:12]}",
            accepted=f"sha256 {wanted[:12]}",
            do="Put the other one in its place, or train anew.",
        )


def load(name: str, device: torch.device, wanted: str = "") -> LatentSpace:
    """The autoencoder of a name or a folder (ours, or Stable Diffusion's), frozen, and if it is said with the `wanted` hash of its weights."""
    same(name, wanted)
    if (Path(name) / _FOREIGN).is_file():
        # diffusers takes seconds to import: only who has such weights waits.
        from halfseen.priors.networks import kl_f8

        return kl_f8.load(Path(name)).to(device)
    return _own(name, device)


def _own(name: str, device: torch.device) -> Autoencoder:
    """One that was trained here; its scale follows from the spread that its card states."""
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
