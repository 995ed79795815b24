"""A dense voxel grid of density and colour over contracted space: the simplest field that works everywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.common.rng import generator as make_generator
from halfseen.fields import volume
from halfseen.fields.contract import Background, RaySamples, Rendering, Window

# Rays rendered at once when no gradient is needed; bounds memory to about 200 MB.
_CHUNK = 8192
# Half width of contracted space.
_CONTRACTED = 2.0
# Spread of the first colours, before the sigmoid.
_START_NOISE = 0.01


@dataclass(frozen=True)
class Config:
    """Sizes and rates of the grid (all values ours)."""

    # Voxels along each side at the end.
    resolution: int = 96
    # Voxels along each side at the start; a coarse start finds the shape.
    start_resolution: int = 32
    # Steps after which the resolution doubles.
    grow_at: tuple[int, ...] = (100, 250)
    # Samples along each ray.
    samples: int = 96
    # Adam's learning rates.
    lr_density: float = 1.0
    lr_colour: float = 0.02
    # Softplus bias: nearly empty space at the start, so that photos carve from the outside.
    density_bias: float = -4.0
    # The grid covers the box alone and all else is empty (objects), or all of contracted space (scenes).
    # None: decided by the capture.
    bounded: bool | None = None

    def __post_init__(self) -> None:
        within("grid.resolution", self.resolution, 8, 512)
        within("grid.start_resolution", self.start_resolution, 4, 512)
        within("grid.samples", self.samples, 4, 1024)
        within("grid.lr_density", self.lr_density, 0, 1e30)
        within("grid.lr_colour", self.lr_colour, 0, 1e30)


class Voxels:
    """Density and colour at the voxels of the box or of contracted space [-2, 2]^3, trilinear in between."""

    def __init__(self, density: Tensor, colour: Tensor, to_user: Similarity, config: Config) -> None:
        self.density = density.requires_grad_()  # [1, 1, R, R, R], before softplus
        self.colour = colour.requires_grad_()  # [1, 3, R, R, R], before sigmoid
        self.to_user, self.config = to_user, config

    def render(
        self,
        cameras: Cameras,
        *,
        window: Window | None = None,
        pixels: tuple[Tensor, Tensor] | None = None,
        background: Background,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """See `contract.Field.render`."""
        cameras = cameras.to(self.density)
        if pixels is not None:
            return self._rays(rays.cast(cameras, *pixels), background, generator)
        left, top, width, height = window or (0, 0, *cameras.size())
        xy = rays.pixel_centres(width, height, self.density.device) + self.density.new_tensor([left, top])
        views = torch.zeros(len(xy), dtype=torch.long, device=self.density.device)
        parts = []
        for v, p in zip(views.split(_CHUNK), xy.split(_CHUNK), strict=True):
            # Samples of whole pictures are dropped at once: they would take a hundred times the memory of the picture.
            parts.append(replace(self._rays(rays.cast(cameras, v, p), background, generator), samples=None))
        rgb, depth, alpha = (torch.cat([getattr(p, name) for p in parts]) for name in ("rgb", "depth", "alpha"))
        return Rendering(rgb.reshape(height, width, 3), depth.reshape(height, width), alpha.reshape(height, width))

    def query(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """Density [...] and colour [..., 3] at box points [..., 3]."""
        at = (xyz if self.config.bounded else volume.contract(xyz) / _CONTRACTED).reshape(1, 1, 1, -1, 3)
        density = F.grid_sample(self.density, at, align_corners=False, padding_mode="border").reshape(xyz.shape[:-1])
        colour = (
            F.grid_sample(self.colour, at, align_corners=False, padding_mode="border")
            .reshape(3, -1)
            .T.reshape(*xyz.shape[:-1], 3)
        )
        density = F.softplus(density + self.config.density_bias)
        if self.config.bounded:
            density = torch.where((xyz.abs() <= 1).all(-1), density, torch.zeros_like(density))
        return density, torch.sigmoid(colour)

    def _rays(self, ray: rays.Rays, background: Background, generator: torch.Generator | None) -> Rendering:
        borders = volume.intervals(
            ray.origins.norm(dim=-1), self.config.samples, generator, bounded=bool(self.config.bounded)
        )
        t, delta = (borders[:, 1:] + borders[:, :-1]) / 2, borders.diff(dim=-1)
        xyz = ray.origins[:, None] + t[..., None] * ray.directions[:, None]
        density, colour = self.query(xyz)
        weights = volume.weights(density, delta)
        alpha = weights.sum(-1)
        back = torch.as_tensor(background, dtype=alpha.dtype, device=alpha.device)
        rgb = (weights[..., None] * colour).sum(-2) + (1 - alpha)[..., None] * back
        depth = volume.median_distance(weights, borders) * ray.z_scale
        return Rendering(rgb, depth, alpha, RaySamples(weights, t, xyz))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `contract.Field`."""
        return [
            {"params": [self.density], "lr": self.config.lr_density},
            {"params": [self.colour], "lr": self.config.lr_colour},
        ]

    def state(self) -> dict[str, Tensor]:
        """See `contract.Field`."""
        return {"density": self.density, "colour": self.colour}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> bool:
        """Double the resolution at the steps of `grow_at`."""
        if step not in self.config.grow_at or self.density.shape[-1] >= self.config.resolution:
            return False
        size = min(self.density.shape[-1] * 2, self.config.resolution)
        self.density, self.colour = (
            F.interpolate(grid.detach(), (size,) * 3, mode="trilinear", align_corners=False).requires_grad_()
            for grid in (self.density, self.colour)
        )
        return True


def create(to_user: Similarity, config: Config, seed: int, device: torch.device) -> Voxels:
    """An almost empty grid of slightly random grey."""
    size = (config.start_resolution,) * 3
    noise = torch.randn(1, 3, *size, generator=make_generator(seed, "voxels")) * _START_NOISE
    return Voxels(torch.zeros(1, 1, *size, device=device), noise.to(device), to_user, config)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> Voxels:
    """The grid of a saved state."""
    return Voxels(state["density"].to(device).clone(), state["colour"].to(device).clone(), to_user, config)
