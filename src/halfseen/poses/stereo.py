"""Depth from a few posed photos: plane sweep, correlation of windows, semi-global smoothing, and agreement between views.

    1  choose sources          for each view, neighbours that see the same things under a useful angle
    2  sweep                   planes uniform in inverse depth; zero-mean correlation of 7x7 windows; best half of the sources
    3  smooth                  semi-global matching along rows and columns
    4  pick                    the best plane of each pixel, refined by a parabola
    5  agree                   a depth is kept when another view's own depth map says the same
    6  again                   from what agreed, a narrower range of depths

Scenes lie in the box of `data.normalise` unless near and far are given. z-depth, OpenCV cameras, pixel centres at +0.5. Runs on
the CPU; the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.config import within
from halfseen.poses import stereo_check as check
from halfseen.poses import stereo_choice as choice
from halfseen.poses import stereo_kernels as kernels
from halfseen.poses import stereo_pictures as pictures
from halfseen.poses import stereo_views as geometry
from halfseen.poses.stereo_views import Range

_MOST_PLANES = 4096
_LIMITS = (
    ("sources", 1, 64), ("step", 0.05, 64), ("least_planes", 4, _MOST_PLANES), ("radius", 1, 32), ("seen", 0, 1),
    ("min_variance", 0, 1), ("small", 0, 10), ("large", 0, 10), ("contrast", 1e-6, 10), ("min_score", -1, 1),
    ("min_lead", 0, 2), ("apart", 1, 64), ("full_lead", 1e-6, 2), ("agree", 0, 1), ("agreeing", 0, 64), ("rim_jump", 0, float("inf")),
    ("support_radius", 0, 16), ("support_tolerance", 0, 1), ("support", 0, 1), ("widen", 0, 10), ("slack", 0, 1),
    ("least_found", 1, 10**9),
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Sizes and thresholds of the sweep. Shares and scores are in [0, 1]."""

    sources: int = 4
    # Neighbouring planes are this many pixels apart in the median source, within these limits of their number.
    step: float = 1.0
    least_planes: int = 64
    most_planes: int = 192
    radius: int = 3  # windows are 2 radius + 1 pixels wide
    seen: float = 0.6  # least share of a window's pixels that both pictures know
    min_variance: float = 1e-5  # of grey in a window; below it a window has no texture
    # Semi-global matching in units of correlation: change by one step, jump, and the grey difference that halves a jump's cost.
    small: float = 0.06
    large: float = 0.6
    contrast: float = 0.05
    min_score: float = 0.4
    min_lead: float = 0.02  # over the runner-up, the best score further than
    apart: int = 2  # steps away
    full_lead: float = 0.2  # from here on a lead adds no more confidence
    agree: float = 0.03  # relative difference of depth between views that count as one
    agreeing: int = 1  # views that must agree
    # Within half a window of something deeper by this share, depths are of the thing in front or of what is behind it: who knows.
    rim_jump: float = 0.1
    # Of the pixels this near, this share must have a depth within this relative tolerance.
    support_radius: int = 2
    support_tolerance: float = 0.03
    support: float = 0.3
    # The second pass spans these percentiles of the inverse depths found, widened on either side by a share of their span and,
    # for a scene as flat as a wall, by a share of themselves.
    percentiles: tuple[float, float] = (1.0, 99.0)
    widen: float = 0.15
    slack: float = 0.05
    least_found: int = 200  # pixels; with fewer the first range stays

    def __post_init__(self) -> None:
        for name, low, high in _LIMITS:
            within(f"stereo.{name}", getattr(self, name), low, high)
        within("stereo.most_planes", self.most_planes, self.least_planes, _MOST_PLANES)
        within("stereo.percentiles", self.percentiles[0], 0, self.percentiles[1])
        within("stereo.percentiles", self.percentiles[1], self.percentiles[0], 100)


@dataclass(frozen=True)
class DepthMap:
    """What is known of the depth of one view."""

    depth: Tensor  # [H, W] float32 z-depth in the cameras' units, 0 = unknown
    confidence: Tensor  # [H, W] float32 in [0, 1], 0 where depth is unknown


@dataclass(frozen=True)
class Points:
    """Trusted surface points, one for each known pixel."""

    xyz: Tensor  # [N, 3] float32 in the cameras' world
    views: Tensor  # [N] int64
    pixels: Tensor  # [N] int64, row by row: y * W + x
    depth: Tensor  # [N] float32 z-depth in their own view
    weights: Tensor  # [N] float32, the confidence


def depths(
    images: Sequence[Tensor],
    cameras: Cameras,
    config: Config | None = None,
    *,
    near_far: Sequence[Range] | None = None,
    masks: Sequence[Tensor | None] | None = None,
) -> tuple[DepthMap, ...]:
    """Depth maps of V >= 2 posed images [H, W, 3] in [0, 1]; sizes may differ.

    `near_far` is the z range of each view; without it cameras are taken to be in the box frame (`stereo_views.ranges`). Pixels
    where a mask [H, W] is below 0.5 are unknown: they get no depth and are matched with nothing.
    """
    cfg = config or Config()
    _check_sizes(images, cameras)
    cameras = cameras.to(torch.float64).to(torch.device("cpu"))
    wide = list(near_far) if near_far is not None else geometry.ranges(cameras)
    grey = [pictures.grey(image, masks[i] if masks else None) for i, image in enumerate(images)]
    half, small = pictures.halved(grey, cameras)
    first = _pass(half, small, wide, cfg)
    narrow = [_narrowed(m.depth, limits, cfg) for m, limits in zip(first, wide, strict=True)]
    return _pass(grey, cameras, narrow, cfg)


