"""LPIPS (Zhang et al. 2018), version 0.1, on AlexNet or VGG16: weights by path, no other package.

    backbone: torchvision's state_dict of alexnet or vgg16 (`features.0.weight`, ...; the classifier is not needed)
    heads:    the `lpips` package's alex.pth or vgg.pth, version 0.1 (`lin0.model.1.weight`, ...)

d(a, b) = sum over layers l of mean over pixels of  w_l . (f_l(a) - f_l(b))^2,  f_l with unit length along channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from halfseen.common.errors import UserError
from halfseen.metrics import weights
from halfseen.metrics.inputs import check_pair

# Mean and deviation of ImageNet's colours on [-1, 1], as LPIPS rounds them.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# Keeps the length of a channel vector of zeros above zero.
_LENGTH_EPSILON = 1e-10

Name = Literal["alex", "vgg"]


@dataclass(frozen=True)
class Layout:
    """A backbone: for each block, the channels of its convolutions. Each block ends in a tap that LPIPS compares."""

    widths: tuple[tuple[int, ...], ...]
    # (kernel, stride, padding) of the first, the second and all later convolutions.
    kernels: tuple[tuple[int, int, int], ...]
    # Blocks that begin with a max pool, and its side (its stride is 2).
    pooled: tuple[int, ...]
    pool: int
    # Smallest side that leaves the last layer a pixel.
    min_side: int


ALEX = Layout(
    widths=((64,), (192,), (384,), (256,), (256,)),
    kernels=((11, 4, 2), (5, 1, 2), (3, 1, 1)),
    pooled=(1, 2),
    pool=3,
    min_side=31,
)
VGG = Layout(
    widths=((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    kernels=((3, 1, 1),),
    pooled=(1, 2, 3, 4),
    pool=2,
    min_side=16,
)
_LAYOUTS: dict[Name, Layout] = {"alex": ALEX, "vgg": VGG}


class Lpips(nn.Module):
    """The distance as a network. `forward` takes pictures [H, W, 3] in [0, 1] and gives a scalar that carries gradients."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.features, self.taps = _backbone(layout)
        self.heads = nn.ParameterList([nn.Parameter(torch.zeros(w[-1])) for w in layout.widths])
        self.min_side = layout.min_side

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        check_pair(a, b, what="LPIPS", min_side=self.min_side)
        x = torch.stack([a, b]).permute(0, 3, 1, 2).to(self.heads[0])
        # Version 0.1 takes [-1, 1]; feeding [0, 1] there is a known mistake of published numbers.
        x = ((2 * x - 1) - x.new_tensor(_SHIFT)[:, None, None]) / x.new_tensor(_SCALE)[:, None, None]
        distance, head = x.new_zeros(()), 0
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                unit = x / (x.square().sum(1, keepdim=True).sqrt() + _LENGTH_EPSILON)
                difference = (unit[0] - unit[1]).square()
                distance = distance + torch.einsum("c,chw->hw", self.heads[head], difference).mean()
                head += 1
        return distance


def build(layout: Layout) -> Lpips:
    """An LPIPS network without weights, in evaluation mode."""
    return Lpips(layout).train(False).requires_grad_(False)


def narrow(layout: Layout, width: int) -> Layout:
    """The same layout with `width` channels in every convolution, for tests."""
    return replace(layout, widths=tuple(tuple(width for _ in block) for block in layout.widths))


def load(name: Name, backbone: Path | None, heads: Path | None, *, layout: Layout | None = None) -> Lpips:
    """LPIPS with trained weights from two files."""
    if name not in _LAYOUTS:
        raise UserError(
            "no such LPIPS network", got=repr(name), accepted=", ".join(_LAYOUTS), do="Choose one of these."
        )
    torchvision = {"alex": "alexnet", "vgg": "vgg16"}[name]
    backbone = weights.require(
        backbone,
        what=f"LPIPS ({name})",
        files=f"torchvision's {torchvision} state_dict (features.0.weight, ...) as the backbone",
    )
    heads = weights.require(
        heads, what=f"LPIPS ({name})", files=f"the lpips package's {name}.pth, version 0.1 (lin0.model.1.weight, ...)"
    )
    network = build(layout or _LAYOUTS[name])
    state = weights.read_state(backbone)
    weights.fill(network.features, {k.removeprefix("features."): v for k, v in state.items()}, backbone)
    linear = {
        k.removeprefix("lin").removesuffix(".model.1.weight"): v.reshape(-1)
        for k, v in weights.read_state(heads).items()
        if k.endswith(".model.1.weight")
    }
    weights.fill(network.heads, linear, heads)
    return network


def _backbone(layout: Layout) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Convolutions up to the last tap, numbered as torchvision numbers them, and the indices of the taps."""
    layers: list[nn.Module] = []
    taps, channels, convolutions = [], 3, 0
    for block, widths in enumerate(layout.widths):
        if block in layout.pooled:
            layers.append(nn.MaxPool2d(layout.pool, stride=2))
        for width in widths:
            kernel, stride, padding = layout.kernels[min(convolutions, len(layout.kernels) - 1)]
            layers += [nn.Conv2d(channels, width, kernel, stride, padding), nn.ReLU()]
            channels, convolutions = width, convolutions + 1
        taps.append(len(layers) - 1)
    return nn.Sequential(*layers), tuple(taps)
