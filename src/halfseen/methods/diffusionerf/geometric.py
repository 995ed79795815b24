"""Losses of DiffusioNeRF's geometric baseline (section 4 of the specification), as means over rays."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.fields import kinds
from halfseen.fields.contract import Rendering
from halfseen.methods.diffusionerf.config import Geometric
from halfseen.methods.photometric import losses

# Photos' rays want points that two photos have in their frustum; patches' rays points that one has.
ON_RAYS, ON_PATCHES = 2, 1
_DENSITY = "density."
_TINY = 1e-9


def ramp(cfg: Geometric, progress: float) -> float:
    """Share of the distortion's weight at a step."""
    return min(1.0, max(0.0, (progress - cfg.distortion_from) / max(cfg.distortion_full - cfg.distortion_from, _TINY)))


def terms(
    rendering: Rendering, cameras: Cameras, cfg: Geometric, step: int, progress: float, wanted: int
) -> dict[str, Tensor]:
    """Weighted distortion and frustum terms of loose rays; fields without samples along rays have none."""
    if rendering.samples is None:
        return {}
    out = {}
    if cfg.distortion and ramp(cfg, progress):
        out["distortion"] = cfg.distortion * ramp(cfg, progress) * losses.distortion(rendering)
    if cfg.frustum:
        weight = cfg.frustum * (1.0 if step < cfg.frustum_first else cfg.frustum_later)
        out["frustum"] = weight * frustum(rendering, cameras, wanted)
    return out


def frustum(rendering: Rendering, cameras: Cameras, wanted: int) -> Tensor:
    """Mean over rays of sum_i w_i max(0, wanted - n_i), n_i the number of photos that have point i in their frustum."""
    assert rendering.samples is not None
    with torch.no_grad():
        missing = (wanted - in_frustums(cameras, rendering.samples.xyz)).clamp_min(0)
    return (rendering.samples.weights * missing.to(rendering.samples.weights)).sum() / max(len(rendering.alpha), 1)


def in_frustums(cameras: Cameras, xyz: Tensor) -> Tensor:
    """Number of cameras [S] that have the box points [S, 3] in their picture and before them."""
    pixels, z = rays.project(cameras, xyz)
    return rays.in_frame(cameras, pixels, z).sum(0)


def network(field: kinds.AnyField) -> Tensor | None:
    """Squared norm of the density network, where the field has one."""
    groups = [g["params"][0] for g in field.parameter_groups() if g["name"].startswith(_DENSITY)]
    return torch.stack([p.square().sum() for p in groups]).sum() if groups else None
