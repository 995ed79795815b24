"""DTU's measure of surfaces against double loops and closed forms, and its files against scipy's reader."""

import contextlib

import numpy as np
import pytest
import torch

from halfseen.cameras import cameras as cams
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.data import dtu_truth, mat, ply
from halfseen.data.capture import Points
from halfseen.metrics import dtu


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed, "test"), dtype=torch.float64)


def square(side, z=0.0):
    """A square [0, side]^2 of two triangles at a height."""
    xyz = torch.tensor([[0, 0, z], [side, 0, z], [side, side, z], [0, side, z]], dtype=torch.float64)
    return xyz, torch.tensor([[0, 1, 2], [0, 2, 3]])


def observed(size=20, spacing=1.0, low=0.0):
    """All of a cube of voxels is observed; the plane lies at z = -1."""
    corner = torch.full((3,), low, dtype=torch.float64)
    mask = torch.ones(size, size, size, dtype=torch.bool)
    return dtu.Observed(mask, corner, corner + (size - 1) * spacing, spacing, torch.tensor([0.0, 0, 1, 1]))


@pytest.mark.parametrize("radius", [0, 1, 3, 12])
def test_a_dilated_mask_is_all_within_the_radius(radius):
    mask = uniform(17, 23) > 0.985
    mask[0, 0] = True
    on, grown = mask.nonzero(), dtu.dilate(mask, radius)
    for y in range(17):
        for x in range(23):
            near = bool((((on - torch.tensor([y, x])) ** 2).sum(-1) <= radius**2).any())
            assert bool(grown[y, x]) == near


def test_a_triangle_is_covered_as_densely_as_its_area_says():
    xyz, faces = square(10.0)
    slanted = xyz.clone()
    slanted[2:, 0] += 15
    for corners in (xyz, slanted):
        points = dtu.cover(corners, faces, 0.1)
        assert len(points) == pytest.approx(100 / 0.1**2, rel=0.02)
        assert float(points[:, 2].abs().max()) == 0
        middle = points[4:]
        assert float((middle.mean(0) - corners.mean(0)).norm()) < 0.05
    # A triangle of no area, or smaller than the spacing, has its corners alone.
    assert len(dtu.cover(xyz, torch.tensor([[0, 0, 1]]))) == 4
    assert len(dtu.cover(1e-3 * xyz, faces)) == 4


def test_thinning_is_the_greedy_loop():
    points = torch.cat([uniform(300, 3), 40 + uniform(5, 3), torch.zeros(2, 3)])
    order = torch.randperm(len(points), generator=generator(7, "metrics/thin"))
    kept = []
    for p in points[order]:
        if all(float((p - q).norm()) > 0.15 for q in kept):
            kept.append(p)
    found = dtu.thin(points, 0.15, seed=7)
    assert torch.equal(found, torch.stack(kept))
    assert torch.equal(dtu.thin(found, 0.15).sort(0).values, found.sort(0).values)
    with pytest.raises(UserError, match="reach too far"):
        dtu.thin(1e9 * points)


def test_parallel_squares_are_as_far_apart_as_they_are():
    xyz, faces = square(18.0, z=5.5)
    truth = dtu.thin(dtu.cover(*square(18.0, z=5.0), 0.3), 0.3)
    found = dtu.score(xyz, faces, truth, observed())
    assert found.accuracy == pytest.approx(0.52, abs=0.03)
    assert found.completeness == pytest.approx(0.5, abs=0.02)
    assert found.mean == (found.accuracy + found.completeness) / 2


def test_each_side_counts_the_points_that_dtu_counts():
    space = observed()
    space.mask[10:] = False
    truth = torch.tensor([[5.0, 5, 5], [15, 5, 5], [5, 5, -2]])
    # Observed; in the box but not in an observed voxel; far out of the box; an outlier in the box.
    points = torch.tensor([[5.0, 5, 6], [15, 5, 8], [500, 5, 5], [0, 0, -59]])
    found = dtu.chamfer(points, truth, space)
    assert found.accuracy == pytest.approx(1.0)
    assert found.completeness == pytest.approx((1 + 3) / 2), (
        "unobserved voxels count here; below the plane nothing does"
    )
    assert dtu.chamfer(torch.cat([points, truth[:1] + 19]), truth, space).accuracy == pytest.approx(1.0)
    for cloud, scanned in ((points[1:2], truth), (points, truth[2:])):
        with pytest.raises(UserError, match="there is nothing of"):
            dtu.chamfer(cloud, scanned, space)


def test_the_box_is_twice_as_generous_above():
    space = observed()
    inside = torch.tensor([[5.0, 5, 5]])
    for z, counts in ((-60.0, True), (-60.1, False), (19 + 119.9, True), (19 + 120.0, False)):
        there = dtu._in_box(torch.tensor([[5.0, 5, z]], dtype=torch.float64), space)
        assert bool(there) == counts
    assert bool(dtu._is_observed(inside.double(), space))
    for x in (-0.6, 19.6):
        assert not bool(dtu._is_observed(torch.tensor([[x, 5.0, 5.0]], dtype=torch.float64), space))


