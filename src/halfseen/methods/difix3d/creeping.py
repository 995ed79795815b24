"""Where repaired views are looked at from: cameras that creep from the captured ones to the wanted ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, concat, make
from halfseen.cameras.rotations import slerp
from halfseen.cameras.similarity import Similarity
from halfseen.data import normalise
from halfseen.images import resize
from halfseen.methods.difix3d.config import Pose, Updates
from halfseen.poses import around, warping

_BOX = "the box"
# How far from a single photo's camera repaired views stand, as a share of its distance.
_CLOSE = 0.3


def targets(given: tuple[Pose, ...], to_user: Similarity, captured: Cameras, cfg: Updates) -> Cameras:
    """The wanted cameras in the box frame: those that are given in the user's frame, else some around the captured ones."""
    if given:
        first = _camera(given[0])
        # All are looked at in pictures of one size, as coarse as the photos.
        size = resize.fit(*first.size(), max(captured.size()))
        wanted = concat([_camera(pose).resized(*size) for pose in given])
        return to_user.inverse().cameras(wanted)
    frame = normalise.of_box(Similarity.identity(), captured, _BOX)
    if len(captured) == 1:
        # A single photo is looked at from close by: straight ways to the other side would lead through the scene.
        swing = _CLOSE * frame.distance
        poses = paths.spiral(captured.c2w[0], frame.distance, (swing, swing, 0.0), cfg.targets)
        return make(poses, captured.intrinsics[0], captured.size(0))
    return around.path(captured, frame, cfg.targets)


def of(cameras: Cameras) -> tuple[Pose, ...]:
    """Cameras as plain numbers of a config."""
    parts = (cameras.c2w.flatten(1), cameras.intrinsics, cameras.sizes)
    return tuple(tuple(map(float, row)) for row in torch.cat([p.double() for p in parts], 1).tolist())


def crept(captured: Cameras, wanted: Cameras, cfg: Updates, number: int, unit: float, to_user: Similarity) -> Cameras:
    """The cameras of round `number` (from 1), of the wanted ones' sizes. `unit` is the box length that counts as much as a radian;
    steps of `delta` are in the user's units, as the released code has them."""
    if not cfg.creep:
        return wanted
    if cfg.stride == "delta":
        ends = to_user.cameras(wanted)
        poses = to_user.cameras(captured).c2w
        for _ in range(number):
            poses = paths.step_towards(poses, ends.c2w, cfg.delta)
        return to_user.inverse().cameras(replace(ends, c2w=poses))
    return replace(wanted, c2w=between(starts(captured, wanted, unit), wanted.c2w, number / cfg.rounds))


def starts(captured: Cameras, wanted: Cameras, unit: float) -> Tensor:
    """The pose [T, 4, 4] of the captured camera that is nearest to each wanted one."""
    return captured.c2w[warping.distance(captured, wanted, unit).argmin(0)]


def between(start: Tensor, end: Tensor, share: float | Tensor) -> Tensor:
    """Poses [T, 4, 4] on the straight way from `start` to `end`."""
    out = end.clone()
    share = torch.as_tensor(share, dtype=end.dtype).expand(len(end))
    out[:, :3, 3] = torch.lerp(start[:, :3, 3], end[:, :3, 3], share[:, None])
    out[:, :3, :3] = slerp(start[:, :3, :3], end[:, :3, :3], share)
    return out


def _camera(pose: Pose) -> Cameras:
    numbers = torch.tensor(pose, dtype=torch.float64)
    width, height = (int(n) for n in numbers[20:])
    return make(numbers[None, :16].reshape(1, 4, 4), numbers[None, 16:20], (width, height))
