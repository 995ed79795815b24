"""Where virtual cameras stand (section 4.5 of the specification): around the box's middle, as far away as the photo's camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.common.rng import generator
from halfseen.methods.nerfdiff.config import Layout
from halfseen.worlds import layouts

# Turn of Fibonacci's sphere from one point to the next.
_GOLDEN = math.pi * (3 - 5**0.5)


def around(
    source: Cameras, layout: Layout, count: int, seed: int, heights: tuple[float, float] = layouts.HEMISPHERE
) -> Cameras:
    """`count` square cameras with the intrinsics of `source`, a batch-of-one camera of the box frame, whose z is up. `heights` are sines of
    elevations between which pictures of training were taken."""
    centre = source.centres[0].double()
    distance = float(centre.norm())
    rng, towards = generator(seed, "nerfdiff/views"), centre / distance
    if layout == "train-like":
        directions = _train_like(towards, count, rng, *heights)
    else:
        directions = _DIRECTIONS[layout](towards, count)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    poses = paths.look_at(distance * directions, torch.zeros_like(directions), up)
    return make(poses, source.intrinsics[0].double(), source.size())


def _unit(azimuth: Tensor, height: Tensor) -> Tensor:
    """Directions [V, 3] of azimuths and sines of elevations."""
    flat = (1 - height**2).clamp_min(0).sqrt()
    return torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), height], -1)


def _train_like(source: Tensor, count: int, rng: torch.Generator, low: float, high: float) -> Tensor:
    """As pictures of training: anywhere between two heights, but no two of the same sector, beginning beside the photo."""
    u = torch.rand(count, 2, generator=rng, dtype=torch.float64)
    height = torch.randperm(count, generator=rng).double()
    azimuth = torch.atan2(source[1], source[0]) + 2 * math.pi * (torch.arange(count) + u[:, 0]) / count
    return _unit(azimuth, low + (high - low) * (height + u[:, 1]) / count)


def _sphere(source: Tensor, count: int) -> Tensor:
    del source
    index = torch.arange(count, dtype=torch.float64)
    return _unit(_GOLDEN * index, 1 - 2 * (index + 0.5) / count)


def _hemisphere(source: Tensor, count: int) -> Tensor:
    del source
    index = torch.arange(count, dtype=torch.float64)
    return _unit(_GOLDEN * index, 1 - (index + 0.5) / count)


def _spiral(source: Tensor, count: int) -> Tensor:
    """Evenly along SRN's test spiral, between its views."""
    del source
    whole = paths.srn_spiral()
    at = (torch.arange(count) + 0.5) * (len(whole) - 1) / count
    return torch.nn.functional.normalize(torch.lerp(whole[at.long()], whole[at.long() + 1], 0.5), dim=-1)


def _arc(source: Tensor, count: int) -> Tensor:
    """Around the vertical at the photo's own height."""
    azimuth = torch.atan2(source[1], source[0]) + 2 * math.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return _unit(azimuth, source[2].expand(count))


_DIRECTIONS = {
    "sphere": _sphere,
    "hemisphere": _hemisphere,
    "spiral": _spiral,
    "arc": _arc,
}
