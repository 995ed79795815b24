"""The terms of a photometric fit, each a function of a rendering of loose rays. All are means over rays."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.fields import operators
from halfseen.fields.contract import Rendering

# Opacity below which a ray has no depth to speak of.
_LEAST_ALPHA = 0.1
_TINY = 1e-6
# A ray that meets nothing has no depth to divide by; its spread is nothing too (box units).
_LEAST_DEPTH = 0.05


def photometric(rendering: Rendering, rgb: Tensor) -> Tensor:
    """Mean squared error of colours [P, 3] in sRGB."""
    return ((rendering.rgb - rgb) ** 2).mean()


def distortion(rendering: Rendering, floor: float = 0.0, held: Tensor | None = None) -> Tensor:
    """Spread of a ray's weights over its depth: sum_ij w_i w_j |t_i - t_j| + 1/3 sum w_i^2 delta_i, in shares of its mean depth.

    Rays less spread than `floor` count as not spread at all, and so do those that are not `held` [P] (none given: all are).
    """
    assert rendering.samples is not None
    weights, where = rendering.samples.weights, rendering.samples.where
    spread = operators.distortion(weights, where) / rendering.mean_depth.detach().clamp_min(_LEAST_DEPTH)
    spread = spread if held is None else torch.where(held, spread, 0.0)
    return torch.where(spread.detach() < floor, 0.0, spread).mean()


def opacity(rendering: Rendering) -> Tensor:
    """(1 - alpha)^2: a ray of a scene ends somewhere."""
    return ((1 - rendering.alpha) ** 2).mean()


def mask(rendering: Rendering, wanted: Tensor) -> Tensor:
    """Squared error of opacity against an object mask [P]."""
    return ((rendering.alpha - wanted) ** 2).mean()


def near(rendering: Rendering, limits: Tensor) -> Tensor:
    """Opacity nearer than the distances `limits` [P] along each ray (FreeNeRF, equation 8, with a limit that is measured)."""
    assert rendering.samples is not None
    weights, where = rendering.samples.weights, rendering.samples.where
    return torch.where(where.t < limits[where.ray], weights, 0.0).sum() / len(limits)


def depth(rendering: Rendering, known: Tensor, confidence: Tensor) -> Tensor:
    """|depth / known - 1| where a depth [P] is known (above 0), weighted by its confidence [P]."""
    trusted = (known > 0) & (rendering.alpha.detach() > _LEAST_ALPHA)
    error = (rendering.mean_depth / known.clamp_min(_TINY) - 1).abs().clamp(max=1)
    return torch.where(trusted, confidence * error, 0.0).sum() / max(len(known), 1)
