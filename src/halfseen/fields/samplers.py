"""Where rays are sampled: marched through an occupancy grid, or evenly with more samples where a first look found something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from halfseen.cameras.rays import Rays
from halfseen.common.config import within
from halfseen.fields import operators, volume
from halfseen.fields.operators import Marched

# Weight that every interval has in resampling, so that none is never looked at.
_FLOOR = 1e-5
# Share of what is proposed that is spread evenly, so that gradients meet empty space as well.
_EVEN = 0.1


@dataclass(frozen=True)
class Sampling:
    """How many samples, and where."""

    # occupancy: march through occupied cells (Instant-NGP). resample: `uniform` even ones and `resampled` by inverse
    # transform of their weights (DiffusioNeRF: 512 and 128 in [0.2, far]; SparseFusion: 64 and 64). proposed: the
    # `resampled` ones stand alone (mip-NeRF 360), in the cube only.
    kind: Literal["occupancy", "resample", "proposed"] = "occupancy"
    # Shortest step of the march in box units, and steps as a share of the distance beyond.
    step: float = 0.016
    cone: float = 0.016
    # Samples of kind resample.
    uniform: int = 64
    resampled: int = 64
    # A sample with less weight than this gets no colour and no gradient (Instant-NGP, DiffusioNeRF: 1e-4).
    least_weight: float = 1e-4
    # While fitting, gradients at distance t are scaled by min(1, (t / r)^2), where r is this share of the camera's distance
    # from the box's centre: space near a camera is sampled far more densely than a scene, and would fill with fog otherwise
    # (Philip and Deschaintre 2023). 0: no scaling.
    gradient_reach: float = 0.7

    def __post_init__(self) -> None:
        within("sampling.step", self.step, 1e-4, 1)
        within("sampling.cone", self.cone, 0, 1)
        within("sampling.uniform", self.uniform, 2, 4096)
        within("sampling.resampled", self.resampled, 0, 4096)
        within("sampling.least_weight", self.least_weight, 0, 0.1)
        within("sampling.gradient_reach", self.gradient_reach, 0, 100)


def gradient_scale(ray: Rays, samples: Marched, share: float) -> Tensor:
    """min(1, (t / (share |origin|))^2) of samples [S]."""
    reach = share * ray.origins.norm(dim=-1)
    return (samples.t / reach[samples.ray]).square().clamp(max=1)


def march(
    ray: Rays,
    config: Sampling,
    occupied: Tensor,
    generator: torch.Generator | None,
    *,
    bounded: bool,
    stride: float = 1.0,
) -> Marched:
    """Samples in occupied cells, with steps `stride` times as long. With a generator each ray starts at a random share of a step."""
    count = len(ray.origins)
    offset = torch.full((count,), 0.5) if generator is None else torch.rand(count, generator=generator)
    near, far = volume.reach(ray.origins.norm(dim=-1), bounded=bounded)
    steps = (stride * config.step, stride * config.cone)
    return operators.march(
        ray.origins,
        ray.directions,
        (near.contiguous(), far.contiguous()),
        offset.to(ray.origins),
        steps,
        occupied,
        bounded=bounded,
    )


def resample(
    ray: Rays,
    config: Sampling,
    density: Callable[[Tensor], Tensor],
    generator: torch.Generator | None,
    *,
    bounded: bool,
) -> Marched:
    """Even samples, and as many more as asked for by inverse transform of the weights that `density` gives them."""
    borders = volume.intervals(ray.origins.norm(dim=-1), config.uniform, generator, bounded=bounded)
    if config.resampled:
        t = (borders[:, 1:] + borders[:, :-1]) / 2
        with torch.no_grad():
            found = density((ray.origins[:, None] + t[..., None] * ray.directions[:, None]).reshape(-1, 3))
        weight = volume.weights(found.reshape(t.shape), borders.diff(dim=-1))
        finer = inverse_transform(borders, weight, config.resampled, generator)
        borders = torch.cat([borders, finer], -1).sort(-1).values
    return packed((borders[:, 1:] + borders[:, :-1]) / 2, borders.diff(dim=-1))


def proposed(
    ray: Rays, config: Sampling, density: Callable[[Tensor], Tensor], generator: torch.Generator | None
) -> Tensor:
    """Borders [P, resampled + 1] along rays through the cube, drawn where `density` at `uniform` samples [P * uniform, 3] finds something.

    Unlike `resample`, what is drawn stands alone (mip-NeRF 360): gradients meet fewer samples.
    """
    near, far = volume.through_cube(ray.origins, ray.directions)
    u = volume.jittered(near, config.uniform, generator)
    borders = near[:, None] + (far - near)[:, None] * u
    t = (borders[:, 1:] + borders[:, :-1]) / 2
    found = density((ray.origins[:, None] + t[..., None] * ray.directions[:, None]).reshape(-1, 3))
    weight = volume.weights(found.reshape(t.shape), borders.diff(dim=-1))
    weight = weight + _EVEN * weight.sum(-1, keepdim=True).clamp_min(_EVEN) / config.uniform
    return inverse_transform(borders, weight, config.resampled + 1, generator)


def inverse_transform(borders: Tensor, weight: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` positions [P, count] drawn from the piecewise constant density `weight` [P, N] between `borders` [P, N + 1]."""
    share = weight + _FLOOR
    total = torch.cumsum(share / share.sum(-1, keepdim=True), -1)
    total = torch.cat([torch.zeros_like(total[:, :1]), total[:, :-1], torch.ones_like(total[:, :1])], -1)
    middle = torch.full((len(borders), count), 0.5)
    jitter = middle if generator is None else torch.rand(len(borders), count, generator=generator)
    u = ((torch.arange(count) + jitter) / count).to(borders)
    index = torch.searchsorted(total, u, right=True).clamp(1, borders.shape[-1] - 1)
    low, high = torch.gather(total, 1, index - 1), torch.gather(total, 1, index)
    start, end = torch.gather(borders, 1, index - 1), torch.gather(borders, 1, index)
    return start + (end - start) * ((u - low) / (high - low).clamp_min(torch.finfo(u.dtype).tiny)).clamp(0, 1)


def packed(t: Tensor, delta: Tensor) -> Marched:
    """Samples [P, N] of equal number on each ray as packed ones."""
    rays, count = t.shape
    index = torch.arange(rays, device=t.device)
    begin = torch.arange(rays + 1, device=t.device) * count
    return Marched(t.reshape(-1), delta.reshape(-1), index.repeat_interleave(count), begin)
