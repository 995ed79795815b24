"""Depth errors, chamfer distance and reprojection consistency against loops, closed forms and scenes that are known exactly."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import random_cameras

from halfseen.cameras import cameras as cams
from halfseen.cameras import rays
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics import surfaces
from halfseen.metrics.depth import depth_errors, ordering_error
from halfseen.metrics.geometry import chamfer, nearest_distances, sample_mesh
from halfseen.metrics.reprojection import consistency
from halfseen.metrics.surfaces import Surface


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed, "test"), dtype=torch.float64)


# --- depth


def test_depth_errors_by_hand_and_only_where_both_are_known():
    truth = torch.tensor([[2.0, 4.0, 0.0], [1.0, 5.0, 8.0]])
    predicted = torch.tensor([[1.0, 5.0, 3.0], [1.1, 0.0, 8.0]])
    out = depth_errors(predicted, truth)
    assert out.pixels == 4
    assert out.coverage == pytest.approx(4 / 5)
    assert out.abs_rel == pytest.approx((0.5 + 0.25 + 0.1 + 0) / 4)
    assert out.rmse == pytest.approx(math.sqrt((1 + 1 + 0.01 + 0) / 4))
    # A ratio of exactly 1.25 is not below 1.25.
    assert out.delta_125 == pytest.approx(2 / 4)
    masked = depth_errors(predicted, truth, torch.tensor([[True, False, True], [True, True, False]]))
    assert (masked.pixels, masked.coverage) == (2, pytest.approx(2 / 3))
    assert masked.abs_rel == pytest.approx(0.3)


@pytest.mark.parametrize("size", [(6, 7), (5, 5)])
def test_median_alignment_undoes_any_scale(size):
    truth = 1 + uniform(*size)
    predicted = truth * (1 + 0.1 * uniform(*size, seed=1))
    plain, scaled = (depth_errors(p, truth, align="median") for p in (predicted, 7.3 * predicted))
    assert scaled.abs_rel == pytest.approx(plain.abs_rel, rel=1e-9)
    assert plain.scale == pytest.approx(np.median(truth.numpy()) / np.median(predicted.numpy()), rel=1e-12)
    assert depth_errors(7.3 * predicted, truth).delta_125 == 0
    exact = depth_errors(3 * truth, truth, align="median")
    assert (exact.abs_rel, exact.delta_125) == (pytest.approx(0, abs=1e-12), 1)


def test_ordering_error_is_that_of_all_pairs():
    truth, predicted = 1 + uniform(8, 9), 1 + uniform(8, 9, seed=1)
    predicted = 0.6 * truth + 0.4 * predicted
    t, p = truth.reshape(-1).tolist(), predicted.reshape(-1).tolist()
    wrong = total = 0
    for i in range(len(t)):
        for j in range(i):
            if max(t[i] / t[j], t[j] / t[i]) > 1.02:
                total += 1
                wrong += (t[i] - t[j]) * (p[i] - p[j]) <= 0
    assert 0.05 < wrong / total < 0.4
    assert ordering_error(predicted, truth) == pytest.approx(wrong / total, abs=0.015)
    assert ordering_error(predicted, truth, seed=4) == ordering_error(predicted, truth, seed=4)
    assert ordering_error(5 * truth**2, truth) == 0
    assert ordering_error(1 / truth, truth) == 1
    assert ordering_error(torch.ones(8, 9), truth) == 1


def test_bad_depth_is_refused():
    depth = 1 + uniform(4, 4)
    with pytest.raises(UserError, match="differ in size"):
        depth_errors(depth, depth[:3])
    with pytest.raises(UserError, match="none at the same pixel"):
        depth_errors(torch.zeros(4, 4), depth)
    with pytest.raises(UserError, match="empty mask"):
        depth_errors(depth, depth, torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(UserError, match="not finite"):
        depth_errors(depth / 0, depth)
    with pytest.raises(UserError, match="relief"):
        ordering_error(depth, torch.ones(4, 4))


# --- points


@pytest.mark.parametrize(("n", "m"), [(1, 1), (40, 1), (300, 200)])
def test_nearest_distances_are_those_of_all_pairs(n, m):
    a, b = uniform(n, 3), uniform(m, 3, seed=1) * torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64)
    expected = torch.stack([(a[i] - b).norm(dim=1).min() for i in range(n)])
    torch.testing.assert_close(nearest_distances(a, b), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(nearest_distances(a + 1e6, b + 1e6), expected, atol=1e-9, rtol=0)
    # Ties along the sorted side, and points far outside.
    torch.testing.assert_close(nearest_distances(100 + b, b[:1].expand(5, 3)), (100 + b - b[0]).norm(dim=1))


def test_chamfer_by_hand():
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [9, 0, 0]])
    truth = torch.tensor([[0.0, 0.5, 0], [1, 0, 0]])
    out = chamfer(points, truth, threshold=0.5)
    assert out.accuracy == pytest.approx((0.5 + 0 + 8) / 3)
    assert out.completeness == pytest.approx((0.5 + 0) / 2)
    assert out.mean == pytest.approx((8.5 / 3 + 0.25) / 2)
    assert (out.precision, out.recall) == (pytest.approx(2 / 3), 1)
    assert out.f_score == pytest.approx(0.8)
    near = chamfer(points, truth, furthest=8)
    assert (near.accuracy, near.f_score) == (pytest.approx(0.25), None)
    assert chamfer(points + 50, truth, threshold=0.1).f_score == 0
    same = chamfer(points, points, threshold=1e-9)
    assert (same.mean, same.f_score) == (0, 1)
    with pytest.raises(UserError, match="no point is near"):
        chamfer(points + 50, truth, furthest=1)


@pytest.mark.parametrize("bad", [torch.zeros(0, 3), torch.zeros(4, 2), torch.full((2, 3), math.nan)])
def test_bad_points_are_refused(bad):
    with pytest.raises(UserError, match=r"points|finite"):
        chamfer(bad, torch.zeros(2, 3))


def test_points_spread_over_a_mesh_by_area():
    # A square of side 2 in two halves, a triangle of area 1 beside it, and one of no area at either end.
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [4, 0, 1], [5, 0, 1], [4, 2, 1]])
    faces = torch.tensor([[0, 0, 1], [0, 1, 2], [0, 2, 3], [4, 5, 6], [1, 1, 1]])
    points = sample_mesh(vertices, faces, 20_000)
    assert points.shape == (20_000, 3)
    on_square = points[:, 2] == 0
    assert on_square.double().mean().item() == pytest.approx(4 / 5, abs=0.01)
    square = points[on_square]
    np.testing.assert_allclose(square.mean(0), [1, 1, 0], atol=0.02)
    # Even along both sides: the variance of a uniform number on [0, 2] is 1/3.
    np.testing.assert_allclose(square[:, :2].var(0), [1 / 3, 1 / 3], atol=0.01)
    triangle = points[~on_square]
    np.testing.assert_allclose(triangle.mean(0), [4 + 1 / 3, 2 / 3, 1], atol=0.03)
    assert bool(((triangle[:, 0] - 4) + triangle[:, 1] / 2 <= 1 + 1e-9).all())
    assert torch.equal(points[:100], sample_mesh(vertices, faces, 20_000)[:100])
    assert not torch.equal(points, sample_mesh(vertices, faces, 20_000, seed=1))
    with pytest.raises(UserError, match="no surface"):
        sample_mesh(vertices, faces[[0, 4]], 5)


# --- reprojection

SIZE = (40, 30)


def two_cameras():
    """Two cameras that look at a wall at z = 4 from beside each other, one of them turned."""
    c2w = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    angle = 0.2
    c2w[1, 0, 3] = 0.9
    c2w[1, 0, 0] = c2w[1, 2, 2] = math.cos(angle)
    c2w[1, 0, 2], c2w[1, 2, 0] = -math.sin(angle), math.sin(angle)
    return cams.make(c2w, (35.0, 36.0, 19.0, 15.5), SIZE)


def wall(cameras, view, distance=4.0):
    """Colour and z-depth of the wall z = distance, whose colour is smooth in x and y."""
    cast = rays.cast_all(cameras[view])
    t = (distance - cast.origins[:, 2]) / cast.directions[:, 2]
    at = cast.origins + t[:, None] * cast.directions
    colour = torch.stack([0.5 + 0.3 * torch.sin(at[:, 0]), 0.5 + 0.1 * at[:, 1], 0.5 + 0 * t], -1)
    width, height = SIZE
    return colour.reshape(height, width, 3), (t * cast.z_scale).reshape(height, width)


def test_views_of_one_wall_agree_and_a_change_of_colour_is_measured():
    cameras = two_cameras()
    (rgb_a, depth_a), (rgb_b, depth_b) = wall(cameras, 0), wall(cameras, 1)
    out = consistency(cameras, rgb_a, depth_a, rgb_b, depth_b, tolerance=0.01)
    assert out.compared > 600
    assert (out.consistent, out.hidden, out.contradicted) == (1, 0, 0)
    # Between pixels, the sine is read by a straight line.
    assert out.colour_error == pytest.approx(0, abs=2e-3)
    shifted = consistency(cameras, rgb_a, depth_a, rgb_b + torch.tensor([0.3, 0, 0]), depth_b, tolerance=0.01)
    assert shifted.colour_error == pytest.approx(0.1, abs=2e-3)
    float32 = consistency(cameras, rgb_a.float(), depth_a.float(), rgb_b.float(), depth_b.float(), tolerance=0.01)
    assert float32.colour_error == pytest.approx(out.colour_error, abs=1e-5)


def test_surfaces_behind_and_in_front_are_told_apart():
    cameras = two_cameras()
    (rgb_a, depth_a), (rgb_b, depth_b) = wall(cameras, 0), wall(cameras, 1)
    hidden = consistency(cameras, rgb_a, depth_a, rgb_b, 0.5 * depth_b)
    assert (hidden.consistent, hidden.hidden, hidden.colour_error) == (0, 1, None)
    floating = consistency(cameras, rgb_a, depth_a, rgb_b, 2 * depth_b)
    assert (floating.consistent, floating.contradicted) == (0, 1)
    half = depth_b.clone()
    half[:, 20:] *= 2
    out = consistency(cameras, rgb_a, depth_a, rgb_b, half)
    assert 0.2 < out.contradicted < 0.8
    assert out.consistent + out.contradicted + out.hidden == pytest.approx(1)
    assert out.colour_error < 2e-3


def test_consistency_is_what_a_loop_over_pixels_finds():
    cameras = two_cameras()
    (rgb_a, depth_a), (_, depth_b) = wall(cameras, 0), wall(cameras, 1)
    rgb_b = uniform(30, 40, 3)
    depth_b = depth_b * (0.96 + 0.08 * uniform(30, 40, seed=1))
    depth_a = torch.where(uniform(30, 40, seed=2) < 0.1, 0.0, depth_a)
    depth_b = torch.where(uniform(30, 40, seed=3) < 0.1, 0.0, depth_b)
    compared, errors = 0, []
    fx, fy, cx, cy = (35.0, 36.0, 19.0, 15.5)
    w2c = torch.linalg.inv(cameras.c2w[1])
    for v in range(30):
        for u in range(40):
            z = float(depth_a[v, u])
            world = torch.tensor([(u + 0.5 - cx) / fx * z, (v + 0.5 - cy) / fy * z, z, 1], dtype=torch.float64)
            x, y, depth, _ = (w2c @ world).tolist()
            if z == 0 or depth <= 0:
                continue
            px, py = fx * x / depth + cx, fy * y / depth + cy
            if not (0 <= px < 40 and 0 <= py < 30):
                continue
            left, top = min(max(px - 0.5, 0), 39), min(max(py - 0.5, 0), 29)
            i, j = min(int(top), 28), min(int(left), 38)
            a, b = top - i, left - j
            corners = [
                (i, j, (1 - a) * (1 - b)),
                (i, j + 1, (1 - a) * b),
                (i + 1, j, a * (1 - b)),
                (i + 1, j + 1, a * b),
            ]
            if any(w > 1e-4 and depth_b[r, c] == 0 for r, c, w in corners):
                continue
            compared += 1
            surface = 1 / sum(w / float(depth_b[r, c]) for r, c, w in corners if w > 0 and depth_b[r, c] > 0)
            if abs(depth - surface) <= 0.02 * max(depth, surface):
                errors.append((rgb_a[v, u] - sum(w * rgb_b[r, c] for r, c, w in corners)).abs().mean().item())
    out = consistency(cameras, rgb_a, depth_a, rgb_b, depth_b)
    assert out.compared == compared
    assert 0.1 < len(errors) / compared < 0.95
    assert out.consistent == pytest.approx(len(errors) / compared, abs=1e-9)
    assert out.colour_error == pytest.approx(sum(errors) / len(errors), abs=1e-6)


def test_views_that_share_nothing_say_so():
    cameras = two_cameras()
    rgb, depth = wall(cameras, 0)
    away = cameras.c2w.clone()
    away[1] = torch.diag(torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
    apart = cams.Cameras(away, cameras.intrinsics, cameras.sizes)
    out = consistency(apart, rgb, depth, rgb, depth)
    assert (out.colour_error, out.consistent, out.compared) == (None, None, 0)
    assert consistency(cameras, rgb, 0 * depth, rgb, depth).compared == 0


def test_renderings_that_do_not_fit_their_cameras_are_refused():
    cameras = two_cameras()
    rgb, depth = wall(cameras, 0)
    with pytest.raises(UserError, match="two cameras"):
        consistency(cameras, rgb[:-1], depth, rgb, depth)
    with pytest.raises(UserError, match="two cameras"):
        consistency(random_cameras(3, 0), rgb, depth, rgb, depth)
    with pytest.raises(UserError, match="not finite"):
        consistency(cameras, rgb, depth, rgb, depth / 0)


# --- views of one surface


def seen_wall(shown=4.0, wrong_depth=1.0):
    """Two rendered views of a wall at z = `shown`, whose true distance is 4."""
    cameras = two_cameras()
    views = []
    for i in range(2):
        rgb, depth = wall(cameras, i, shown)
        views.append(Surface(cameras[i], rgb, depth * (wrong_depth if i else 1), wall(cameras, i)[1]))
    return views


def test_a_surface_is_measured_against_true_depth_in_the_captures_units():
    assert surfaces.chamfer(seen_wall())["chamfer"] == pytest.approx(0, abs=1e-9)
    near = surfaces.chamfer(seen_wall(3.9))
    # Rendered points lie 0.1 in front of the wall, and next to a true point as far as the grid of pixels allows.
    assert 0.1 <= near["chamfer_accuracy"] < 0.115
    assert near["chamfer"] == pytest.approx((near["chamfer_accuracy"] + near["chamfer_completeness"]) / 2)
    bigger = [
        Surface(replace(s.camera, c2w=s.camera.c2w * torch.tensor([[1.0, 1, 1, 5]] * 3 + [[1, 1, 1, 1]])), s.rgb, 5 * s.depth, 5 * s.truth)
        for s in seen_wall(3.9)
    ]  # fmt: skip
    scaled = surfaces.chamfer(bigger)
    assert scaled["chamfer"] == pytest.approx(5 * near["chamfer"])
    assert scaled["chamfer_relative"] == pytest.approx(near["chamfer_relative"])
    # Nothing is said without truth, or where nothing is rendered; what is rendered beyond the truth is not judged.
    assert surfaces.chamfer([replace(s, truth=None) for s in seen_wall()]) == {}
    assert surfaces.chamfer([replace(s, depth=0 * s.depth) for s in seen_wall()]) == {}
    half = [replace(s, truth=torch.where(torch.arange(SIZE[0]) < 20, s.truth, 0.0)) for s in seen_wall()]
    assert surfaces.chamfer(half)["chamfer_accuracy"] == pytest.approx(0, abs=1e-9)


def test_neighbours_agree_where_they_show_one_surface():
    same = surfaces.agreement(seen_wall())
    assert same["reprojection_consistent"] == 1
    assert same["reprojection_colour_error"] < 3e-3
    assert surfaces.agreement(seen_wall(wrong_depth=1.2))["reprojection_consistent"] < 0.1
    assert surfaces.agreement(seen_wall()[:1]) == {}


def test_depth_errors_of_views_have_an_order_where_there_is_relief():
    errors = surfaces.depth_errors(seen_wall(wrong_depth=1.2))
    assert errors["depth_abs_rel"] == pytest.approx(0.1)
    assert errors["depth_ordering_error"] == 0
    flat = surfaces.depth_errors(seen_wall()[:1])
    assert "depth_ordering_error" not in flat
    assert flat["depth_coverage"] == 1
    assert surfaces.depth_errors([replace(s, truth=None) for s in seen_wall()]) == {}
