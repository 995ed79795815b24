"""A field whose samples look up features where they fall on photos (pixelNeRF, Yu et al. 2021): the rival of planes.

A sample's position in the frame of each photo and the features that it falls on go through residual layers; their mean over photos
gives density and colour. A photo's frame is a cube with its camera's axes (x right, y down, z forward), and its pinhole says where in
that frame the camera is and what it sees: six numbers (eye x, y, z; focal length; principal point x, y), lenses in pictures' sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import Rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.fields import planes, samplers, volumetric
from halfseen.fields.batched import Many
from halfseen.fields.contract import BLACK, Background, Rendering, Window
from halfseen.fields.operators import Marched

# Added to the density before softplus.
_SHIFT = -1.0
# Tensors of a field that are no weights of its layers.
_OWN = ("features", "into", "pinhole")
_PINHOLE = 6


@dataclass(frozen=True)
class Layers:
    """Sizes (pixelNeRF: 6 octaves, 5 blocks of 512)."""

    octaves: int = 6
    width: int = 96
    blocks: int = 3

    def __post_init__(self) -> None:
        within("layers.octaves", self.octaves, 0, 16)
        within("layers.width", self.width, 1, 4096)
        within("layers.blocks", self.blocks, 1, 16)


@dataclass(frozen=True)
class Config:
    """Sizes of what a network predicted: channels and cells of a side of the features, photos, and the layers."""

    channels: int = 64
    side: int = 64
    photos: int = 1
    layers: Layers = field(default_factory=Layers)
    sampling: samplers.Sampling = field(default_factory=lambda: samplers.Sampling("proposed"))


def create_layers(config: Layers, features: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Weights with biases, uniform as for ReLU (He); blocks begin as nothing."""
    into = 3 * (1 + 2 * config.octaves)
    shapes = {"stem": (config.width, into), "head": (4, config.width)}
    for k in range(config.blocks):
        shapes |= {f"enter.{k}": (config.width, features)}
        shapes |= {f"{n}.{k}": (config.width, config.width) for n in ("first", "second")}
    out = {}
    for name, shape in shapes.items():
        start = 0.0 if name.startswith("second") else math.sqrt(3 / shape[1])
        out[f"{name}.weight"] = (2 * torch.rand(shape, generator=rng) - 1) * start
        out[f"{name}.bias"] = torch.zeros(shape[0])
    return out


def decode(xyz: Tensor, features: Tensor, weights: dict[str, Tensor], config: Layers) -> tuple[Tensor, Tensor]:
    """(densities [...], colours [..., 3]) of positions [V, ..., 3] with features [V, ..., C] of V photos."""
    h = _linear(_waves(xyz, config.octaves), weights, "stem")
    for k in range(config.blocks):
        h = h + _linear(features, weights, f"enter.{k}")
        h = h + _linear(F.relu(_linear(F.relu(h), weights, f"first.{k}")), weights, f"second.{k}")
    out = _linear(F.relu(h.mean(0)), weights, "head").float()
    return F.softplus(out[..., 0] + _SHIFT), torch.sigmoid(out[..., 1:])


def ahead(focal: Tensor) -> Tensor:
    """Pinholes [V, 6] of photos whose cameras are at (0, 0, -focal) and see [-1, 1]^2 at z = 0, as `planes` have it."""
    nothing, half = torch.zeros_like(focal), torch.full_like(focal, 0.5)
    return torch.stack([nothing, nothing, -focal, focal / 2, half, half], -1)


def seen_at(features: Tensor, xyz: Tensor, pinhole: Tensor) -> Tensor:
    """Features [B, S, C] of pictures [B, C, H, W] where positions [B, S, 3] in their frames fall, by pinholes [B, 6]."""
    eye, focal, centre = (pinhole[:, None, part] for part in (slice(0, 3), slice(3, 4), slice(4, 6)))
    away = xyz - eye
    at = away[..., :2] / away[..., 2:].clamp_min(torch.finfo(xyz.dtype).eps) * focal + centre
    found = F.grid_sample(features, (2 * at - 1)[:, None].to(features), align_corners=False, padding_mode="border")
    return found[:, :, 0].transpose(1, 2)


def many(features: Tensor, pinhole: Tensor, weights: dict[str, Tensor], config: Layers) -> Many:
    """B fields of one photo each [B, C, H, W], in the frames of their photos."""
    eye = torch.eye(4)[:3].to(pinhole).expand(len(features), 1, 3, 4)
    return many_of(features[:, None], eye, pinhole[:, None], weights, config)


