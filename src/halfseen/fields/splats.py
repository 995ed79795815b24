"""Gaussians on a picture as differentiable torch functions: projected, sorted into tiles, blended. Kernels on the CPU, twins elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.fields import operators, volume
from halfseen.fields.contract import Window
from halfseen.fields.kernels import splat_project, splat_raster, splat_tiles
from halfseen.fields.kernels.splat_raster import LANES, ROWS, TILE
from halfseen.fields.reference import splats as twins

# Beyond the picture by this share of its half width, the projection is no longer linearised where a Gaussian is.
_BEYOND = 0.3
# Pixels along a side of the blocks that groups are cut from.
_BLOCK = 4


@dataclass(frozen=True)
class Layout:
    """P pixels in groups of LANES, tile after tile of a grid of `across` x `down` tiles whose corner is (left, top)."""

    xy: Tensor  # [P, 2]
    px: Tensor  # [Q, LANES]
    py: Tensor  # [Q, LANES]
    index: Tensor  # [Q, LANES] which pixel each lane is, -1 for none
    box: Tensor  # [Q, 4] x0, y0, x1, y1 of the group's pixels
    first: Tensor  # [T + 1] first group of each tile
    left: float
    top: float
    across: int
    down: int


@dataclass(frozen=True)
class Lists:
    """For each tile the Gaussians that reach it, near to far: L entries."""

    begin: Tensor  # [T + 1]
    listed: Tensor  # [L]
    slot: Tensor  # [L] place of the pair when pairs are sorted by Gaussian
    start: Tensor  # [N + 1] first pair of each Gaussian


@dataclass(frozen=True)
class Projected:
    """N Gaussians on a camera's plane."""

    mean: Tensor  # [N, 2] pixels
    conic: Tensor  # [N, 3]
    reach: Tensor  # [N, 2] half extents in pixels; 0 where not in sight
    features: Tensor  # [N, 4] colour and z-depth


@lru_cache(maxsize=64)
def grid(window: Window) -> Layout:
    """The pixel centres of a window (left, top, width, height), row by row."""
    left, top, width, height = window
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return loose(torch.stack([x + left, y + top], -1).reshape(-1, 2).float() + 0.5)


def loose(xy: Tensor) -> Layout:
    """Any pixel positions [P, 2]."""
    xy = xy.detach().float().cpu().contiguous()
    corner = (xy.amin(0) / TILE).floor()
    tiles = ((xy.amax(0) / TILE).floor() - corner + 1).long()
    across, down = int(tiles[0]), int(tiles[1])
    at = (xy / TILE).floor() - corner
    tile = (at[:, 1] * across + at[:, 0]).long()
    inside = (xy - (at + corner) * TILE).floor().long() // _BLOCK
    block = inside[:, 1] * (TILE // _BLOCK) + inside[:, 0]
    order = torch.argsort(tile * (TILE * TILE) + block, stable=True)
    counts = torch.bincount(tile, minlength=across * down)
    groups = (counts + LANES - 1) // LANES
    first = torch.cat([groups.new_zeros(1), groups.cumsum(0)])
    # Where each pixel goes: its tile's first group, and its place among the pixels of the tile.
    place = torch.arange(len(xy)) - (counts.cumsum(0) - counts)[tile[order]]
    index = torch.full((int(first[-1]) * LANES,), -1)
    index[first[tile[order]] * LANES + place] = order
    index = index.reshape(-1, LANES)
    known = xy[torch.where(index >= 0, index, index[:, :1])]
    box = torch.cat([known.amin(1), known.amax(1)], -1)
    px, py = (known[..., k].contiguous() for k in (0, 1))
    left, top = (corner * TILE).tolist()
    return Layout(xy, px, py, index, box, first, left, top, across, down)


def project(
    xyz: Tensor, scale: Tensor, turn: Tensor, opacity: Tensor, sh: Tensor, camera: Cameras, bands: int
) -> Projected:
    """N Gaussians (see `kernels/splat_project.py`) as one camera sees them; `opacity` [N] decides how far each reaches."""
    camera = camera.to(xyz)
    world = torch.linalg.inv(camera.c2w[0].double())[:3].to(xyz).contiguous()
    lens = camera.intrinsics[0].contiguous()
    width, height = camera.size()
    low = -(1 + _BEYOND) * lens[2:] / lens[:2]
    high = (1 + _BEYOND) * (lens.new_tensor([width, height]) - lens[2:]) / lens[:2]
    limit = torch.stack([low[0], high[0], low[1], high[1]])
    near = float(volume.reach(camera.centres.norm(dim=-1), bounded=False)[0])
    if not operators.compiled(xyz):
        return Projected(*twins.project(xyz, scale, turn, opacity, sh, bands, world, lens, limit, near))
    return Projected(*_Project.apply(xyz, scale, turn, opacity.detach(), sh, bands, world, lens, limit, near))


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        xyz, scale, turn, opacity, sh, bands, world, lens, limit, near = given
        count = len(xyz)
        mean, conic, reach, features = (xyz.new_zeros(count, k) for k in (2, 3, 2, 4))
        inputs = [operators.as_array(t) for t in (xyz, scale, turn, opacity, sh)]
        numbers = (
            bands,
            operators.as_array(world),
            operators.as_array(lens),
            operators.as_array(limit),
            xyz.numpy().dtype.type(near),
        )
        splat_project.forward(*inputs, *numbers, *(t.numpy() for t in (mean, conic, reach, features)))
        ctx.save_for_backward(xyz, scale, turn, sh, world, lens, limit, reach, conic, features)
        ctx.bands = bands
        ctx.mark_non_differentiable(reach)
        return mean, conic, reach, features

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        xyz, scale, turn, sh, world, lens, limit, reach, conic, features = ctx.saved_tensors
        g_mean, g_conic, _, g_features = grads
        out = [torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (xyz, scale, turn, sh)]
        splat_project.backward(
            *(operators.as_array(t) for t in (xyz, scale, turn, sh)), ctx.bands, *(operators.as_array(t) for t in (world, lens, limit)),
            *(operators.as_array(t) for t in (reach, conic, features, g_mean, g_conic, g_features)), *(t.numpy() for t in out),
        )  # fmt: skip
        g_xyz, g_scale, g_turn, g_sh = out
        return g_xyz, g_scale, g_turn, None, g_sh, None, None, None, None, None


def lists(projected: Projected, layout: Layout) -> Lists:
    """Sort the Gaussians into the tiles that they reach. Ties of depth are broken by number."""
    mean, reach = operators.as_array(projected.mean.detach().cpu()), operators.as_array(projected.reach.detach().cpu())
    depth = operators.as_array(projected.features[:, -1].detach().cpu().float()).view(np.uint32).astype(np.uint64)
    seen = np.flatnonzero(reach[:, 0] > 0)
    # Bits of positive floats sort as the floats do.
    order = (np.sort((depth[seen] << np.uint64(32)) | seen.astype(np.uint64)) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    where = (layout.left, layout.top, layout.across, layout.down)
    pairs = np.zeros(len(mean), np.int64)
    splat_tiles.count(mean, reach, *where, pairs)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(pairs)])
    begin = np.zeros(layout.across * layout.down + 1, np.int64)
    listed, slot = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64)
    splat_tiles.fill(order, mean, reach, start, *where, begin, listed, slot)
    return Lists(*(torch.from_numpy(a) for a in (begin, listed, slot, start)))


