"""One rule that puts every scene into the box [-1, 1]^3, whatever its scale.

    origin  the point that the cameras look at
    +z      the direction that the cameras were held upright about
    size    a typical camera sees, at the origin's depth, just the width (or height) of the box

Where axes are parallel and meet nowhere, the depth that the files state decides the origin, failing that a depth that was measured
(`poses.framing`), and failing that a multiple of the distance between cameras. Methods that need their own scale apply a similarity on top. There are no per-scene tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.paths import axes_focus
from halfseen.cameras.rotations import rotation_between
from halfseen.cameras.similarity import Similarity
from halfseen.data.capture import Capture, Depth, Points

# Axes meet reliably when their mean squared sine exceeds this (about 3 degrees between axes).
MIN_AXES_SPREAD = 0.003
# Cameras are level about an axis of the files' frame when their x axes leave the right angle to it by no more than this (a sine), and each
# camera's own up is nearer to it than to its opposite.
MAX_TILT = 1e-3
# x axes fix the up direction when their second spread exceeds the smallest by this (0.5 is a full ring of level cameras).
MIN_LEVEL_SPREAD = 0.1
# With parallel axes and no stated depth, the scene is taken to lie this many camera spacings away.
BASELINES_TO_SCENE = 6.0
# Near and far of views that state none, as fractions of the distance to the origin.
NEAR_FAR_FACTORS = (0.2, 5.0)
# Percentiles of sparse points that count as near and far: the rest are outliers.
_DEPTH_PERCENTILES = (1.0, 99.0)
_MIN_POINTS = 8
# Depth maps that are read for that; and how much deeper than the axes' meeting point the scene may be before depth decides.
_DEPTH_MAPS = 4
MAX_DISAGREEMENT = 2.0


@dataclass(frozen=True)
class Frame:
    """Where the scene is, in the user's frame."""

    to_box: Similarity
    focus: Tensor  # [3]
    up: Tensor  # [3] unit
    distance: float  # median distance of the cameras from the focus
    source: str  # what decided the focus


def measure(capture: Capture, measured: float | None = None) -> Frame:
    """Find the box of a posed capture (pure: nothing is moved); `measured` is its typical depth, for one that states none."""
    cameras = capture.cameras()
    focus, source = _focus(capture, cameras, measured)
    up = up_axis(cameras)
    distance = float((cameras.centres - focus).norm(dim=-1).median())
    half_angle = torch.deg2rad(cameras.field_of_view().amax(-1) / 2).median()
    scale = 1.0 / (distance * float(torch.tan(half_angle)))
    rotation = rotation_between(up, up.new_tensor([0, 0, 1]))
    return Frame(Similarity(scale, rotation, -scale * (rotation @ focus)), focus, up, distance, source)


def of_box(to_box: Similarity, cameras: Cameras, source: str) -> Frame:
    """The frame of a box that was decided before, for cameras of the user's frame."""
    to_user = to_box.inverse()
    focus = to_user.points(cameras.c2w.new_zeros(1, 3))[0]
    up = to_user.rotation.to(focus) @ focus.new_tensor([0, 0, 1])
    return Frame(to_box, focus, up, float((cameras.centres - focus).norm(dim=-1).median()), source)


def up_axis(cameras: Cameras) -> Tensor:
    """The direction [3] that photographers held up: at right angles to the cameras' x axes, which people keep level.

    Where all x axes agree (forward-facing, a single camera), that leaves a whole plane: an axis of the files' frame that all cameras are
    level about decides, and where there is none the mean up direction of the cameras.
    """
    mean = torch.nn.functional.normalize(cameras.up.mean(0), dim=0)
    if float(mean.norm()) == 0:
        mean = cameras.up[0]
    right = cameras.c2w[:, :3, 0]
    values, vectors = torch.linalg.eigh(right.T @ right / len(cameras))
    if float(values[1] - values[0]) < MIN_LEVEL_SPREAD:
        return _level_about(cameras, mean)
    up = vectors[:, 0]
    return up if float(up @ mean) > 0 else -up


