"""What the denoiser is told of a view, and how colours are compared."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.methods.sparsefusion import lending, vldm
from halfseen.methods.sparsefusion.eft import Found
from halfseen.methods.sparsefusion.epipolar import Query
from halfseen.methods.sparsefusion.latents import LatentSpace


def told(config: vldm.Config, autoencoder: LatentSpace, photos: Tensor, query: Query, found: Found) -> Tensor:
    """[B, told, h, w] of queries with photos [B, K, 3, s, s]: features, and where the config has it the nearest photo brought here."""
    if not config.lends:
        return found.features
    with torch.no_grad():
        colours, there = lending.lent(photos, query, found.depth.detach(), photos.shape[-1])
        latent = autoencoder.encode(2 * colours - 1)
        trusted = torch.nn.functional.avg_pool2d(there, autoencoder.config.factor)
    return torch.cat([found.features, latent.to(found.features), trusted.to(found.features)], 1)


def huber(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """s (sqrt(1 + ((a - b) / s)^2) - 1), element by element (released code: s = 0.1)."""
    return scale * (torch.sqrt(1 + ((a - b) / scale).square()) - 1)