def blend(projected: Projected, opacity: Tensor, layout: Layout, sorted_: Lists | None = None) -> tuple[Tensor, ...]:
    """(out [P, 4], alpha [P], depth [P] at which half of the light is gone) at the pixels of a layout."""
    found = sorted_ or lists(projected, layout)
    if not operators.compiled(opacity):
        return twins.blend(projected, opacity, layout, found)
    out: tuple[Tensor, ...] = _Blend.apply(projected.mean, projected.conic, projected.reach, opacity, projected.features, layout, found)  # fmt: skip
    return out


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, ...]:
        mean, conic, reach, opacity, features, layout, found = given
        count = len(layout.xy)
        out, alpha, median = features.new_empty(count, features.shape[1]), mean.new_empty(count), mean.new_empty(count)
        splat_raster.forward(
            *_pixels(layout, mean), found.begin.numpy(), found.listed.numpy(),
            *(operators.as_array(t) for t in (mean, conic, reach, opacity, features)), *(t.numpy() for t in (out, alpha, median)),
        )  # fmt: skip
        ctx.save_for_backward(mean, conic, reach, opacity, features)
        ctx.layout, ctx.found = layout, found
        ctx.mark_non_differentiable(median)
        return out, alpha, median

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        mean, conic, reach, opacity, features = ctx.saved_tensors
        found = ctx.found
        pairs = mean.new_empty(len(found.listed), ROWS)
        splat_raster.backward(
            *_pixels(ctx.layout, mean), *(t.numpy() for t in (found.begin, found.listed, found.slot)),
            *(operators.as_array(t) for t in (mean, conic, reach, opacity, features, grads[0], grads[1])), pairs.numpy(),
        )  # fmt: skip
        out = [torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (mean, conic, opacity, features)]
        splat_raster.gather(pairs.numpy(), found.start.numpy(), *(t.numpy() for t in out))
        g_mean, g_conic, g_opacity, g_features = out
        return g_mean, g_conic, None, g_opacity, g_features, None, None


def _pixels(layout: Layout, like: Tensor) -> tuple[np.ndarray, ...]:
    px, py, box = (t.to(like.dtype).numpy() for t in (layout.px, layout.py, layout.box))
    return px, py, layout.index.numpy(), box, layout.first.numpy()
