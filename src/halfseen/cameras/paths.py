"""Camera paths: look-at, orbit, spiral, interpolation, step-towards, and the point a set of cameras looks at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rotations import angle_between, slerp

# `step_towards`: a translation shorter than this has no direction, so the target rotation is taken at once.
_NO_MOVE = 1e-6
_FULL_CIRCLE = 360.0


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """OpenCV camera-to-world [V, 4, 4] at `eye` [V, 3] looking at `target`, with `up` towards the top of the picture.

    Straight up or down views have no unique roll; then the world axis least parallel to the view decides it.
    """
    eye, target, up = torch.broadcast_tensors(eye, target, up)
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    right = torch.linalg.cross(forward, up)
    spare = torch.eye(3, dtype=eye.dtype)[forward.abs().argmin(-1)]
    right = torch.where(right.norm(dim=-1, keepdim=True) < _NO_MOVE, torch.linalg.cross(forward, spare), right)
    right = torch.nn.functional.normalize(right, dim=-1)
    down = torch.linalg.cross(forward, right)
    c2w = torch.zeros(*eye.shape[:-1], 4, 4, dtype=eye.dtype)
    c2w[..., :3, :] = torch.stack([right, down, forward, eye], -1)
    c2w[..., 3, 3] = 1
    return c2w


def orbit(
    focus: Tensor,
    up: Tensor,
    radius: float,
    elevation: float,
    count: int,
    start: Tensor | None = None,
    span: float = _FULL_CIRCLE,
) -> Tensor:
    """`count` poses [count, 4, 4] on a circle around `focus`, `elevation` degrees above it, looking at it.

    The first pose lies on the side of `start` (a direction). A full circle does not repeat its first pose, so the video loops;
    a smaller `span` of degrees is swung over and back, slowing down at its ends.
    """
    up = torch.nn.functional.normalize(up, dim=0)
    seed = start if start is not None else torch.eye(3, dtype=up.dtype)[up.abs().argmin()]
    flat = seed - (seed @ up) * up
    if flat.norm() < _NO_MOVE:
        other = torch.eye(3, dtype=up.dtype)[up.abs().argmin()]
        flat = other - (other @ up) * up
    east = torch.nn.functional.normalize(flat, dim=0)
    north = torch.linalg.cross(up, east)
    turn = torch.arange(count, dtype=up.dtype)[:, None] * (2 * math.pi / count)
    angle = turn if span >= _FULL_CIRCLE else math.radians(span) * (1 - torch.cos(turn)) / 2
    height = math.radians(elevation)
    ring = math.cos(height) * (torch.cos(angle) * east + torch.sin(angle) * north) + math.sin(height) * up
    return look_at(focus + radius * ring, focus, up)


def spiral(
    pose: Tensor, focus_distance: float, radii: tuple[float, float, float], count: int, turns: int = 2
) -> Tensor:
    """Forward-facing spiral [count, 4, 4] around `pose` [4, 4], always looking at the point `focus_distance` ahead of it.

    `radii` are the swings along the pose's right, down and forward axes.
    """
    angle = torch.arange(count, dtype=pose.dtype) * (2 * math.pi * turns / count)
    swing = torch.stack([torch.cos(angle), torch.sin(angle), torch.sin(angle / 2)], -1) * pose.new_tensor(radii)
    eye = swing @ pose[:3, :3].T + pose[:3, 3]
    focus = pose[:3, 3] + focus_distance * pose[:3, 2]
    return look_at(eye, focus, -pose[:3, 1])


def interpolate(poses: Tensor, count: int) -> Tensor:
    """`count` poses [count, 4, 4] through key poses [V, 4, 4]: straight in position, slerp in rotation, ends included."""
    at = torch.linspace(0, len(poses) - 1, count, dtype=poses.dtype)
    left = at.floor().long().clamp(max=max(len(poses) - 2, 0))
    right = (left + 1).clamp(max=len(poses) - 1)
    fraction = at - left
    out = poses[left].clone()
    out[:, :3, 3] = torch.lerp(poses[left, :3, 3], poses[right, :3, 3], fraction[:, None])
    out[:, :3, :3] = slerp(poses[left, :3, :3], poses[right, :3, :3], fraction)
    return out


def pose_distance(a: Tensor, b: Tensor) -> Tensor:
    """World units plus radians between poses [..., 4, 4]: the rule of Difix3D, which therefore depends on the scale."""
    return (a[..., :3, 3] - b[..., :3, 3]).norm(dim=-1) + angle_between(a[..., :3, :3], b[..., :3, :3])


def nearest(poses: Tensor, target: Tensor) -> int:
    """Index of the pose in [V, 4, 4] nearest to `target` [4, 4]."""
    return int(pose_distance(poses, target).argmin())


def step_towards(current: Tensor, targets: Tensor, delta: float) -> Tensor:
    """Creep from the nearest of `current` [V, 4, 4] to each of `targets` [T, 4, 4] by `delta` (Difix3D, progressive updates).

    A target within `delta` is taken as it is; so is its position when less than `delta` would remain.
    """
    return torch.stack([_step(current[nearest(current, target)], target, delta) for target in targets])


def _step(pose: Tensor, target: Tensor, delta: float) -> Tensor:
    if pose_distance(pose, target) <= delta:
        return target.clone()
    out = target.clone()
    move = target[:3, 3] - pose[:3, 3]
    length = move.norm().item()
    if length < _NO_MOVE:
        return out
    if length - delta > delta:
        out[:3, 3] = pose[:3, 3] + move * (delta / length)
    out[:3, :3] = slerp(pose[:3, :3], target[:3, :3], min(delta / length, 1.0))
    return out


def axes_focus(cameras: Cameras) -> tuple[Tensor, float]:
    """The point [3] nearest to all optical axes, and how well it is fixed: the mean squared sine between the axes.

    Least squares: sum_i (I - d_i d_i^T)(x - o_i) = 0. Parallel axes give 0 for the second value and any point on them.
    """
    d, o = cameras.forward, cameras.centres
    project = torch.eye(3, dtype=d.dtype) - d[:, :, None] * d[:, None, :]
    system = project.sum(0)
    spread = float(torch.linalg.eigvalsh(system)[0].clamp_min(0)) / len(cameras)
    point = torch.linalg.lstsq(system, (project @ o[..., None]).sum(0), driver="gelsd").solution[:, 0]
    return point, spread


def srn_spiral() -> Tensor:
    """Unit camera positions [251, 3] of the SRN test spiral, z up, from the equator to the pole.

    The loop is the renderer's own (i from 20 in steps of 0.08 below 40); rounding makes it 251 poses, not 250.
    """
    half_turns, start, step = 40.0, 20.0, 0.08
    rows, i = [], start
    while i < half_turns:
        polar = math.pi * i / half_turns
        rows.append([math.sin(polar) * math.cos(i), -math.sin(polar) * math.sin(i), -math.cos(polar)])
        i += step
    return torch.tensor(rows, dtype=torch.float64)
