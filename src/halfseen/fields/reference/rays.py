"""Slow twins of `fields/kernels/rays.py` in torch, differentiable by autograd. Samples are packed as there."""

from __future__ import annotations

import torch
from torch import Tensor


def march(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    offset: Tensor,
    least: float,
    cone: float,
    occupied: Tensor,
    side: int,
    bounded: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(t, delta, ray) of the samples, ray by ray. All rays take a step at once; a ray that is through stands still."""
    t = near.double()
    t = t + offset * (cone * t).clamp_min(least)
    places, lengths, kept = [], [], []
    while bool((t < far).any()):
        step = (cone * t).clamp_min(least)
        middle = t + 0.5 * step
        cell = cells_of(origins + middle[:, None] * directions, side, bounded)
        places.append(middle)
        lengths.append(step)
        kept.append((t < far) & (cell >= 0) & occupied[cell.clamp_min(0)])
        t = t + step
    if not places:
        return near[:0], near[:0], torch.zeros(0, dtype=torch.long, device=near.device)
    keep = torch.stack(kept, 1)
    ray = torch.arange(len(near), device=near.device)[:, None].expand_as(keep)[keep]
    return torch.stack(places, 1)[keep], torch.stack(lengths, 1)[keep], ray


def cells_of(points: Tensor, side: int, bounded: bool) -> Tensor:
    """Numbers [P] of the occupancy cells of box points [P, 3], or -1."""
    size = points.abs().amax(-1, keepdim=True)
    folded = points if bounded else torch.where(size > 1, points * (2 - 1 / size) / size, points)
    half = 1.0 if bounded else 2.0
    i, j, k = ((folded + half) / (2 * half) * side).long().clamp(0, side - 1).unbind(-1)
    cell = (k * side + j) * side + i
    return torch.where(size[..., 0] >= 1, -1, cell) if bounded else cell


def weights(density: Tensor, delta: Tensor, start: Tensor) -> Tensor:
    """Compositing weights [S], ray by ray."""
    out = []
    for optical in _rays(density * delta, start):
        through = torch.exp(-torch.cumsum(optical, 0))
        out.append(torch.cat([torch.ones_like(through[:1]), through[:-1]]) - through)
    return torch.cat(out) if out else density


def composite(
    density: Tensor, delta: Tensor, colour: Tensor, t: Tensor, start: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(weight [S], rgb [P, 3], depth [P], alpha [P])."""
    weight = weights(density, delta, start)
    ray = torch.repeat_interleave(torch.arange(len(start) - 1, device=start.device), start.diff())
    count = len(start) - 1

    def summed(values: Tensor) -> Tensor:
        zero = torch.zeros(count, *values.shape[1:], dtype=values.dtype, device=values.device)
        return zero.index_add(0, ray, values)

    return weight, summed(weight[:, None] * colour), summed(weight * t), summed(weight)


def distortion(weight: Tensor, t: Tensor, delta: Tensor, start: Tensor) -> Tensor:
    """sum_ij w_i w_j |t_i - t_j| + 1/3 sum_i w_i^2 delta_i of each ray [P], pair by pair."""
    out = []
    for w, m, d in zip(_rays(weight, start), _rays(t, start), _rays(delta, start), strict=True):
        pairs = w[:, None] * w[None] * (m[:, None] - m[None]).abs()
        out.append(pairs.sum() + (w * w * d).sum() / 3)
    return torch.stack(out) if out else weight.sum()[None][:0]


def _rays(values: Tensor, start: Tensor) -> tuple[Tensor, ...]:
    return values.split(start.diff().tolist())
