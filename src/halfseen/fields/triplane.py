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
from halfseen.common.errors import UserError
from halfseen.common.rng import generator as make_generator
from halfseen.fields import decoder, planes, samplers, volumetric
from halfseen.fields.contract import BLACK, Background, Rendering, Window
from halfseen.fields.operators import Marched

# Spread of the first features.
_START = 0.1


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
        if self.sampling.kind == "proposed" and self.bounded is False:
            raise UserError(
                "field.sampling.kind=proposed looks into the box alone",
                got="a scene that is not bounded",
                accepted="resample",
                do="Correct the setting.",
            )


class Triplane:
    """See `contract.Field` and `volumetric.Medium`."""

    def __init__(self, tensors: dict[str, Tensor], to_user: Similarity, config: Config) -> None:
        self.planes = tensors["planes"].requires_grad_()  # [3, C, R, R]: rows are the plane's second axis
        # [3, 4] from box points to where the planes are: the axes of a photo's camera, where a network predicted them.
        self.into = tensors["into"]
        self.weights = {k: v.requires_grad_() for k, v in tensors.items() if k not in ("planes", "into")}
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
        if self.config.sampling.kind == "proposed":
            return planes.sampled(ray, self.into, self.config.sampling, self._density, generator)
        return samplers.resample(ray, self.config.sampling, lambda x: self.look(x)[0], generator, bounded=self.bounded)

    def look(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`: features are worth keeping."""
        with torch.no_grad():
            features = self._features(xyz)
            return self._inside(decoder.look(features, xyz, self.weights, self.config.decoder), xyz), features

    def query(self, xyz: Tensor, known: Tensor | None, directions: Tensor, samples: Marched) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`. With gradients features are looked up anew."""
        features = self._features(xyz) if known is None or torch.is_grad_enabled() else known
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
        return {"planes": self.planes, "into": self.into, **self.weights}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> None:
        """Nothing changes."""

    def _density(self, at: Tensor) -> Tensor:
        """Densities [S], of lengths where the planes are, at positions [S, 3] there."""
        with torch.no_grad():
            found = planes.features(self.planes[None], at[None])[0].contiguous()
            return planes.inside(decoder.look(found, at, self.weights, self.config.decoder), at)

    def _features(self, xyz: Tensor) -> Tensor:
        at = 2 * volumetric.normalised(planes.where(xyz, self.into), bounded=self.bounded) - 1
        return planes.features(self.planes[None], at[None])[0].contiguous()

    def _inside(self, density: Tensor, xyz: Tensor) -> Tensor:
        """As box lengths have it; a bounded field is empty outside of its planes' cube."""
        density = density * planes.scale_of(self.into)
        return planes.inside(density, planes.where(xyz, self.into)) if self.bounded else density


def of_planes(
    found: Tensor, weights: dict[str, Tensor], to_planes: Similarity, to_user: Similarity, config: Config
) -> Triplane:
    """The field of planes [3, C, R, R] and decoder's weights that were made elsewhere; `to_planes` is from the box to where they are."""
    into = to_planes.matrix()[:3].to(found)
    side = config.side
    if found.shape[-1] != side:
        found = F.interpolate(found, (side, side), mode="bilinear", align_corners=False)
    tensors = {"planes": found, "into": into, **weights}
    return Triplane({k: v.detach().clone() for k, v in tensors.items()}, to_user, config)


def create(
    to_user: Similarity, config: Config, seed: int, device: torch.device, cameras: Cameras | None = None
) -> Triplane:
    """Planes of small noise."""
    rng = make_generator(seed, "triplane")
    first = _START * torch.randn(3, config.channels, config.side, config.side, generator=rng)
    tensors = {"planes": first, "into": torch.eye(4)[:3], **decoder.create(config.decoder, config.channels, rng)}
    return Triplane({k: v.to(device) for k, v in tensors.items()}, to_user, config)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> Triplane:
    """The field of a saved state."""
    return Triplane({k: v.to(device).clone() for k, v in state.items()}, to_user, config)
