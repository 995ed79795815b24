"""The nearest photo's colours, brought to a query by the depth that the epipolar transformer found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.methods.sparsefusion.epipolar import Query

# Before a photo's camera, in the query's lengths.
_IN_FRONT = 1e-3


def nearest(query: Query) -> Tensor:
    """Of each query [B] the photo whose camera is nearest to it."""
    return query.photo_to_query[..., :3, 3].norm(dim=-1).argmin(1)


def lent(photos: Tensor, query: Query, depth: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(colours [B, 3, size, size] of the nearest of photos [B, K, 3, H, W], where it shows something [B, 1, size, size]) by depths
    [B, h, w] of the query."""
    with torch.autocast(photos.device.type, enabled=False):
        return _lent(photos.float(), query, depth.float(), size)


def _lent(photos: Tensor, query: Query, depth: Tensor, size: int) -> tuple[Tensor, Tensor]:
    pick, row = nearest(query), torch.arange(len(photos), device=photos.device)
    z = F.interpolate(depth[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
    at = (torch.arange(size, device=z.device) + 0.5) / size
    cells = torch.stack([at.expand(size, -1), at[:, None].expand(-1, size)], -1).to(z)
    fx_fy, centre = query.intrinsics[:, None, None, :2], query.intrinsics[:, None, None, 2:]
    forward = torch.cat([(cells - centre) / fx_fy, torch.ones_like(z)[..., None]], -1)
    there = query.query_to_photo[row, pick]
    local = torch.einsum("bij,bhwj->bhwi", there[:, :3, :3], forward * z[..., None]) + there[:, None, None, :3, 3]
    before = local[..., 2] > _IN_FRONT
    focal, middle = (query.photo_intrinsics[row, pick][:, None, None, s] for s in (slice(0, 2), slice(2, 4)))
    found = local[..., :2] / local[..., 2:].clamp_min(_IN_FRONT) * focal + middle
    inside = before & ((found > 0) & (found < 1)).all(-1)
    colours = F.grid_sample(photos[row, pick], 2 * found - 1, align_corners=False, padding_mode="border")
    return colours * inside[:, None], inside[:, None].to(colours)
