"""Photos to feature maps at one resolution: the first layers of ResNet-18 under torchvision's names, or a few convolutions.

Maps of all scales are brought to the finest one and put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.common.errors import UserError, quote
from halfseen.priors.networks.blocks import GROUP, Block

# Widths of ResNet-18's stem and of its first three stages: 512 channels together.
_RESNET = (64, 64, 128, 256)
# What torchvision's file holds beyond these; and counters, which its older files do not have and nothing here reads.
_BEYOND, _COUNTERS = ("layer4.", "fc."), "num_batches_tracked"


@dataclass(frozen=True)
class Config:
    """widths: channels of each scale, finest first, of a pyramid of convolutions; empty: ResNet-18."""

    widths: tuple[int, ...] = (32, 48, 64)
    # Channels that maps are brought to in the end (0: all scales side by side, as they are).
    project: int = 32
    # Pixels of a block's side that the first convolution takes together.
    block: int = 2

    def __post_init__(self) -> None:
        within("block", self.block, 1, 8)
        within("project", self.project, 0, 4096)
        for width in self.widths:
            within("widths", width, GROUP, 4096)

    @property
    def channels(self) -> int:
        """Of the maps."""
        return self.project or sum(self.widths or _RESNET)


def create(config: Config) -> nn.Module:
    """An encoder of photos [N, 3, H, W] in [0, 1] into maps [N, channels, H / 2, W / 2] (of `block`, where that is not 2)."""
    return Pyramid(config) if config.widths else ResNet()


class Pyramid(nn.Module):
    """A residual block at each scale."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.block = config.block
        self.stem = nn.Conv2d(3 * config.block**2, config.widths[0], 3, padding=1)
        self.levels = nn.ModuleList(Block(w, w) for w in config.widths)
        self.lower = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairwise(config.widths))
        self.last = nn.Conv2d(sum(config.widths), config.project, 1) if config.project else nn.Identity()

    def forward(self, photos: Tensor) -> Tensor:
        """See `create`."""
        x = self.stem(F.pixel_unshuffle(2 * photos - 1, self.block))
        maps = []
        for i, level in enumerate(self.levels):
            x = level(self.lower[i - 1](x) if i else x)
            maps.append(x)
        out: Tensor = self.last(_together(maps))
        return out


class ResNet(nn.Module):
    """The stem and the first three stages of ResNet-18 (He et al. 2016). Its running statistics are used as they are (`eval`): those of a
    handful of photos are none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _RESNET[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(_RESNET[0])
        for i, (a, b) in enumerate(pairwise(_RESNET), 1):
            stride = 1 if a == b else 2
            self.add_module(f"layer{i}", nn.Sequential(_Basic(a, b, stride), _Basic(b, b, 1)))
        self.train()

    def train(self, mode: bool = True) -> ResNet:
        """Normalisation stays as it was stored."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(mode=False)
        return self

    def forward(self, photos: Tensor) -> Tensor:
        """See `create`. Colours are not normalised, as in the released code."""
        x = F.relu(self.bn1(self.conv1(photos)))
        maps = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for i in range(1, len(_RESNET)):
            x = getattr(self, f"layer{i}")(x)
            maps.append(x)
        return _together(maps)


def load_resnet(network: ResNet, path: Path) -> None:
    """torchvision's own weights of ResNet-18, by their path; nothing in the file is executed."""
    stored: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    own = {k: v for k, v in stored.items() if not k.startswith(_BEYOND) and not k.endswith(_COUNTERS)}
    missing = {k for k in network.state_dict() if not k.endswith(_COUNTERS)} ^ set(own)
    if missing:
        raise UserError(
            f"{quote(path.name)} is no ResNet-18",
            got=f"{len(own)} tensors; different: {', '.join(sorted(missing)[:3])}",
            accepted="torchvision's resnet18",
            do="Name that file.",
        )
    network.load_state_dict(dict(own), strict=False)


class _Basic(nn.Module):
    """Two convolutions of three, and the input."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


def _together(maps: list[Tensor]) -> Tensor:
    """Maps of falling size, at the size of the first."""
    size = maps[0].shape[-2:]
    larger = [F.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps[1:]]
    return torch.cat([maps[0], *larger], 1)
