"""Cameras of patches: near a photo's camera and a little turned, or the photo's own; a window of a pseudo camera's picture."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.data.capture import Capture
from halfseen.images import resize
from halfseen.methods.diffusionerf.config import Patches


def for_photos(cfg: Patches, capture: Capture) -> Patches:
    """The pseudo camera for the photos: with `as_photos` that of the photo that sees most, of at most the pseudo camera's longer side."""
    if not cfg.as_photos:
        return cfg
    cameras = capture.cameras()
    view = int((cameras.sizes / cameras.intrinsics[:, :2]).amax(1).argmax())
    (width, height), focal = cameras.size(view), float(cameras.intrinsics[view, 0])
    share = min(1.0, cfg.width / max(width, height))
    across, down = (max(cfg.side, round(share * n)) for n in (width, height))
    return replace(cfg, width=across, height=down, focal=share * focal)


def near(cameras: Cameras, depth: float, cfg: Patches, rng: torch.Generator) -> Cameras:
    """A patch camera near one of the photos', moved by shares of `depth` (the photos' median depth, box units) and turned."""
    pose = cameras.c2w[int(torch.randint(len(cameras), (), generator=rng))].clone()
    pose[:3, 3] += (cfg.shift * depth * (2 * torch.rand(3, generator=rng, dtype=torch.float64) - 1)).to(pose)
    pose[:3, :3] = turned(cfg.turn, rng).to(pose) @ pose[:3, :3]
    return _window(pose, cfg, rng)


def of_photo(cameras: Cameras, view: int, cfg: Patches, rng: torch.Generator) -> Cameras | None:
    """A patch camera at a photo's own place whose window lies inside the photo; None where the photo is smaller than a patch."""
    fx, fy, cx, cy = cameras.intrinsics[view].tolist()
    width, height = cameras.size(view)
    draw = torch.rand(2, generator=rng).tolist()
    shifted = []
    for size, f, c, way in ((width, fx, cx, draw[0]), (height, fy, cy, draw[1])):
        # The photo's first and last edge in pixels of the pseudo camera, from its axis.
        first, last = (cfg.focal * (edge - c) / f for edge in (0, size))
        if last - first < cfg.side:
            return None
        shifted.append(-(first + way * (last - first - cfg.side)))
    pose = cameras.c2w[view]
    intrinsics = pose.new_tensor([[cfg.focal, cfg.focal, *shifted]])
    return Cameras(pose[None], intrinsics, torch.tensor([[cfg.side, cfg.side]]))


def colours(camera: Cameras, photo: Cameras, rgb: Tensor) -> Tensor:
    """Colours [side, side, 3] of a photo [H, W, 3] where a patch camera at the same place looks, between pixels."""
    width, height = camera.size()
    return resize.sample(rgb, _in_photo(camera, photo).to(rgb).reshape(height, width, 2))


def turned(share: float, rng: torch.Generator) -> Tensor:
    """Rotation [3, 3] by `share` of the angle of a uniformly random one, about its axis (float64)."""
    q = torch.randn(4, generator=rng, dtype=torch.float64)
    q = q / q.norm()
    angle = 2 * torch.atan2(q[1:].norm(), q[0].abs())
    x, y, z = (torch.sign(q[0]) * q[1:] / q[1:].norm()).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(share * angle * cross)


def _window(pose: Tensor, cfg: Patches, rng: torch.Generator) -> Cameras:
    """A random window of the pseudo camera's picture, as a camera with a shifted principal point; it may hang half outside."""
    across, down = torch.rand(2, generator=rng).tolist()
    half = cfg.side / 2
    left = -half + across * (cfg.width - cfg.side + 2 * half)
    top = -half + down * (cfg.height - cfg.side + 2 * half)
    intrinsics = [cfg.focal, cfg.focal, cfg.width / 2 - left, cfg.height / 2 - top]
    return Cameras(pose[None], pose.new_tensor([intrinsics]), torch.tensor([[cfg.side, cfg.side]]))


def _in_photo(camera: Cameras, photo: Cameras) -> Tensor:
    """Where the pixels of a patch lie in a photo taken from the same place [P, 2]."""
    width, height = camera.size()
    local = rays.unproject(camera, torch.zeros(width * height, dtype=torch.long), rays.pixel_centres(width, height))
    fx, fy, cx, cy = photo.intrinsics[0].tolist()
    at = local[:, :2] / local[:, 2:]
    return torch.stack([at[:, 0] * fx + cx, at[:, 1] * fy + cy], -1)
