"""The only module that flips axes. Everything outside is translated here to OpenCV camera-to-world and back.

OpenCV      x right, y down, z forward    (inside)
OpenGL      x right, y up,   z backward   (nerfstudio, Blender, instant-ngp; all files that leave)
COLMAP      OpenCV axes, world-to-camera, quaternion wxyz + translation
LLFF        columns (down, right, backward)
PyTorch3D   x left, y up, z forward; row vectors X_cam = X_world @ R + T; intrinsics in NDC
SRN         OpenCV axes, camera-to-world (old exports: world-to-camera)
DTU         3x4 projection matrices P = K [R | t]
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rotations import matrix_to_quaternion, quaternion_to_matrix

NdcFormat = Literal["ndc_isotropic", "ndc_norm_image_bounds"]


def swap_opengl(c2w: Tensor) -> Tensor:
    """OpenCV <-> OpenGL camera-to-world [..., 4, 4]: negate the y and z columns. Its own inverse."""
    return c2w * c2w.new_tensor([1, -1, -1, 1])


def opencv_from_colmap(quaternion: Tensor, translation: Tensor) -> Tensor:
    """COLMAP world-to-camera (wxyz [V, 4], t [V, 3]) to camera-to-world [V, 4, 4]."""
    rotation = quaternion_to_matrix(quaternion).transpose(-1, -2)
    return _pose(rotation, -(rotation @ translation[..., None])[..., 0])


def colmap_from_opencv(c2w: Tensor) -> tuple[Tensor, Tensor]:
    """Camera-to-world [V, 4, 4] to COLMAP's (wxyz [V, 4], t [V, 3])."""
    rotation = c2w[..., :3, :3].transpose(-1, -2)
    return matrix_to_quaternion(rotation), -(rotation @ c2w[..., :3, 3:])[..., 0]


def opencv_from_llff(pose: Tensor) -> Tensor:
    """LLFF [V, 3, 4] with columns (down, right, backward) to camera-to-world [V, 4, 4]."""
    rotation = torch.stack([pose[..., 1], pose[..., 0], -pose[..., 2]], -1)
    return _pose(rotation, pose[..., 3])


def llff_from_opencv(c2w: Tensor) -> Tensor:
    """Camera-to-world [V, 4, 4] to LLFF [V, 3, 4]."""
    x, y, z, centre = c2w[..., :3, :].unbind(-1)
    return torch.stack([y, x, -z, centre], -1)


def opencv_from_srn(pose: Tensor, *, world_to_camera: bool = False) -> Tensor:
    """SRN pose [V, 4, 4]: already OpenCV; very old exports store the inverse and say so in intrinsics.txt."""
    return torch.linalg.inv(pose) if world_to_camera else pose


def opencv_from_projection(projection: Tensor) -> tuple[Tensor, Tensor]:
    """Decompose P = K [R | t] [V, 3, 4] (any scale and sign) into K [V, 3, 3] with K22 = 1 and camera-to-world [V, 4, 4].

    RQ decomposition through QR of the row-reversed transpose; the signs make the diagonal of K positive and det R = +1.
    """
    p = projection / projection[..., 2:, :3].norm(dim=-1, keepdim=True)
    p = p * torch.sign(torch.det(p[..., :3]))[..., None, None]
    q, r = torch.linalg.qr(p[..., :3].flip(-2).transpose(-1, -2))
    k = r.transpose(-1, -2).flip(-1).flip(-2)
    rotation = q.transpose(-1, -2).flip(-2)
    signs = torch.sign(k.diagonal(dim1=-2, dim2=-1))
    k, rotation = k * signs[..., None, :], rotation * signs[..., :, None]
    centre = -torch.linalg.solve(p[..., :3], p[..., 3:])[..., 0]
    return k / k[..., 2:, 2:], _pose(rotation.transpose(-1, -2), centre)


def projection_from_opencv(cameras: Cameras) -> Tensor:
    """Projection matrices [V, 3, 4] in pixels."""
    k = torch.zeros_like(cameras.c2w[:, :3, :3])
    k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2] = cameras.intrinsics.unbind(-1)
    k[:, 2, 2] = 1
    return k @ cameras.w2c[:, :3]


def pytorch3d_from_opencv(cameras: Cameras, ndc: NdcFormat) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """R [V, 3, 3], T [V, 3], focal [V, 2], principal point [V, 2] of PyTorch3D and CO3D."""
    flip = cameras.c2w.new_tensor([-1, -1, 1])
    w2c = cameras.w2c
    half, rescale = _ndc_scale(cameras.sizes, ndc)
    focal = cameras.intrinsics[:, :2] / rescale
    principal = (half - cameras.intrinsics[:, 2:]) / rescale
    return w2c[:, :3, :3].transpose(1, 2) * flip, w2c[:, :3, 3] * flip, focal, principal


def opencv_from_pytorch3d(
    r: Tensor, t: Tensor, focal: Tensor, principal: Tensor, sizes: Tensor, ndc: NdcFormat
) -> Cameras:
    """Inverse of `pytorch3d_from_opencv`; `sizes` is [V, 2] width, height in pixels."""
    flip = r.new_tensor([-1, -1, 1])
    rotation = r * flip
    centre = -(rotation @ (t * flip)[..., None])[..., 0]
    half, rescale = _ndc_scale(sizes, ndc)
    intrinsics = torch.cat([focal * rescale, half - principal * rescale], -1)
    return Cameras(_pose(rotation, centre), intrinsics, sizes)


def _ndc_scale(sizes: Tensor, ndc: NdcFormat) -> tuple[Tensor, Tensor]:
    """Half sizes [V, 2], and pixels per NDC unit: the shorter half side, or each half side by itself."""
    half = sizes.to(torch.float64) / 2
    return half, half if ndc == "ndc_norm_image_bounds" else half.amin(-1, keepdim=True).expand_as(half)


def _pose(rotation: Tensor, centre: Tensor) -> Tensor:
    """Assemble camera-to-world [..., 4, 4]."""
    out = torch.zeros(*rotation.shape[:-2], 4, 4, dtype=rotation.dtype, device=rotation.device)
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = rotation, centre, 1
    return out
