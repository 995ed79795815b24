"""Which views help which, how deep the scene may be, and the geometry of a sweep. Cameras only; no pixels are read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras

Range = tuple[float, float]

# Points that stand for what a view sees: a grid of pixels (across, down) on planes at these shares of the inverse depth range.
_GRID = (6, 5)
_SHARES = (0.1, 0.3, 0.6)
# The angle between two rays to a point (degrees) that measures depth well while windows still look alike, and how quickly a
# pair loses worth below and above it (standard deviations).
_BEST_ANGLE, _TOO_NARROW, _TOO_WIDE = 9.0, 4.0, 12.0
# A pair whose worth is below this share of one perfect pair is of no use.
_LEAST_WORTH = 0.03
# Without stated bounds: near and far as shares of a camera's distance to the origin. The origin is itself a guess where the axes
# of the cameras do not meet, and far costs next to nothing in inverse depth, so it is nearly infinity.
_NEAR, _FAR = 0.2, 50.0
# A camera near the origin of the box (a walk through a room) still sees the scene around it: its distance counts as at least
# this share of the median distance.
_LEAST_DISTANCE = 0.5


def ranges(cameras: Cameras) -> list[Range]:
    """Near and far z-depth of each view from the cameras alone, where the scene lies roughly in [-1, 1]^3 (`data.normalise`).

    Fixed shares of the camera's distance to the origin: wide, because nothing else is known, and narrowed by what is found.
    """
    distance = cameras.centres.norm(dim=-1)
    distance = torch.maximum(distance, _LEAST_DISTANCE * distance.median())
    return [(_NEAR * float(d), _FAR * float(d)) for d in distance]


def sources(cameras: Cameras, limits: Sequence[Range], count: int) -> list[list[int]]:
    """For each view, up to `count` other views, best first, by what they see of the same points and under which angle."""
    views = len(cameras)
    chosen = []
    for i in range(views):
        worth = _worth(cameras, i, limits[i])
        order = sorted((j for j in range(views) if j != i and worth[j] >= _LEAST_WORTH), key=lambda j: (-worth[j], j))
        chosen.append(order[:count])
    return chosen


def _worth(cameras: Cameras, view: int, limits: Range) -> list[float]:
    """Mean over sample points of a view of: seen by the other view, times a bell curve of the angle between the two rays."""
    width, height = cameras.size(view)
    grid = rays.pixel_centres(*_GRID).to(cameras.c2w) * cameras.c2w.new_tensor([width / _GRID[0], height / _GRID[1]])
    near, far = limits
    z = [1 / (1 / far + share * (1 / near - 1 / far)) for share in _SHARES]
    local = rays.unproject(cameras, torch.full((len(grid),), view), grid)
    local = torch.cat([depth * local for depth in z])
    points = local @ cameras.c2w[view, :3, :3].T + cameras.centres[view]
    seen = rays.in_frame(cameras, *rays.project(cameras, points))
    towards = torch.nn.functional.normalize(points - cameras.centres[:, None], dim=-1)
    angle = torch.rad2deg(torch.acos((towards * towards[view]).sum(-1).clamp(-1, 1)))
    width_of = torch.where(angle < _BEST_ANGLE, _TOO_NARROW, _TOO_WIDE)
    bell = torch.exp(-0.5 * ((angle - _BEST_ANGLE) / width_of) ** 2)
    return (bell * seen).mean(-1).tolist()


def homographies(cameras: Cameras, view: int, others: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A [K, 3, 3] and b [K, 3] of a sweep: a pixel centre u of `view` at inverse depth w lies in a source at A u + w b."""
    k = torch.zeros(len(cameras), 3, 3, dtype=torch.float64)
    intrinsics = cameras.intrinsics.double()
    k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2] = intrinsics.unbind(-1)
    k[:, 2, 2] = 1
    index = torch.tensor(list(others), dtype=torch.long)
    relative = cameras.w2c.double()[index] @ cameras.c2w[view].double()
    first = k[index] @ relative[:, :3, :3] @ torch.linalg.inv(k[view])
    return first, (k[index] @ relative[:, :3, 3:])[..., 0]


def planes_for(cameras: Cameras, view: int, others: Sequence[int], limits: Range, step: float) -> int:
    """How many planes it takes for neighbouring ones to be `step` pixels apart in the median source, at the picture's middle."""
    width, height = cameras.size(view)
    first, shift = homographies(cameras, view, others)
    middle = torch.tensor([width / 2, height / 2, 1.0], dtype=torch.float64)
    near, far = limits
    inverse = 0.5 * (1 / near + 1 / far)
    p = first @ middle + inverse * shift
    # d(p_xy / p_z) / dw
    moved = (shift[:, :2] * p[:, 2:] - p[:, :2] * shift[:, 2:]) / p[:, 2:].square()
    return int(float(moved.norm(dim=-1).median()) * (1 / near - 1 / far) / step) + 1


def lift(depth: Tensor, camera: Cameras) -> Tensor:
    """World points [H * W, 3] of a z-depth map [H, W] of a batch-of-one camera; unknown pixels (0) fall on the camera centre."""
    height, width = depth.shape
    pixels = rays.pixel_centres(width, height).to(camera.c2w)
    local = rays.unproject(camera, torch.zeros(len(pixels), dtype=torch.long), pixels)
    return (local * depth.reshape(-1, 1).to(local)) @ camera.c2w[0, :3, :3].T + camera.centres[0]
