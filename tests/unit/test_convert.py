"""Axes and formats: hypothesis round trips of every conversion, and one known point followed by hand through each."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import random_cameras, random_poses

from halfseen.cameras import convert
from halfseen.cameras.rotations import matrix_to_quaternion, quaternion_to_matrix

seeds = st.integers(0, 10_000)


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@given(seeds)
def test_opengl_round_trip(seed):
    poses = random_poses(3, seed)
    close(convert.swap_opengl(convert.swap_opengl(poses)), poses)


@given(seeds)
def test_colmap_round_trip(seed):
    poses = random_poses(3, seed)
    close(convert.opencv_from_colmap(*convert.colmap_from_opencv(poses)), poses)


@given(seeds)
def test_llff_round_trip(seed):
    poses = random_poses(3, seed)
    close(convert.opencv_from_llff(convert.llff_from_opencv(poses)), poses)


@given(seeds, st.sampled_from(["ndc_isotropic", "ndc_norm_image_bounds"]))
def test_pytorch3d_round_trip(seed, ndc):
    cameras = random_cameras(3, seed)
    back = convert.opencv_from_pytorch3d(*convert.pytorch3d_from_opencv(cameras, ndc), cameras.sizes, ndc)
    close(back.c2w, cameras.c2w)
    close(back.intrinsics, cameras.intrinsics)


@given(seeds, st.sampled_from([1.0, -1.0, 37.5, -1e-3]))
def test_projection_matrix_round_trip_at_any_scale_and_sign(seed, factor):
    cameras = random_cameras(3, seed)
    k, c2w = convert.opencv_from_projection(factor * convert.projection_from_opencv(cameras))
    close(c2w, cameras.c2w)
    close(torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], -1), cameras.intrinsics)
    close(k[:, 0, 1], torch.zeros(3, dtype=torch.float64))


@given(seeds)
def test_srn_world_to_camera_exports(seed):
    poses = random_poses(2, seed)
    close(convert.opencv_from_srn(torch.linalg.inv(poses), world_to_camera=True), poses)
    assert convert.opencv_from_srn(poses) is poses


@given(seeds)
def test_quaternions_round_trip(seed):
    rotation = random_poses(5, seed)[:, :3, :3]
    close(quaternion_to_matrix(matrix_to_quaternion(rotation)), rotation)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_quaternion_of_a_half_turn(axis):
    rotation = -torch.eye(3, dtype=torch.float64)
    rotation[axis, axis] = 1
    close(quaternion_to_matrix(matrix_to_quaternion(rotation)), rotation)


def test_a_point_ahead_and_above_in_each_convention():
    """A camera at the origin; a point one right, two up, five ahead, in every convention's own axes."""
    point = torch.tensor([1.0, -2.0, 5.0, 1.0], dtype=torch.float64)  # OpenCV: right, down, forward
    identity = torch.eye(4, dtype=torch.float64)[None]
    assert (torch.linalg.inv(convert.swap_opengl(identity))[0] @ point).tolist() == [1.0, 2.0, -5.0, 1.0]
    llff = convert.llff_from_opencv(identity)[0]
    assert (llff[:, :3].T @ point[:3]).tolist() == [-2.0, 1.0, -5.0]  # down, right, backward
    cameras = random_cameras(1, 0)
    r, t, _, _ = convert.pytorch3d_from_opencv(cameras, "ndc_isotropic")
    world = cameras.c2w[0] @ point
    close(world[None, :3] @ r[0] + t[0], torch.tensor([[-1.0, 2.0, 5.0]], dtype=torch.float64))  # left, up, forward


@pytest.mark.parametrize(("ndc", "half"), [("ndc_isotropic", (50.0, 50.0)), ("ndc_norm_image_bounds", (80.0, 50.0))])
def test_pytorch3d_intrinsics_formats(ndc, half):
    """x_ndc = f X/Z + c with x = +1 at the left edge: pixel u = W/2 - half x_ndc."""
    cameras = random_cameras(1, 3)
    cameras = type(cameras)(cameras.c2w, cameras.intrinsics, torch.tensor([[160, 100]]))
    r, t, focal, principal = convert.pytorch3d_from_opencv(cameras, ndc)
    point = cameras.c2w[0] @ torch.tensor([0.4, -0.3, 2.0, 1.0], dtype=torch.float64)
    x, y, z = (point[None, :3] @ r[0] + t[0])[0].tolist()
    u = 80 - half[0] * (focal[0, 0].item() * x / z + principal[0, 0].item())
    v = 50 - half[1] * (focal[0, 1].item() * y / z + principal[0, 1].item())
    fx, fy, cx, cy = cameras.intrinsics[0].tolist()
    assert math.isclose(u, fx * 0.2 + cx, abs_tol=1e-9)
    assert math.isclose(v, -fy * 0.15 + cy, abs_tol=1e-9)


def test_pytorch3d_camera_centre_and_query_frame():
    """C = -T R^T; re-expressed in camera q's frame (R' = R_q^T R, T' = T - T_q R_q^T R), q itself becomes (I, 0)."""
    cameras = random_cameras(2, 5)
    r, t, _, _ = convert.pytorch3d_from_opencv(cameras, "ndc_isotropic")
    close(-(t[:, None] @ r.transpose(1, 2))[:, 0], cameras.centres)
    close(r[0].T @ r[0], torch.eye(3, dtype=torch.float64))
    close(t[0] - t[0] @ r[0].T @ r[0], torch.zeros(3, dtype=torch.float64))
