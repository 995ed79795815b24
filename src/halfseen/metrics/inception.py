"""InceptionV3 features for FID and KID: weights by path, no other package.

The network (Szegedy et al. 2016) in the variant of Heusel et al. 2017 as pytorch-fid stores it (`Conv2d_1a_3x3.conv.weight`, ...):
average pools do not count their padding, the last block pools by maximum, pictures come in at 299 x 299 and on [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.metrics import weights
from halfseen.metrics.inputs import check_finite

# Side of the input and batch normalisation's epsilon.
SIDE, _EPSILON = 299, 1e-3
# Pictures that go through the network at once.
_BATCH = 8

# (name, channels out, kernel (rows, columns), stride). At stride 1 the size is kept, at stride 2 nothing is padded.
Conv = tuple[str, int, tuple[int, int], int]
# Stages follow one another; the convolutions of a stage stand side by side and their outputs are joined.
Branch = tuple[tuple[Conv, ...], ...]
Pool = Literal["mean", "max", "reduce"]
_POOLED = "branch_pool"


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, channels: int, out: int, kernel: tuple[int, int], stride: int, padding: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Paths side by side, joined along channels in their order.

    The path named branch_pool starts at the "mean" or "max" of 3x3 neighbours; "reduce" adds a maximum at stride 2 as last path.
    """

    def __init__(self, channels: int, paths: Sequence[Branch], pool: Pool) -> None:
        super().__init__()
        self.paths = [[[conv[0] for conv in stage] for stage in path] for path in paths]
        self.pool = pool
        self.width = channels if pool == "reduce" else 0
        for path in paths:
            inner = channels
            for stage in path:
                for name, out, kernel, stride in stage:
                    padding = (kernel[0] // 2, kernel[1] // 2) if stride == 1 else (0, 0)
                    self.add_module(name, Unit(inner, out, kernel, stride, padding))
                inner = sum(conv[1] for conv in stage)
            self.width += inner

    def forward(self, x: Tensor) -> Tensor:
        out = []
        for path in self.paths:
            h = self._pooled(x) if path[0][0] == _POOLED else x
            for stage in path:
                h = torch.cat([self.get_submodule(name)(h) for name in stage], 1)
            out.append(h)
        return torch.cat([*out, F.max_pool2d(x, 3, 2)] if self.pool == "reduce" else out, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "max":
            return F.max_pool2d(x, 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def build(width: float = 1.0) -> nn.Sequential:
    """The network up to its pooled features, without weights; `width` scales all channels (tests)."""

    def w(channels: int) -> int:
        return max(1, round(width * channels))

    network, channels = nn.Sequential(), 3
    for name, out, kernel, stride, padding, pool in _STEM:
        network.add_module(name, Unit(channels, w(out), (kernel, kernel), stride, (padding, padding)))
        channels = w(out)
        if pool:
            network.add_module(f"pool_{name}", nn.MaxPool2d(3, stride=2))
    for name, paths, kind in _blocks():
        scaled = [tuple(tuple((n, w(c), k, s) for n, c, k, s in stage) for stage in path) for path in paths]
        block = Block(channels, scaled, kind)
        network.add_module(name, block)
        channels = block.width
    return network.train(False).requires_grad_(False)


def load(path: Path | None, *, width: float = 1.0) -> nn.Sequential:
    """The network with trained weights from pytorch-fid's file."""
    path = weights.require(
        path,
        what="FID or KID (InceptionV3)",
        files="pytorch-fid's pt_inception-2015-12-05 state_dict (Conv2d_1a_3x3.conv.weight, ...)",
    )
    network = build(width)
    weights.fill(network, weights.read_state(path), path)
    return network


@torch.no_grad()
def features(network: nn.Sequential, pictures: Sequence[Tensor], *, side: int = SIDE) -> Tensor:
    """Pooled features [N, 2048] of pictures [H, W, 3] in [0, 1], resized to 299 x 299 as pytorch-fid does (no antialiasing)."""
    if not pictures:
        raise UserError(
            "Inception features need pictures", got="none", accepted="at least one", do="Measure more views."
        )
    like = next(network.parameters())
    rows = []
    for picture in pictures:
        check_finite(picture, what="Inception features")
        nchw = picture.detach().to(like).clamp(0, 1).permute(2, 0, 1)[None]
        rows.append(F.interpolate(nchw, (side, side), mode="bilinear", align_corners=False))
    return torch.cat([network(2 * batch - 1).mean((2, 3)) for batch in torch.cat(rows).split(_BATCH)])


# Names, channels, kernel, stride, padding of the first layers, and whether a 3x3 max pool at stride 2 follows.
_STEM = (
    ("Conv2d_1a_3x3", 32, 3, 2, 0, False),
    ("Conv2d_2a_3x3", 32, 3, 1, 0, False),
    ("Conv2d_2b_3x3", 64, 3, 1, 1, True),
    ("Conv2d_3b_1x1", 80, 1, 1, 0, False),
    ("Conv2d_4a_3x3", 192, 3, 1, 0, True),
)
_POINT, _THREE, _FIVE, _ROW, _COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)
_SHORT_ROW, _SHORT_COLUMN = (1, 3), (3, 1)


def _blocks() -> tuple[tuple[str, list[Branch], Pool], ...]:
    """All blocks in order: the 35 x 35, 17 x 17 and 8 x 8 grids and the reductions between them."""
    return (
        ("Mixed_5b", _fine(32), "mean"),
        ("Mixed_5c", _fine(64), "mean"),
        ("Mixed_5d", _fine(64), "mean"),
        ("Mixed_6a", [_chain("branch3x3", (384, _THREE, 2)), _chain("branch3x3dbl_", (64, _POINT), (96, _THREE), (96, _THREE, 2))], "reduce"),
        ("Mixed_6b", _middle(128), "mean"),
        ("Mixed_6c", _middle(160), "mean"),
        ("Mixed_6d", _middle(160), "mean"),
        ("Mixed_6e", _middle(192), "mean"),
        ("Mixed_7a", [_chain("branch3x3_", (192, _POINT), (320, _THREE, 2)), _chain("branch7x7x3_", (192, _POINT), (192, _ROW), (192, _COLUMN), (192, _THREE, 2))], "reduce"),
        ("Mixed_7b", _coarse(), "mean"),
        ("Mixed_7c", _coarse(), "max"),
    )  # fmt: skip


def _fine(pooled: int) -> list[Branch]:
    return [
        _chain("branch1x1", (64, _POINT)),
        _chain("branch5x5_", (48, _POINT), (64, _FIVE)),
        _chain("branch3x3dbl_", (64, _POINT), (96, _THREE), (96, _THREE)),
        _chain(_POOLED, (pooled, _POINT)),
    ]


def _middle(c: int) -> list[Branch]:
    return [
        _chain("branch1x1", (192, _POINT)),
        _chain("branch7x7_", (c, _POINT), (c, _ROW), (192, _COLUMN)),
        _chain("branch7x7dbl_", (c, _POINT), (c, _COLUMN), (c, _ROW), (c, _COLUMN), (192, _ROW)),
        _chain(_POOLED, (192, _POINT)),
    ]


def _coarse() -> list[Branch]:
    return [
        _chain("branch1x1", (320, _POINT)),
        (*_chain("branch3x3_", (384, _POINT)), _fork("branch3x3_2")),
        (*_chain("branch3x3dbl_", (448, _POINT), (384, _THREE)), _fork("branch3x3dbl_3")),
        _chain(_POOLED, (192, _POINT)),
    ]


def _chain(name: str, *convs: tuple[int, tuple[int, int]] | tuple[int, tuple[int, int], int]) -> Branch:
    """Convolutions one after another; a name that ends in "_" is numbered from 1."""
    return tuple(
        ((f"{name}{i}" if name.endswith("_") else name, conv[0], conv[1], conv[2] if len(conv) == 3 else 1),)
        for i, conv in enumerate(convs, 1)
    )


def _fork(name: str) -> tuple[Conv, Conv]:
    return (f"{name}a", 384, _SHORT_ROW, 1), (f"{name}b", 384, _SHORT_COLUMN, 1)
