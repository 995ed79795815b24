"""Rotations as functions: quaternions (w, x, y, z), matrices, angles, slerp."""

from __future__ import annotations

import torch
from torch import Tensor

# Below this angle (radians) slerp divides by a vanishing sine, so the straight line is used; its error is below 1e-9.
_SMALL_ANGLE = 1e-4


def quaternion_to_matrix(q: Tensor) -> Tensor:
    """[..., 4] wxyz (any length but zero) to [..., 3, 3]."""
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """[..., 3, 3] to unit [..., 4] wxyz with w >= 0. The largest of the four candidate denominators is used."""
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = torch.stack([trace, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    best = diagonal.argmax(-1)
    s = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1)
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # Each row is 4 * q_i * q for one i; all four describe the same rotation.
    rows = torch.stack(
        [
            torch.stack([1 + trace, s[..., 0], s[..., 1], s[..., 2]], -1),
            torch.stack([s[..., 0], 1 + 2 * m[..., 0, 0] - trace, xy, xz], -1),
            torch.stack([s[..., 1], xy, 1 + 2 * m[..., 1, 1] - trace, yz], -1),
            torch.stack([s[..., 2], xz, yz, 1 + 2 * m[..., 2, 2] - trace], -1),
        ],
        -2,
    )
    q = torch.gather(rows, -2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle in radians between rotations [..., 3, 3]; the cosine is clipped, so equal rotations give 0 and not NaN."""
    trace = (a.transpose(-1, -2) @ b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.acos(((trace - 1) / 2).clamp(-1, 1))


def slerp(a: Tensor, b: Tensor, fraction: Tensor | float) -> Tensor:
    """Rotation [..., 3, 3] on the shortest arc from `a` to `b`."""
    qa, qb = matrix_to_quaternion(a), matrix_to_quaternion(b)
    dot = (qa * qb).sum(-1, keepdim=True)
    qb, dot = torch.where(dot < 0, -qb, qb), dot.abs().clamp(max=1)
    angle = torch.acos(dot)
    t = torch.as_tensor(fraction, dtype=a.dtype, device=a.device)
    t = t[..., None] if t.dim() else t
    sine = torch.sin(angle).clamp_min(_SMALL_ANGLE**2)
    arc = (torch.sin((1 - t) * angle) * qa + torch.sin(t * angle) * qb) / sine
    straight = (1 - t) * qa + t * qb
    return quaternion_to_matrix(torch.where(angle < _SMALL_ANGLE, straight, arc))


def rotation_between(a: Tensor, b: Tensor) -> Tensor:
    """The smallest rotation [3, 3] that takes unit vector `a` to unit vector `b` (any perpendicular axis if opposite)."""
    cross, cosine = torch.linalg.cross(a, b), torch.dot(a, b).clamp(-1, 1)
    if cosine < -1 + _SMALL_ANGLE**2:
        other = torch.eye(3, dtype=a.dtype)[a.abs().argmin()]
        axis = torch.nn.functional.normalize(torch.linalg.cross(a, other), dim=0)
        return 2 * torch.outer(axis, axis) - torch.eye(3, dtype=a.dtype)
    x, y, z = cross.tolist()
    skew = a.new_tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.eye(3, dtype=a.dtype) + skew + skew @ skew / (1 + cosine)
