"""A mesh of any field: its depth, rendered from many sides, fused into signed distances on a grid, and the surface between.

Vertices carry the colour that the field shows there and how many photos saw them. What no camera looked at is left open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.export import marching
from halfseen.fields import seen
from halfseen.fields.contract import Field
from halfseen.fields.seen import Witness
from halfseen.images import resize
from halfseen.worlds.mesh import smooth_normals

# Half width of the space that is meshed in box units, and cells along a side.
_HALF, SIDE = 1.25, 128
# Distances count up to so many cells; views whose weight is less than this leave a cell unknown.
_TRUNCATE, _LEAST_WEIGHT = 4.0, 1.0
# A pixel less opaque than this has no depth.
_OPAQUE = 0.5
# A depth next to one that differs by this share belongs to two surfaces, and says nothing.
_JUMP = 0.06
# Cells looked at together; bounds memory.
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in the user's frame."""

    xyz: NDArray[np.float64]  # [N, 3]
    faces: NDArray[np.int64]  # [M, 3]
    rgb: NDArray[np.uint8]  # [N, 3] sRGB
    seen: NDArray[np.uint8]  # [N] photos that see each, 2 for two or more


@dataclass
class _Volume:
    """Running means on the grid."""

    distance: Tensor  # [S^3]
    weight: Tensor  # [S^3]
    rgb: Tensor  # [S^3, 3]
    painted: Tensor  # [S^3] views that gave a colour


def of(field: Field, around: Cameras, witness: Witness, side: int = SIDE) -> Mesh:
    """Mesh a field from views `around` it and from its photos' cameras, all in the box frame; `witness` also says what they saw."""
    captured = witness.cameras
    grid = _places(side)
    volume = _Volume(torch.zeros(len(grid)), torch.zeros(len(grid)), torch.zeros(len(grid), 3), torch.zeros(len(grid)))
    cell = 2 * _HALF / (side - 1)
    for camera in (*_each(captured), *_each(around)):
        _fuse(volume, field, camera, grid, cell)
    known = volume.weight >= _LEAST_WEIGHT
    values = torch.where(known, volume.distance, torch.nan).reshape(side, side, side)
    vertices, faces = marching.surface(values.double().numpy())
    xyz = torch.from_numpy(vertices) * cell - _HALF
    rgb = _interpolated(volume.rgb.reshape(side, side, side, 3), torch.from_numpy(vertices))
    # Depth alone cannot tell the sides of a thin board apart; a face is seen from the side that it looks to.
    outwards = torch.from_numpy(smooth_normals(xyz.numpy(), faces)).float()
    counts = seen.count_views(witness, xyz.float(), outwards).clamp(max=2)
    bytes_ = (rgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    return Mesh(field.to_user.points(xyz).numpy(), faces, bytes_, counts.to(torch.uint8).numpy())


def _places(side: int) -> Tensor:
    axis = torch.linspace(-_HALF, _HALF, side)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def _each(cameras: Cameras) -> Iterator[Cameras]:
    return (cameras[i] for i in range(len(cameras)))


def _fuse(volume: _Volume, field: Field, camera: Cameras, grid: Tensor, cell: float) -> None:
    """Add what one view says of every cell that it sees and that is not hidden (Curless and Levoy 1996)."""
    with torch.no_grad():
        picture = field.render(camera, background=(0.0, 0.0, 0.0))
    sure = _sure(picture.depth.cpu(), picture.alpha.cpu())
    empty = picture.alpha.cpu() < _OPAQUE
    # Colours without the black behind them.
    colour = picture.rgb.cpu() / picture.alpha.cpu().clamp_min(_OPAQUE)[..., None]
    channels = torch.cat(
        [picture.depth.cpu()[..., None], sure[..., None].float(), empty[..., None].float(), colour], -1
    )
    for rows in torch.arange(len(grid)).split(_CHUNK):
        pixels, z = rays.project(camera, grid[rows])
        found = resize.sample(channels, pixels.to(channels), mode="nearest")[0]
        inside = rays.in_frame(camera, pixels, z)[0]
        signed = (found[:, 0] - z[0].to(found)) / (_TRUNCATE * cell)
        through = inside & (found[:, 2] > 0)
        met = inside & (found[:, 1] > 0) & (signed >= -1)
        value = torch.where(through, 1.0, signed.clamp(max=1))
        counts = (through | met).float()
        total = volume.weight[rows] + counts
        share = counts / total.clamp_min(1)
        volume.distance[rows] += share * (value - volume.distance[rows])
        tint = (met & (signed.abs() < 1)).float()
        volume.painted[rows] += tint
        tint = tint / volume.painted[rows].clamp_min(1)
        volume.rgb[rows] += tint[:, None] * (found[:, 3:] - volume.rgb[rows])
        volume.weight[rows] = total


def _sure(depth: Tensor, alpha: Tensor) -> Tensor:
    """Pixels [H, W] whose depth is of one surface."""
    jump = torch.zeros_like(alpha, dtype=torch.bool)
    for axis in (0, 1):
        step = depth.diff(dim=axis).abs() > _JUMP * depth.narrow(axis, 1, depth.shape[axis] - 1)
        jump.narrow(axis, 0, depth.shape[axis] - 1).logical_or_(step)
        jump.narrow(axis, 1, depth.shape[axis] - 1).logical_or_(step)
    return (alpha >= _OPAQUE) & ~jump


def _interpolated(values: Tensor, at: Tensor) -> Tensor:
    """Values [X, Y, Z, C] between grid points, at places [N, 3] in grid units."""
    low = at.floor().long().clamp(min=torch.zeros(3, dtype=torch.long), max=torch.tensor(values.shape[:3]) - 2)
    share = (at - low).to(values)
    out = torch.zeros(len(at), values.shape[3])
    for k in range(8):
        step = torch.tensor([k & 1, k >> 1 & 1, k >> 2 & 1])
        corner = low + step
        weight = torch.where(step.bool(), share, 1 - share).prod(-1)
        out += weight[:, None] * values[corner[:, 0], corner[:, 1], corner[:, 2]]
    return out
