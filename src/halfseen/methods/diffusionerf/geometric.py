"""Losses of DiffusioNeRF's geometric baseline (section 4 of the specification), as means over rays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.fields import kinds
from halfseen.fields.contract import Rendering
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.diffusionerf.config import Geometric
from halfseen.methods.photometric import losses

# Photos' rays want points that two photos have in their frustum; patches' rays points that one has.
ON_RAYS, ON_PATCHES = 2, 1
_DENSITY = "density."
_TINY = 1e-9


def ramp(cfg: Geometric, progress: float) -> float:
    """Share of the distortion's weight at a step."""
    return min(1.0, max(0.0, (progress - cfg.distortion_from) / max(cfg.distortion_full - cfg.distortion_from, _TINY)))


@dataclass(frozen=True)
class Around:
    """What the terms of rays have to know of the photos."""

    cameras: Cameras
    nearest: float  # where a frustum begins, box units of z-depth
    wanted: int  # photos that should have a point in their frustum
    alone: bool  # whether they show an object alone


def terms(rendering: Rendering, around: Around, cfg: Geometric, step: int, progress: float) -> dict[str, Tensor]:
    """Weighted terms of loose rays: distortion and frustum where the field has samples along them, and foreground on photos' rays."""
    out = {}
    if cfg.distortion and ramp(cfg, progress) and rendering.samples is not None:
        weight = cfg.distortion * ramp(cfg, progress)
        out["geometric_distortion"] = weight * losses.distortion(rendering, cfg.distortion_floor)
    if cfg.frustum and rendering.samples is not None:
        out["frustum"] = _frustum_weight(cfg, step) * frustum(rendering, around)
    if cfg.foreground and around.wanted == ON_RAYS and not around.alone:
        out["foreground"] = cfg.foreground * losses.opacity(rendering)
    return out


def frustum(rendering: Rendering, around: Around) -> Tensor:
    """Mean over rays of sum_i w_i max(0, wanted - n_i), n_i the number of photos that have point i in their frustum."""
    assert rendering.samples is not None
    weights = rendering.samples.weights
    return (weights * missing(rendering.samples.xyz, around).to(weights)).sum() / max(len(rendering.alpha), 1)


def of_gaussians(field: Gaussians, around: Around, cfg: Geometric, step: int) -> dict[str, Tensor]:
    """The frustum term of what has no samples along rays: the mean over Gaussians of o_k max(0, wanted - n_k), o_k their opacity."""
    if not cfg.frustum:
        return {}
    opacity = field.opacity()
    absent = missing(field.values["xyz"].detach(), around).to(opacity)
    return {"frustum": _frustum_weight(cfg, step) * (opacity.reshape(-1) * absent).mean()}


def _frustum_weight(cfg: Geometric, step: int) -> float:
    return cfg.frustum * (1.0 if step < cfg.frustum_first else cfg.frustum_later)


@torch.no_grad()
def missing(xyz: Tensor, around: Around) -> Tensor:
    """Photos [S] that lack in the frustums that points [S, 3] lie in: max(0, wanted - n)."""
    return (around.wanted - in_frustums(around.cameras, xyz, around.nearest)).clamp_min(0)


def in_frustums(cameras: Cameras, xyz: Tensor, nearest: float) -> Tensor:
    """Number of cameras [S] that have the box points [S, 3] in their picture and not nearer than `nearest` (z-depth)."""
    pixels, z = rays.project(cameras, xyz)
    return (rays.in_frame(cameras, pixels, z) & (z >= nearest)).sum(0)


def network(field: kinds.AnyField) -> Tensor | None:
    """Squared norm of the density network, where the field has one."""
    groups = [g["params"][0] for g in field.parameter_groups() if g["name"].startswith(_DENSITY)]
    return torch.stack([p.square().sum() for p in groups]).sum() if groups else None
