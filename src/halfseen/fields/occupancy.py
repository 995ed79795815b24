"""Which cells of space hold anything: a grid of decaying maxima of opacity, updated a part at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.config import within
from halfseen.common.rng import generator
from halfseen.fields import volume
from halfseen.fields.hull import Hull

# Cells looked at together; bounds memory.
_CHUNK = 65536


@dataclass(frozen=True)
class Config:
    """The grid (Instant-NGP: 128 cells a side, every 16 steps, decay 0.95 of all cells)."""

    # Cells along a side of the cube, or of contracted space.
    side: int = 96
    # Steps between updates, and the part of the cells that one update visits.
    every: int = 16
    part: int = 2
    # What is left of a cell's value after a visit that found less.
    decay: float = 0.6
    # A cell is occupied when a sample in it could stop this share of the light.
    least: float = 0.005
    # What one camera sees alone is at least this share of its distance from the box's centre away.
    alone: float = 0.4

    def __post_init__(self) -> None:
        within("occupancy.side", self.side, 2, 512)
        within("occupancy.every", self.every, 1, 10**6)
        within("occupancy.part", self.part, 1, 4096)
        within("occupancy.decay", self.decay, 0, 1)
        within("occupancy.least", self.least, 0, 1)
        within("occupancy.alone", self.alone, 0, 10)


def start(config: Config, *, bounded: bool, cameras: Cameras | None, hull: Hull | None = None) -> Tensor:
    """Values [G^3] before anything is known: full, except where no camera looks or no object can be (for good: a negative value)."""
    value = torch.full((config.side**3,), 2 * config.least)
    if cameras is not None:
        for chunk in torch.arange(len(value)).split(_CHUNK):
            middle = points(chunk, torch.full((len(chunk), 3), 0.5), config, bounded=bounded)
            may = _may_hold(middle, cameras.to(middle), config)
            may = may if hull is None else may & hull.holds(middle)
            value[chunk] = torch.where(may, value[chunk], -1.0)
        value = _grown(value, config.side)
    return value


def _may_hold(xyz: Tensor, cameras: Cameras, config: Config) -> Tensor:
    """Whether box points [N] may hold anything: two cameras see them, or one does that is not right in front of them.

    What stands close before one camera alone explains its photo and nothing else.
    """
    at, z = rays.project(cameras, xyz)
    seen = rays.in_frame(cameras, at, z)
    limit = config.alone * cameras.centres.norm(dim=-1)
    away = torch.cdist(cameras.centres.to(xyz), xyz) > limit.to(xyz)[:, None]
    return (seen & away).any(0) | (seen.sum(0) > 1)


def points(cells: Tensor, inside: Tensor, config: Config, *, bounded: bool) -> Tensor:
    """Box points [N, 3] at shares `inside` [N, 3] of cells [N]."""
    side = config.side
    corner = torch.stack([cells % side, (cells // side) % side, cells // (side * side)], -1)
    unit = 2 * (corner + inside) / side - 1
    return unit if bounded else volume.expand(volume.CONTRACTED * unit)


def update(
    value: Tensor, step: int, config: Config, density: Callable[[Tensor], Tensor], length: Callable[[Tensor], Tensor], *, bounded: bool
) -> Tensor:  # fmt: skip
    """Visit one part of the cells at random places: value = max(decay * value, density * step length there)."""
    phase = (step // config.every) % config.part
    cells = torch.arange(phase, len(value), config.part, device=value.device)
    cells = cells[value[cells] >= 0]
    inside = torch.rand(len(cells), 3, generator=generator(0, "occupancy", step)).to(value.device)
    out = value.clone()
    with torch.no_grad():
        for chunk, share in zip(cells.split(_CHUNK), inside.split(_CHUNK), strict=True):
            at = points(chunk, share, config, bounded=bounded)
            out[chunk] = torch.maximum(config.decay * value[chunk], density(at) * length(at))
    return out


def occupied(value: Tensor, config: Config) -> Tensor:
    """Cells [G^3] that hold anything, or more than the mean when all hold something."""
    known = value[value >= 0]
    # In double precision: the number of threads that sum must not decide about a cell.
    threshold = min(config.least, float(known.double().mean()) if len(known) else config.least)
    return value > threshold


def _grown(value: Tensor, side: int) -> Tensor:
    """Cells next to one that a camera sees count as seen: their middles alone were tested."""
    cube = value.reshape(1, 1, side, side, side)
    grown = torch.nn.functional.max_pool3d(cube, 3, stride=1, padding=1)
    return grown.reshape(-1)
