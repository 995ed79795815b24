"""Lens models against OpenCV's own implementation, their inverse, and the crop of undistorted pictures."""

import cv2
import numpy as np
import pytest
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras import lens as lenses
from halfseen.cameras.lens import Lens

# fox's real lens, a strong rational one, a phone's fisheye.
OPENCV = Lens("opencv", (0.0578421, -0.0805099, -0.000980296, 0.00015575))
RATIONAL = Lens("opencv", (0.3, -0.1, 0.002, -0.001, 0.05, 0.2, -0.05, 0.01))
FISHEYE = Lens("fisheye", (0.05, -0.02, 0.003, -0.001))
XY = torch.tensor([[0.0, 0.0], [0.3, -0.2], [-0.5, 0.4], [0.1, 0.6]], dtype=torch.float64)


@pytest.mark.parametrize("lens", [OPENCV, RATIONAL])
def test_radial_tangential_equals_opencv(lens):
    points = torch.cat([XY, torch.ones(len(XY), 1, dtype=torch.float64)], 1).numpy()
    # OpenCV's order is k1 k2 p1 p2 k3 k4 k5 k6, as ours.
    ours = lenses.distort(lens, XY).numpy()
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.params))
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-12)


def test_fisheye_equals_opencv():
    theirs = cv2.fisheye.distortPoints(XY[1:, None].numpy(), np.eye(3), np.array(FISHEYE.params))
    np.testing.assert_allclose(lenses.distort(FISHEYE, XY[1:]).numpy(), theirs[:, 0], atol=1e-12)
    assert lenses.distort(FISHEYE, XY[:1]).abs().max() == 0


@pytest.mark.parametrize("lens", [OPENCV, RATIONAL, FISHEYE, Lens()])
def test_undistort_inverts_distort(lens):
    torch.testing.assert_close(lenses.undistort(lens, lenses.distort(lens, XY)), XY, atol=1e-9, rtol=0)


@pytest.mark.parametrize("lens", [OPENCV, RATIONAL, FISHEYE, Lens("opencv", (-0.2, 0.03, 0.0, 0.0))])
def test_every_pixel_of_the_undistorted_picture_is_inside_the_photo(lens):
    source = cams.make(torch.eye(4, dtype=torch.float64), (300.0, 310.0, 170.0, 120.0), (320, 240))
    target = lenses.pinhole_for(source, lens)
    at = lenses.source_pixels(source, lens, target)
    assert at.min() >= 0
    assert (at <= torch.tensor([320.0, 240.0])).all()
    width, height = target.size()
    assert width * height > 0.6 * 320 * 240
    assert torch.equal(target.intrinsics[:, :2], source.intrinsics[:, :2])


def test_a_straight_lens_changes_nothing():
    source = cams.make(torch.eye(4, dtype=torch.float64), (300.0, 310.0, 170.0, 120.0), (320, 240))
    assert lenses.pinhole_for(source, Lens()) is source
    assert not Lens("opencv", (0.0, 0.0, 0.0, 0.0)).bends
    assert Lens("fisheye", (0.0, 0.0, 0.0, 0.0)).bends
