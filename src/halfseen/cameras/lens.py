"""Lens distortion: OpenCV's radial-tangential and fisheye models, applied to normalised image coordinates.

x_distorted = distort(x), where x = (X/Z, Y/Z). Removing distortion from a picture needs only this forward direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras

LensModel = Literal["pinhole", "opencv", "fisheye"]

# Newton steps of `undistort`; it converges quadratically, real lenses need five.
_NEWTON_STEPS = 20
# Below this squared radius a fisheye is straight to double precision.
_AXIS = 1e-24
# A Jacobian with a smaller determinant stands on a fold of the polynomial, where Newton has no direction.
_FOLD = 1e-9
# A lens is never bent beyond this angle from the axis when borders are traced (degrees).
_MAX_HALF_ANGLE = 85.0
# Points along each border that decide the crop of an undistorted picture.
_BORDER_POINTS = 64


@dataclass(frozen=True)
class Lens:
    """A distortion model. opencv: k1 k2 p1 p2 k3 k4 k5 k6. fisheye: k1 k2 k3 k4. pinhole: none."""

    model: LensModel = "pinhole"
    params: tuple[float, ...] = ()

    @property
    def bends(self) -> bool:
        """Whether the lens moves any point. A fisheye with zero coefficients still does."""
        return self.model == "fisheye" or any(self.params)

    def padded(self, count: int) -> list[float]:
        return [*self.params, *([0.0] * count)][:count]


PINHOLE = Lens()


def distort(lens: Lens, xy: Tensor) -> Tensor:
    """Distorted normalised coordinates [..., 2]."""
    if lens.model == "pinhole":
        return xy
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    if lens.model == "fisheye":
        k1, k2, k3, k4 = lens.padded(4)
        # Clamped before the root: its gradient at the axis would be infinite.
        r = r2.clamp_min(_AXIS).sqrt()
        theta = torch.atan(r)
        t2 = theta * theta
        bent = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
        return xy * (bent / r)[..., None]
    k1, k2, p1, p2, k3, k4, k5, k6 = lens.padded(8)
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([x * radial + dx, y * radial + dy], -1)


def undistort(lens: Lens, distorted: Tensor) -> Tensor:
    """Invert `distort` for points [N, 2] by Newton's method with the exact Jacobian.

    A point that no ray reaches (beyond the fold of the polynomial) does not converge; it stays at its last iterate.
    """
    if lens.model == "pinhole":
        return distorted
    limit = math.tan(math.radians(_MAX_HALF_ANGLE))
    x = distorted.clone()
    for _ in range(_NEWTON_STEPS):
        with torch.enable_grad():
            p = x.detach().requires_grad_()
            bent = distort(lens, p)
            jac = torch.stack([torch.autograd.grad(bent[..., i].sum(), p, retain_graph=i == 0)[0] for i in (0, 1)], -2)
        (a, b), (c, d) = jac[..., 0, :].unbind(-1), jac[..., 1, :].unbind(-1)
        u, v = (distorted - bent.detach()).unbind(-1)
        det = a * d - b * c
        det = torch.where(det.abs() < _FOLD, torch.full_like(det, torch.inf), det)
        x = (x + torch.stack([(d * u - b * v) / det, (a * v - c * u) / det], -1)).clamp(-limit, limit)
    return x


def source_pixels(source: Cameras, lens: Lens, target: Cameras) -> Tensor:
    """For each pixel of a pinhole `target` camera, where to read in the distorted `source` picture: [H, W, 2].

    Both are batches of one with the same pose; their intrinsics and sizes may differ.
    """
    width, height = target.size()
    x = torch.arange(width, dtype=torch.float64) + 0.5
    y = torch.arange(height, dtype=torch.float64) + 0.5
    fx, fy, cx, cy = target.intrinsics[0].tolist()
    xy = torch.stack(torch.meshgrid((x - cx) / fx, (y - cy) / fy, indexing="xy"), -1)
    return distort(lens, xy) * source.intrinsics[0, :2] + source.intrinsics[0, 2:]


def pinhole_for(source: Cameras, lens: Lens) -> Cameras:
    """The pinhole camera of the undistorted picture: same pose and focal lengths, cut to the part that is known everywhere.

    The cut is the largest border-to-border rectangle inside the undistorted outline, never larger than the photo itself.
    """
    if not lens.bends:
        return source
    (width, height), (fx, fy, cx, cy) = source.size(), source.intrinsics[0].tolist()
    along_x = torch.linspace(0, width, _BORDER_POINTS, dtype=torch.float64)
    along_y = torch.linspace(0, height, _BORDER_POINTS, dtype=torch.float64)

    def straight(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        bent = torch.stack(torch.broadcast_tensors((x - cx) / fx, (y - cy) / fy), -1)
        flat = undistort(lens, bent)
        return flat[:, 0] * fx + cx, flat[:, 1] * fy + cy

    edge = torch.zeros(1, dtype=torch.float64)
    left = math.ceil(max(0.0, straight(edge, along_y)[0].max().item()))
    right = math.floor(min(float(width), straight(edge + width, along_y)[0].min().item()))
    top = math.ceil(max(0.0, straight(along_x, edge)[1].max().item()))
    bottom = math.floor(min(float(height), straight(along_x, edge + height)[1].min().item()))
    if right - left < 1 or bottom - top < 1:
        return source
    return source.cropped(left, top, right - left, bottom - top)
