"""Where Gaussians begin: at points that are known, at depths from stereo, or at random where photos look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras

# Neighbours whose mean distance is a point's radius, and points whose distances are computed together.
_NEIGHBOURS, _CHUNK = 3, 2048
# Random seeds lie within this of the box's centre (box units), and are tried in batches of this many times the number wanted.
_RANDOM_REACH, _BATCH = 1.5, 4
# Batches that are tried before fewer seeds have to do, and views that must see a seed, where there are several.
_TRIES, _WITNESSES = 8, 2
_GREY = 0.5


@dataclass(frozen=True)
class Seeds:
    """N places in the box."""

    xyz: Tensor  # [N, 3]
    rgb: Tensor  # [N, 3] in [0, 1]
    radius: Tensor  # [N] about the distance to the next ones


def from_points(xyz: Tensor, rgb: Tensor) -> Seeds:
    """At known surface points [N, 3], such as those of structure from motion."""
    return Seeds(xyz.float(), rgb.float(), neighbour_distance(xyz.float()))


def from_depth(
    xyz: Tensor, rgb: Tensor, depth: Tensor, focal: Tensor, share: float, generator: torch.Generator
) -> Seeds:
    """At a random share of surface points [N, 3] that are one pixel apart at z-depth [N] for a focal length [N] in pixels."""
    chosen = torch.rand(len(xyz), generator=generator) < share
    # Of pixels at distance one, such a share is one over the square root of it apart.
    radius = depth[chosen] / focal[chosen] / share**0.5
    return Seeds(xyz[chosen].float(), rgb[chosen].float(), radius.float())


def random(count: int, cameras: Cameras | None, generator: torch.Generator) -> Seeds:
    """Grey ones at random in the box's neighbourhood, where at least two cameras (or the only one) look."""
    found: list[Tensor] = []
    have = 0
    for _ in range(_TRIES):
        xyz = (2 * torch.rand(_BATCH * count, 3, generator=generator) - 1) * _RANDOM_REACH
        if cameras is not None:
            pixels, z = rays.project(cameras.to(xyz), xyz)
            seen = rays.in_frame(cameras, pixels, z).sum(0)
            xyz = xyz[seen >= min(_WITNESSES, len(cameras))]
        found.append(xyz)
        have += len(xyz)
        if have >= count:
            break
    xyz = torch.cat(found)[:count]
    spacing = (2 * _RANDOM_REACH) / count ** (1 / 3)
    return Seeds(xyz, torch.full_like(xyz, _GREY), torch.full((len(xyz),), spacing))


def joined(parts: Sequence[Seeds]) -> Seeds:
    """All of them."""
    return Seeds(*(torch.cat([getattr(p, k) for p in parts]) for k in ("xyz", "rgb", "radius")))


def thinned(seeds: Seeds, most: int, generator: torch.Generator) -> Seeds:
    """At most so many, drawn at random; those that are left are larger."""
    count = len(seeds.xyz)
    if count <= most:
        return seeds
    chosen = torch.randperm(count, generator=generator)[:most].sort().values
    grown = (count / most) ** 0.5
    return Seeds(seeds.xyz[chosen], seeds.rgb[chosen], seeds.radius[chosen] * grown)


def neighbour_distance(xyz: Tensor) -> Tensor:
    """Mean distance [N] of points [N, 3] to their nearest others."""
    if len(xyz) <= _NEIGHBOURS:
        return torch.full((len(xyz),), 1 / max(len(xyz), 1))
    parts = []
    for chunk in xyz.split(_CHUNK):
        nearest = torch.cdist(chunk, xyz).topk(_NEIGHBOURS + 1, largest=False).values
        parts.append(nearest[:, 1:].mean(1))
    return torch.cat(parts).clamp_min(torch.finfo(torch.float32).eps)
