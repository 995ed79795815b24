"""What plane-sweep stereo knows of the photos: depth for losses, and places where Gaussians may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.data import load
from halfseen.data.capture import Capture
from halfseen.data.capture import Points as CapturePoints
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.poses import stereo

# Of a view's known depths, the share that may be nearer than its nearest surface: mismatches.
_NEAREST = 0.02
# Seeds of stereo are drawn from so many pixels for each that is wanted: what agrees in several views is there several times.
_SURPLUS = 1.5
# Of all seeds, the share that stands at random where stereo knows nothing.
_UNKNOWN = 0.1
# Points of other views agree with a photo within this relative depth and this difference of colour, and are trusted this much.
_SAME_DEPTH, _SAME_COLOUR, _BORROWED = 0.02, 0.12, 0.3
# Fewer known points than this are no start.
_FEW = 100


@dataclass(frozen=True)
class Geometry:
    """What stereo knows of all Q pixels of all views, view by view and row by row (box units); zeros where it knows nothing."""

    depth: Tensor  # [Q] z-depth
    confidence: Tensor  # [Q]
    nearest: Tensor  # [V] distance from each camera before which there is nothing

    def to_plain(self) -> dict[str, Tensor]:
        """As tensors for a checkpoint."""
        return {"depth": self.depth, "confidence": self.confidence, "nearest": self.nearest}


def measure(capture: Capture, cfg: stereo.Config, near_share: float, device: torch.device) -> Geometry:
    """Depth from stereo over the inputs; of one photo alone nothing is known."""
    if len(capture) < 2:
        pixels = sum(v.image.width * v.image.height for v in capture.views)
        return Geometry(*(torch.zeros(n, device=device) for n in (pixels, pixels, len(capture))))
    masks = [v.mask.read_grey() if v.mask is not None else None for v in capture.views]
    images = [v.image.read()[..., :3] for v in capture.views]
    maps = _shared(stereo.depths(images, capture.cameras(), cfg, masks=masks), images, capture.cameras())
    known = [m.depth[m.depth > 0] for m in maps]
    # A view of which stereo knows nothing is not told where nothing is.
    limits = [near_share * float(k.quantile(_NEAREST)) if len(k) else 0.0 for k in known]
    flat = [torch.cat([getattr(m, n).reshape(-1) for m in maps]) for n in ("depth", "confidence")]
    return Geometry(*(t.float().to(device) for t in (*flat, torch.tensor(limits))))


def _shared(maps: Sequence[stereo.DepthMap], images: Sequence[Tensor], cameras: Cameras) -> list[stereo.DepthMap]:
    """What views know of each other's surfaces: a photo too far from the others for stereo still shows what they found.

    A surface point of other views gives a pixel its depth where the view has none, nothing found lies before it, and colours agree.
    """
    found = stereo.points(maps, cameras)
    colour = torch.cat([i.reshape(-1, 3)[m.depth.reshape(-1) > 0] for i, m in zip(images, maps, strict=True)])
    out = []
    for i, (own, image) in enumerate(zip(maps, images, strict=True)):
        pixels, z = rays.project(cameras[i], found.xyz.to(cameras.c2w))
        use = rays.in_frame(cameras[i], pixels, z)[0] & (found.views != i)
        at = pixels[0, use].long()
        flat = at[:, 1] * own.depth.shape[1] + at[:, 0]
        depth = torch.full((own.depth.numel(),), torch.inf).scatter_reduce(0, flat, z[0, use].float(), "amin")
        # Of the points that fall into a pixel, those in front decide.
        front = z[0, use].float() <= depth[flat] * (1 + _SAME_DEPTH)
        alike = front & ((colour[use] - image.reshape(-1, 3)[flat]).abs().amax(-1) < _SAME_COLOUR)
        agreed = torch.zeros_like(depth, dtype=torch.bool).index_fill_(0, flat[alike], True)
        fill = (own.depth.reshape(-1) <= 0) & agreed
        filled = torch.where(fill, depth, own.depth.reshape(-1)).reshape(own.depth.shape)
        sure = torch.where(fill, _BORROWED, own.confidence.reshape(-1)).reshape(own.depth.shape)
        out.append(stereo.DepthMap(filled, sure))
    return out


def restored(stored: dict[str, Tensor], device: torch.device) -> Geometry:
    """As an earlier start of this run found it."""
    return Geometry(*(stored[k].to(device) for k in ("depth", "confidence", "nearest")))


def seeds(
    capture: Capture,
    geometry: Geometry | None,
    kind: Literal["stereo", "points", "random"],
    count: int,
    rng: torch.Generator,
) -> Seeds | None:
    """Places for Gaussians to begin; a few stand anywhere. None: nothing is known, all do."""
    cameras = capture.cameras()
    if kind == "points":
        if capture.points is None or len(capture.points.xyz) < _FEW:
            raise UserError(
                "the capture has no points for Gaussians to begin at",
                got="none" if capture.points is None else str(len(capture.points.xyz)),
                accepted=f"{_FEW} or more points of structure from motion",
                do="Use --set pictures.seeds=stereo.",
            )
        return seeding.joined([_of_points(capture.points), _anywhere(count, cameras, rng)])
    if kind == "random" or geometry is None or int((geometry.depth > 0).sum()) < _FEW:
        return None
    maps, masks, start = [], load.stack_masks(capture), 0
    for view in capture.views:
        shape, pixels = (view.image.height, view.image.width), view.image.width * view.image.height
        inside = masks[start : start + pixels].reshape(shape) > 0
        part = [t[start : start + pixels].cpu().reshape(shape) for t in (geometry.depth, geometry.confidence)]
        maps.append(stereo.DepthMap(torch.where(inside, part[0], 0.0), part[1]))
        start += pixels
    return seeding.joined([_of_stereo(capture, maps, cameras, count, rng), _anywhere(count, cameras, rng)])


def _of_points(points: CapturePoints) -> Seeds:
    return seeding.from_points(torch.from_numpy(points.xyz), torch.from_numpy(points.rgb).float() / 255)


def _of_stereo(
    capture: Capture, maps: Sequence[stereo.DepthMap], cameras: Cameras, count: int, rng: torch.Generator
) -> Seeds:
    found = stereo.points(maps, cameras)
    offsets = torch.tensor([0, *(v.image.width * v.image.height for v in capture.views)]).cumsum(0)
    rgb = load.stack_rgb(capture)[offsets[found.views] + found.pixels]
    focal = cameras.intrinsics[:, 0].float()[found.views]
    share = min(1.0, _SURPLUS * count / len(found.xyz))
    return seeding.from_depth(found.xyz, rgb, found.depth, focal, share, rng)


def _anywhere(count: int, cameras: Cameras, rng: torch.Generator) -> Seeds:
    return seeding.random(max(1, int(_UNKNOWN * count)), cameras, rng)
