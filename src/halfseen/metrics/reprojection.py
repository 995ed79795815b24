"""Reprojection consistency: do renderings from two cameras show one and the same scene?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.images.resize import sample
from halfseen.metrics.inputs import check_finite

# Two z-depths agree when they differ by less than this share of the larger distance: about a pixel on a slanted wall.
TOLERANCE = 0.02
# All four neighbours of a position carry a depth when their bilinear mean of ones is at least this.
_ALL_KNOWN = 1 - 1e-4


@dataclass(frozen=True)
class Consistency:
    """How the surface that view A shows looks in view B. Shares are of A's pixels that land on known depth inside B."""

    colour_error: float | None  # mean |colour in A - colour in B| over consistent pixels and channels; None without any
    consistent: float | None  # share whose depth agrees
    hidden: float | None  # share behind B's surface, as occlusion would have it
    contradicted: float | None  # share in front of B's surface: B looks through what A shows
    compared: int  # pixels of A that land on known depth inside B


def consistency(
    cameras: Cameras,
    rgb_a: Tensor,
    depth_a: Tensor,
    rgb_b: Tensor,
    depth_b: Tensor,
    *,
    tolerance: float = TOLERANCE,
) -> Consistency:
    """Move the pixels of view A into view B (cameras 0 and 1) by A's z-depth [H, W] (0 = nothing) and compare there.

    B is read between pixels: colour linearly, depth linearly in 1/z, which is exact on planes.
    """
    _check(cameras, rgb_a, depth_a, rgb_b, depth_b)
    cameras = cameras.to(torch.float64)
    points = surface_points(cameras[0], depth_a.double())
    at, z = rays.project(cameras[1], points)
    colour = rgb_a.double().reshape(-1, 3)[depth_a.reshape(-1) > 0]
    inside = rays.in_frame(cameras[1], at, z)[0]
    at, z, colour = at[0, inside], z[0, inside], colour[inside]

    known = (depth_b > 0).double()
    inverse = torch.where(depth_b > 0, 1 / depth_b.double().clamp_min(torch.finfo(torch.float32).tiny), 0.0)
    layers = torch.cat([rgb_b.double(), inverse[..., None], known[..., None]], -1)
    there = sample(layers, at[None])[0]
    seen = there[:, 4] >= _ALL_KNOWN
    z, colour, there = z[seen], colour[seen], there[seen]
    if len(z) == 0:
        return Consistency(None, None, None, None, 0)

    surface = 1 / there[:, 3]
    slack = tolerance * torch.maximum(z, surface)
    agrees, hidden = (z - surface).abs() <= slack, z - surface > slack
    difference = (colour - there[:, :3]).abs()[agrees]
    return Consistency(
        colour_error=float(difference.mean()) if len(difference) else None,
        consistent=_share(agrees),
        hidden=_share(hidden),
        contradicted=_share(~agrees & ~hidden),
        compared=len(z),
    )


def surface_points(camera: Cameras, depth: Tensor) -> Tensor:
    """World points [N, 3] of the pixels that have z-depth [H, W] (0 = nothing), row by row."""
    z = depth.reshape(-1)
    has, cast = z > 0, rays.cast_all(camera)
    return cast.origins[has] + cast.directions[has] * (z / cast.z_scale)[has, None]


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _check(cameras: Cameras, rgb_a: Tensor, depth_a: Tensor, rgb_b: Tensor, depth_b: Tensor) -> None:
    sizes = [tuple(reversed(cameras.size(i))) for i in range(len(cameras))]
    got = [tuple(t.shape) for t in (rgb_a, depth_a, rgb_b, depth_b)]
    if len(sizes) != 2 or got != [(*sizes[0], 3), sizes[0], (*sizes[1], 3), sizes[1]]:
        raise UserError(
            "reprojection cannot compare these renderings",
            got=f"{len(sizes)} cameras and pictures of shapes {got}",
            accepted="two cameras, and for each a picture [H, W, 3] and a depth [H, W] of its size",
            do="Render both at their cameras' sizes.",
        )
    for values in (rgb_a, depth_a, rgb_b, depth_b):
        check_finite(values, what="reprojection consistency")
