"""The rival in use: the field that pixelNeRF predicts from the photos of a capture."""

from __future__ import annotations

from dataclasses import replace

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.data.capture import Capture
from halfseen.fields import projection
from halfseen.methods.sparsefusion import inputs, networks, rival
from halfseen.methods.sparsefusion.config import Config
from halfseen.methods.sparsefusion.inputs import Inputs
from halfseen.methods.sparsefusion.networks import RIVAL
from halfseen.methods.sparsefusion.training_config import Config as Trained
from halfseen.priors import weights


def field_config(trained: Trained, photos: int) -> projection.Config:
    """The config of the field that a prior predicts from so many photos."""
    return projection.Config(trained.rival.channels, trained.size, photos, trained.rival.layers, trained.rival.sampling)


def predicted(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> projection.Projection:
    """The field of a loaded capture of the box frame, with a resolved config."""
    stored, trained = networks.stored(cfg.prior, RIVAL)
    nets = networks.networks(replace(trained, stage="pixelnerf"))
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


def _to_photo(seen: Inputs, pose: torch.Tensor) -> Similarity:
    """From the box to a photo's frame: its camera's axes, the object's middle, the networks' lengths."""
    turn, scale = pose[:3, :3].T, 1 / seen.unit
    return Similarity(scale, turn, -scale * (turn @ seen.middle))
