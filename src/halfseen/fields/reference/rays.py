"""Slow twins of `fields/kernels/rays.py` in torch, differentiable by autograd. Samples are packed as there."""

from __future__ import annotations

import torch
from torch import Tensor


def march(
    origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, offset: Tensor,
    least: float, cone: float, occupied: Tensor, side: int, bounded: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(t, delta, ray) of the samples, ray by ray."""
    found: list[tuple[float, float, int]] = []
    for p in range(len(origins)):
        t = float(near[p])
        t += float(offset[p]) * max(least, cone * t)
        while t < float(far[p]):
            step = max(least, cone * t)
            point = origins[p] + (t + 0.5 * step) * directions[p]
            cell = cell_of(point, side, bounded)
            if cell >= 0 and bool(occupied[cell]):
                found.append((t + 0.5 * step, step, p))
            t += step
    rows = torch.tensor(found, dtype=torch.float64).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2].long()


def cell_of(point: Tensor, side: int, bounded: bool) -> int:
    """Number of the occupancy cell of a box point [3], or -1."""
    size = float(point.abs().max())
    if bounded and size >= 1:
        return -1
    folded = point if bounded or size <= 1 else point * (2 - 1 / size) / size
    half = 1.0 if bounded else 2.0
    i, j, k = ((folded + half) / (2 * half) * side).long().clamp(0, side - 1).tolist()
    return int((k * side + j) * side + i)


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
