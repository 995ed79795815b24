import torch
from hypothesis import given
from hypothesis import strategies as st
from support import random_cameras

from halfseen.cameras import cameras as cams
from halfseen.cameras import rays
from halfseen.cameras.cameras import concat

seeds = st.integers(0, 10_000)


@given(seeds)
def test_a_point_on_a_ray_projects_back_to_its_pixel(seed):
    cameras = random_cameras(3, seed)
    views = torch.tensor([0, 1, 2, 2])
    pixels = torch.tensor([[0.5, 0.5], [100.5, 66.5], [33.25, 12.0], [101.0, 0.0]], dtype=torch.float64)
    ray = rays.cast(cameras, views, pixels)
    t = torch.tensor([0.3, 2.0, 17.0, 5.0], dtype=torch.float64)
    at, z = rays.project(cameras, ray.origins + t[:, None] * ray.directions)
    index = torch.arange(4)
    torch.testing.assert_close(at[views, index], pixels, atol=1e-8, rtol=0)
    torch.testing.assert_close(z[views, index], t * ray.z_scale)
    torch.testing.assert_close(ray.directions.norm(dim=-1), torch.ones(4, dtype=torch.float64))


def test_a_pixel_centre_lies_at_one_half():
    assert rays.pixel_centres(2, 2).tolist() == [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]


def test_the_principal_ray_is_the_forward_axis():
    cameras = random_cameras(1, 0)
    ray = rays.cast(cameras, torch.tensor([0]), cameras.intrinsics[:, 2:])
    torch.testing.assert_close(ray.directions, cameras.forward)


def test_resizing_scales_each_axis_by_its_own_factor():
    camera = cams.make(torch.eye(4, dtype=torch.float64), (100.0, 120.0, 31.0, 20.0), (60, 40)).resized(30, 10)
    assert camera.intrinsics.tolist() == [[50.0, 30.0, 15.5, 5.0]]
    assert camera.size() == (30, 10)


def test_cropping_moves_the_principal_point():
    camera = cams.make(torch.eye(4, dtype=torch.float64), (100.0, 120.0, 31.0, 20.0), (60, 40)).cropped(5, 3, 20, 20)
    assert camera.intrinsics.tolist() == [[100.0, 120.0, 26.0, 17.0]]


def test_field_of_view_of_an_off_centre_camera():
    camera = cams.make(torch.eye(4, dtype=torch.float64), (10.0, 10.0, 0.0, 10.0), (10, 20))
    torch.testing.assert_close(camera.field_of_view(), torch.tensor([[45.0, 90.0]], dtype=torch.float64))


def test_world_to_camera_is_the_inverse():
    cameras = random_cameras(4, 1)
    torch.testing.assert_close(cameras.w2c @ cameras.c2w, torch.eye(4, dtype=torch.float64).expand(4, 4, 4))


def test_selecting_and_joining_give_the_same_cameras():
    cameras = random_cameras(4, 2)
    joined = concat([cameras[0], cameras[[1, 2]], cameras[3:]])
    assert torch.equal(joined.c2w, cameras.c2w)
    assert torch.equal(joined.intrinsics, cameras.intrinsics)


def test_points_behind_the_camera_are_not_in_frame():
    camera = cams.make(torch.eye(4, dtype=torch.float64), (10.0, 10.0, 5.0, 5.0), (10, 10))
    points = torch.tensor([[0, 0, 1.0], [0, 0, -1.0], [9.0, 0, 1.0]], dtype=torch.float64)
    assert rays.in_frame(camera, *rays.project(camera, points)).tolist() == [[True, False, False]]
