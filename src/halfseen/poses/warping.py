"""Photos seen from elsewhere: what a view at known depth can borrow from them."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.images import resize

# A photo shows a point when its own surface there is as far away, up to this share of the depth.
_AGREES = 0.03


def borrow(
    photo: Tensor, photo_camera: Cameras, surface: Tensor, camera: Cameras, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """(colours [H, W, 3], trusted [H, W]) of a photo [h, w, 3] at the z-depths [H, W] of another camera, 0 where nothing is.

    `surface` [h', w'] is the z-depth of the same scene as the photo's camera sees it: what lies behind it is not trusted.
    Colours are zero where they are not trusted.
    """
    height, width = depth.shape
    ray = rays.cast_all(camera)
    points = ray.at_depth(depth.reshape(-1).to(ray.z_scale))
    pixels, z = rays.project(photo_camera.to(points), points)
    inside = rays.in_frame(photo_camera, pixels, z)[0]
    size = photo_camera.sizes[0].to(pixels)
    there = resize.sample(surface[..., None].to(pixels), pixels * (_size(surface).to(size) / size), mode="nearest")[
        0, :, 0
    ]
    trusted = inside & ((z[0] - there).abs() <= _AGREES * z[0]) & (depth.reshape(-1) > 0)
    rgb = resize.sample(photo.to(pixels), pixels * (_size(photo).to(size) / size))[0]
    trusted = trusted.reshape(height, width)
    return torch.where(trusted[..., None], rgb.reshape(height, width, 3), 0.0).to(photo), trusted


def borrowed(
    photos: list[Tensor], cameras: Cameras, surfaces: list[Tensor], camera: Cameras, depth: Tensor
) -> tuple[Tensor, Tensor]:
    """`borrow` from several photos, the first that is trusted at each pixel."""
    rgb, known = depth.new_zeros(*depth.shape, 3), torch.zeros(depth.shape, dtype=torch.bool)
    for i, (photo, surface) in enumerate(zip(photos, surfaces, strict=True)):
        more, trusted = borrow(photo, cameras[i], surface, camera, depth)
        rgb = torch.where((trusted & ~known)[..., None], more.to(rgb), rgb)
        known |= trusted
    return rgb, known


def _size(picture: Tensor) -> Tensor:
    return torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float64)


def distance(a: Cameras, b: Cameras, unit: float) -> Tensor:
    """How far apart two batches of cameras are [A, B]: way in `unit`s plus angle in radians."""
    way = (a.centres[:, None] - b.centres[None]).norm(dim=-1) / unit
    turn = a.c2w[:, None, :3, :3].transpose(-1, -2) @ b.c2w[None, :, :3, :3]
    cosine = ((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)
    return way + cosine.arccos()