def many_of(features: Tensor, into: Tensor, pinhole: Tensor, weights: dict[str, Tensor], config: Layers) -> Many:
    """B fields of V photos each [B, V, C, H, W]; `into` [B, V, 3, 4] takes positions of the frame of each field into those of its photos."""
    photos = features.shape[1]

    def both(xyz: Tensor) -> tuple[Tensor, Tensor]:
        at = torch.einsum("bvij,bsj->bvsi", into[..., :3], xyz) + into[:, :, None, :, 3]
        seen = seen_at(features.flatten(0, 1), at.flatten(0, 1), pinhole.flatten(0, 1)).unflatten(0, (-1, photos))
        density, colour = decode(at.transpose(0, 1), seen.transpose(0, 1), weights, config)
        return planes.inside(density, xyz), colour

    def density(xyz: Tensor) -> Tensor:
        with torch.no_grad():
            return both(xyz)[0]

    return Many(density, both)


class Projection:
    """See `contract.Field` and `volumetric.Medium`. It is predicted, and not fitted any further."""

    def __init__(self, tensors: dict[str, Tensor], to_user: Similarity, config: Config) -> None:
        self.features, self.into, self.pinhole = (tensors[k] for k in _OWN)  # [V, C, H, W], [V, 3, 4], [V, 6]
        self.weights = {k: v for k, v in tensors.items() if k not in _OWN}
        self.to_user, self.config = to_user, config

    @property
    def dtype_like(self) -> Tensor:
        return self.features

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
        """See `volumetric.Medium`: within the cube of the first photo."""
        return planes.sampled(ray, self.into[0], self.sampling, self._density, generator)

    def look(self, xyz: Tensor) -> tuple[Tensor, None]:
        """See `volumetric.Medium`."""
        with torch.no_grad():
            return self._both(xyz)[0], None

    def query(self, xyz: Tensor, known: None, directions: Tensor, samples: Marched) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`."""
        del known, directions, samples
        return self._both(xyz)

    def normals(self, camera: Cameras) -> Tensor:
        """See `contract.Field`: towards lower density."""
        with torch.no_grad():
            depth = self.render(camera, background=BLACK).depth
        return volumetric.normals(self, camera, depth)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `contract.Field`: there is nothing to fit."""
        return []

    def state(self) -> dict[str, Tensor]:
        """See `contract.Field`."""
        return {"features": self.features, "into": self.into, "pinhole": self.pinhole, **self.weights}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> None:
        """Nothing changes."""

    def _density(self, at: Tensor) -> Tensor:
        """Densities [S], of lengths in the first photo's frame, at positions [S, 3] there."""
        scale, back = planes.scale_of(self.into[0]), self.into[0]
        xyz = (at - back[:, 3]) @ back[:, :3] / scale**2
        return self.look(xyz)[0] / scale

    def _both(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """(densities [S], colours [S, 3]) at box points [S, 3]."""
        at = torch.stack([planes.where(xyz, into) for into in self.into])
        density, colour = decode(at, seen_at(self.features, at, self.pinhole), self.weights, self.config.layers)
        return planes.inside(density * planes.scale_of(self.into[0]), at[0]), colour


def of_features(
    features: Tensor,
    pinhole: Tensor,
    weights: dict[str, Tensor],
    to_photos: list[Similarity],
    to_user: Similarity,
    config: Config,
) -> Projection:
    """The field of features [V, C, H, W] of photos, each with its frame and its pinhole [V, 6]."""
    into = torch.stack([s.matrix()[:3] for s in to_photos]).to(features)
    tensors = {"features": features, "into": into, "pinhole": pinhole.to(features), **weights}
    return Projection({k: v.detach().clone() for k, v in tensors.items()}, to_user, config)


def create(to_user: Similarity, config: Config, seed: int, device: torch.device) -> Projection:
    """Untrained layers on features of nothing."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.zeros(config.photos, config.channels, config.side, config.side)
    into = torch.eye(4)[:3].repeat(config.photos, 1, 1)
    weights = create_layers(config.layers, config.channels, rng)
    tensors = {"features": features, "into": into, "pinhole": torch.zeros(config.photos, _PINHOLE), **weights}
    return Projection({k: v.to(device) for k, v in tensors.items()}, to_user, config)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> Projection:
    """The field of a saved state."""
    return Projection({k: v.to(device).clone() for k, v in state.items()}, to_user, config)


def _linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _waves(xyz: Tensor, octaves: int) -> Tensor:
    """Positions with sines and cosines of octaves of half waves."""
    angles = xyz[..., None] * (math.pi * 2.0 ** torch.arange(octaves, device=xyz.device)) / 2
    return torch.cat([xyz, angles.sin().flatten(-2), angles.cos().flatten(-2)], -1)
