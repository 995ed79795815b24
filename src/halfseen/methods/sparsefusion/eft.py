"""The epipolar feature transformer (section 2 of the specification): colours and features of a query camera's cells from k photos.

    T1 looks over the photos at each sample; T2 along each ray, in each photo; T3 over the photos again
    features(ray) = sum_k a_k T3(sum_d b_dk T2(...)),   rgb = sigmoid(W features),   depth = sum_k a_k sum_d b_dk z_d

`small` carries what photos show at samples, c = sum_k a_k sum_d b_dk c_dk, beside the features, and rgb = sigmoid(W features + w (2 c - 1));
and it tells how much of a cell is the object's, alpha = sigmoid(w features), which black does not.

Which photo comes first makes no difference, and there may be any number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.methods.sparsefusion import epipolar
from halfseen.methods.sparsefusion.epipolar import Query, Samples
from halfseen.priors.networks import pyramid

_COLOURS, _LINE = 3, 6
# How loud carried colours are beside features, and how much they count in colours at the start.
_LOUD = 4.0
# Sequences that attend at once: more are more than the blocks of a grid of CUDA's.
_MOST_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Config:
    """Sizes. `small`; the released code has ResNet-18, 256 features, 4 layers of 256, one head, dropout 0.1, 20 depths."""

    encoder: pyramid.Config = field(default_factory=pyramid.Config)
    width: int = 48
    layers: int = 2
    heads: int = 1
    feedforward: int = 96
    dropout: float = 0.0
    depths: int = 12
    octaves: int = 6
    # Whether samples say that the photo's frame holds them (ours: the released code does not ask).
    tells_shown: bool = True
    # Whether colours are carried (ours: without it 35,000 queries had taught outlines, and all of them grey).
    carries: bool = True
    # Whether opacities are told (ours).
    tells_opacity: bool = True
    # Lengths are multiplied by this before they are told: the released code has cubes of four on half a side, where ours have one.
    unit: float = 4.0

    def __post_init__(self) -> None:
        within("eft.width", self.width, 8, 4096)
        within("eft.depths", self.depths, 2, 1024)
        within("eft.octaves", self.octaves, 0, 16)

    @property
    def channels(self) -> int:
        """Of what is found of a cell."""
        return self.width + _COLOURS * self.carries

    @property
    def line(self) -> int:
        """Numbers of a line, with its waves."""
        return _LINE * (2 * self.octaves + 1)

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Numbers of a token of T1, T2 and T3 (released code: 606, 425, 412)."""
        depth = 2 * self.octaves + 1
        seen = self.encoder.channels + _COLOURS + self.tells_shown
        return self.line + depth + seen, 2 * self.line + depth + self.width, 2 * self.line + self.width


PAPER = Config(
    encoder=pyramid.Config(widths=(), project=0),
    width=256,
    layers=4,
    feedforward=256,
    dropout=0.1,
    depths=20,
    tells_shown=False,
    carries=False,
    tells_opacity=False,
)


@dataclass(frozen=True)
class Found:
    """What is found of the cells of B queries."""

    rgb: Tensor  # [B, 3, h, w] in [0, 1]
    features: Tensor  # [B, C, h, w]
    depth: Tensor  # [B, h, w] z where the samples are that weigh most, on average
    alpha: Tensor | None = None  # [B, 1, h, w] how much of a cell is the object's


