"""A field on three feature planes: features at a point are the sum of what the planes xy, xz and yz hold there (EG3D, NerfDiff)."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import Rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.common.rng import generator as make_generator
from halfseen.fields import decoder, samplers, volumetric
from halfseen.fields.contract import BLACK, Background, Rendering, Window
from halfseen.fields.operators import Marched

# Spread of the first features.
_START = 0.1
# The axes of a position that index each plane.
_AXES = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True)
class Config:
    """Sizes and rates (NerfDiff: 32 channels, 128 x 128, two layers of 64, no directions, 64 + 64 samples)."""

    channels: int = 24
    side: int = 128
    lr_planes: float = 2e-2
    lr_network: float = 3e-3
    bounded: bool | None = None
    decoder: decoder.Config = field(default_factory=lambda: decoder.Config(degree=0))
    sampling: samplers.Sampling = field(default_factory=lambda: samplers.Sampling("resample"))

    def __post_init__(self) -> None:
        within("field.channels", self.channels, 1, 1024)
        within("field.side", self.side, 2, 4096)
        within("field.lr_planes", self.lr_planes, 0, 1e3)
        within("field.lr_network", self.lr_network, 0, 1e3)


class Triplane:
    """See `contract.Field` and `volumetric.Medium`."""

    def __init__(self, tensors: dict[str, Tensor], to_user: Similarity, config: Config) -> None:
        self.planes = tensors["planes"].requires_grad_()  # [3, C, R, R]: rows are the plane's second axis
        self.weights = {k: v.requires_grad_() for k, v in tensors.items() if k != "planes"}
        self.to_user, self.config, self.bounded = to_user, config, bool(config.bounded)

    @property
    def dtype_like(self) -> Tensor:
        return self.planes

    @property
    def sampling(self) -> samplers.Sampling:
        return self.config.sampling

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
        return volumetric.render(
            self, cameras, window=window, pixels=pixels, background=background, generator=generator
        )

    def sample(self, ray: Rays, generator: torch.Generator | None) -> Marched:
        """See `volumetric.Medium`."""
        return samplers.resample(ray, self.config.sampling, lambda x: self.look(x)[0], generator, bounded=self.bounded)

    def look(self, xyz: Tensor) -> tuple[Tensor, None]:
        """See `volumetric.Medium`."""
        with torch.no_grad():
            features = self._features(xyz)
            return self._inside(decoder.look(features, xyz, self.weights, self.config.decoder), xyz), None

    def query(self, xyz: Tensor, known: None, directions: Tensor, samples: Marched) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`."""
        features = self._features(xyz)
        density, colour = decoder.decode(features, xyz, directions, samples, self.weights, self.config.decoder)
        return self._inside(density, xyz), colour

    def normals(self, camera: Cameras) -> Tensor:
        """See `contract.Field`: towards lower density."""
        still = copy(self)
        with torch.no_grad():
            depth = still.render(camera, background=BLACK).depth
        return volumetric.normals(still, camera, depth)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `contract.Field`."""
        network = [{"name": k, "params": [v], "lr": self.config.lr_network} for k, v in self.weights.items()]
        return [{"name": "planes", "params": [self.planes], "lr": self.config.lr_planes}, *network]

    def state(self) -> dict[str, Tensor]:
        """See `contract.Field`."""
        return {"planes": self.planes, **self.weights}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> None:
        """Nothing changes."""

    def _features(self, xyz: Tensor) -> Tensor:
        at = 2 * volumetric.normalised(xyz, bounded=self.bounded) - 1
        grid = torch.stack([at[:, axes] for axes in _AXES])[:, None]
        found = F.grid_sample(self.planes, grid, align_corners=False, padding_mode="border")
        return found[:, :, 0].sum(0).T.contiguous()

    def _inside(self, density: Tensor, xyz: Tensor) -> Tensor:
        """A bounded field is empty outside of its box."""
        return torch.where((xyz.abs() <= 1).all(-1), density, torch.zeros_like(density)) if self.bounded else density


def create(
    to_user: Similarity, config: Config, seed: int, device: torch.device, cameras: Cameras | None = None
) -> Triplane:
    """Planes of small noise."""
    rng = make_generator(seed, "triplane")
    planes = _START * torch.randn(3, config.channels, config.side, config.side, generator=rng)
    tensors = {"planes": planes, **decoder.create(config.decoder, config.channels, rng)}
    return Triplane({k: v.to(device) for k, v in tensors.items()}, to_user, config)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> Triplane:
    """The field of a saved state."""
    return Triplane({k: v.to(device).clone() for k, v in state.items()}, to_user, config)
