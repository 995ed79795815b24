"""The nearest photo's colours, brought to a query by the depth that the epipolar transformer found."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.methods.sparsefusion import epipolar
from halfseen.methods.sparsefusion.epipolar import Query


def nearest(query: Query) -> Tensor:
    """Of each query [B] the photo whose camera is nearest to it."""
    return query.photo_to_query[..., :3, 3].norm(dim=-1).argmin(1)


def lent(photos: Tensor, query: Query, depth: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(colours [B, 3, size, size] of the nearest of photos [B, K, 3, H, W], where it shows something [B, 1, size, size]) by depths
    [B, h, w] of the query."""
    row, pick = torch.arange(len(photos), device=photos.device), nearest(query)
    z = F.interpolate(depth.float()[:, None], (size, size), mode="bilinear", align_corners=False)
    alone = replace(
        query,
        photo_to_query=query.photo_to_query[row, pick][:, None],
        photo_intrinsics=query.photo_intrinsics[row, pick][:, None],
    )
    where = epipolar.at_depths(alone, size, size, z.flatten(2).transpose(1, 2))
    colours = epipolar.found(photos[row, pick][:, None].float(), where)[:, 0, :, 0]
    shown = where.shown[:, 0, :, 0, None].to(colours)
    found = torch.cat([colours * shown, shown], -1).transpose(1, 2).unflatten(-1, (size, size))
    return found[:, :3], found[:, 3:]