def _check_sizes(images: Sequence[Tensor], cameras: Cameras) -> None:
    if len(images) != len(cameras):
        raise ValueError(f"stereo: {len(images)} images and {len(cameras)} cameras; give one camera for each image")
    for i, image in enumerate(images):
        if image.shape[1::-1] != cameras.size(i):
            width, height = cameras.size(i)
            raise ValueError(f"stereo: image {i} is {tuple(image.shape)}, its camera is {width} x {height} pixels")


def bounds(maps: Sequence[DepthMap], cameras: Cameras, percentiles: Range = (1.0, 99.0)) -> Range | None:
    """Near and far z-depth that hold nearly all trusted points as all the cameras see them; None when there are none."""
    found = points(maps, cameras).xyz
    pixels, z = rays.project(cameras, found.to(cameras.c2w))
    z = z[rays.in_frame(cameras, pixels, z)]
    if len(z) == 0:
        return None
    near, far = np.percentile(z.cpu().numpy(), percentiles)
    return float(near), float(far)


def points(maps: Sequence[DepthMap], cameras: Cameras) -> Points:
    """All known pixels as points in the world, for a depth loss or as seeds of Gaussians."""
    parts = [geometry.lift(m.depth, cameras[i]) for i, m in enumerate(maps)]
    pixels = [torch.nonzero(m.depth.reshape(-1) > 0)[:, 0] for m in maps]
    return Points(
        torch.cat([xyz[at] for xyz, at in zip(parts, pixels, strict=True)]).float(),
        torch.cat([torch.full_like(at, i) for i, at in enumerate(pixels)]),
        torch.cat(pixels),
        torch.cat([m.depth.reshape(-1)[at] for m, at in zip(maps, pixels, strict=True)]),
        torch.cat([m.confidence.reshape(-1)[at] for m, at in zip(maps, pixels, strict=True)]),
    )


def _pass(
    grey: list[NDArray[np.float32]], cameras: Cameras, limits: Sequence[Range], cfg: Config
) -> tuple[DepthMap, ...]:
    """Steps 1 to 5 at one size, over one range of depths for each view."""
    chosen = geometry.sources(cameras, limits, cfg.sources)
    raw = [_sweep(grey, cameras, i, chosen[i], limits[i], cfg) for i in range(len(grey))]
    return tuple(_checked(raw, cameras, i, cfg) for i in range(len(raw)))


def _sweep(
    grey: list[NDArray[np.float32]], cameras: Cameras, view: int, others: Sequence[int], limits: Range, cfg: Config
) -> DepthMap:
    """Depth of one view before it is compared with others."""
    shape = grey[view].shape
    if not others:
        return DepthMap(torch.zeros(shape), torch.zeros(shape))
    near, far = limits
    needed = geometry.planes_for(cameras, view, others, limits, cfg.step)
    planes = min(max(needed, cfg.least_planes), cfg.most_planes)
    # Where planes are closer than a step, more of them make the same difference.
    per_step = planes / needed
    inverse = np.linspace(1 / far, 1 / near, planes)
    sources, sizes = pictures.padded([grey[j] for j in others])
    first, shift = (t.numpy() for t in geometry.homographies(cameras, view, others))
    least = cfg.seen * (2 * cfg.radius + 1) ** 2
    volume = kernels.sweep(grey[view], sources, sizes, first, shift, inverse, cfg.radius, least, cfg.min_variance)
    smoothed = choice.smooth(volume, grey[view], cfg.small / per_step, cfg.large, cfg.contrast)
    apart = max(cfg.apart, round(cfg.apart * per_step))
    plane, score, second = (torch.from_numpy(a) for a in choice.pick(smoothed, apart))
    raw = torch.from_numpy(volume)
    own = raw.gather(0, plane.round().clamp_min(0).long()[None])[0]
    lead = ((score - second) / cfg.full_lead).clamp(0, 1)
    good = (plane >= 0) & (own > cfg.min_score) & (score - second > cfg.min_lead) & torch.from_numpy(grey[view] >= 0)
    w = 1 / far + plane.double() * (1 / near - 1 / far) / (planes - 1)
    depth = torch.where(good, (1 / w).float(), torch.zeros(()))
    return DepthMap(depth, torch.where(good, own.clamp(0, 1) * lead, torch.zeros(())))


def _checked(maps: Sequence[DepthMap], cameras: Cameras, view: int, cfg: Config) -> DepthMap:
    """Step 5: what other views and neighbouring pixels confirm."""
    depth = maps[view].depth
    depth = depth * check.agree([m.depth for m in maps], cameras, view, cfg.agree, cfg.agreeing)
    depth = depth * check.off_rims(depth, cfg.radius, cfg.rim_jump)
    depth = depth * check.supported(depth, cfg.support_radius, cfg.support_tolerance, cfg.support)
    return DepthMap(depth, maps[view].confidence * (depth > 0))


def _narrowed(depth: Tensor, limits: Range, cfg: Config) -> Range:
    """The range of a second pass: percentiles of the inverse depths that were found, a little wider, within the first range."""
    known = depth[depth > 0]
    if len(known) < cfg.least_found:
        return limits
    low, high = np.percentile(1 / known.numpy(), cfg.percentiles)
    margin = cfg.widen * (high - low)
    low, high = (1 - cfg.slack) * low - margin, (1 + cfg.slack) * high + margin
    return max(limits[0], 1 / float(high)), min(limits[1], 1 / max(float(low), 1 / limits[1]))
