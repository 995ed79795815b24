"""From features to density and colour: the small networks that hash grids and triplanes share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.fields import harmonics, operators
from halfseen.fields.operators import Marched, Networks

# Largest argument of the exponential density.
_MOST_LOG_DENSITY = 15.0
# Hidden layers of colour that the compiled networks have.
_COMPILED_LAYERS = 2


@dataclass(frozen=True)
class Config:
    """Widths (Instant-NGP: 64, 15, two layers of 64, degree 4; DiffusioNeRF: 64, 15, three of 128; SparseFusion: no directions)."""

    hidden: int = 32
    geometry: int = 15
    colour_hidden: int = 32
    colour_layers: int = 2
    # Bands of spherical harmonics that colour may depend on; 0 for none.
    degree: int = 3
    # density = exp(h - shift) (torch-ngp), or softplus(h - shift) (NerfDiff: 1): how thin the fog is that a fit starts with.
    activation: Literal["exp", "softplus"] = "exp"
    shift: float = -1.0
    # A blob of density around the box's centre at the start, exp(h + blob exp(-|x|^2 / (2 radius^2))) (SparseFusion: 5, 0.2 of 4).
    blob: float = 0.0
    blob_radius: float = 0.2

    def __post_init__(self) -> None:
        within("decoder.hidden", self.hidden, 1, 4096)
        within("decoder.geometry", self.geometry, 1, 1024)
        within("decoder.colour_hidden", self.colour_hidden, 1, 4096)
        within("decoder.colour_layers", self.colour_layers, 1, 8)
        within("decoder.degree", self.degree, 0, harmonics.MAX_DEGREE)


def create(config: Config, features: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights without biases, uniform as for ReLU (He)."""
    into = config.geometry + config.degree**2
    shapes = {"density.0": (config.hidden, features), "density.1": (1 + config.geometry, config.hidden)}
    for k in range(config.colour_layers):
        shapes[f"colour.{k}"] = (config.colour_hidden, into if k == 0 else config.colour_hidden)
    shapes[f"colour.{config.colour_layers}"] = (3, config.colour_hidden)
    return {
        name: (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(6 / shape[1])
        if not name.endswith(f"colour.{config.colour_layers}")
        else (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(1 / shape[1])
        for name, shape in shapes.items()
    }


def look(features: Tensor, xyz: Tensor, weights: dict[str, Tensor], config: Config) -> Tensor:
    """Density [S] of features [S, C] at box points [S, 3], without gradients."""
    with torch.no_grad():
        if operators.compiled(features) and features.dtype == weights["density.0"].dtype:
            return operators.look(features, _first(features, weights), _offset(xyz, config), config.activation)
        # The row of density alone.
        alone = {**weights, "density.1": weights["density.1"][:1]}
        return _density(features, xyz, alone, config)[0]


def decode(
    features: Tensor, xyz: Tensor, directions: Tensor, samples: Marched, weights: dict[str, Tensor], config: Config
) -> tuple[Tensor, Tensor]:
    """(density [S], colour [S, 3]) of packed samples with features [S, C], on rays with unit directions [P, 3]."""
    basis = harmonics.basis(directions, config.degree)
    if _compiled(features, config):
        return operators.decode(features, basis, samples, _networks(features, weights), _offset(xyz, config))
    return slow(features, xyz, basis, samples.ray, weights, config)


def slow(
    features: Tensor, xyz: Tensor, basis: Tensor, ray: Tensor, weights: dict[str, Tensor], config: Config
) -> tuple[Tensor, Tensor]:
    """The twin of the compiled networks, for any number of layers."""
    density, hidden = _density(features, xyz, weights, config)
    out = F.linear(torch.cat([hidden, basis[ray]], -1), weights["colour.0"])
    for k in range(1, config.colour_layers + 1):
        out = F.linear(F.relu(out), weights[f"colour.{k}"])
    return density, torch.sigmoid(out)


def _density(features: Tensor, xyz: Tensor, weights: dict[str, Tensor], config: Config) -> tuple[Tensor, Tensor]:
    first = weights["density.0"][:, : features.shape[1]]
    out = F.linear(F.relu(F.linear(features, first)), weights["density.1"])
    log = out[:, 0] + _offset(xyz, config)
    return trunc_exp(log) if config.activation == "exp" else F.softplus(log), out[:, 1:]


def _offset(xyz: Tensor, config: Config) -> Tensor:
    """What is added to the logarithm of density: [1], or [S] with a blob."""
    base = xyz.new_full((1,), -config.shift)
    if not config.blob:
        return base
    return (base + config.blob * torch.exp(-(xyz**2).sum(-1) / (2 * config.blob_radius**2))).contiguous()


def _compiled(features: Tensor, config: Config) -> bool:
    """The kernels of colour know exponential density and two hidden layers, on the CPU."""
    known = config.colour_layers == _COMPILED_LAYERS and config.activation == "exp"
    return known and operators.compiled(features)


def _networks(features: Tensor, weights: dict[str, Tensor]) -> Networks:
    return Networks(_first(features, weights), (weights["colour.0"], weights["colour.1"], weights["colour.2"]))


def _first(features: Tensor, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weights of the density. Levels that do not take part yet have no features; theirs wait."""
    return weights["density.0"][:, : features.shape[1]], weights["density.1"]


class _TruncExp(torch.autograd.Function):
    """exp with a bounded argument; its gradient is its value, so that one ray cannot throw the field away."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = torch.exp(x.clamp(max=_MOST_LOG_DENSITY))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        product: Tensor = grad * out
        return product


def trunc_exp(x: Tensor) -> Tensor:
    """exp(min(x, 15)), with its own value for a gradient (torch-ngp)."""
    out: Tensor = _TruncExp.apply(x)
    return out