class Eft(nn.Module):
    """See the module."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = pyramid.create(config.encoder)
        self.over_photos, self.along_rays, self.over_views = (_Looks(n, config) for n in config.inputs)
        self.depth_weight, self.view_weight = nn.Linear(config.width, 1), nn.Linear(config.width, 1)
        self.colour = nn.Linear(config.width, _COLOURS)
        self.opacity = nn.Linear(config.width, 1) if config.tells_opacity else None
        self.carried = nn.Parameter(torch.ones(_COLOURS)) if config.carries else None

    def forward(self, photos: Tensor, query: Query, height: int, width: int) -> Found:
        """What photos [B, K, 3, H, W] in [0, 1] tell of height x width cells of B queries."""
        where = epipolar.samples(query, height, width, self.config.depths)
        told = self._told(query, where)
        maps = self.encoder(photos.flatten(0, 1)).unflatten(0, photos.shape[:2])
        colours = epipolar.found(photos, where)
        tokens = self._of_samples(maps, colours, where, told)
        per_photo, share = self._along(tokens, told)
        features, weight = self._over(per_photo, query, where, told)
        logits, alpha = self.colour(features), None
        if self.opacity is not None:
            alpha = torch.sigmoid(self.opacity(features)).movedim(-1, 1).unflatten(-1, (height, width))
        if self.carried is not None:
            shown = ((share[..., None] * colours).sum(3) * weight.movedim(-1, 1)[..., None]).sum(1)
            loud = _LOUD * (2 * shown - 1)
            logits, features = logits + self.carried * loud, torch.cat([features, loud.to(features)], -1)
        rgb = torch.sigmoid(logits)
        depth = (share * where.depth[:, None]).sum(-1)
        mean = (weight * depth.movedim(1, -1)).sum(-1)
        shape = (height, width)
        rgb, features = (t.movedim(-1, 1).unflatten(-1, shape) for t in (rgb, features))
        return Found(rgb, features, mean.unflatten(-1, shape), alpha)

    def _told(self, query: Query, where: Samples) -> _Told:
        octaves, unit = self.config.octaves, self.config.unit
        own = epipolar.waves(epipolar.query_lines(where), octaves)
        depth = epipolar.waves(unit * where.depth[..., None], octaves)
        return _Told(own[:, None, :, None], self._photo_lines(query, where.xyz), depth[:, None])

    def _of_samples(self, maps: Tensor, colours: Tensor, where: Samples, told: _Told) -> Tensor:
        """T1: [B, K, R, D, C], every sample of every photo knowing what the other photos show of it."""
        seen = [epipolar.found(maps, where), colours]
        if self.config.tells_shown:
            seen.append(where.shown[..., None].to(maps))
        tokens = self.over_photos.enter((told.lines, told.depth, *seen))
        batch, _, rays, depths = tokens.shape[:4]
        out = self.over_photos(tokens.movedim(1, 3).flatten(0, 2))
        return out.unflatten(0, (batch, rays, depths)).movedim(3, 1)

    def _along(self, tokens: Tensor, told: _Told) -> tuple[Tensor, Tensor]:
        """T2: for each photo and ray the samples, each as much as it weighs [B, K, R, C], and how much that is [B, K, R, D]."""
        entered = self.along_rays.enter((told.own, told.lines, told.depth, tokens))
        looked = self.along_rays(entered.flatten(0, 2))
        weight = torch.softmax(self.depth_weight(looked), 1)
        mean = (weight * looked).sum(1).unflatten(0, tokens.shape[:3])
        return mean, weight[..., 0].unflatten(0, tokens.shape[:3])

    def _over(self, per_photo: Tensor, query: Query, where: Samples, told: _Told) -> tuple[Tensor, Tensor]:
        """T3: for each ray the photos, each as much as it weighs [B, R, C], and how much that is [B, R, K]."""
        middle = where.xyz[:, :, where.xyz.shape[2] // 2]
        entered = self.over_views.enter((told.own[:, :, :, 0], self._photo_lines(query, middle), per_photo))
        looked = self.over_views(entered.movedim(1, 2).flatten(0, 1))
        weight = torch.softmax(self.view_weight(looked), 1)
        mean = (weight * looked).sum(1).unflatten(0, (len(per_photo), -1))
        return mean, weight[..., 0].unflatten(0, (len(per_photo), -1))

    def _photo_lines(self, query: Query, xyz: Tensor) -> Tensor:
        """Waves of the photos' lines; moments are lengths."""
        lines = epipolar.photo_lines(query, xyz)
        scaled = torch.cat([lines[..., :3], self.config.unit * lines[..., 3:]], -1)
        return epipolar.waves(scaled, self.config.octaves)


@dataclass(frozen=True)
class _Told:
    """What tokens are told of places, of the fewest numbers that say it: they broadcast to [B, K, R, D]."""

    own: Tensor  # [B, 1, R, 1, n] the query's line
    lines: Tensor  # [B, K, R, D, n] the photo's line through the sample
    depth: Tensor  # [B, 1, 1, D, n]


class _Looks(nn.Module):
    """Tokens [N, L, width] that look at each other: the usual encoder layers."""

    def __init__(self, inside: int, config: Config) -> None:
        super().__init__()
        self.first = nn.Linear(inside, config.width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(config.width, config.heads, config.feedforward, config.dropout, batch_first=True)
            for _ in range(config.layers)
        )

    def enter(self, parts: tuple[Tensor, ...]) -> Tensor:
        """A layer over parts [..., n_i] side by side, and GELU. Parts that are the same for many tokens go through it once: the sum of
        their products is the product with all of them."""
        weights = self.first.weight.split([p.shape[-1] for p in parts], 1)
        out: Tensor = self.first.bias
        for part, weight in sorted(zip(parts, weights, strict=True), key=lambda pair: pair[0].numel()):
            out = out + F.linear(part, weight)
        return F.gelu(out)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.cat([self._look(piece) for piece in tokens.split(_MOST_AT_ONCE)])

    def _look(self, tokens: Tensor) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens
