"""Features on three planes: what single triplanes and many that a network predicts at once share (EG3D, NerfDiff)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from halfseen.cameras.rays import Rays
from halfseen.fields import decoder, operators, samplers
from halfseen.fields.batched import Many
from halfseen.fields.operators import Marched
from halfseen.fields.reference import planes as plane_twin

AXES = plane_twin.AXES
# Cells of a side that the kernel has to have, and what it computes in.
_FEWEST, _COMPILED = 2, (torch.float32, torch.float64)


def features(planes: Tensor, xyz: Tensor) -> Tensor:
    """Features [B, S, C] at positions [B, S, 3] in [-1, 1]^3 of planes [B, 3, C, R, R]: the sum of what the three hold there."""
    known = planes.dtype == xyz.dtype and planes.dtype in _COMPILED and planes.shape[-1] >= _FEWEST
    if known and operators.compiled(xyz) and not xyz.requires_grad:
        each = [operators.of_planes(p, x)[None] for p, x in zip(planes, xyz, strict=True)]
        return each[0] if len(each) == 1 else torch.cat(each)
    return plane_twin.forward(planes, xyz)


def inside(density: Tensor, xyz: Tensor) -> Tensor:
    """Densities [...] at points [..., 3]: what is bounded is empty outside of its box."""
    return torch.where((xyz.abs() <= 1).all(-1), density, torch.zeros_like(density))


def scale_of(into: Tensor) -> Tensor:
    """Lengths where planes are, of one in the box, by what takes box points there [3, 4]."""
    return into[:, 0].norm()


def where(xyz: Tensor, into: Tensor) -> Tensor:
    """Box points [S, 3] where planes are."""
    return xyz @ into[:, :3].T + into[:, 3]


def sampled(
    ray: Rays,
    into: Tensor,
    sampling: samplers.Sampling,
    density: Callable[[Tensor], Tensor],
    generator: torch.Generator | None,
) -> Marched:
    """Samples of box rays, proposed within the cube where planes are by the `density` [S] at positions [S, 3] there."""
    scale = scale_of(into)
    there = Rays(where(ray.origins, into), ray.directions @ into[:, :3].T / scale, ray.z_scale)
    borders = samplers.proposed(there, sampling, density, generator) / scale
    return samplers.packed((borders[:, 1:] + borders[:, :-1]) / 2, borders.diff(dim=-1))


def many(planes: Tensor, weights: dict[str, Tensor], config: decoder.Config) -> Many:
    """Bounded triplanes [B, 3, C, R, R] of one decoder, whose colours do not depend on directions."""

    def density(xyz: Tensor) -> Tensor:
        flat = xyz.flatten(0, 1)
        found = decoder.look(features(planes, xyz).flatten(0, 1), flat, weights, config)
        return inside(found.float().unflatten(0, xyz.shape[:2]), xyz)

    def both(xyz: Tensor) -> tuple[Tensor, Tensor]:
        flat = xyz.flatten(0, 1)
        none = torch.zeros(len(flat), dtype=torch.long, device=xyz.device)
        alone = Marched(none, none, none, none)
        found, colour = decoder.decode(
            features(planes, xyz).flatten(0, 1), flat, flat.new_zeros(1, 3), alone, weights, config
        )
        return inside(found.float().unflatten(0, xyz.shape[:2]), xyz), colour.float().unflatten(0, xyz.shape[:2])

    return Many(density, both)
