"""Paths: golden values of Difix3D's pose machinery and of the SRN spiral, and what a user expects of orbits."""

import math

import pytest
import torch
from support import random_poses

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.cameras.rotations import angle_between, rotation_between, slerp


def about_y(degrees, x=0.0):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
    pose[0, 3] = x
    return pose


def degrees_of(pose):
    return math.degrees(float(angle_between(torch.eye(3, dtype=torch.float64), pose[:3, :3])))


@pytest.mark.parametrize(
    ("target", "x", "degrees"),
    [((90, 2.0), 0.5, 22.5), ((90, 0.9), 0.9, 50.0), ((10, 0.3), 0.3, 10.0), ((90, 0.0), 0.0, 90.0)],
)
def test_one_step_towards_a_target(target, x, degrees):
    stepped = paths.step_towards(about_y(0)[None], about_y(*target)[None], 0.5)[0]
    assert float(stepped[0, 3]) == pytest.approx(x, abs=1e-9)
    assert degrees_of(stepped) == pytest.approx(degrees, abs=1e-6)


def test_a_chain_of_steps_reaches_the_target_in_five_rounds():
    current, target, xs, angles = about_y(0)[None], about_y(60, 2.3)[None], [], []
    for _ in range(5):
        current = paths.step_towards(current, target, 0.5)
        xs.append(round(float(current[0, 0, 3]), 6))
        angles.append(round(degrees_of(current[0]), 2))
    assert xs == [0.5, 1.0, 1.5, 2.3, 2.3]
    assert angles == [13.04, 26.09, 39.13, 52.17, 60.0]


def test_no_nan_over_ten_thousand_pairs_and_nearest_of_equal_rotations():
    a, b = random_poses(10_000, 1), random_poses(10_000, 2)
    assert torch.isfinite(paths.pose_distance(a, b)).all()
    assert float(paths.pose_distance(a, a).max()) < 1e-6
    same = about_y(30).repeat(4, 1, 1)
    same[:, 0, 3] = torch.tensor([3.0, 1.0, 0.2, 2.0])
    assert paths.nearest(same, about_y(30)) == 2


def test_srn_spiral_golden_values():
    eye = paths.srn_spiral()
    assert len(eye) == 251

    def elevation(i):
        return math.degrees(math.asin(float(eye[i, 2])))

    def azimuth(i):
        return math.degrees(math.atan2(float(eye[i, 1]), float(eye[i, 0])))

    assert elevation(0) == pytest.approx(0, abs=1e-9)
    assert elevation(64) == pytest.approx(23.04, abs=1e-6)
    assert azimuth(64) == pytest.approx(0.7, abs=0.05)
    assert elevation(104) == pytest.approx(37.44, abs=1e-6)
    assert azimuth(104) == pytest.approx(177, abs=0.5)
    assert elevation(250) == pytest.approx(90, abs=1e-6)


def test_an_orbit_looks_at_its_focus_and_stays_level():
    focus, up = torch.tensor([1.0, 2, 3], dtype=torch.float64), torch.tensor([0.0, 0, 1], dtype=torch.float64)
    poses = paths.orbit(focus, up, 2.0, 30.0, 8)
    cameras = cams.make(poses, (10.0, 10.0, 5.0, 5.0), (10, 10))
    torch.testing.assert_close(cameras.centres + 2 * cameras.forward, focus.expand(8, 3))
    assert float(poses[:, 2, 0].abs().max()) < 1e-12  # x axes are horizontal
    assert float(cameras.up[:, 2].min()) > 0
    torch.testing.assert_close(cameras.centres[:, 2], torch.full((8,), 4.0, dtype=torch.float64))
    assert float((cameras.centres[0] - cameras.centres[-1]).norm()) > 1  # first and last differ


@pytest.mark.parametrize("forward", [(0.0, 0, 1), (0, 0, -1), (0, 1, 0)])
def test_look_at_is_a_rotation_even_along_the_up_axis(forward):
    eye = torch.zeros(1, 3, dtype=torch.float64)
    pose = paths.look_at(
        eye, torch.tensor([forward], dtype=torch.float64), torch.tensor([0.0, 0, 1], dtype=torch.float64)
    )
    torch.testing.assert_close(pose[0, :3, :3].T @ pose[0, :3, :3], torch.eye(3, dtype=torch.float64))
    assert float(torch.det(pose[0, :3, :3])) == pytest.approx(1)
    torch.testing.assert_close(pose[0, :3, 2], torch.tensor(forward, dtype=torch.float64))


def test_interpolation_passes_through_its_keys():
    keys = random_poses(3, 4)
    path = paths.interpolate(keys, 9)
    torch.testing.assert_close(path[[0, 4, 8]], keys, atol=1e-7, rtol=0)
    assert torch.equal(paths.interpolate(keys[:1], 3)[:, :3, 3], keys[:1, :3, 3].expand(3, 3))


def test_slerp_is_even_and_exact_for_tiny_angles():
    a, b = about_y(0)[:3, :3], about_y(80)[:3, :3]
    assert math.degrees(float(angle_between(a, slerp(a, b, 0.25)))) == pytest.approx(20)
    tiny = about_y(1e-4)[:3, :3]
    torch.testing.assert_close(slerp(a, tiny, 0.5), about_y(0.5e-4)[:3, :3], atol=1e-12, rtol=0)


def test_a_spiral_keeps_looking_at_its_focus():
    pose = about_y(20, 1.0)
    path = paths.spiral(pose, 3.0, (0.2, 0.1, 0.05), 12)
    focus = pose[:3, 3] + 3 * pose[:3, 2]
    ahead = torch.nn.functional.normalize(focus - path[:, :3, 3], dim=-1)
    torch.testing.assert_close(path[:, :3, 2], ahead)


def test_the_focus_of_a_ring_and_of_parallel_axes():
    up, focus = torch.tensor([0.0, 0, 1], dtype=torch.float64), torch.tensor([0.3, -0.2, 0.7], dtype=torch.float64)
    ring = cams.make(paths.orbit(focus, up, 2.0, 20.0, 5), (10.0, 10.0, 5.0, 5.0), (10, 10))
    point, spread = paths.axes_focus(ring)
    torch.testing.assert_close(point, focus)
    assert spread > 0.1
    parallel = torch.eye(4, dtype=torch.float64).repeat(3, 1, 1)
    parallel[:, 0, 3] = torch.arange(3)
    assert paths.axes_focus(cams.make(parallel, (10.0, 10.0, 5.0, 5.0), (10, 10)))[1] < 1e-12


def test_the_smallest_rotation_between_directions():
    a = torch.nn.functional.normalize(torch.tensor([1.0, 2, 3], dtype=torch.float64), dim=0)
    for b in (torch.tensor([0.0, 0, 1], dtype=torch.float64), -a, a):
        rotation = rotation_between(a, b)
        torch.testing.assert_close(rotation @ a, b)
        assert float(torch.det(rotation)) == pytest.approx(1)


def test_a_swing_goes_over_its_arc_and_back():
    focus, up = torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 0, 1], dtype=torch.float64)
    start = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    eye = paths.orbit(focus, up, 1.0, 0.0, 8, start, 90.0)[:, :3, 3]
    azimuth = torch.rad2deg(torch.atan2(eye[:, 1], eye[:, 0]))
    assert float(azimuth[0]) == pytest.approx(0, abs=1e-9)
    assert float(azimuth[4]) == pytest.approx(90)
    assert float(azimuth.max()) <= 90 + 1e-9
    assert float(azimuth[3]) == pytest.approx(float(azimuth[5]))
