"""The U-Net of DiffusioNeRF's patch prior (after Ho et al. 2020 with linear attention and weight standardisation).

Attributes are named as in the published checkpoint, so that it loads by name. 36,254,980 parameters at the paper's sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within

_HEADS, _HEAD_SIZE = 4, 32
# Largest period of the sinusoids of time.
_PERIOD = 10_000
_EPS = 1e-5
# Cosine similarities of the full attention are multiplied by this.
_SHARPNESS = 10


@dataclass(frozen=True)
class Config:
    """Sizes. Source: DiffusioNeRF's code."""

    channels: int = 4
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4, 8)
    groups: int = 8

    def __post_init__(self) -> None:
        within("width", self.width, 2 * self.groups, 4096)


class PatchUnet(nn.Module):
    """Noise [B, C, H, W] from noisy pictures [B, C, H, W] and integer times [B]. H and W are multiples of 2^(stages - 1)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, groups = config.width, config.groups
        widths = [width, *(width * m for m in config.multipliers)]
        pairs = list(pairwise(widths))
        time = 4 * width
        self.config = config
        self.init_conv = nn.Conv2d(config.channels, width, 7, padding=3)
        self.time_mlp = nn.Sequential(Sinusoids(width), nn.Linear(width, time), nn.GELU(), nn.Linear(time, time))
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, (narrow, wide) in enumerate(pairs):
            last = i == len(pairs) - 1
            down = nn.Conv2d(narrow, wide, 3, padding=1) if last else nn.Conv2d(narrow, wide, 4, 2, 1)
            blocks = [Block(narrow, narrow, time, groups), Block(narrow, narrow, time, groups)]
            self.downs.append(nn.ModuleList([*blocks, residual(narrow, LinearAttention(narrow)), down]))
        middle = widths[-1]
        self.mid_block1 = Block(middle, middle, time, groups)
        self.mid_attn = residual(middle, Attention(middle))
        self.mid_block2 = Block(middle, middle, time, groups)
        for i, (narrow, wide) in enumerate(reversed(pairs)):
            up: nn.Module = nn.Conv2d(wide, narrow, 3, padding=1)
            if i < len(pairs) - 1:
                up = nn.Sequential(nn.Upsample(scale_factor=2), up)
            blocks = [Block(wide + narrow, wide, time, groups), Block(wide + narrow, wide, time, groups)]
            self.ups.append(nn.ModuleList([*blocks, residual(wide, LinearAttention(wide)), up]))
        self.final_res_block = Block(2 * width, width, time, groups)
        self.final_conv = nn.Conv2d(width, config.channels, 1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """See the class."""
        time = self.time_mlp(t)
        x = stem = self.init_conv(x)
        skips = []
        for stage in self.downs:
            first, second, attend, down = _parts(stage)
            x = first(x, time)
            skips.append(x)
            x = attend(second(x, time))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_attn(self.mid_block1(x, time)), time)
        for stage in self.ups:
            first, second, attend, up = _parts(stage)
            x = first(torch.cat([x, skips.pop()], 1), time)
            x = attend(second(torch.cat([x, skips.pop()], 1), time))
            x = up(x)
        return self.final_conv(self.final_res_block(torch.cat([x, stem], 1), time))


def _parts(stage: nn.Module) -> list[nn.Module]:
    return list(stage.children())


class Sinusoids(nn.Module):
    """Times [B] as [B, width]: sines, then cosines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, t: Tensor) -> Tensor:
        """See the class."""
        half = self.width // 2
        rate = torch.exp(torch.arange(half, device=t.device) * (-math.log(_PERIOD) / (half - 1)))
        angle = t[:, None].float() * rate
        return torch.cat([angle.sin(), angle.cos()], -1)


class StandardisedConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + _EPS)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class HalfBlock(nn.Module):
    """Convolution, norm, scale and shift, SiLU."""

    def __init__(self, inside: int, outside: int, groups: int) -> None:
        super().__init__()
        self.proj = StandardisedConv(inside, outside, 3, padding=1)
        self.norm = nn.GroupNorm(groups, outside)

    def forward(self, x: Tensor, scale_shift: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """See the class."""
        x = self.norm(self.proj(x))
        if scale_shift is not None:
            x = x * (1 + scale_shift[0]) + scale_shift[1]
        return F.silu(x)


class Block(nn.Module):
    """A residual block; time enters its first half."""

    def __init__(self, inside: int, outside: int, time: int, groups: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * outside))
        self.block1 = HalfBlock(inside, outside, groups)
        self.block2 = HalfBlock(outside, outside, groups)
        self.res_conv = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """See the class."""
        scale, shift = self.mlp(time)[:, :, None, None].chunk(2, 1)
        return self.block2(self.block1(x, (scale, shift))) + self.res_conv(x)


class ChannelNorm(nn.Module):
    """Layer norm over channels with a gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        return (x - mean) * torch.rsqrt(variance + _EPS) * self.g


class Normed(nn.Module):
    """A channel norm before something."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.fn, self.norm = fn, ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.fn(self.norm(x))


class Residual(nn.Module):
    """Something added to its input."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.fn(x) + x


def residual(width: int, fn: nn.Module) -> Residual:
    """x + fn(norm(x))."""
    return Residual(Normed(width, fn))


class LinearAttention(nn.Module):
    """Attention whose cost is linear in pixels (Shen et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Conv2d(width, 3 * _HEADS * _HEAD_SIZE, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(_HEADS * _HEAD_SIZE, width, 1), ChannelNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        q, k, v = _heads(self.to_qkv(x))
        context = k.softmax(-1) @ (v / (x.shape[2] * x.shape[3])).transpose(-1, -2)
        out = context.transpose(-1, -2) @ (q.softmax(-2) * _HEAD_SIZE**-0.5)
        return self.to_out(out.reshape(len(x), -1, *x.shape[2:]))


class Attention(nn.Module):
    """Attention of all pixels to all, by cosine similarity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Conv2d(width, 3 * _HEADS * _HEAD_SIZE, 1, bias=False)
        self.to_out = nn.Conv2d(_HEADS * _HEAD_SIZE, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        q, k, v = _heads(self.to_qkv(x))
        q, k = F.normalize(q, dim=-2), F.normalize(k, dim=-2)
        weights = (q.transpose(-1, -2) @ k * _SHARPNESS).softmax(-1)
        out = v @ weights.transpose(-1, -2)
        return self.to_out(out.reshape(len(x), -1, *x.shape[2:]))


def _heads(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values [B, heads, size, pixels] of [B, 3 * heads * size, H, W]."""
    q, k, v = qkv.flatten(2).unflatten(1, (3, _HEADS, _HEAD_SIZE)).unbind(1)
    return q, k, v
