"""Readers on real captures (HALFSEEN_CAPTURES names their folder): counts, traps, and geometry checked by the pictures themselves."""

import cv2
import numpy as np
import pytest
import torch

from halfseen.cameras import convert, rays
from halfseen.common.errors import UserError
from halfseen.data import check, formats, idr, protocols
from halfseen.data.capture import read_npy
from halfseen.data.load import evaluation_masks, load

pytestmark = pytest.mark.captures

# Epipolar error of matched features with the right convention, in pixels at this size; a flipped axis gives tens.
WORK_SIZE = 600
MAX_EPIPOLAR_PX = 1.5
MAX_KINECT_PX = 2.0
_RATIO = 0.7


def epipolar_error(capture, i, j):
    """Median distance in pixels of SIFT matches from their epipolar lines."""
    pair = load(capture.select([i, j]), WORK_SIZE)
    grey = [cv2.cvtColor((v.image.read().numpy() * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for v in pair.views]
    sift = cv2.SIFT_create(4000)
    (ka, da), (kb, db) = (sift.detectAndCompute(g, None) for g in grey)
    matches = [m for m, n in cv2.BFMatcher().knnMatch(da, db, k=2) if m.distance < _RATIO * n.distance]
    assert len(matches) > 30
    a = torch.tensor([ka[m.queryIdx].pt for m in matches], dtype=torch.float64) + 0.5
    b = torch.tensor([kb[m.trainIdx].pt for m in matches], dtype=torch.float64) + 0.5
    cameras = pair.cameras()
    ray = rays.cast(cameras, torch.zeros(len(a), dtype=torch.long), a)
    span = float((cameras.centres[0] - cameras.centres[1]).norm())
    near, _ = rays.project(cameras[1], ray.origins + 2 * span * ray.directions)
    far, _ = rays.project(cameras[1], ray.origins + 60 * span * ray.directions)
    line = torch.nn.functional.normalize(far[0] - near[0], dim=-1)
    off = b - near[0]
    return float((off[:, 0] * line[:, 1] - off[:, 1] * line[:, 0]).abs().median())


@pytest.mark.parametrize(
    ("name", "layout", "views", "pair", "limit"),
    [
        ("banana", None, 14, (1, 2), MAX_EPIPOLAR_PX),
        ("fox", None, 50, (10, 12), MAX_EPIPOLAR_PX),
        ("llff_fern", "transforms", 20, (1, 4), MAX_EPIPOLAR_PX),
        ("llff_fern", "llff", 20, (1, 4), MAX_EPIPOLAR_PX),
        ("llff_fern", "colmap", 20, (1, 4), MAX_EPIPOLAR_PX),
        ("redkitchen_rgbd", None, 30, (0, 1), MAX_KINECT_PX),
        ("dtu_scan65", None, 8, (2, 3), MAX_EPIPOLAR_PX),
    ],
)
def test_matched_features_lie_on_their_epipolar_lines(captures, name, layout, views, pair, limit):
    capture = formats.read([captures / name], layout)
    assert len(capture) == views
    assert epipolar_error(capture, *pair) < limit


def test_the_same_scene_in_three_formats_has_the_same_cameras(captures):
    a, b, c = (formats.read([captures / "llff_fern"], layout).cameras() for layout in ("transforms", "llff", "colmap"))
    for other in (b, c):
        torch.testing.assert_close(a.c2w, other.c2w, atol=1e-6, rtol=0)
        torch.testing.assert_close(a.intrinsics, other.intrinsics, atol=1e-6, rtol=0)


def test_fox_says_which_frames_are_absent(captures):
    capture = formats.read([captures / "fox"])
    assert "17 of 67 listed pictures are absent" in capture.notes[0]
    assert all(v.lens.bends for v in capture.views)


def test_banana_as_llff_says_that_pictures_and_poses_differ(captures):
    with pytest.raises(UserError, match="14 poses, 16 pictures"):
        formats.read([captures / "banana"], "llff")


def test_redkitchen_depth_agrees_between_views(captures):
    """Depth of one view, moved to the next, agrees with that view's own depth: pose, depth unit and intrinsics fit together."""
    pair = load(formats.read([captures / "redkitchen_rgbd"]).select([0, 1]), 320)
    cameras = pair.cameras()
    depth = torch.from_numpy(pair.views[0].depth.read())
    xy = rays.pixel_centres(depth.shape[1], depth.shape[0])
    ray = rays.cast(cameras, torch.zeros(len(xy), dtype=torch.long), xy)
    z = depth.reshape(-1)
    points = (ray.origins + (z / ray.z_scale)[:, None] * ray.directions)[z > 0]
    at, moved = rays.project(cameras[1], points)
    inside = rays.in_frame(cameras[1], at, moved)[0]
    other = torch.from_numpy(pair.views[1].depth.read())
    x, y = at[0][inside].long().unbind(-1)
    known = other[y, x] > 0
    assert known.sum() > 5000
    relative = ((moved[0][inside] - other[y, x]).abs() / other[y, x].clamp_min(0.1))[known]
    assert float(relative.median()) < 0.05


@pytest.mark.parametrize("name", ["banana", "fox", "llff_fern", "redkitchen_rgbd", "co3d_apple", "dtu_scan65"])
def test_every_capture_can_be_checked(captures, name):
    report = check.check(formats.read([captures / name]))
    assert report.views > 0
    assert (report.geometry is None) == (name == "co3d_apple")
    assert not any("look apart" in w for w in report.warnings)


def test_dtu_projection_matrices_decompose(captures):
    """P = world_mat @ scale_mat: square pixels, principal point near the middle of 1600x1200, the object ahead at the origin."""
    archive = np.load(captures / "dtu_scan65" / "cameras_sphere.npz")
    projection = torch.stack(
        [torch.from_numpy((archive[f"world_mat_{i}"] @ archive[f"scale_mat_{i}"])[:3]).double() for i in (25, 22, 28)]
    )
    k, c2w = convert.opencv_from_projection(projection)
    assert float((k[:, 0, 0] / k[:, 1, 1] - 1).abs().max()) < 0.01
    assert float((k[:, 0, 2] - 800).abs().max()) < 80
    ahead = (-c2w[:, :3, 3] * c2w[:, :3, 2]).sum(-1)
    assert (ahead > 1).all()
    pixels = projection @ torch.tensor([0, 0, 0, 1.0], dtype=torch.float64)
    uv = pixels[:, :2] / pixels[:, 2:]
    assert (uv > 200).all()
    assert (uv[:, 0] < 1400).all()


def test_dtu_states_its_split_and_keeps_its_masks_from_fits(captures):
    """Pictures are named by the numbers of their cameras, masks by the same numbers with fewer digits."""
    capture = formats.read([captures / "dtu_scan65"])
    named = [int(v.name[-10:-4]) for v in capture.views]
    split = protocols.choose(capture, 3, None)
    assert split.name == "dtu-3, 4 of 25 targets"
    assert [named[i] for i in split.train] == [25, 22, 28]
    assert [named[i] for i in split.test] == [1, 9, 23, 33]
    assert [int(v.mask.path.stem) for v in capture.views] == named
    assert all(v.mask is None for v in load(capture.select([0]), 100).views)
    inside = evaluation_masks(capture, 400)
    assert all(m.shape == (300, 400) and 0.05 < float(m.float().mean()) < 0.9 for m in inside)
    # The unit sphere around the object fills its mask: the origin lies in all of them.
    at, _ = rays.project(capture.cameras().resized(400, 300), torch.zeros(1, 3, dtype=torch.float64))
    assert all(m[int(y), int(x)] for m, (x, y) in zip(inside, at[:, 0].tolist(), strict=True))
    assert idr.to_world(captures / "dtu_scan65").scale == pytest.approx(164.6044, abs=1e-3)


def test_co3d_cameras_look_at_the_apple(captures):
    """gtR, gtT are PyTorch3D's; the focal length counts in half shorter sides. Turned to OpenCV, the axes meet ahead of all views."""
    from halfseen.cameras.paths import axes_focus

    archive = np.load(captures / "co3d_apple" / "gt_cameras.npz")
    r, t, focal = (torch.from_numpy(archive[k]).double() for k in ("gtR", "gtT", "gtFL"))
    sizes = torch.tensor([[1066, 1896]]).repeat(len(r), 1)
    cameras = convert.opencv_from_pytorch3d(
        r, t, focal, torch.zeros(len(r), 2, dtype=torch.float64), sizes, "ndc_isotropic"
    )
    focus, spread = axes_focus(cameras)
    assert spread > 0.1
    assert (((focus - cameras.centres) * cameras.forward).sum(-1) > 0).all()
    at, z = rays.project(cameras, focus[None])
    assert rays.in_frame(cameras, at, z).all()
    assert float((at[:, 0] - torch.tensor([533.0, 948.0])).abs().median()) < 300


def test_npy_files_are_read_without_pickle(captures):
    assert read_npy(captures / "llff_fern" / "poses_bounds.npy", "f").shape == (20, 17)
