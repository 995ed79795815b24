"""The rival in use: the field that pixelNeRF predicts from the photos of a capture."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common import config as configs
from halfseen.common import threads
from halfseen.common.errors import UserError, quote
from halfseen.data.capture import Capture
from halfseen.fields import projection
from halfseen.methods.contract import Estimate, Reconstruct
from halfseen.methods.sparsefusion import inputs, rival
from halfseen.methods.sparsefusion.config import Config
from halfseen.methods.sparsefusion.inputs import Inputs
from halfseen.methods.sparsefusion.networks import RIVAL, ROLE, networks
from halfseen.methods.sparsefusion.training_config import Config as Trained
from halfseen.priors import weights
from halfseen.priors.weights import Stored

# Of what it holds, the program comes to hold more than a prediction shows.
_MARGIN = 1.2
_MIB = 1 << 20


def field_config(name: str, photos: int) -> projection.Config:
    """The config of the field that a prior predicts from so many photos."""
    _, trained = _read(name)
    return projection.Config(trained.rival.channels, trained.size, photos, trained.rival.layers, trained.rival.sampling)


def predicted(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> projection.Projection:
    """The field of a loaded capture of the box frame, with a resolved config."""
    stored, trained = _read(cfg.prior)
    nets = networks(replace(trained, stage="pixelnerf"))
    weights.fill(nets, stored)
    network = rival.unwrapped(nets[RIVAL]).to(device)
    seen = inputs.of(capture, trained.size, device)
    with torch.no_grad():
        encoded = network(seen.photos[None])[0]
    frames = [_to_photo(seen, pose) for pose in seen.c2w]
    eyes = torch.stack([f.points(pose[:3, 3]) for f, pose in zip(frames, seen.c2w, strict=True)])
    lens = seen.lenses.double()
    pinhole = torch.cat([eyes, lens[:, :2].mean(-1, keepdim=True), lens[:, 2:]], -1)
    assert cfg.projection is not None
    return projection.of_features(encoded, pinhole, network.weights, frames, to_user, cfg.projection)


def estimate(
    reconstruct: Reconstruct, capture: Capture, to_user: Similarity, cfg: Config, device: torch.device
) -> Estimate:
    """What it costs: it is done once."""
    began = time.perf_counter()
    for _ in reconstruct(capture, to_user, cfg, 0, device=device):
        pass
    held = (threads.memory_mib() or 0.0) * _MIB
    return Estimate(time.perf_counter() - began, round(_MARGIN * held), round(held))


def size_of(name: str) -> int:
    """At which pictures the prior works."""
    return _read(name)[1].size


def _read(name: str) -> tuple[Stored, Trained]:
    stored = weights.load_for(name, ROLE)
    if not any(k.startswith(f"{RIVAL}.") for k in stored.weights):
        raise UserError(
            f"the prior {quote(name)} predicts no field",
            got="networks of SparseFusion",
            accepted="weights of a training of pixelnerf-views-64",
            do="Name another prior with --prior views=NAME, or change --variant.",
        )
    return stored, configs.from_plain(Trained, stored.config["config"], f"{name}: config")


def _to_photo(seen: Inputs, pose: torch.Tensor) -> Similarity:
    """From the box to a photo's frame: its camera's axes, the object's middle, the networks' lengths."""
    turn, scale = pose[:3, :3].T, 1 / seen.unit
    return Similarity(scale, turn, -scale * (turn @ seen.middle))
