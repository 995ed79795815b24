"""What the small networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Channels of a group that is normalised together.
GROUP = 16


def places(pictures: Tensor) -> Tensor:
    """Where pixels of pictures [B, C, H, W] are [B, 2, H, W], in [-1, 1]."""
    height, width = pictures.shape[-2:]
    y, x = (torch.linspace(-1 + 1 / n, 1 - 1 / n, n).to(pictures) for n in (height, width))
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)]).expand(len(pictures), -1, -1, -1)


class Block(nn.Module):
    """norm, SiLU, convolution, twice; the input is added. Features of time, where there are any, scale and shift the second norm."""

    def __init__(self, inside: int, outside: int, time: int = 0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(inside // GROUP, inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2 = nn.GroupNorm(outside // GROUP, outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.time = nn.Linear(time, 2 * outside) if time else None
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """See the class."""
        y = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.time is not None:
            scale, shift = self.time(time)[:, :, None, None].chunk(2, 1)
            y = y * (1 + scale) + shift
        return self.conv2(F.silu(y)) + self.skip(x)
