"""Where views are imagined from: an orbit fitted to the photos' own cameras (section 4.5 of the specification says how others did it)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.common.rng import generator

# z is up in the box frame. Elevations stay away from the poles.
_HIGHEST = math.radians(85.0)


def around(c2w: Tensor, middle: Tensor, count: int, jitter: float, seed: int) -> Tensor:
    """`count` camera-to-world matrices [count, 4, 4] that look at a middle [3] from the mean distance and about the mean elevation of the
    photos' cameras [K, 4, 4], all around, beginning beside the first; elevations differ by up to `jitter` radians. No pose is there twice."""
    eyes = c2w[:, :3, 3].double() - middle
    away = eyes.norm(dim=-1)
    level = torch.asin((eyes[:, 2] / away).clamp(-1, 1)).mean()
    rng = generator(seed, "sparsefusion/orbit")
    azimuth = torch.atan2(eyes[0, 1], eyes[0, 0]) + 2 * math.pi * (torch.arange(count) + 0.5).double() / count
    height = level + jitter * (2 * torch.rand(count, generator=rng, dtype=torch.float64) - 1)
    height = height.clamp(-_HIGHEST, _HIGHEST)
    flat = height.cos()
    directions = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), height.sin()], -1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return paths.look_at(middle + float(away.mean()) * directions, middle.expand_as(directions), up)
