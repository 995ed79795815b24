"""Rays of many bounded fields at once, as networks that predict fields are trained with: everything is differentiable torch.

Letters: B fields, P rays of each, N samples of each ray.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.rays import Rays
from halfseen.fields import samplers, volume


@dataclass(frozen=True)
class Many:
    """B fields in [-1, 1]^3, asked at positions [B, S, 3]."""

    density: Callable[[Tensor], Tensor]  # [B, S], without gradients
    both: Callable[[Tensor], tuple[Tensor, Tensor]]  # densities [B, S] and colours [B, S, 3]


@dataclass(frozen=True)
class Traced:
    """What rays of B fields met: colours [B, P, 3] over a background, opacities and mean distances [B, P]."""

    rgb: Tensor
    alpha: Tensor
    distance: Tensor


def trace(
    fields: Many,
    origins: Tensor,
    directions: Tensor,
    sampling: samplers.Sampling,
    background: Tensor,
    generator: torch.Generator | None = None,
) -> Traced:
    """Render rays [B, P, 3] before colours [B, 3].

    A first look without gradients at `uniform` samples draws the borders of `resampled` ones, which alone are composited
    (mip-NeRF 360): gradients meet fewer samples.
    """
    batch = len(origins)
    ray = Rays(origins.flatten(0, 1), directions.flatten(0, 1), torch.ones_like(origins[..., 0]).flatten())

    def density(xyz: Tensor) -> Tensor:
        return fields.density(xyz.reshape(batch, -1, 3)).flatten()

    with torch.no_grad():
        borders = samplers.proposed(ray, sampling, density, generator)
    t, delta = (borders[:, 1:] + borders[:, :-1]) / 2, borders.diff(dim=-1)
    xyz = ray.origins[:, None] + t[..., None] * ray.directions[:, None]
    found, colour = fields.both(xyz.reshape(batch, -1, 3))
    weight = volume.weights(found.reshape(t.shape), delta)
    alpha = weight.sum(-1)
    rgb = (weight[..., None] * colour.reshape(*t.shape, 3)).sum(1)
    rgb = rgb + (1 - alpha)[:, None] * background.repeat_interleave(len(t) // batch, 0)
    distance = (weight * t).sum(-1) / alpha.clamp_min(torch.finfo(alpha.dtype).eps)
    return Traced(*(v.unflatten(0, (batch, -1)) for v in (rgb, alpha, distance)))
