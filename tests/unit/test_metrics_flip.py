"""FLIP against stored numbers of the authors' program, and the properties that the paper states."""

import numpy as np
import pytest
import torch

from halfseen.common.errors import UserError
from halfseen.metrics.flip import PIXELS_PER_DEGREE, flip, flip_map

# flip-evaluator 1.7 (LDR): mean error, error at row 12 column 14, error at row 0 column 3.
REFERENCE = [
    ("phase", 67.02, 0.7473389, 0.613573, 0.589019),
    ("phase", 20.0, 0.7362244, 0.607341, 0.642108),
    ("dim", 67.02, 0.282406, 0.22063, 0.404473),
    ("dim", 20.0, 0.2770491, 0.190274, 0.416652),
    ("dot", 67.02, 0.0061738, 0.380203, 0.0),
    ("dot", 20.0, 0.0023323, 0.9352, 0.0),
    ("edge", 67.02, 0.3698341, 0.506523, 0.0),
    ("edge", 20.0, 0.3399552, 0.580694, 0.0),
]
# The authors' program computes in float32, and its square root of a small feature difference enlarges the rounding.
TOLERANCE = 3e-5


def waves(height, width, phase):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    board = 0.1 + 0.8 * ((x // 8 + y // 8) % 2)
    picture = np.stack([0.5 + 0.4 * np.sin(x / 5 + phase), 0.5 + 0.4 * np.cos(y / 7 + x / 11 - phase), board], -1)
    return torch.from_numpy(picture)


def pair(name):
    grey = torch.full((25, 28, 3), 0.5, dtype=torch.float64)
    other = grey.clone()
    match name:
        case "phase":
            return waves(30, 41, 0.0), waves(30, 41, 1.0)
        case "dim":
            return waves(30, 41, 0.0), 0.9 * waves(30, 41, 0.0) + 0.02
        case "dot":
            other[12, 14] = 1.0
        case "edge":
            other[:, 14:] = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    return grey, other


def flat(*colour):
    return torch.tensor(colour, dtype=torch.float64).expand(12, 13, 3)


@pytest.mark.parametrize(("name", "pixels_per_degree", "mean", "centre", "border"), REFERENCE)
def test_flip_is_what_the_authors_program_gave(name, pixels_per_degree, mean, centre, border):
    error = flip_map(*pair(name), pixels_per_degree=pixels_per_degree)
    assert error.mean().item() == pytest.approx(mean, abs=TOLERANCE)
    assert error[12, 14].item() == pytest.approx(centre, abs=TOLERANCE)
    assert error[0, 3].item() == pytest.approx(border, abs=TOLERANCE)


def test_the_default_viewing_distance_is_the_papers():
    # 0.7 m from a screen 0.7 m wide with 3840 pixels.
    assert pytest.approx(0.7 * 3840 / 0.7 * np.pi / 180, abs=1e-2) == PIXELS_PER_DEGREE
    assert flip(*pair("dim")) == flip(*pair("dim"), pixels_per_degree=67.02)


def test_flip_of_flat_colours_follows_the_papers_map():
    # Green to blue is the largest difference of the gamut: exactly 1, as there are no features.
    assert flip(flat(0.0, 1.0, 0.0), flat(0.0, 0.0, 1.0)) == pytest.approx(1, abs=1e-9)
    # Grey to grey differs in L* only: |dL|^0.7, linear below 0.4 of the largest difference (L* of grey 0.5 is 53.389).
    green = np.array([87.7347, -86.1827 * 0.877347, 83.1793 * 0.877347])
    blue = np.array([32.2970, 79.1875 * 0.322970, -107.8602 * 0.322970])
    largest = (abs(green[0] - blue[0]) + np.hypot(*(green - blue)[1:])) ** 0.7
    expected = 0.95 * (100 - 53.38897) ** 0.7 / (0.4 * largest)
    assert flip(flat(0.5, 0.5, 0.5), flat(1.0, 1.0, 1.0)) == pytest.approx(expected, abs=1e-4)


def test_flip_is_zero_for_equal_pictures_symmetric_and_bounded():
    a, b = pair("phase")
    assert flip(a, a) == 0
    assert flip(a, b) == pytest.approx(flip(b, a), abs=1e-12)
    error = flip_map(a, (b > 0.5).double())
    assert 0 <= float(error.min()) <= float(error.max()) <= 1
    assert flip(a.float(), b.float()) == pytest.approx(flip(a, b), abs=1e-5)
    # What a screen cannot show makes no difference.
    assert flip(2 * a, b) == flip((2 * a).clamp(0, 1), b)


def test_a_finer_screen_hides_fine_differences():
    a = torch.full((40, 40, 3), 0.5, dtype=torch.float64)
    b = a.clone()
    b[::2, ::2] += 0.2
    b[1::2, 1::2] += 0.2
    b[::2, 1::2] -= 0.2
    b[1::2, ::2] -= 0.2
    assert flip(a, b, pixels_per_degree=120) < 0.5 * flip(a, b, pixels_per_degree=10)


def test_a_mask_takes_the_mean_of_its_part():
    a, b = pair("edge")
    mask = torch.zeros(25, 28, dtype=torch.bool)
    mask[:, :4] = True
    assert flip(a, b, mask) == flip_map(a, b)[:, :4].mean()
    assert flip(a, b, ~mask) > flip(a, b)
    with pytest.raises(UserError, match="empty mask"):
        flip(a, b, mask & ~mask)


def test_flip_of_tiny_pictures_is_defined_and_bad_ones_are_refused():
    assert flip(torch.zeros(1, 1, 3), torch.ones(1, 1, 3)) > 0.9
    with pytest.raises(UserError, match="shape"):
        flip(torch.zeros(4, 4, 3), torch.zeros(4, 5, 3))
    with pytest.raises(UserError, match="NaN"):
        flip(torch.full((4, 4, 3), torch.nan), torch.zeros(4, 4, 3))
