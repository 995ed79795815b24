"""What rendered views say of the scene's surface: against true depth, and against one another. The capture's frame and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras, concat
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics import depth as depths
from halfseen.metrics import geometry, reprojection

# Points of each surface that the chamfer distance looks at: its standard error is then about a percent.
POINTS = 10_000
# What the numbers are, for the protocol that carries them.
DEPTH_DEFINITION = "pixels whose true depth is known; ordering: random pairs of them in the wrong order"
CHAMFER_DEFINITION = (
    "mean of both mean distances between points of rendered and of true depth maps, at pixels whose true depth is known, "
    f"at most {POINTS} of each, in the capture's units; relative: over twice the median distance of the true points from their median"
)
REPROJECTION_DEFINITION = (
    "each rendered view moved by its depth into the measured view whose camera is nearest; depths agree within "
    f"{reprojection.TOLERANCE:.0%}; contradicted: the neighbour looks through what the view shows"
)


@dataclass(frozen=True)
class Surface:
    """One rendered view; depths are z, 0 = nothing there, nothing known."""

    camera: Cameras  # a batch of one
    rgb: Tensor  # [H, W, 3]
    depth: Tensor  # [H, W]
    truth: Tensor | None = None  # [H, W]


def depth_errors(surfaces: Sequence[Surface]) -> dict[str, float]:
    """Means over the views whose true depth is known: absolute relative error, share of it that has a depth, wrong order."""
    found, order = [], []
    for s, truth in _known(surfaces):
        depth = s.depth
        if not bool(((depth > 0) & (truth > 0)).any()):
            continue
        found.append(depths.depth_errors(depth, truth))
        order += _ordering_errors(depth, truth)
    if not found:
        return {}
    means = {"depth_abs_rel": fmean(e.abs_rel for e in found), "depth_coverage": fmean(e.coverage for e in found)}
    return means | ({"depth_ordering_error": fmean(order)} if order else {})


def chamfer(surfaces: Sequence[Surface], *, seed: int = 0) -> dict[str, float]:
    """Chamfer distance between the rendered and the true surface, as far as these views show it; nothing where none is known."""
    shown, true = [], []
    for s, known in _known(surfaces):
        camera, depth = s.camera.to(torch.float64), torch.where(known > 0, s.depth, 0.0)
        shown.append(reprojection.surface_points(camera, depth.double()))
        true.append(reprojection.surface_points(camera, known.double()))
    if not any(map(len, shown)):
        return {}
    rendered, truth = (_thinned(torch.cat(parts), seed) for parts in (shown, true))
    found = geometry.chamfer(rendered, truth)
    out = {"chamfer": found.mean, "chamfer_accuracy": found.accuracy, "chamfer_completeness": found.completeness}
    size = 2 * float((truth - truth.median(0).values).norm(dim=-1).median())
    return out | ({"chamfer_relative": found.mean / size} if size > 0 else {})


def agreement(surfaces: Sequence[Surface]) -> dict[str, float]:
    """Reprojection consistency of each view with its nearest neighbour, in the mean over views that overlap."""
    if len(surfaces) < 2:
        return {}
    centres = torch.stack([s.camera.centres[0] for s in surfaces]).double()
    apart = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
    found = []
    for i, j in enumerate(apart.argmin(1).tolist()):
        a, b = surfaces[i], surfaces[j]
        cameras = concat([a.camera, b.camera])
        found.append(reprojection.consistency(cameras, a.rgb.clamp(0, 1), a.depth, b.rgb.clamp(0, 1), b.depth))
    names = ("colour_error", "consistent", "contradicted")
    values = {name: [v for f in found if (v := getattr(f, name)) is not None] for name in names}
    return {f"reprojection_{name}": fmean(v) for name, v in values.items() if v}


def _known(surfaces: Sequence[Surface]) -> list[tuple[Surface, Tensor]]:
    """Views that have a true depth of the picture's size, and that depth."""
    return [(s, s.truth) for s in surfaces if s.truth is not None and s.truth.shape == s.depth.shape]


def _ordering_errors(depth: Tensor, truth: Tensor) -> list[float]:
    """One number, or none where it is not defined: a wall seen from the front has no order."""
    try:
        return [depths.ordering_error(depth, truth)]
    except UserError:
        return []


def _thinned(points: Tensor, seed: int) -> Tensor:
    if len(points) <= POINTS:
        return points
    return points[torch.randperm(len(points), generator=generator(seed, "metrics/chamfer"))[:POINTS]]
