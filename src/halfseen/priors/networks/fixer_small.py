"""A small one-step repairer of renderings, for a laptop: a U-Net on blocks of 4 x 4 pixels that may look at reference photos.

Beside the rendering it sees what a picture alone does not tell: opacity, depth, how many photos saw each pixel, and the nearest
photos' colours brought here by depth. At its coarsest level, pixels look at each other and at those of any number of references.

    out = render + sigmoid(gate) * delta + trusted * sigmoid(share) * (borrowed - render)

Gate and share are biased so that an untrained network changes next to nothing. The last term hands photos' pixels on as sharp as
they are: through the blocks they would pass a layer that is narrower than they.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.priors.networks.blocks import GROUP, Block

# Channels of what it is shown: colours, opacity, disparity, seen, borrowed colours, and where these are to be trusted.
CHANNELS = 10
ALPHA, BORROWED, TRUSTED = slice(3, 4), slice(6, 9), slice(9, 10)
# Pixels of a block's side, and how much coarser the coarsest level is than blocks.
BLOCK = 4
# For each pixel: delta and gate of each colour, the logarithm of the error that is left, and the share that is borrowed.
_OUT = 3 + 3 + 1 + 1
# The gate, and the share that is borrowed, before anything is learned.
_CLOSED, _LITTLE = -2.0, -4.0
# The least logarithm of an error that it may expect, half a step of eight bits: surer than that, one pixel that is wrong would outweigh all.
_SURE = math.log(0.5 / 255)
# Spread of the last layer's weights before anything is learned.
_FIRST = 0.01


@dataclass(frozen=True)
class Config:
    """Channels at each level, finest first; residual blocks at each on the way down and on the way up; heads of attention."""

    widths: tuple[int, ...] = (64, 96, 144)
    blocks: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        within("blocks", self.blocks, 1, 16)
        for width in self.widths:
            within("widths", width, GROUP, 4096)


class FixerSmall(nn.Module):
    """See the module."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        area = BLOCK**2
        self.stem = nn.Conv2d(CHANNELS * area, widths[0], 3, padding=1)
        self.reference = _light(3 * area, widths)
        self.lower = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(widths))
        self.down = nn.ModuleList(_blocks(w, w, config.blocks) for w in widths)
        self.mixing = nn.ModuleList(Mixing(widths[-1], config.heads) for _ in range(config.blocks))
        self.up = nn.ModuleList(_blocks(2 * w, w, config.blocks) for w in widths[:-1])
        self.upper = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.norm = nn.GroupNorm(widths[0] // GROUP, widths[0])
        self.head = nn.Conv2d(widths[0], _OUT * area, 3, padding=1)
        nn.init.normal_(self.head.weight, std=_FIRST)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, references: Tensor, there: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(repaired colours [B, 3, H, W], logarithm of their expected error [B, 1, H, W]) of inputs [B, 10, H, W] and photos
        [B, V, 3, h, w], V >= 0; sides are multiples of 16. `there` [B] is 0 for pictures that go without their photos."""
        render = x[:, :3]
        h = self.stem(F.pixel_unshuffle(x, BLOCK))
        skips = []
        for level, blocks in enumerate(self.down):
            h = blocks(self.lower[level - 1](h) if level else h)
            skips.append(h)
        tokens = self._tokens(references)
        for mix in self.mixing:
            h = mix(h, tokens, there)
        for level in reversed(range(len(self.up))):
            h = F.interpolate(self.upper[level](h), scale_factor=2.0, mode="nearest")
            h = self.up[level](torch.cat([h, skips[level]], 1))
        out = F.pixel_shuffle(self.head(F.silu(self.norm(h))), BLOCK)
        delta, gate, error, share = out.split((3, 3, 1, 1), 1)
        lent = x[:, TRUSTED] * torch.sigmoid(share + _LITTLE) * (x[:, BORROWED] - render)
        return render + torch.sigmoid(gate + _CLOSED) * delta + lent, _SURE + F.softplus(error - _SURE)

    def _tokens(self, references: Tensor) -> Tensor:
        """Features [B, C, V n] of all references."""
        batch, views = references.shape[:2]
        width = self.config.widths[-1]
        if views == 0:
            return references.new_zeros(batch, width, 0)
        h = self.reference(F.pixel_unshuffle(references.flatten(0, 1), BLOCK))
        return h.reshape(batch, views, width, -1).transpose(1, 2).flatten(2)


class Mixing(nn.Module):
    """Pixels [B, C, H, W] look at each other and at references' tokens [B, C, n]; then a residual block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(width // GROUP, width)
        self.ask, self.tell = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.block = Block(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, tokens: Tensor, there: Tensor | None) -> Tensor:
        """See the class; where `there` [B] is 0 only at each other."""
        batch, width, height, across = x.shape
        own = self.norm(x).flatten(2)
        known = torch.cat([own, self.norm(tokens) if tokens.shape[-1] else tokens.to(own)], 2).transpose(1, 2)
        q = self.ask(own.transpose(1, 2))
        k, v = self.tell(known).chunk(2, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        may = None
        if there is not None:
            may = torch.ones(batch, 1, 1, known.shape[1], dtype=torch.bool, device=x.device)
            may[..., own.shape[-1] :] = (there > 0)[:, None, None, None]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=may).transpose(1, 2).flatten(2)
        return self.block(x + self.out(seen).transpose(1, 2).reshape(batch, width, height, across))


def _blocks(inside: int, outside: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(inside if i == 0 else outside, outside) for i in range(count)))


def _light(inside: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Straight down to the coarsest level: references are looked at, not repaired."""
    steps: list[nn.Module] = [nn.Conv2d(inside, widths[0], 3, padding=1)]
    for a, b in pairwise(widths):
        steps += [nn.SiLU(), nn.Conv2d(a, b, 4, 2, padding=1)]
    return nn.Sequential(*steps, Block(widths[-1], widths[-1]))
