"""Which surface points the photos saw: inside the picture, in front of the camera, and not behind something nearer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.fields.contract import Field, Rendering
from halfseen.images import resize

# Longer side of the depth maps that decide occlusion.
_DEPTH_SIZE = 128
# A point counts as visible when it lies no deeper than the photo's own surface by this share of the depth.
_DEPTH_TOLERANCE = 0.05
# Below this opacity a pixel shows nothing.
_NOTHING = 0.5
# The four values of a seen picture, as in the command-line contract.
NOTHING, INVENTED, ONE_VIEW, TWO_VIEWS = 0, 85, 170, 255


@dataclass(frozen=True)
class Witness:
    """The captured cameras with the field's depth as each of them sees it."""

    cameras: Cameras
    depths: tuple[Tensor, ...]  # [H, W] z-depth in box units, one for each camera


def witness(field: Field, cameras: Cameras) -> Witness:
    """Render the field's depth at the captured cameras, once for each field."""
    small = [cameras[i].resized(*resize.fit(*cameras.size(i), _DEPTH_SIZE)) for i in range(len(cameras))]
    with torch.no_grad():
        depths = tuple(field.render(c, background=(0.0, 0.0, 0.0)).depth.cpu() for c in small)
    return Witness(cameras, depths)


def count_views(witness: Witness, points: Tensor) -> Tensor:
    """Number of captured views [N] that see box points [N, 3]."""
    count = torch.zeros(len(points), dtype=torch.long)
    for i, depth in enumerate(witness.depths):
        camera = witness.cameras[i]
        pixels, z = rays.project(camera, points)
        inside = rays.in_frame(camera, pixels, z)[0]
        scale = pixels.new_tensor([depth.shape[1], depth.shape[0]]) / camera.sizes[0]
        surface = resize.sample(depth[..., None].to(pixels), pixels * scale, mode="nearest")[0, :, 0]
        count += inside & (z[0] <= surface * (1 + _DEPTH_TOLERANCE))
    return count


def seen_map(witness: Witness, rendering: Rendering, camera: Cameras) -> Tensor:
    """The seen picture [H, W] (uint8) of a rendering at one box-frame camera."""
    height, width = rendering.alpha.shape
    ray = rays.cast_all(camera)
    distance = rendering.depth.cpu().reshape(-1).to(ray.z_scale) / ray.z_scale
    count = count_views(witness, ray.origins + distance[:, None] * ray.directions).clamp(max=2).reshape(height, width)
    values = torch.tensor([INVENTED, ONE_VIEW, TWO_VIEWS], dtype=torch.uint8)[count]
    return torch.where(rendering.alpha.cpu() < _NOTHING, torch.tensor(NOTHING, dtype=torch.uint8), values)