def _level_about(cameras: Cameras, mean: Tensor) -> Tensor:
    """The axis of the files' frame that all cameras are level about, the nearest to their mean up direction; or that."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).to(mean)
    tilt = (cameras.c2w[:, :3, 0].to(mean) @ axes.T).abs().amax(0)
    upright = (cameras.up.to(mean) @ axes.T).amin(0) > MAX_TILT
    level = axes[(tilt <= MAX_TILT) & upright]
    return mean if len(level) == 0 else level[int((level @ mean).argmax())]


def move(capture: Capture, to: Similarity) -> Capture:
    """The capture with cameras, points, depths and bounds expressed in another frame."""
    views = []
    for view in capture.views:
        assert view.camera is not None
        near_far = None if view.near_far is None else (view.near_far[0] * to.scale, view.near_far[1] * to.scale)
        depth = None if view.depth is None else _scaled(view.depth, to.scale)
        views.append(replace(view, camera=to.cameras(view.camera), near_far=near_far, depth=depth))
    points = capture.points
    if points is not None:
        points = Points(to.points(torch.from_numpy(points.xyz)).numpy(), points.rgb)
    return replace(capture, views=tuple(views), points=points)


def depth_ranges(capture: Capture) -> list[tuple[float, float]]:
    """Near and far z-depth of each view: stated, else from sparse points, else from the distance to the origin."""
    cameras = capture.cameras()
    frame = measure(capture)
    from_points = _point_depths(capture, cameras)
    ranges = []
    for i, view in enumerate(capture.views):
        z = from_points[i]
        if view.near_far is not None:
            ranges.append(view.near_far)
        elif len(z) >= _MIN_POINTS:
            near, far = np.percentile(z, _DEPTH_PERCENTILES)
            ranges.append((float(near), float(far)))
        else:
            ahead = float((cameras.centres[i] - frame.focus).norm())
            ranges.append((NEAR_FAR_FACTORS[0] * ahead, NEAR_FAR_FACTORS[1] * ahead))
    return ranges


def _focus(capture: Capture, cameras: Cameras, measured: float | None) -> tuple[Tensor, str]:
    """The point that the cameras look at, and what decided it."""
    depth = known_depth(capture) or (None if measured is None else (measured, "the median depth that stereo found"))
    if len(cameras) > 1:
        point, spread = axes_focus(cameras)
        ahead = ((point - cameras.centres) * cameras.forward).sum(-1)
        met = spread >= MIN_AXES_SPREAD and bool((ahead > 0).all())
        # Views of a room can look past one another and meet in mid-air: what is known of depth has the last word.
        if met and (depth is None or depth[0] <= MAX_DISAGREEMENT * float(ahead.median())):
            return point, "where the optical axes meet"
    if len(cameras) == 1 and depth is None and sees_origin(cameras):
        return cameras.c2w.new_zeros(3), "the origin of its file, which the camera sees"
    centre = cameras.centres.mean(0)
    forward = torch.nn.functional.normalize(cameras.forward.mean(0), dim=0)
    if not bool(torch.isfinite(forward).all()) or float(forward.norm()) == 0:
        forward = cameras.forward[0]
    z, source = depth or _guessed_depth(cameras)
    return centre + z * forward, source


def known_depth(capture: Capture) -> tuple[float, str] | None:
    """Median depth of the scene where points, depth maps or stated bounds tell it, and which of them did."""
    z = np.concatenate([*_point_depths(capture, capture.cameras()), np.zeros(0)])
    if len(z) >= _MIN_POINTS:
        return float(np.median(z)), "the median depth of the sparse points"
    some = [v.depth for v in capture.views if v.depth is not None][:_DEPTH_MAPS]
    seen = np.concatenate([np.zeros(0), *(d.read().reshape(-1) for d in some)])
    seen = seen[seen > 0]
    if len(seen) >= _MIN_POINTS:
        return float(np.median(seen)), "the median of the depth maps"
    bounds = [v.near_far for v in capture.views if v.near_far is not None]
    if bounds:
        # The harmonic mean: the middle in disparity, which is what a picture resolves.
        return float(np.median([2 / (1 / near + 1 / far) for near, far in bounds])), "the stated near and far depths"
    return None


def sees_origin(camera: Cameras) -> bool:
    """Whether the origin lies in the picture of a batch-of-one camera."""
    pixels, z = rays.project(camera, camera.c2w.new_zeros(1, 3))
    return bool(rays.in_frame(camera, pixels, z)[0, 0])


def _guessed_depth(cameras: Cameras) -> tuple[float, str]:
    """How far ahead the scene may lie, from the cameras alone, and why."""
    if len(cameras) > 1:
        gaps = torch.cdist(cameras.centres, cameras.centres) + torch.diag(
            cameras.centres.new_full((len(cameras),), torch.inf)
        )
        spacing = float(gaps.min(-1).values.median())
        if spacing > 0:
            return (
                BASELINES_TO_SCENE * spacing,
                f"{BASELINES_TO_SCENE:g} times the distance between neighbouring cameras",
            )
    return 1.0, "one unit ahead, because nothing tells the scale"


def _point_depths(capture: Capture, cameras: Cameras) -> list[np.ndarray]:
    """z-depths of the sparse points that fall into each view."""
    if capture.points is None or len(capture.points.xyz) == 0:
        return [np.zeros(0)] * len(cameras)
    pixels, z = rays.project(cameras, torch.from_numpy(capture.points.xyz))
    seen = rays.in_frame(cameras, pixels, z)
    return [z[i][seen[i]].numpy() for i in range(len(cameras))]


def _scaled(depth: Depth, scale: float) -> Depth:
    return replace(depth, unit=depth.unit * scale)
