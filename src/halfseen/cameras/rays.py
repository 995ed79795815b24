"""Pixels to rays and points to pixels.

`t` along a ray is Euclidean distance (directions are unit length); z-depth = t * z_scale. The two are never mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras


@dataclass(frozen=True)
class Rays:
    """P rays in the world."""

    origins: Tensor  # [P, 3]
    directions: Tensor  # [P, 3] unit length
    z_scale: Tensor  # [P] cosine to the optical axis: z-depth = t * z_scale

    def at_depth(self, z: Tensor) -> Tensor:
        """The points [P, 3] at z-depths [P]."""
        return self.origins + (z / self.z_scale)[:, None] * self.directions


def pixel_centres(width: int, height: int, device: torch.device | None = None) -> Tensor:
    """Centres of all pixels [H * W, 2] as (x, y), row by row."""
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    grid = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid[1], grid[0]], -1).reshape(-1, 2)


def unproject(cameras: Cameras, views: Tensor, pixels: Tensor) -> Tensor:
    """Directions [P, 3] in the camera frame with z = 1 for pixels [P, 2] of views [P]."""
    fx, fy, cx, cy = cameras.intrinsics[views].unbind(-1)
    x, y = pixels.to(fx).unbind(-1)
    return torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(fx)], -1)


def cast(cameras: Cameras, views: Tensor, pixels: Tensor) -> Rays:
    """World rays through pixels [P, 2] (x, y; a centre is at +0.5) of views [P]."""
    local = unproject(cameras, views, pixels)
    length = local.norm(dim=-1, keepdim=True)
    rotation = cameras.c2w[views, :3, :3]
    directions = (rotation @ (local / length)[..., None])[..., 0]
    return Rays(cameras.c2w[views, :3, 3], directions, 1 / length[..., 0])


def cast_all(camera: Cameras) -> Rays:
    """World rays through all pixel centres of a batch-of-one camera, row by row: `cast` without a pose for each ray."""
    width, height = camera.size()
    fx, fy, cx, cy = camera.intrinsics[0]
    xy = pixel_centres(width, height, camera.c2w.device).to(camera.c2w)
    local = torch.stack([(xy[:, 0] - cx) / fx, (xy[:, 1] - cy) / fy, torch.ones_like(xy[:, 0])], -1)
    z_scale = 1 / local.norm(dim=-1)
    directions = (local * z_scale[:, None]) @ camera.c2w[0, :3, :3].T
    return Rays(camera.c2w[0, :3, 3].expand_as(directions), directions, z_scale)


def project(cameras: Cameras, points: Tensor) -> tuple[Tensor, Tensor]:
    """Project points [N, 3] into every view: pixels [V, N, 2] and z-depth [V, N]. Behind the camera z <= 0."""
    w2c = cameras.w2c.to(points)
    local = points @ w2c[:, :3, :3].transpose(1, 2) + w2c[:, None, :3, 3]
    z = local[..., 2]
    intrinsics = cameras.intrinsics.to(points)[:, None]
    safe = torch.where(z.abs() < torch.finfo(z.dtype).tiny, torch.full_like(z, torch.finfo(z.dtype).tiny), z)
    pixels = local[..., :2] / safe[..., None] * intrinsics[..., :2] + intrinsics[..., 2:]
    return pixels, z


def in_frame(cameras: Cameras, pixels: Tensor, z: Tensor) -> Tensor:
    """True where a projection [V, N, 2] with depth [V, N] lies in front of the camera and inside its image."""
    sizes = cameras.sizes.to(pixels)[:, None]
    return (z > 0) & (pixels >= 0).all(-1) & (pixels < sizes).all(-1)
