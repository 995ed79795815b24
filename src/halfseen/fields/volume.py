"""Volume rendering over functions: distances along rays, transmittance, compositing. No field is imported here.

Letters: P rays, N samples. `density` is volume density per box unit; `delta` is the length of a sample's interval. Where rays have
differing numbers of samples, `operators` does the same over packed ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Shares of samples before, inside and behind the neighbourhood of the box's centre.
_SHARES = (0.15, 0.6, 0.25)
# Half length of that neighbourhood in box units: the box's half width and half as much again.
_REACH = 1.5
# A bounded field fills the unit cube only: the half diagonal bounds where a ray can meet it.
_CUBE_REACH = 3**0.5
# Contracted space is [-CONTRACTED, CONTRACTED]^3.
CONTRACTED = 2.0
# The neighbourhood never starts before this multiple of the near distance.
_FRONT_GAP = 1.5
# Distances at which sampling starts (as a share of the camera's distance from the centre) and ends (box units).
_NEAR_SHARE, _FAR = 0.05, 60.0
# Points of contracted space nearer to its faces than this are taken to be this near.
_FACE = 1e-3
# Directions are not taken to be nearer to parallel to a face than this.
_PARALLEL = 1e-9


def reach(distance: Tensor, *, bounded: bool) -> tuple[Tensor, Tensor]:
    """(near, far) [P] of rays whose origins are `distance` [P] from the box's centre: around the cube, or as far as is looked."""
    near = _NEAR_SHARE * distance
    if bounded:
        return torch.maximum(distance - _CUBE_REACH, near), distance + _CUBE_REACH
    return near, torch.full_like(near, _FAR)


def through_cube(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """(near, far) [P] where rays enter and leave [-1, 1]^3; equal for those that miss it."""
    near_share = _NEAR_SHARE * origins.norm(dim=-1)
    safe = torch.where(directions.abs() < _PARALLEL, torch.full_like(directions, _PARALLEL), directions)
    first, second = (-1 - origins) / safe, (1 - origins) / safe
    near = torch.maximum(torch.minimum(first, second).amax(-1), near_share)
    return near, torch.maximum(torch.maximum(first, second).amin(-1), near)


def intervals(distance: Tensor, count: int, generator: torch.Generator | None, *, bounded: bool) -> Tensor:
    """Borders of `count` intervals [P, count + 1] along rays whose origins are `distance` [P] from the box's centre.

    Bounded: linear through the cube. Else linear up to and through the centre's neighbourhood, and linear in disparity
    behind it. With a generator, inner borders are jittered by up to half an interval, so that fitting sees every distance.
    """
    u = jittered(distance, count, generator)
    near, far = reach(distance, bounded=bounded)
    if bounded:
        return near[:, None] + (far - near)[:, None] * u
    front = torch.maximum(distance - _REACH, near * _FRONT_GAP)
    back = distance + _REACH
    edges = (0.0, _SHARES[0], _SHARES[0] + _SHARES[1], 1.0)
    first = near[:, None] + (front - near)[:, None] * (u / edges[1])
    middle = front[:, None] + (back - front)[:, None] * (u - edges[1]) / _SHARES[1]
    inverse = 1 / back[:, None] + (1 / _FAR - 1 / back)[:, None] * (u - edges[2]) / _SHARES[2]
    return torch.where(u < edges[1], first, torch.where(u < edges[2], middle, 1 / inverse.clamp_min(1 / (2 * _FAR))))


def jittered(distance: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Borders in [0, 1], [P, count + 1]; the first and the last stay where they are."""
    u = torch.linspace(0, 1, count + 1, device=distance.device).expand(len(distance), -1)
    if generator is not None:
        jitter = torch.rand(len(distance), count + 1, generator=generator).to(distance.device) - 0.5
        jitter[:, 0] = jitter[:, -1] = 0
        u = u + jitter / count
    return u


def weights(density: Tensor, delta: Tensor) -> Tensor:
    """Compositing weights [P, N]: w_i = T_i (1 - exp(-density_i delta_i)), T_i = exp(-sum_{j<i} density_j delta_j)."""
    optical = density * delta
    through = torch.exp(-torch.cumsum(optical, -1))
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], -1)
    return before - through


def contract(xyz: Tensor) -> Tensor:
    """All of space into [-2, 2]^3: the box stays as it is, the rest is folded in by the largest coordinate (mip-NeRF 360)."""
    size = xyz.abs().amax(-1, keepdim=True).clamp_min(1)
    return xyz * (CONTRACTED - 1 / size) / size


def expand(contracted: Tensor) -> Tensor:
    """The inverse of `contract`, for points of [-2, 2]^3 short of its faces."""
    size = contracted.abs().amax(-1, keepdim=True)
    # size = 2 - 1 / r  =>  r = 1 / (2 - size); a point on the face would be at infinity.
    outer = 1 / (CONTRACTED - size).clamp_min(_FACE)
    return torch.where(size <= 1, contracted, contracted / size.clamp_min(1) * outer)
