"""A NeRF on a multi-resolution hash grid (Instant-NGP), over the box or over contracted space."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import Rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.common.rng import generator as make_generator
from halfseen.fields import decoder, occupancy, operators, samplers, volumetric
from halfseen.fields.contract import BLACK, Background, Rendering, Window
from halfseen.fields.hull import Hull
from halfseen.fields.operators import Marched

# Spread of the first features (Instant-NGP).
_START = 1e-4
FEATURES = (1, 2, 4, 8)
_OCCUPANCY, _PROGRESS = "occupancy", "progress"


@dataclass(frozen=True)
class Config:
    """Sizes and rates. Ours, for pictures of about 256 px; Instant-NGP: 16 levels, 2^19 entries, 16 to 2048; DiffusioNeRF: 17
    levels, 2^21 entries, 16 to 2048 bound, hidden 64 and 3 x 128."""

    levels: int = 7
    features: int = 4
    base: int = 16
    finest: int = 1024
    log2_entries: int = 17
    # Share of the fit after which all levels take part; they join one by one, the coarse ones first. 0: all from the start.
    coarse_to_fine: float = 0.0
    # The first fit steps march with longer steps: the factor, and the share of the fit at which it has gone down to one.
    first_stride: float = 4.0
    stride_until: float = 0.3
    # Adam's learning rates.
    lr_table: float = 1e-2
    lr_network: float = 3e-3
    # The field fills the box alone (objects) or all of contracted space (scenes). None: decided by the capture.
    bounded: bool | None = None
    decoder: decoder.Config = field(default_factory=decoder.Config)
    sampling: samplers.Sampling = field(default_factory=samplers.Sampling)
    occupancy: occupancy.Config = field(default_factory=occupancy.Config)

    def __post_init__(self) -> None:
        within("field.levels", self.levels, 1, 32)
        if self.features not in FEATURES:
            raise UserError(
                "field.features is not usable",
                got=str(self.features),
                accepted=", ".join(map(str, FEATURES)),
                do="Correct the setting.",
            )
        if self.sampling.kind == "proposed":
            raise UserError(
                "field.sampling.kind is not for hash grids",
                got="proposed",
                accepted="occupancy, resample",
                do="Correct the setting.",
            )
        within("field.base", self.base, 1, 4096)
        within("field.finest", self.finest, 1, 1 << 18)
        within("field.log2_entries", self.log2_entries, 4, 26)
        within("field.coarse_to_fine", self.coarse_to_fine, 0, 1)
        within("field.first_stride", self.first_stride, 1, 64)
        within("field.lr_table", self.lr_table, 0, 1e3)
        within("field.lr_network", self.lr_network, 0, 1e3)


class HashGrid:
    """See `contract.Field` and `volumetric.Medium`."""

    def __init__(self, tensors: dict[str, Tensor], to_user: Similarity, config: Config) -> None:
        self.table = tensors["table"].requires_grad_()  # [T, F]
        self.weights = {k: v.requires_grad_() for k, v in tensors.items() if k.startswith(("density.", "colour."))}
        self.values = tensors[_OCCUPANCY]  # [G^3]
        self.progress = tensors[_PROGRESS]  # [] share of the fit that is done
        self.to_user, self.config, self.bounded = to_user, config, bool(config.bounded)
        self.layout = operators.levels(resolutions(config), 1 << config.log2_entries)
        self.occupied = occupancy.occupied(self.values, config.occupancy)

    @property
    def dtype_like(self) -> Tensor:
        return self.table

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
        # A copy whose levels stay: who looks beside a fit must not see one join between two looks.
        return volumetric.render(
            copy(self), cameras, window=window, pixels=pixels, background=background, generator=generator
        )

    def sample(self, ray: Rays, generator: torch.Generator | None) -> Marched:
        """See `volumetric.Medium`."""
        sampling = self.config.sampling
        if sampling.kind == "resample":
            return samplers.resample(ray, sampling, lambda x: self.look(x)[0], generator, bounded=self.bounded)
        # Showing takes the finest steps; fitting begins with long ones.
        stride = 1.0 if generator is None else self._stride()
        return samplers.march(ray, sampling, self.occupied, generator, bounded=self.bounded, stride=stride)

    def look(self, xyz: Tensor) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`; what is kept are the features."""
        with torch.no_grad():
            features = self._features(xyz, None)
            return self._inside(decoder.look(features, xyz, self.weights, self.config.decoder), xyz), features

    def query(self, xyz: Tensor, known: Tensor | None, directions: Tensor, samples: Marched) -> tuple[Tensor, Tensor]:
        """See `volumetric.Medium`."""
        features = self._features(xyz, known)
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
        return [{"name": "table", "params": [self.table], "lr": self.config.lr_table, "sparse": True}, *network]

    def state(self) -> dict[str, Tensor]:
        """See `contract.Field`."""
        return {"table": self.table, _OCCUPANCY: self.values, _PROGRESS: self.progress, **self.weights}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> None:
        """Note the `progress` [] of the fit in [0, 1], and look every few steps which cells hold anything."""
        self.progress = stats[_PROGRESS].detach().cpu()
        settings = self.config.occupancy
        if self.config.sampling.kind == "occupancy" and step % settings.every == 0:
            self.values = occupancy.update(
                self.values, step, settings, lambda x: self.look(x)[0], self._step_length, bounded=self.bounded
            )
            self.occupied = occupancy.occupied(self.values, settings)

    def active_levels(self) -> int:
        """Levels that take part at the present progress."""
        until = self.config.coarse_to_fine
        share = 1.0 if until <= 0 else min(1.0, float(self.progress) / until)
        return max(1, round(share * self.config.levels)) if share < 1 else self.config.levels

    def _stride(self) -> float:
        left = 1 - min(1.0, float(self.progress) / max(self.config.stride_until, torch.finfo(torch.float32).tiny))
        return 1 + (self.config.first_stride - 1) * left

    def _step_length(self, xyz: Tensor) -> Tensor:
        return volumetric.step_length(xyz, self.config.sampling.step, self.config.sampling.cone)

    def _features(self, xyz: Tensor, known: Tensor | None) -> Tensor:
        at = volumetric.normalised(xyz, bounded=self.bounded)
        return operators.encode(at, self.table, self.layout.coarsest(self.active_levels()), known)

    def _inside(self, density: Tensor, xyz: Tensor) -> Tensor:
        """A bounded field is empty outside of its box."""
        return torch.where((xyz.abs() <= 1).all(-1), density, torch.zeros_like(density)) if self.bounded else density


def resolutions(config: Config) -> list[int]:
    """Cells along a side of every level, in even ratios from `base` to `finest`."""
    growth = (config.finest / config.base) ** (1 / max(config.levels - 1, 1))
    return [round(config.base * growth**level) for level in range(config.levels)]


def create(
    to_user: Similarity,
    config: Config,
    seed: int,
    device: torch.device,
    cameras: Cameras | None = None,
    hull: Hull | None = None,
) -> HashGrid:
    """A field of thin fog, where the given cameras (box frame) look and the object may be."""
    rng = make_generator(seed, "hashgrid")
    layout = operators.levels(resolutions(config), 1 << config.log2_entries)
    tensors = {
        "table": (2 * torch.rand(int(layout.size.sum()), config.features, generator=rng) - 1) * _START,
        _OCCUPANCY: occupancy.start(config.occupancy, bounded=bool(config.bounded), cameras=cameras, hull=hull),
        _PROGRESS: torch.zeros(()),
        **decoder.create(config.decoder, config.features * config.levels, rng),
    }
    return HashGrid({k: v.to(device) for k, v in tensors.items()}, to_user, config)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> HashGrid:
    """The field of a saved state."""
    return HashGrid({k: v.to(device).clone() for k, v in state.items()}, to_user, config)
