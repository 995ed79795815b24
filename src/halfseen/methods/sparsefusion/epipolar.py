"""Samples along the rays of a query camera, and what photos show of them (sections 1 and 2.2 of the specification).

Everything is in the query camera's own frame: x right, y down, z forward, lengths as the caller has them. Letters: B queries with K
photos each, R rays, D depths.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Nearer than this, in units of the nearest sample, nothing is projected.
_IN_FRONT = 1e-3


@dataclass(frozen=True)
class Query:
    """Cameras that are asked for, and the photos that are there for each."""

    intrinsics: Tensor  # [B, 4] fx, fy, cx, cy of the query, in pictures' sides (a picture is 1 wide and 1 high)
    photo_to_query: Tensor  # [B, K, 4, 4] camera-to-query of the photos
    photo_intrinsics: Tensor  # [B, K, 4] in their sides
    near_far: Tensor  # [B, 2] z-depths of the first and the last sample
    middle: Tensor  # [B, 3] of the object

    @property
    def query_to_photo(self) -> Tensor:
        """Of each photo [B, K, 4, 4]."""
        rotation = self.photo_to_query[..., :3, :3].transpose(-1, -2)
        out = torch.zeros_like(self.photo_to_query)
        out[..., :3, :3], out[..., 3, 3] = rotation, 1
        out[..., :3, 3] = -(rotation @ self.photo_to_query[..., :3, 3:])[..., 0]
        return out


@dataclass(frozen=True)
class Samples:
    """Samples of all rays, and where they fall."""

    directions: Tensor  # [B, R, 3] unit, of the query's rays; all begin at 0
    depth: Tensor  # [B, R, D] z; [B, 1, D] where it is the same on all rays
    xyz: Tensor  # [B, R, D, 3]
    at: Tensor  # [B, K, R, D, 2] in the photos, [-1, 1] across
    before: Tensor  # [B, K, R, D] whether they are before the photo's camera
    shown: Tensor  # [B, K, R, D] whether the photo's frame holds them


def samples(query: Query, height: int, width: int, depths: int) -> Samples:
    """`depths` samples at even z-depths, both ends included, on the rays through the centres of height x width cells. In full precision
    whatever is around: half precision would move them by up to a pixel."""
    share = torch.linspace(0, 1, depths, device=query.near_far.device).to(query.near_far)
    near, far = query.near_far[:, :1], query.near_far[:, 1:]
    return at_depths(query, height, width, (near + (far - near) * share)[:, None])


def at_depths(query: Query, height: int, width: int, depth: Tensor) -> Samples:
    """Samples at z-depths [B, R, D], or [B, 1, D] for all rays."""
    with torch.autocast(query.intrinsics.device.type, enabled=False):
        return _at_depths(query, height, width, depth)


def _at_depths(query: Query, height: int, width: int, depth: Tensor) -> Samples:
    like = query.intrinsics
    y, x = ((torch.arange(n, device=like.device) + 0.5) / n for n in (height, width))
    cells = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], -1).reshape(-1, 2).to(like)
    fx_fy, centre = query.intrinsics[:, None, :2], query.intrinsics[:, None, 2:]
    slope = (cells - centre) / fx_fy
    forward = torch.cat([slope, torch.ones_like(slope[..., :1])], -1)
    xyz = forward[:, :, None] * depth[..., None]
    at, z = _project(query, xyz)
    before = z > _IN_FRONT * query.near_far[:, :1, None, None]
    shown = before & (at.abs() <= 1).all(-1)
    return Samples(F.normalize(forward, dim=-1), depth, xyz, at, before, shown)


def _project(query: Query, xyz: Tensor) -> tuple[Tensor, Tensor]:
    """Points [B, R, D, 3] in every photo: [B, K, R, D, 2] in [-1, 1] across, and z-depths."""
    to_photo = query.query_to_photo
    rotation, shift = to_photo[..., :3, :3], to_photo[..., :3, 3]
    local = torch.einsum("bkij,brdj->bkrdi", rotation, xyz) + shift[:, :, None, None]
    z = local[..., 2]
    safe = torch.where(z.abs() < _IN_FRONT, torch.full_like(z, _IN_FRONT), z)
    focal, centre = (query.photo_intrinsics[:, :, None, None, s] for s in (slice(0, 2), slice(2, 4)))
    return 2 * (local[..., :2] / safe[..., None] * focal + centre) - 1, z


def found(maps: Tensor, where: Samples) -> Tensor:
    """What maps [B, K, C, h, w] of the photos hold at samples: [B, K, R, D, C]; nothing behind a photo's camera."""
    batch, photos = maps.shape[:2]
    grid = where.at.flatten(0, 1)
    sampled = F.grid_sample(maps.flatten(0, 1).float(), grid, align_corners=False, padding_mode="border").to(maps)
    out = sampled.movedim(1, -1).unflatten(0, (batch, photos))
    return out * where.before[..., None]


def query_lines(where: Samples) -> Tensor:
    """Plücker coordinates (d, o x d) of the query's rays [B, R, 6]; their moment is 0, for the query is the origin."""
    return torch.cat([where.directions, torch.zeros_like(where.directions)], -1)


def photo_lines(query: Query, xyz: Tensor) -> Tensor:
    """Plücker coordinates [B, K, ..., 6] of the rays from the photos' cameras to points [B, ..., 3]."""
    eye = query.photo_to_query[..., :3, 3]
    eye = eye.reshape(*eye.shape[:2], *([1] * (xyz.dim() - 2)), 3)
    direction = F.normalize(xyz[:, None] - eye, dim=-1)
    return torch.cat([direction, torch.linalg.cross(eye.expand_as(direction), direction)], -1)


def waves(x: Tensor, octaves: int) -> Tensor:
    """(sin, cos of x times 1, 2, 4, ..., and x) of the last axis: n numbers become n (2 octaves + 1)."""
    scaled = x[..., None] * 2.0 ** torch.arange(octaves, device=x.device).to(x)
    return torch.cat([scaled.sin().flatten(-2), scaled.cos().flatten(-2), x], -1)
