"""Distances between surfaces: exact nearest neighbours, chamfer distance, F-score, points spread over a mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from halfseen.common.errors import UserError
from halfseen.common.jit import kernel
from halfseen.common.rng import generator
from halfseen.metrics.inputs import check_finite


@dataclass(frozen=True)
class Chamfer:
    """Distances between points of a reconstruction and of the truth, in their common unit."""

    accuracy: float  # mean distance from the reconstruction to the truth
    completeness: float  # mean distance from the truth to the reconstruction
    mean: float  # (accuracy + completeness) / 2, the chamfer distance that DTU prints
    precision: float | None  # share of the reconstruction within the threshold of the truth
    recall: float | None  # share of the truth within the threshold of the reconstruction
    f_score: float | None  # harmonic mean of both


def chamfer(points: Tensor, truth: Tensor, *, threshold: float | None = None, furthest: float | None = None) -> Chamfer:
    """Chamfer distance of point sets [N, 3] and [M, 3]; shares need a `threshold`.

    Distances of at least `furthest` leave the means, as DTU's 20 mm do; they stay in precision and recall.
    """
    there, back = nearest_distances(points, truth), nearest_distances(truth, points)
    accuracy, completeness = mean_within(there, furthest), mean_within(back, furthest)
    precision = recall = f_score = None
    if threshold is not None:
        precision, recall = (float((d <= threshold).double().mean()) for d in (there, back))
        f_score = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    return Chamfer(accuracy, completeness, (accuracy + completeness) / 2, precision, recall, f_score)


def nearest_distances(points: Tensor, others: Tensor) -> Tensor:
    """Euclidean distance [N] from each of `points` [N, 3] to the nearest of `others` [M, 3], exact, in float64."""
    for cloud in (points, others):
        _check_points(cloud)
    a, b = (c.detach().cpu().double().numpy() for c in (points, others))
    # Sorted along the longest side, the search can stop early most often.
    axis = int(np.argmax(b.max(0) - b.min(0)))
    b = np.ascontiguousarray(b[np.argsort(b[:, axis], kind="stable")])
    out = np.empty(len(a))
    _sweep(np.ascontiguousarray(a), b, axis, out)
    return torch.from_numpy(out)


def sample_mesh(vertices: Tensor, faces: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """`count` points [count, 3] spread over a mesh (vertices [N, 3], faces [F, 3]), evenly by area, float64."""
    _check_points(vertices)
    corners = vertices.detach().cpu().double()[faces.detach().cpu().long()]
    edge, side = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = torch.linalg.cross(edge, side).norm(dim=-1)
    total = torch.cumsum(area, 0)
    if len(total) == 0 or float(total[-1]) <= 0:
        raise UserError(
            "the mesh has no surface to sample",
            got=f"{len(total)} triangles of area 0",
            accepted="a mesh with at least one triangle of some area",
            do="Check the mesh.",
        )
    u = torch.rand(count, 3, generator=generator(seed, "metrics/mesh"), dtype=torch.float64)
    # From the right, so that triangles of no area are never hit; rounding may reach beyond the last one.
    face = torch.searchsorted(total, u[:, 0] * total[-1], right=True)
    face = face.clamp(max=int(torch.nonzero(area)[-1]))
    # The square root makes the points even: the triangle grows linearly with the distance from its corner.
    root = u[:, 1:2].sqrt()
    return corners[face, 0] + root * (1 - u[:, 2:3]) * edge[face] + root * u[:, 2:3] * side[face]


@kernel()
def _sweep(points, others, axis, out):  # type: ignore[no-untyped-def]
    """Nearest distances: from each point's place in the sorted `others`, walk both ways until `axis` alone is too far."""
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        key = points[i, axis]
        low, high = 0, len(others)
        while low < high:
            middle = (low + high) // 2
            if others[middle, axis] < key:
                low = middle + 1
            else:
                high = middle
        best = np.inf
        for step in (1, -1):
            j = low if step == 1 else low - 1
            while 0 <= j < len(others) and (others[j, axis] - key) ** 2 < best:
                distance = (others[j, 0] - x) ** 2 + (others[j, 1] - y) ** 2 + (others[j, 2] - z) ** 2
                best = min(best, distance)
                j += step
        out[i] = np.sqrt(best)


def mean_within(distances: Tensor, furthest: float | None) -> float:
    """Mean of the distances [N] below `furthest`; all of them without one."""
    kept = distances if furthest is None else distances[distances < furthest]
    if len(kept) == 0:
        raise UserError(
            "no point is near the other surface",
            got=f"{len(distances)} distances of {furthest} or more",
            accepted="surfaces that come closer than that",
            do="Check that both are in one frame and unit.",
        )
    return float(kept.mean())


def _check_points(points: Tensor) -> None:
    if points.dim() != 2 or points.shape[-1] != 3 or len(points) == 0:
        raise UserError(
            "these are not points",
            got=f"shape {tuple(points.shape)}",
            accepted="at least one point, [N, 3]",
            do="Check what was exported.",
        )
    check_finite(points, what="the distance of surfaces")
