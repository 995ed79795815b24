"""DTU's measure of surfaces (Jensen et al. 2014, as its Python edition computes it), and the culling that neural methods do before it.

Frames and units: everything in DTU's world, millimetres. A mesh is cut to what the object masks allow (`cull`), covered with points
(`cover`), thinned to one point in each ball (`thin`), and compared with the scanned points inside the observed volume (`chamfer`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.common.jit import kernel
from halfseen.common.rng import generator
from halfseen.metrics.geometry import Chamfer, mean_within, nearest_distances

# Points lie this far apart (mm); distances from here on are outliers and leave the means (mm).
SPACING, FURTHEST = 0.2, 20.0
# The bounding box of the observed volume grows by this below (mm) and by twice as much above.
MARGIN = 60.0
# Masks grow by this many pixels at DTU's full size before they cut the mesh: their outlines are drawn tightly.
DILATION = 12
# Cells of the thinning grid are numbered by 64-bit integers.
_MAX_CELLS = 1 << 62


@dataclass(frozen=True)
class Observed:
    """Where a scan was looked at: a voxel mask, its box, and the plane that the object stands on."""

    mask: Tensor  # [X, Y, Z] bool; voxel (0, 0, 0) lies at `low`
    low: Tensor  # [3] mm
    high: Tensor  # [3] mm
    spacing: float  # mm between voxels
    plane: Tensor  # [4]: points with plane . (x, y, z, 1) > 0 are above it


def score(vertices: Tensor, faces: Tensor, truth: Tensor, observed: Observed, *, seed: int = 0) -> Chamfer:
    """The chamfer distance (mm) of a mesh (vertices [N, 3], faces [F, 3]) and scanned points [M, 3]."""
    return chamfer(thin(cover(vertices, faces), seed=seed), truth, observed)


def chamfer(points: Tensor, truth: Tensor, observed: Observed) -> Chamfer:
    """Accuracy over points [N, 3] inside the observed voxels; completeness over scanned points [M, 3] above the plane.

    The latter is measured against all points in the box, also those in voxels that were not observed, as DTU does.
    """
    points, truth = points.double(), truth.double()
    boxed = points[_in_box(points, observed)]
    seen = boxed[_is_observed(boxed, observed)]
    above = truth[(torch.cat([truth, torch.ones_like(truth[:, :1])], -1) @ observed.plane.double()) > 0]
    for what, cloud in (("the mesh in the observed volume", seen), ("the scan above its plane", above)):
        if len(cloud) == 0:
            raise UserError(
                f"there is nothing of {what}",
                got="no points",
                accepted="a mesh in DTU's own frame, in millimetres",
                do="Check the frame of the mesh and the number of the scan.",
            )
    accuracy = mean_within(nearest_distances(seen, truth), FURTHEST)
    completeness = mean_within(nearest_distances(above, boxed), FURTHEST)
    return Chamfer(accuracy, completeness, (accuracy + completeness) / 2, None, None, None)


def cull(
    vertices: Tensor, faces: Tensor, cameras: Cameras, masks: Sequence[Tensor], radius: int = DILATION
) -> tuple[Tensor, Tensor]:
    """The part of a mesh that at least one view has in its frame, and none of these outside its mask [H, W] grown by `radius` px.

    Vertices [N, 3] in the frame of the cameras, faces [F, 3]; faces stay whose vertices all stay.
    """
    allowed, anywhere = (torch.full((len(vertices),), fill) for fill in (True, False))
    for i, mask in enumerate(masks):
        pixels, z = rays.project(cameras[i], vertices.double())
        inside = rays.in_frame(cameras[i], pixels, z)[0]
        x, y = pixels[0][inside].long().unbind(-1)
        allowed[inside] &= dilate(mask, radius)[y, x]
        anywhere |= inside
    keep = allowed & anywhere
    faces = faces[keep[faces].all(-1)]
    place = torch.cumsum(keep.long(), 0) - 1
    return vertices[keep], place[faces]


def dilate(mask: Tensor, radius: int) -> Tensor:
    """A mask [H, W], bool, grown by a disk of `radius` pixels: row by row, as wide as the disk is there."""
    height = mask.shape[0]
    out = torch.zeros_like(mask)
    for dy in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        half = math.isqrt(radius * radius - dy * dy)
        wide = F.max_pool1d(mask.float(), 2 * half + 1, stride=1, padding=half) > 0
        out[max(0, dy) : height + min(0, dy)] |= wide[max(0, -dy) : height - max(0, dy)]
    return out


def cover(vertices: Tensor, faces: Tensor, spacing: float = SPACING) -> Tensor:
    """The vertices and a lattice on every triangle, about one point in each square of `spacing`: [P, 3], float64."""
    corners = vertices.double()[faces.long()]
    side, edge = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    a, b = side.norm(dim=-1), edge.norm(dim=-1)
    area = torch.linalg.cross(side, edge).norm(dim=-1)
    some = area > 0
    corners, side, edge, a, b, area = (t[some] for t in (corners, side, edge, a, b, area))
    # Along slanted sides steps are longer, so that the lattice is as dense as on a right angle.
    step = spacing * (a * b / area).sqrt()
    rows, columns = (a / step).floor().long(), (b / step).floor().long()
    owner = torch.repeat_interleave(torch.arange(len(area)), rows * columns)
    first = torch.cumsum(rows * columns, 0) - rows * columns
    cell = torch.arange(len(owner)) - first[owner]
    u = ((cell // columns[owner]) + 0.5) / rows[owner]
    v = ((cell % columns[owner]) + 0.5) / columns[owner]
    half = u + v < 1
    owner, u, v = owner[half], u[half, None], v[half, None]
    return torch.cat([vertices.double(), corners[owner, 0] + u * side[owner] + v * edge[owner]])


def thin(points: Tensor, radius: float = SPACING, *, seed: int = 0) -> Tensor:
    """Points [N, 3] in random order, each dropped that has an earlier kept one within `radius`."""
    order = torch.randperm(len(points), generator=generator(seed, "metrics/thin"))
    shuffled = np.ascontiguousarray(points.double()[order].numpy())
    if len(shuffled) == 0:
        return points.double()
    cells = np.floor((shuffled - shuffled.min(0)) / radius).astype(np.int64)
    # A border of empty cells all around, so that neighbours of neighbours never wrap into the next row.
    _, across, deep = (int(n) for n in cells.max(0) + 3)
    if int(cells[:, 0].max() + 3) * across * deep > _MAX_CELLS:
        raise UserError(
            "the points reach too far to be thinned",
            got=f"{np.ptp(shuffled, 0).max():.3g} mm",
            accepted="a mesh of one scene in millimetres",
            do="Cull the mesh first.",
        )
    keys = ((cells[:, 0] + 1) * across + cells[:, 1] + 1) * deep + cells[:, 2] + 1
    by_cell = np.argsort(keys, kind="stable")
    unique, starts = np.unique(keys[by_cell], return_index=True)
    kept = np.zeros(len(shuffled), np.bool_)
    _thin(shuffled, keys, by_cell, unique, np.append(starts, len(keys)), across * deep, deep, radius * radius, kept)
    return torch.from_numpy(shuffled[kept])


@kernel()
def _thin(points, keys, by_cell, unique, starts, slab, row, limit, kept):  # type: ignore[no-untyped-def]
    """Greedy thinning: a point stays if no point that stayed lies within the root of `limit`, looked for in the 27 cells around."""
    for i in range(len(points)):
        free = True
        for dx in range(-1, 2):
            for dy in range(-1, 2):
                for dz in range(-1, 2):
                    key = keys[i] + dx * slab + dy * row + dz
                    at = np.searchsorted(unique, key)
                    if not free or at == len(unique) or unique[at] != key:
                        continue
                    for n in range(starts[at], starts[at + 1]):
                        j = by_cell[n]
                        if kept[j]:
                            x, y, z = points[i] - points[j]
                            if x * x + y * y + z * z <= limit:
                                free = False
                                break
        kept[i] = free


def _in_box(points: Tensor, observed: Observed) -> Tensor:
    """Which points [N, 3] lie in the grown box."""
    low, high = observed.low.double() - MARGIN, observed.high.double() + 2 * MARGIN
    return ((points >= low) & (points < high)).all(-1)


def _is_observed(points: Tensor, observed: Observed) -> Tensor:
    """Which points [N, 3] lie in voxels of the mask."""
    cell = ((points - observed.low.double()) / observed.spacing).round().long()
    size = torch.tensor(observed.mask.shape)
    there = ((cell >= 0) & (cell < size)).all(-1)
    x, y, z = cell.clamp(min=torch.zeros(3, dtype=torch.long), max=size - 1).unbind(-1)
    return there & observed.mask[x, y, z].bool()
