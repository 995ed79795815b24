"""Pairs to learn repair from, made of worlds without fitting: harmed splats of a few views' surfaces beside another view's truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.common.config import within
from halfseen.common.rng import generator
from halfseen.methods.difix3d import inputs
from halfseen.methods.difix3d.harm import Harm, splats
from halfseen.metrics.image import psnr
from halfseen.worlds import stream
from halfseen.worlds.families import by_name
from halfseen.worlds.seeds import Purpose
from halfseen.worlds.stream import StreamConfig

# Families whose pictures have a sky or room all around: what no splat covers may have any colour there. Others stand on white.
_ALL_AROUND = frozenset({"rooms", "outdoor"})
# Photos beside which a pair is made; how often they are the target's neighbours; PSNR between which a pair teaches something (dB):
# holes of harmed splats, of 8 dB even, stand beside what is whole, which renderings of fits as bad as that do not.
_SOURCES, _NEIGHBOURS = (1, 2, 3, 4), 0.75
_TEACHES = (8.0, 34.0)
_TRIES = 3
# Share of scenes behind which hangs the mean of a photo, as what a fit makes of the unseen is seldom garish.
_MEAN_BEHIND = 0.7


@dataclass(frozen=True)
class PairsConfig:
    """Where pairs come from. Sources: ours."""

    families: tuple[str, ...] = ("rooms", "tabletop", "rooms", "outdoor", "chairs", "rooms", "cars", "clevr")
    width: int = 160
    height: int = 128
    views: int = 16
    # Pairs of one world, and how many of the photos go along as references.
    each: int = 16
    references: int = 1
    harm: Harm = field(default_factory=Harm)
    seed: int = 0

    def __post_init__(self) -> None:
        within("pairs.views", self.views, 6, 1000)
        within("pairs.each", self.each, 1, 1000)


@dataclass(frozen=True)
class Pair:
    """One pair, compact in memory."""

    shown: Tensor  # [10, H, W] uint8, what the fixer sees, times 255; disparity times 127
    target: Tensor  # [3, H, W] uint8
    references: Tensor  # [V, 3, H, W] uint8


def make(config: PairsConfig, purpose: Purpose, number: int) -> list[Pair]:
    """The pairs of world `number` (this runs in workers)."""
    family = config.families[number % len(config.families)]
    place = stream.render_world(
        StreamConfig(config.families, (config.width, config.height), config.views, purpose=purpose), number
    )
    frames = stream.unpack(place, number)
    cameras = Cameras(
        torch.stack([f.c2w for f in frames]),
        torch.stack([f.intrinsics for f in frames]),
        torch.tensor([[config.width, config.height]] * len(frames)),
    )
    around = by_name(family).name in _ALL_AROUND
    return [_pair(config, frames, cameras, around, purpose, number * config.each + i) for i in range(config.each)]


def _pair(
    config: PairsConfig, frames: list[stream.Frame], cameras: Cameras, around: bool, purpose: Purpose, position: int
) -> Pair:
    """The pair of a position: drawn again where nothing could be learned from it."""
    for attempt in range(_TRIES):
        rng = generator(config.seed, f"fixer/pair/{purpose}", position * _TRIES + attempt)
        pair = _drawn(config, frames, cameras, around, rng)
        rendered, truth = unpacked(pair.shown)[:3], pair.target.float() / 255
        if _TEACHES[0] < psnr(rendered.movedim(0, -1), truth.movedim(0, -1)) < _TEACHES[1]:
            break
    return pair


def _drawn(
    config: PairsConfig, frames: list[stream.Frame], cameras: Cameras, around: bool, rng: torch.Generator
) -> Pair:
    target, sources = _views(len(frames), rng)
    photos = [frames[i].rgb.float() / 255 for i in sources]
    depths = torch.stack([frames[i].depth.float() for i in sources])
    cover = torch.stack([frames[i].mask.float() / 255 for i in sources])
    cover = torch.ones_like(cover) if around else cover
    scene = splats(torch.stack(photos), depths, cover, cameras[sources], config.harm, rng)
    back = _behind(photos, rng) if around else (1.0, 1.0, 1.0)
    with torch.no_grad():
        known = inputs.witnesses(scene, photos, cameras[sources])
        rendering = scene.render(cameras[target], background=back)
        shown = inputs.shown(rendering, cameras[target], known)
    near = inputs.order(known, cameras[target])[: config.references]
    return Pair(
        packed(shown),
        frames[target].rgb.movedim(-1, 0).contiguous(),
        torch.stack([frames[sources[i]].rgb.movedim(-1, 0) for i in near]).contiguous(),
    )


def _behind(photos: list[Tensor], rng: torch.Generator) -> tuple[float, float, float]:
    """A colour where nothing is: that of a photo's mean, or any."""
    draw = torch.rand(4, generator=rng)
    r, g, b = (photos[0].mean((0, 1)) if float(draw[3]) < _MEAN_BEHIND else draw[:3]).tolist()
    return r, g, b


def _views(count: int, rng: torch.Generator) -> tuple[int, list[int]]:
    """(target, sources): some from all over, some next to each other as layouts lay views out."""
    sources = _SOURCES[int(torch.randint(len(_SOURCES), (), generator=rng))]
    if float(torch.rand((), generator=rng)) < _NEIGHBOURS:
        begin = int(torch.randint(count - sources - 1, (), generator=rng))
        chosen = begin + torch.randperm(sources + 2, generator=rng)[: sources + 1]
    else:
        chosen = torch.randperm(count, generator=rng)[: sources + 1]
    return int(chosen[0]), chosen[1:].tolist()


def as_bytes(pictures: Tensor) -> Tensor:
    """Colours [..., 3, H, W] in [0, 1] as bytes."""
    return (pictures.clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous()


def packed(shown: Tensor) -> Tensor:
    """A fixer's input as bytes: disparity reaches to 2."""
    return (shown * _RANGE.to(shown) + 0.5).clamp(0, 255).to(torch.uint8)


def unpacked(shown: Tensor) -> Tensor:
    """The inverse of `packed`, for inputs [..., 10, H, W]."""
    return shown.float() / _RANGE.to(shown.device)


_RANGE = torch.tensor([255.0] * 4 + [127.0] + [255.0] * 5)[:, None, None]