def test_culling_keeps_what_no_view_contradicts():
    # One camera at the origin looks along z; at z = 10 a pixel is 1 wide and the picture spans [-10, 10].
    camera = cams.make(torch.eye(4, dtype=torch.float64), (10.0, 10.0, 10.0, 10.0), (20, 20))
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[:, 10:] = True
    # In the mask; at its border; outside it; out of the frame; behind the camera.
    xyz = torch.tensor([[5.0, 0, 10], [-1.5, 0, 10], [-6, 0, 10], [50, 0, 10], [5, 0, -10]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 0], [0, 2, 1], [3, 4, 3]])
    kept, triangles = dtu.cull(xyz, faces, camera, [mask], radius=2)
    assert torch.equal(kept, xyz[:2])
    assert triangles.tolist() == [[0, 1, 0]]
    # A second view that has all of it in its mask, or nothing of it in its frame, changes nothing.
    away = camera.c2w.clone()
    away[0, :3, :3] = torch.diag(torch.tensor([-1.0, 1, -1]))
    other = cams.concat([camera, cams.make(away, camera.intrinsics[0], (20, 20))])
    kept, _ = dtu.cull(xyz, faces, other, [mask, torch.ones_like(mask)], radius=2)
    assert torch.equal(kept, xyz[[0, 1, 4]])


def test_mat_files_are_what_scipy_reads(tmp_path):
    io = pytest.importorskip("scipy.io")
    arrays = {
        "ObsMask": (uniform(7, 5, 3) > 0.5).numpy().astype(np.uint8),
        "BB": np.array([[-1.5, 2, 3], [4, 5, 6]]),
        "Res": np.array([[0.5]]),
        "count": np.array([[3]], np.int16),
        "flags": np.array([[True, False, True]]),
        "words": "not a number",
        "cell": np.array([1, "x"], dtype=object),
    }
    for compressed in (False, True):
        io.savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
        found, expected = mat.read(tmp_path / "a.mat"), io.loadmat(tmp_path / "a.mat")
        assert set(found) == {"ObsMask", "BB", "Res", "count", "flags"}
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name])


def test_the_truth_of_a_scan_is_read_from_its_folders(tmp_path):
    io = pytest.importorskip("scipy.io")
    (tmp_path / "Points" / "stl").mkdir(parents=True)
    (tmp_path / "ObsMask").mkdir()
    xyz = uniform(9, 3).numpy()
    ply.write_points(tmp_path / "Points" / "stl" / "stl008_total.ply", Points(xyz, np.zeros((9, 3), np.uint8)))
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1, 2, 3] = 1
    box = np.array([[-1.0, -2, -3], [4, 5, 6]])
    io.savemat(tmp_path / "ObsMask" / "ObsMask8_10.mat", {"ObsMask": mask, "BB": box, "Res": 0.4})
    io.savemat(tmp_path / "ObsMask" / "Plane8.mat", {"P": np.array([[0.0], [0], [1], [-2]])})
    truth = dtu_truth.read(tmp_path, dtu_truth.scan_number(tmp_path / "scan8"))
    np.testing.assert_array_equal(truth.points, xyz)
    assert np.argwhere(truth.mask).tolist() == [[1, 2, 3]]
    assert (truth.low.tolist(), truth.high.tolist(), truth.spacing) == ([-1, -2, -3], [4, 5, 6], 0.4)
    assert truth.plane.tolist() == [0, 0, 1, -2]
    io.savemat(tmp_path / "ObsMask" / "Plane8.mat", {"Q": np.zeros((4, 1))})
    with pytest.raises(UserError, match="no P"):
        dtu_truth.read(tmp_path, 8)
    with pytest.raises(UserError, match="scanN"):
        dtu_truth.scan_number(tmp_path)


@pytest.mark.parametrize("cut", [0, 64, 200, 300])
def test_broken_mat_files_are_refused(tmp_path, cut):
    io = pytest.importorskip("scipy.io")
    io.savemat(tmp_path / "a.mat", {"P": np.zeros((40, 4))})
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:cut])
    with pytest.raises(UserError, match=r"'a\.mat' cannot be read"):
        mat.read(tmp_path / "a.mat")


def test_bytes_that_were_changed_never_end_in_a_traceback(tmp_path):
    io = pytest.importorskip("scipy.io")
    rng = np.random.default_rng(0)
    for compressed in (False, True):
        io.savemat(tmp_path / "a.mat", {"P": np.arange(12.0).reshape(3, 4), "n": 3}, do_compression=compressed)
        whole = bytearray((tmp_path / "a.mat").read_bytes())
        for _ in range(200):
            broken = whole.copy()
            for at in rng.integers(124, len(whole), 3):
                broken[at] = rng.integers(256)
            (tmp_path / "a.mat").write_bytes(broken)
            with contextlib.suppress(UserError):
                mat.read(tmp_path / "a.mat")
