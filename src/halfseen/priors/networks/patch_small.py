"""A small U-Net of convolutions alone, for patches of any size: the patch prior that runs on a laptop.

It takes noisy pictures and their log-SNR and returns the noise. At the small noise levels that it is asked for, the noise is a
local matter: there is no attention, and coarse levels are few.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.priors.networks.blocks import GROUP, Block
from halfseen.priors.networks.clock import FREQUENCIES, waves


@dataclass(frozen=True)
class Config:
    """Sizes: channels at each resolution, finest first, and residual blocks at each on the way down and on the way up."""

    channels: int = 4
    widths: tuple[int, ...] = (48, 96, 160)
    blocks: int = 2
    time: int = 128

    def __post_init__(self) -> None:
        within("blocks", self.blocks, 1, 16)
        for width in self.widths:
            within("widths", width, GROUP, 4096)


class PatchSmall(nn.Module):
    """Noise [B, C, H, W] from noisy pictures [B, C, H, W] and log-SNR [B]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths, time = config.widths, config.time
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.stem = nn.Conv2d(config.channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for i, width in enumerate(widths):
            self.down.append(nn.Conv2d(before, width, 2, 2) if i else nn.Identity())
            self.down.extend(Block(width, width, time) for _ in range(config.blocks))
            before = width
        for i, width in reversed(list(enumerate(widths))):
            self.up.extend(Block(2 * width, width, time) for _ in range(config.blocks))
            self.up.append(nn.Conv2d(width, widths[i - 1], 1) if i else nn.Identity())
        self.norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.head = nn.Conv2d(widths[0], config.channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """See the class."""
        time = self.time(waves(log_snr).to(x))
        x = self.stem(x)
        skips = []
        for layer in self.down:
            if isinstance(layer, Block):
                x = layer(x, time)
                skips.append(x)
            else:
                x = layer(x)
        for i, layer in enumerate(self.up):
            if isinstance(layer, Block):
                x = layer(torch.cat([x, skips.pop()], 1), time)
            else:
                x = layer(x)
                if i + 1 < len(self.up):
                    x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.head(F.silu(self.norm(x)))
