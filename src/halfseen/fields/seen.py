"""Which surface points the photos saw: inside the picture, in front of the camera, and not behind something nearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.fields.contract import Field, Rendering
from halfseen.images import resize

# Longer side of the depth maps that decide occlusion.
_DEPTH_SIZE = 256
# A point counts as visible when it lies no deeper than the photo's own surface by this share of the depth.
_DEPTH_TOLERANCE = 0.02
# A surface is seen from its front: cosine between its normal and the direction to the photo's camera.
_FACING = 0.05
# Below this opacity a pixel shows nothing.
_NOTHING = 0.5
# Values of a validity mask above this are valid.
_VALID = 0.5
# The four values of a seen picture, as in the command-line contract.
NOTHING, INVENTED, ONE_VIEW, TWO_VIEWS = 0, 85, 170, 255


@dataclass(frozen=True)
class Witness:
    """The captured cameras with the field's depth as each of them sees it."""

    cameras: Cameras
    depths: tuple[Tensor, ...]  # [H, W] z-depth in box units, one for each camera
    # [H, W] above a half where the photo says anything; None or missing: everywhere.
    valid: tuple[Tensor | None, ...] = ()


def witness(field: Field, cameras: Cameras, valid: Sequence[Tensor | None] = ()) -> Witness:
    """Render the field's depth at the captured cameras, once for each field."""
    small = [cameras[i].resized(*resize.fit(*cameras.size(i), _DEPTH_SIZE)) for i in range(len(cameras))]
    with torch.no_grad():
        depths = tuple(field.render(c, background=(0.0, 0.0, 0.0)).depth.cpu() for c in small)
    return Witness(cameras, depths, tuple(valid))


def count_views(witness: Witness, points: Tensor, normals: Tensor | None = None) -> Tensor:
    """Number of captured views [N] that see box points [N, 3], from the front where `normals` [N, 3] are known (zero: unknown)."""
    count = torch.zeros(len(points), dtype=torch.long)
    for i, depth in enumerate(witness.depths):
        camera = witness.cameras[i]
        pixels, z = rays.project(camera, points)
        inside = rays.in_frame(camera, pixels, z)[0]
        scale = pixels.new_tensor([depth.shape[1], depth.shape[0]]) / camera.sizes[0]
        surface = resize.sample(depth[..., None].to(pixels), pixels * scale, mode="nearest")[0, :, 0]
        visible = inside & (z[0] <= surface * (1 + _DEPTH_TOLERANCE))
        known = witness.valid[i] if i < len(witness.valid) else None
        if known is not None:
            at = pixels * pixels.new_tensor([known.shape[1], known.shape[0]]) / camera.sizes[0]
            visible &= resize.sample(known[..., None].to(pixels), at, mode="nearest")[0, :, 0] > _VALID
        if normals is not None:
            towards = camera.centres[0].to(points) - points
            facing = (towards * normals).sum(-1) > _FACING * towards.norm(dim=-1)
            visible &= facing | (normals == 0).all(-1)
        count += visible
    return count


def seen_map(witness: Witness, rendering: Rendering, camera: Cameras) -> Tensor:
    """The seen picture [H, W] (uint8) of a rendering at one box-frame camera."""
    height, width = rendering.alpha.shape
    ray = rays.cast_all(camera)
    points = ray.at_depth(rendering.depth.cpu().reshape(-1).to(ray.z_scale))
    normals = surface_normals(points.reshape(height, width, 3), rendering.depth.cpu() > 0, camera)
    count = count_views(witness, points, normals.reshape(-1, 3)).clamp(max=2).reshape(height, width)
    values = torch.tensor([INVENTED, ONE_VIEW, TWO_VIEWS], dtype=torch.uint8)[count]
    return torch.where(rendering.alpha.cpu() < _NOTHING, torch.tensor(NOTHING, dtype=torch.uint8), values)


def surface_normals(points: Tensor, known: Tensor, camera: Cameras) -> Tensor:
    """Unit normals [H, W, 3] of a depth map's surface points [H, W, 3], towards the camera; zero where they are not known.

    Along each axis the nearer of both neighbours is taken: at a rim that is the one on the same surface.
    """
    along = []
    for axis in (0, 1):
        step = points.diff(dim=axis)
        start, end = torch.zeros_like(points.narrow(axis, 0, 1)), torch.zeros_like(points.narrow(axis, 0, 1))
        before, after = torch.cat([start, step], axis), torch.cat([step, end], axis)
        lengths = [torch.where(t.norm(dim=-1) > 0, t.norm(dim=-1), torch.inf) for t in (before, after)]
        along.append(torch.where((lengths[0] < lengths[1])[..., None], before, after))
    normal = torch.linalg.cross(along[1], along[0])
    away = ((camera.centres[0].to(points) - points) * normal).sum(-1, keepdim=True) < 0
    normal = torch.where(away, -normal, normal)
    return torch.nn.functional.normalize(normal, dim=-1) * known[..., None]
