"""A U-Net for whole pictures (after Dhariwal and Nichol 2021): residual blocks at every resolution, attention at the coarse ones.

With time it is a denoiser; without, an encoder of pictures into pictures. It may look at tokens of another picture where it attends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.priors.networks.blocks import GROUP, Block
from halfseen.priors.networks.clock import Clock

# Spread of the last layer's weights before anything is learned.
_FIRST = 0.01


@dataclass(frozen=True)
class Config:
    """Sizes: channels at each resolution, finest first, and residual blocks at each on the way down and on the way up."""

    inside: int = 3
    outside: int = 3
    widths: tuple[int, ...] = (64, 128, 192, 256)
    blocks: int = 2
    # Pixels of a block's side: levels begin at blocks, which a last convolution takes apart again ("simple diffusion").
    block: int = 1
    # Levels, the finest is 0, at which pixels look at each other.
    attention: tuple[int, ...] = (2, 3)
    heads: int = 4
    # Features of time (0: none), and of the tokens of another picture (0: none are looked at).
    time: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        within("blocks", self.blocks, 1, 16)
        within("block", self.block, 1, 8)
        for width in self.widths:
            within("widths", width, GROUP, 4096)
        for level in self.attention:
            within("attention", level, 0, len(self.widths) - 1)


class Unet(nn.Module):
    """Pictures [B, outside, H, W] from pictures [B, inside, H, W]; H and W are multiples of block 2^(levels - 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths, area = config.widths, config.block**2
        self.clock = Clock(config.time) if config.time else None
        self.stem = nn.Conv2d(config.inside * area, widths[0], 3, padding=1)
        self.lower = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.down = nn.ModuleList(self._level(i, width) for i, width in enumerate(widths))
        self.middle = self._level(len(widths) - 1, widths[-1])
        self.up = nn.ModuleList(self._level(i, 2 * width, width) for i, width in enumerate(widths))
        self.upper = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.head = nn.Conv2d(widths[0], config.outside * area, 3, padding=1)
        nn.init.normal_(self.head.weight, std=_FIRST)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def _level(self, level: int, inside: int, outside: int | None = None) -> nn.ModuleList:
        """Blocks of one resolution; where it attends, every block is followed by attention."""
        cfg, out = self.config, outside or inside
        layers: list[nn.Module] = []
        for i in range(cfg.blocks):
            layers.append(Block(inside if i == 0 else out, out, cfg.time))
            if level in cfg.attention:
                layers.append(Attention(out, cfg.heads, cfg.tokens))
        return nn.ModuleList(layers)

    def forward(self, x: Tensor, log_snr: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
        """See the class; with time at log-SNR [B], and tokens [B, n, features] of another picture, if it was made for these."""
        time = None if self.clock is None or log_snr is None else self.clock(log_snr).to(x)
        x = self.stem(F.pixel_unshuffle(x, self.config.block))
        skips = []
        for level, layers in enumerate(self.down):
            x = _through(layers, self.lower[level - 1](x) if level else x, time, tokens)
            skips.append(x)
        x = _through(self.middle, x, time, tokens)
        for level in reversed(range(len(skips))):
            x = _through(self.up[level], torch.cat([x, skips[level]], 1), time, tokens)
            if level:
                x = F.interpolate(self.upper[level - 1](x), scale_factor=2.0, mode="nearest")
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), self.config.block)


class Attention(nn.Module):
    """Pixels [B, C, H, W] look at each other and, if there are any, at tokens [B, n, features]; what they find is added."""

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(width // GROUP, width)
        self.ask, self.tell, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.tokens = nn.Linear(tokens, 2 * width) if tokens else None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, tokens: Tensor | None) -> Tensor:
        """See the class."""
        own = self.norm(x).flatten(2).transpose(1, 2)
        told = self.tell(own)
        if self.tokens is not None and tokens is not None:
            told = torch.cat([told, self.tokens(tokens)], 1)
        q, (k, v) = self.ask(own), told.chunk(2, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        found = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + found.transpose(1, 2).reshape(x.shape)


def _through(layers: nn.Module, x: Tensor, time: Tensor | None, tokens: Tensor | None) -> Tensor:
    for layer in layers.children():
        x = layer(x, time) if isinstance(layer, Block) else layer(x, tokens)
    return x
