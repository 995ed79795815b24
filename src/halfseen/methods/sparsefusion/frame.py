"""Lengths in which objects of any scale and distance are alike: one is half of what photos' windows see at the object's middle.

CO3D has its own scale (point clouds of unit spread) and origin, and the released code counts on both; other captures have none. The middle
is where rays through windows' middles pass each other nearest. A window of lens f (in its sides) before whose camera the middle lies d deep
sees half of d / (2 f) there; R is its mean over photos, and lengths are in R. What is cut out around an object, 1.3 times as large, then
reaches to about 1 / 1.3.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.cameras import Cameras
from halfseen.methods.sparsefusion.cropped import Crop
from halfseen.methods.sparsefusion.epipolar import Query

# Samples reach so far before and behind the middle, in R; and no nearer than this share of the distance.
REACH, _NEAREST = 1.3, 0.05
# How much the origin holds the middle beside each ray.
_FREE = 1e-4


def middle(c2w: Tensor, lenses: Tensor) -> Tensor:
    """The point [3] nearest to the rays through windows' middles of photos with camera-to-world [K, 4, 4] and lenses [K, 4] in windows' sides
    (least squares); along rays that leave it free, nearest to the origin."""
    poses, lens = c2w.double(), lenses.double()
    towards = torch.cat([(0.5 - lens[:, 2:]) / lens[:, :2], torch.ones_like(lens[:, :1])], -1)
    rays = F.normalize((poses[:, :3, :3] @ towards[..., None])[..., 0], dim=-1)
    across = torch.eye(3, dtype=torch.float64) - rays[:, :, None] * rays[:, None, :]
    held = across.sum(0) + _FREE * len(rays) * torch.eye(3, dtype=torch.float64)
    return torch.linalg.solve(held, (across @ poses[:, :3, 3:])[..., 0].sum(0))


def depth(c2w: Tensor, point: Tensor) -> Tensor:
    """How deep a point [3] lies before cameras [..., 4, 4]."""
    return ((point - c2w[..., :3, 3]) * c2w[..., :3, 2]).sum(-1)


def half(c2w: Tensor, lenses: Tensor, point: Tensor) -> float:
    """R of photos with camera-to-world [K, 4, 4] and lenses [K, 4] in windows' sides, around a middle [3]."""
    return float((depth(c2w.double(), point) / (lenses[:, :2].mean(-1) * 2)).mean())


def window(camera: Cameras, point: Tensor, unit: float) -> Crop:
    """The square window of a camera that sees half of `unit` around a middle [3], as photos' windows do."""
    local = camera.c2w[0].double().inverse() @ torch.cat([point, torch.ones_like(point[:1])])
    fx, fy, cx, cy = camera.intrinsics[0].double()
    sizes = camera.sizes[0].double()
    middle = (torch.stack([fx, fy]) * local[:2] / local[2] + torch.stack([cx, cy])) / sizes
    side = 2 * unit * torch.stack([fx, fy]) / local[2] / sizes
    return Crop(middle[None].float(), side[None].float())


def query(c2w: Tensor, lens: Tensor, photos: Tensor, lenses: Tensor, unit: float, point: Tensor) -> Query:
    """One query at camera-to-world [4, 4] with lens [4], and its photos [K, 4, 4] and [K, 4], with lengths divided by `unit`, around a middle
    [3]."""
    relative = c2w.double().inverse() @ photos.double()
    relative[:, :3, 3] /= unit
    away = float(depth(c2w.double(), point)) / unit
    local = c2w[:3, :3].double().T @ (point - c2w[:3, 3]) / unit
    near_far = torch.tensor([max(away - REACH, _NEAREST * away), away + REACH])
    return Query(lens.float()[None], relative.float()[None], lenses.float()[None], near_far[None], local.float()[None])


def joined(queries: list[Query]) -> Query:
    """Queries with as many photos each, as one."""
    return Query(*(torch.cat([getattr(q, k) for q in queries]) for k in vars(queries[0])))
