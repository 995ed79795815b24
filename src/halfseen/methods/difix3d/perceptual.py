"""What the paper's training compares beside pixels: LPIPS and Gram matrices of VGG16, where its weights are given.

Without them a substitute stands in, which is never called LPIPS: differences of neighbours over scales (`metrics/edges.py`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from halfseen.metrics import lpips
from halfseen.metrics.lpips import Layout, Lpips

# Weights of the Gram terms of relu1_2, 2_2, 3_3, 4_3 and 5_3 (released code), and the side of the crop that they see.
BETAS, CROP = (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5), 400
# ImageNet's mean and deviation, for colours in [0, 1].
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(backbone: str, heads: str, layout: Layout = lpips.VGG) -> Lpips | None:
    """LPIPS on VGG16 by the paths of its two files; None without them."""
    if not backbone and not heads:
        return None
    return lpips.load("vgg", Path(backbone), Path(heads), layout=layout)


def distance(net: Lpips, a: Tensor, b: Tensor) -> Tensor:
    """Mean LPIPS of pictures [N, 3, H, W] in [-1, 1]."""
    pairs = zip(a, b, strict=True)
    return torch.stack([net((x.movedim(0, -1) + 1) / 2, (y.movedim(0, -1) + 1) / 2) for x, y in pairs]).mean()


def gram(net: Lpips, a: Tensor, b: Tensor, rng: torch.Generator) -> Tensor:
    """Mean over pictures [N, 3, H, W] in [-1, 1] of sum_l beta_l mean((G_l - G'_l)^2) / (d h w), G = F F^T of each picture alone."""
    side = min(CROP, *a.shape[-2:])
    top, left = (int(torch.randint(s - side + 1, (), generator=rng)) for s in a.shape[-2:])
    cut = [t[..., top : top + side, left : left + side] for t in (a, b)]
    total = a.new_zeros(())
    for beta, x, y in zip(BETAS, *(_features(net, t) for t in cut), strict=True):
        size = x.shape[1] * x.shape[2] * x.shape[3]
        total = total + beta * (_gram(x) - _gram(y)).square().mean() / size
    return total


def _gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2)


def _features(net: Lpips, pictures: Tensor) -> list[Tensor]:
    """What VGG16 has at its taps [N, d, h, w]."""
    mean, deviation = (pictures.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
    x, out = ((pictures + 1) / 2 - mean) / deviation, []
    for index, layer in enumerate(net.features):
        assert isinstance(layer, nn.Module)
        x = layer(x)
        if index in net.taps:
            out.append(x)
    return out
