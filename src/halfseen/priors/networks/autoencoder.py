"""Pictures to few numbers and back (the small one of SparseFusion: a quarter of the side, four channels)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.priors.networks.blocks import GROUP, Block

# Bounds of the logarithm of a latent's variance.
_LOG_VARIANCE = (-30.0, 20.0)


@dataclass(frozen=True)
class Config:
    """Channels at each scale, finest first; residual blocks at each in both directions; latent channels."""

    widths: tuple[int, ...] = (32, 80)
    blocks: int = 2
    latent: int = 4
    # Pixels of a block's side that the first convolution takes together, and the last takes apart.
    block: int = 2
    # What latents are multiplied by, so that they have a spread of about one.
    scale: float = 1.0

    def __post_init__(self) -> None:
        within("autoencoder.blocks", self.blocks, 1, 16)
        within("autoencoder.latent", self.latent, 1, 256)
        within("autoencoder.scale", self.scale, 1e-6, 1e6)
        for width in self.widths:
            within("autoencoder.widths", width, GROUP, 4096)

    @property
    def factor(self) -> int:
        """Pixels of a latent's side."""
        return int(self.block * 2 ** (len(self.widths) - 1))


class Autoencoder(nn.Module):
    """Pictures [N, 3, H, W] in [-1, 1]; latents [N, C, H / factor, W / factor]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths, area = config.widths, config.block**2
        self.stem = nn.Conv2d(3 * area, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(w, config.blocks) for w in widths)
        self.lower = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.inner = nn.Conv2d(widths[-1], 2 * config.latent, 1)
        self.outer = nn.Conv2d(config.latent, widths[-1], 3, padding=1)
        self.up = nn.ModuleList(_blocks(w, config.blocks) for w in widths)
        self.upper = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.head = nn.Conv2d(widths[0], 3 * area, 3, padding=1)

    def forward(self, pictures: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(pictures of drawn latents, means, logarithms of variances), for training."""
        mean, log_variance = self.distribution(pictures)
        return self.pictures(mean + torch.exp(0.5 * log_variance) * eps), mean, log_variance

    def distribution(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(means, logarithms of variances) of the latents, not scaled."""
        x = self.stem(F.pixel_unshuffle(pictures, self.config.block))
        for i, blocks in enumerate(self.down):
            x = blocks(self.lower[i - 1](x) if i else x)
        mean, log_variance = self.inner(F.silu(x)).chunk(2, 1)
        return mean, log_variance.clamp(*_LOG_VARIANCE)

    def encode(self, pictures: Tensor) -> Tensor:
        """Scaled latents: the means."""
        return self.config.scale * self.distribution(pictures)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of scaled latents."""
        return self.pictures(latents / self.config.scale)

    def pictures(self, latents: Tensor) -> Tensor:
        """Pictures of latents that are not scaled."""
        x = self.outer(latents)
        for i in reversed(range(len(self.up))):
            x = self.up[i](x)
            if i:
                x = F.pixel_shuffle(self.upper[i - 1](x), 2)
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), self.config.block)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) | N(0, 1)), its mean over numbers."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width, width) for _ in range(count)))
