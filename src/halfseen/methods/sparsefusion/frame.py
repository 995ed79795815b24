"""Lengths in which objects of any scale and distance are alike: one is half of what photos' windows see at the object's middle.

CO3D has its own scale (point clouds of unit spread), and the released code counts on it; other captures have none. With the middle at the
origin, a window of lens f (in its sides) whose camera is d away sees half of d / (2 f) there; R is its mean over photos, and lengths are
in R. What is cut out around an object, 1.3 times as large, then reaches to about 1 / 1.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.methods.sparsefusion.epipolar import Query

# Samples reach so far before and behind the middle, in R; and no nearer than this share of the distance.
REACH, _NEAREST = 1.3, 0.05


def half(c2w: Tensor, lenses: Tensor) -> float:
    """R of photos with camera-to-world [K, 4, 4] and lenses [K, 4] in windows' sides."""
    away = c2w[:, :3, 3].norm(dim=-1)
    return float((away / (lenses[:, :2].mean(-1) * 2)).mean())


def query(c2w: Tensor, lens: Tensor, photos: Tensor, lenses: Tensor, unit: float) -> Query:
    """One query at camera-to-world [4, 4] with lens [4], and its photos [K, 4, 4] and [K, 4], with lengths divided by `unit`."""
    relative = c2w.double().inverse() @ photos.double()
    relative[:, :3, 3] /= unit
    away = float(c2w[:3, 3].norm()) / unit
    near_far = torch.tensor([max(away - REACH, _NEAREST * away), away + REACH])
    return Query(lens.float()[None], relative.float()[None], lenses.float()[None], near_far[None])


def joined(queries: list[Query]) -> Query:
    """Queries with as many photos each, as one."""
    return Query(*(torch.cat([getattr(q, k) for q in queries]) for k in vars(queries[0])))
