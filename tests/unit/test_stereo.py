"""Plane-sweep stereo: compiled loops against their twins, planes whose depth is known, and what must stay unknown."""

from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras import rays
from halfseen.data import normalise
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.poses import framing, stereo, stereo_check, stereo_choice, stereo_kernels, stereo_pictures, stereo_views
from halfseen.poses import stereo_reference as twin
from halfseen.worlds import families, sample, seeds

SIZE = (72, 54)
DEPTH = 4.0
NEAR_FAR = (2.0, 10.0)
# The kernel sums in float64 over float32 pictures; scores and path costs are float32.
SCORE_TOLERANCE = 1e-5
# Of depth: about a thirtieth of a pixel where planes are parallel to the surface. Rims of windows on slanted ones are worse.
FLAT_TOLERANCE = 0.005
RIM_TOLERANCE = 0.04


def texture(points):
    """A smooth pattern in space [P, 3], fixed by a seed: 60 waves with wavelengths from 0.25 to 3."""
    rng = np.random.default_rng(5)
    direction = rng.normal(size=(60, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    waves = direction * 2 * np.pi / rng.uniform(0.25, 3.0, (60, 1))
    value = np.cos(points @ waves.T + rng.uniform(0, 7, 60)).mean(1)
    return np.clip(0.5 + 2 * value, 0, 1)


def row_of_cameras(count=3, spacing=0.35, size=SIZE):
    """Cameras side by side along x, looking along +z."""
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, 0, 3] = spacing * (torch.arange(count) - (count - 1) / 2)
    focal = 0.9 * size[0]
    return cams.make(poses, (focal, focal, size[0] / 2, size[1] / 2), size)


def photograph(cameras, surfaces):
    """Images and exact z-depths of the nearest of several surfaces: functions of world rays to z [P] (infinite: missed)."""
    images, depths = [], []
    for i in range(len(cameras)):
        width, height = cameras.size(i)
        ray = rays.cast_all(cameras[i])
        origins, directions = ray.origins.numpy(), (ray.directions / ray.z_scale[:, None]).numpy()
        z = np.min([s(origins, directions) for s in surfaces], axis=0)
        colour = texture(origins + z[:, None] * directions)
        images.append(torch.from_numpy(colour).float().reshape(height, width, 1).expand(-1, -1, 3))
        depths.append(torch.from_numpy(z).float().reshape(height, width))
    return images, depths


def plane(normal, offset, half=np.inf):
    """The plane normal . x = offset, cut to |x|, |y| <= half."""
    normal = np.array(normal, float)

    def hit(origins, directions):
        z = (offset - origins @ normal) / (directions @ normal)
        at = origins + z[:, None] * directions
        return np.where((z > 0) & (np.abs(at[:, :2]).max(1) <= half), z, np.inf)

    return hit


def depths(images, cameras, **options):
    return stereo.depths(images, cameras, near_far=[NEAR_FAR] * len(cameras), **options)


def errors(maps, truth):
    """Share of pixels kept, and the relative errors of the kept ones."""
    known = torch.cat([m.depth.reshape(-1) for m in maps])
    exact = torch.cat([t.reshape(-1) for t in truth])
    kept = known > 0
    return float(kept.float().mean()), ((known - exact).abs() / exact)[kept]


def test_the_sweep_equals_its_twin_with_unknown_pixels_and_different_sizes():
    rng = np.random.default_rng(3)
    reference = rng.random((15, 18), np.float32)
    reference[:, :3] = -1
    reference[9:, 11:] = 0.5
    others = [rng.random((15, 18), np.float32), rng.random((12, 20), np.float32), rng.random((17, 13), np.float32)]
    others[1][4:7, 5:9] = -1
    turn = np.eye(3) + rng.normal(0, 0.02, (3, 3)) * np.array([[1], [1], [0.05]])
    matrices = np.stack([np.eye(3), turn, turn.T * [[1, 1, 20], [1, 1, 20], [0.05, 0.05, 1]]])
    shifts = np.array([[6.0, 0.3, 0.0], [-5.0, 2.0, 0.1], [1.0, -4.0, -0.2]])
    inverse = np.linspace(0.1, 0.9, 5)
    packed, sizes = stereo_pictures.padded(others)
    fast = stereo_kernels.sweep(reference, packed, sizes, matrices, shifts, inverse, 2, 15.0, 1e-5)
    slow = twin.sweep(reference, others, matrices, shifts, inverse, 2, 15.0, 1e-5)
    np.testing.assert_allclose(fast, slow, atol=SCORE_TOLERANCE)
    assert 0.1 < (slow == 0).mean() < 0.9
    assert np.abs(slow).max() > 0.3


def test_smoothing_and_the_winner_equal_their_twins():
    rng = np.random.default_rng(4)
    volume, picture = rng.random((9, 21, 37), np.float32), rng.random((21, 37), np.float32)
    smooth = twin.smooth(volume, picture, 0.06, 0.6, 0.05)
    np.testing.assert_allclose(stereo_choice.smooth(volume, picture, 0.06, 0.6, 0.05), smooth, atol=SCORE_TOLERANCE)
    for fast, slow in zip(stereo_choice.pick(volume, 2), twin.pick(volume, 2), strict=True):
        np.testing.assert_allclose(fast, slow, atol=SCORE_TOLERANCE)


def test_a_parabola_finds_the_peak_between_planes():
    peak = 3.3
    volume = (1 - 0.02 * (np.arange(8) - peak) ** 2).astype(np.float32).reshape(8, 1, 1)
    found, score, second = stereo_choice.pick(volume, 2)
    assert found[0, 0] == pytest.approx(peak, abs=1e-4)
    assert score[0, 0] == volume[3, 0, 0]
    assert second[0, 0] == volume[6, 0, 0]
    # On the first plane there is no peak.
    assert stereo_choice.pick(volume[4:], 2)[0][0, 0] == -1


def test_a_plane_facing_the_cameras_is_found_exactly():
    cameras = row_of_cameras()
    images, truth = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    share, error = errors(depths(images, cameras), truth)
    assert share > 0.8
    assert float(torch.quantile(error, 0.99)) < 4 * FLAT_TOLERANCE
    assert float(error.median()) < FLAT_TOLERANCE


def test_a_slanted_plane_is_found():
    """Nearly twice as deep in one corner as in the other: smoothing must not turn it into steps."""
    cameras = row_of_cameras()
    images, truth = photograph(cameras, [plane((0.3, 0.35, 1.0), DEPTH)])
    share, error = errors(depths(images, cameras), truth)
    assert share > 0.75
    assert float(error.median()) < 2 * FLAT_TOLERANCE
    assert float(torch.quantile(error, 0.99)) < RIM_TOLERANCE


def test_pictures_of_different_sizes_work_together():
    cameras = row_of_cameras()
    large = row_of_cameras(size=(96, 72))
    mixed = cams.concat([cameras[0], large[1], cameras[2]])
    images, truth = photograph(mixed, [plane((0, 0, 1), DEPTH)])
    share, error = errors(depths(images, mixed), truth)
    assert share > 0.75
    assert float(error.median()) < FLAT_TOLERANCE


def test_what_hides_behind_a_square_is_not_believed():
    cameras = row_of_cameras()
    images, truth = photograph(cameras, [plane((0, 0, 1), 6.0), plane((0, 0, 1), 3.0, half=0.5)])
    unchecked = stereo.Config(agreeing=0, rim_jump=np.inf, support=0.0)
    careless, careful = (errors(depths(images, cameras, config=c), truth) for c in (unchecked, None))
    wrong = [share * float((error > 0.05).float().mean()) for share, error in (careless, careful)]
    assert wrong[0] > 0.02
    assert wrong[1] < 0.2 * wrong[0]
    assert careful[0] > 0.55


def test_a_match_that_holds_one_way_only_is_dropped():
    """A patch painted two pixels aside matches the other photos at larger depths; those photos match one another at the true one."""
    cameras = row_of_cameras()
    images, _ = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    painted = images[0].clone()
    painted[16:38, 28:50] = images[0][16:38, 30:52]
    wrong = []
    for agreeing in (0, 1):
        found = depths([painted, *images[1:]], cameras, config=stereo.Config(agreeing=agreeing))[0].depth
        wrong.append(int((found[16:38, 28:50] > 1.1 * DEPTH).sum()))
    assert wrong[0] > 200
    assert wrong[1] < 0.05 * wrong[0]


def test_a_depth_that_no_other_view_confirms_is_dropped():
    cameras = row_of_cameras(2)
    _, truth = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    corrupt = truth[0].clone()
    corrupt[20:30, 20:30] *= 1.1
    corrupt[35:40, 20:30] *= 0.9
    kept = stereo_check.agree([corrupt, truth[1]], cameras, 0, 0.02, 1)
    right = corrupt == truth[0]
    # The shift between the views is 5.7 pixels: farther left the other view does not look.
    assert not kept[~right].any()
    assert kept[:, 8:][right[:, 8:]].all()
    assert not kept[:, :5].any()


def test_views_that_look_through_a_point_outvote_one_that_confirms_it():
    cameras = row_of_cameras(4, spacing=0.01)
    near, far = torch.full((54, 72), 3.0), torch.full((54, 72), DEPTH)
    assert stereo_check.agree([near, near, far, near], cameras, 0, 0.02, 1)[:, 8:-8].all()
    assert not stereo_check.agree([near, near, far, far], cameras, 0, 0.02, 1)[:, 8:-8].any()
    # A view that sees something nearer denies nothing: the point is hidden from it.
    assert stereo_check.agree([far, far, near, near], cameras, 0, 0.02, 1)[:, 8:-8].all()


def test_rims_and_lonely_pixels_are_dropped():
    depth = torch.full((30, 40), 5.0)
    depth[:, 20:] = 3.0
    kept = stereo_check.off_rims(depth, 3, 0.1)
    assert not kept[:, 20:23].any()
    assert kept[:, :20].all()
    assert kept[:, 23:].all()
    lonely = torch.zeros(30, 40)
    lonely[5, 5], lonely[15:20, 15:20] = 4.0, 4.0
    assert stereo_check.supported(lonely, 2, 0.03, 0.3).sum() == 25


def test_without_texture_nothing_is_claimed():
    cameras = row_of_cameras()
    flat = [torch.full((54, 72, 3), 0.5)] * 3
    for m in depths(flat, cameras):
        assert (m.depth == 0).all()
        assert (m.confidence == 0).all()
    images, _ = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    # A bare band, as of a wall without paint: windows wholly inside stay unknown, the rest is found.
    bare = [i.clone() for i in images]
    for i in bare:
        i[20:36] = 0.5
    for m in depths(bare, cameras):
        assert (m.depth[24:32] == 0).all()
        assert (m.depth[:17] > 0).float().mean() > 0.6


def test_masked_pixels_get_no_depth():
    cameras = row_of_cameras()
    images, truth = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    mask = torch.zeros(54, 72)
    mask[8:46, 12:60] = 1
    maps = depths(images, cameras, masks=[mask] * 3)
    _, error = errors(maps, truth)
    assert all((m.depth[mask == 0] == 0).all() for m in maps)
    assert all((m.depth[mask == 1] > 0).float().mean() > 0.5 for m in maps)
    assert float(error.median()) < FLAT_TOLERANCE


def test_the_number_of_threads_changes_no_byte():
    cameras = row_of_cameras()
    images, _ = photograph(cameras, [plane((0.3, 0.0, 1.0), DEPTH)])
    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            found.append(
                b"".join(t.numpy().tobytes() for m in depths(images, cameras) for t in (m.depth, m.confidence))
            )
    finally:
        numba.set_num_threads(before)
    assert found[0] == found[1]


def test_a_room_is_measured_from_three_photos():
    seed = seeds.seed_of("validation", 7)
    taken = sample.capture(families.by_name("rooms"), seed, layout="forward", views=3, size=(160, 120))
    blind = replace(taken, views=tuple(replace(v, depth=None) for v in taken.views))
    boxed = normalise.move(taken, normalise.measure(blind).to_box)
    maps = stereo.depths([v.image.read() for v in boxed.views], boxed.cameras())
    truth = [torch.from_numpy(v.depth.read()).float() for v in boxed.views]
    share, error = errors(maps, truth)
    assert share > 0.5
    assert float((error < 0.05).float().mean()) > 0.88
    assert float(error.median()) < 0.015
    exact = torch.cat([t.reshape(-1) for t in truth])
    near, far = stereo.bounds(maps, boxed.cameras())
    assert near == pytest.approx(float(exact.quantile(0.01)), rel=0.3)
    assert far == pytest.approx(float(exact.quantile(0.99)), rel=0.3)


def test_points_fall_back_onto_their_own_pixels():
    cameras = row_of_cameras(2)
    _, truth = photograph(cameras, [plane((0.3, 0.2, 1.0), DEPTH)])
    truth[0][:30] = 0
    maps = [stereo.DepthMap(t, 0.5 * (t > 0).float()) for t in truth]
    found = stereo.points(maps, cameras)
    assert len(found.xyz) == int(sum((t > 0).sum() for t in truth))
    at, z = rays.project(cameras, found.xyz.double())
    own = found.views, torch.arange(len(found.views))
    expected = rays.pixel_centres(*SIZE)[found.pixels].double()
    torch.testing.assert_close(at[own], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(z[own].float(), found.depth, atol=1e-5, rtol=0)
    assert (found.weights == 0.5).all()
    assert stereo.bounds([stereo.DepthMap(0 * t, 0 * t) for t in truth], cameras) is None


def test_sources_look_at_the_same_things_under_a_useful_angle():
    cameras = row_of_cameras(6, spacing=0.3)
    poses = cameras.c2w.clone()
    poses[1, :3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))  # looks back
    poses[2, 0, 3] = poses[0, 0, 3] + 1e-4  # stands at the same place
    poses[5, 0, 3] += 40.0  # sees something else
    cameras = replace(cameras, c2w=poses)
    limits = [NEAR_FAR] * 6
    chosen = stereo_views.sources(cameras, limits, 4)
    assert chosen[0][0] in (3, 4)
    assert set(chosen[0][:2]) == {3, 4}
    assert 1 not in chosen[0]
    assert 5 not in chosen[0]


def test_a_camera_for_each_image_of_its_size():
    cameras = row_of_cameras(2)
    with pytest.raises(ValueError, match="3 images and 2 cameras"):
        stereo.depths([torch.zeros(54, 72, 3)] * 3, cameras)
    with pytest.raises(ValueError, match="its camera is 72 x 54"):
        stereo.depths([torch.zeros(72, 54, 3)] * 2, cameras)


def test_stereo_measures_the_scale_of_a_scene_whose_files_say_nothing_of_depth():
    """Cameras side by side tell nothing of the distance; the guess of six spacings is 2.1 where the wall stands at 4."""
    cameras = row_of_cameras()
    images, _ = photograph(cameras, [plane((0, 0, 1), DEPTH)])
    views = tuple(View(f"{i}.png", PictureArray(p), cameras[i]) for i, p in enumerate(images))
    capture = Capture(views, "images", Path())
    assert normalise.measure(capture).distance == pytest.approx(normalise.BASELINES_TO_SCENE * 0.35, rel=0.02)
    frame = framing.measure(capture)
    assert "stereo" in frame.source
    assert frame.distance == pytest.approx(DEPTH, rel=0.05)
    stated = replace(capture, views=tuple(replace(v, near_far=(1.0, 3.0)) for v in views))
    assert framing.measure(stated).source == "the stated near and far depths"


def test_where_stereo_finds_nothing_the_guess_stays():
    cameras = row_of_cameras()
    grey = torch.full((SIZE[1], SIZE[0], 3), 0.5)
    capture = Capture(tuple(View(f"{i}.png", PictureArray(grey), cameras[i]) for i in range(3)), "images", Path())
    assert framing.measure(capture).source == normalise.measure(capture).source
