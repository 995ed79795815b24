"""SWD and its control rows, FID and KID: closed forms, slow twins, and that lost detail is seen."""

import math

import numpy as np
import pytest
import torch

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics import sets
from halfseen.metrics.controls import matched_noise, tuned_unsharp, unsharp_mask
from halfseen.metrics.distribution import (
    fid,
    kid,
    laplacian_pyramid,
    normalised_swd,
    sliced_distance,
    swd,
    swd_floor,
)
from halfseen.metrics.image import psnr
from halfseen.metrics.protocol import Pair


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "test"), dtype=torch.float64)


def textured(seed, height=40, width=48):
    """Smooth colour with fine grain: a stand-in for a photo."""
    y, x = torch.meshgrid(torch.arange(height) / 9.0, torch.arange(width) / 7.0, indexing="ij")
    waves = torch.stack([torch.sin(x + seed), torch.cos(y - seed), torch.sin(x + y)], -1)
    return (0.5 + 0.25 * waves + 0.06 * normal(height, width, 3, seed=seed)).clamp(0, 1).float()


def blurred(picture):
    """The mean of 3x3 pixels."""
    planes = torch.nn.functional.pad(picture.permute(2, 0, 1)[None], (1,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(planes, 3, 1)[0].permute(1, 2, 0)


TRUTH = [textured(i) for i in range(6)]
BLURRED = [blurred(t) for t in TRUTH]


# --- sliced Wasserstein distance


def test_pyramid_is_the_loop_over_its_definition_and_sums_back():
    picture = normal(13, 18, 3)
    fine, rest = laplacian_pyramid(picture, 2)
    weights = np.array([1, 4, 6, 4, 1]) / 16

    def mirror(i, n):
        return -i if i < 0 else 2 * (n - 1) - i if i >= n else i

    def smooth(planes):
        out = np.zeros_like(planes)
        _, h, w = planes.shape
        for y in range(h):
            for x in range(w):
                for i in range(5):
                    for j in range(5):
                        out[:, y, x] += weights[i] * weights[j] * planes[:, mirror(y + i - 2, h), mirror(x + j - 2, w)]
        return out

    planes = picture.permute(2, 0, 1).numpy()
    smaller = smooth(planes)[:, ::2, ::2]
    spread = np.zeros((3, 13, 18))
    spread[:, ::2, ::2] = 4 * smaller
    np.testing.assert_allclose(rest.numpy(), smaller, atol=1e-12)
    np.testing.assert_allclose(fine.numpy(), planes - smooth(spread), atol=1e-12)
    # Flat colour has no detail at any level; it stays what it is at the last.
    *details, last = laplacian_pyramid(torch.full((33, 47, 3), 0.3), 2)
    assert max(float(d[:, 2:-2, 2:-2].abs().max()) for d in details) < 1e-6
    torch.testing.assert_close(last, torch.full_like(last, 0.3))


def test_sliced_distance_of_shifted_points_is_the_mean_projection():
    points, shift = normal(500, 12), normal(12, seed=1)
    # |axis . shift| has mean |shift| * E|first coordinate of a random unit vector|.
    expected = float(shift.norm()) * math.gamma(6) / (math.sqrt(math.pi) * math.gamma(6.5))
    found = sliced_distance(points, points + shift, directions=4000)
    assert found == pytest.approx(expected, rel=0.03)
    assert sliced_distance(points, points.flip(0)) < 1e-12
    # In one dimension it is the plain Wasserstein distance.
    a, b = normal(400, 1), 2 * normal(400, 1, seed=2) + 1
    stats = pytest.importorskip("scipy.stats")
    assert sliced_distance(a, b) == pytest.approx(stats.wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-9)
    with pytest.raises(ValueError, match="equal shape"):
        sliced_distance(a, b[:3])


def test_swd_is_zero_for_equal_sets_sees_blur_at_the_finest_level_and_is_seeded():
    assert swd(TRUTH, TRUTH).mean == 0
    assert swd(TRUTH, list(reversed(TRUTH))).mean < 0.05
    out = swd(BLURRED, TRUTH)
    assert len(out.levels) == 2
    assert out.mean == pytest.approx(sum(out.levels) / 2)
    assert out.levels[0] > 0.3
    assert out.levels[0] > 4 * out.levels[1]
    half = [0.5 * (a + b) for a, b in zip(TRUTH, BLURRED, strict=True)]
    # The blur leaves sqrt(9) / 9 of the grain's deviation; half of it leaves that of weights 10/18 and eight of 1/18.
    kept, kept_half = 1 / 3, math.sqrt((0.5 + 1 / 18) ** 2 + 8 / 18**2)
    ratio = (1 - kept_half) / (1 - kept)
    assert swd(half, TRUTH).levels[0] == pytest.approx(ratio * out.levels[0], rel=0.05)
    assert swd(BLURRED, TRUTH) == out
    assert swd(BLURRED, TRUTH, seed=1).mean == pytest.approx(out.mean, rel=0.1)
    assert swd(BLURRED, TRUTH, seed=1) != out


def test_statistics_of_the_truth_see_contrast_and_those_of_each_set_do_not():
    faint = [0.5 + 0.5 * (t - 0.5) for t in TRUTH]
    assert swd(faint, TRUTH, own_statistics=True).mean < 1e-6
    assert swd(faint, TRUTH).mean > 0.2


def test_levels_follow_the_smallest_picture():
    assert len(swd([textured(0, 64, 64)], [textured(1, 64, 64)]).levels) == 3
    assert len(swd([textured(0, 64, 64)], [textured(1, 16, 16)]).levels) == 1
    assert len(swd([textured(0, 7, 9)], [textured(1, 31, 40)]).levels) == 1
    for bad in (textured(0, 6, 9), textured(0)[..., 0], textured(0) / 0):
        with pytest.raises(UserError, match="SWD"):
            swd([bad], [textured(1)])
    for few in (([], TRUTH), (TRUTH, [])):
        with pytest.raises(UserError, match="more pictures"):
            swd(*few)


def test_floor_and_normalised_distance():
    floor = swd_floor(TRUTH)
    assert floor == swd(TRUTH[::2], TRUTH[1::2])
    assert 0 < floor.mean < swd(BLURRED, TRUTH).mean
    assert normalised_swd(0.5, 0.2, 1.2) == pytest.approx(0.3)
    assert normalised_swd(0.1, 0.2, 1.2) < 0
    with pytest.raises(UserError, match="cannot be normalised"):
        normalised_swd(0.5, 0.3, 0.3)
    with pytest.raises(UserError, match="more pictures"):
        swd_floor(TRUTH[:1])


# --- control rows


def test_unsharp_mask_is_its_formula():
    picture = torch.full((15, 15, 3), 0.25, dtype=torch.float64)
    picture[7, 7] = 0.5
    g = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    g /= g.sum()
    low = 0.25 + 0.25 * g[3] ** 2
    out = unsharp_mask(picture, 0.5, 1.0)
    assert out[7, 7, 0].item() == pytest.approx(0.5 + 0.5 * (0.5 - low), abs=1e-12)
    assert out[7, 9, 1].item() == pytest.approx(0.25 - 0.5 * 0.25 * g[3] * g[5], abs=1e-12)
    assert out[0, 0, 2].item() == pytest.approx(0.25, abs=1e-12)
    torch.testing.assert_close(unsharp_mask(picture, 0.0, 2.0), picture)
    assert float(unsharp_mask(picture, 100.0, 1.0).max()) == 1
    assert unsharp_mask(picture[:1, :1].float(), 1.0, 2.0).dtype == torch.float32


def test_tuning_takes_the_best_of_the_grid_and_brings_blurred_pictures_nearer():
    grid = {"amounts": (0.0, 1.0, 2.0), "radii": (1.0, 2.0)}
    best = tuned_unsharp(BLURRED[:2], TRUTH[:2], **grid)
    tried = [
        swd([unsharp_mask(b, amount, radius) for b in BLURRED[:2]], TRUTH[:2]).mean
        for radius in (1.0, 2.0)
        for amount in (1.0, 2.0)
    ]
    assert best.amount > 0
    assert best.distance == min(tried) < 0.7 * swd(BLURRED[:2], TRUTH[:2]).mean
    # Pictures that are right already are left alone.
    assert tuned_unsharp(TRUTH[:2], TRUTH[:2], amounts=(0.0, 0.5), radii=(1.0,)).amount == 0


@pytest.mark.parametrize("target", [18.0, 12.0, 8.0])
def test_matched_noise_meets_its_psnr(target):
    noisy = matched_noise(BLURRED[0], TRUTH[0], target, seed=3)
    assert psnr(noisy, TRUTH[0]) == pytest.approx(target, abs=2e-3)
    assert 0 <= float(noisy.min()) <= float(noisy.max()) <= 1
    assert torch.equal(noisy, matched_noise(BLURRED[0], TRUTH[0], target, seed=3))
    assert not torch.equal(noisy, matched_noise(BLURRED[0], TRUTH[0], target, seed=3, step=1))


def test_noise_cannot_raise_psnr_or_lower_it_without_end():
    for target in (psnr(BLURRED[0], TRUTH[0]) + 0.1, 2.0, math.nan):
        with pytest.raises(UserError, match="noise cannot"):
            matched_noise(BLURRED[0], TRUTH[0], target, seed=0)
    assert psnr(matched_noise(TRUTH[0], TRUTH[0], 100.0, seed=0), TRUTH[0]) == pytest.approx(100, abs=1e-2)


def test_tricks_leave_what_the_photo_does_not_know():
    mask = torch.zeros(40, 48, dtype=torch.bool)
    mask[:, :30] = True
    for out in (
        unsharp_mask(BLURRED[0], 1.0, 1.0, mask),
        matched_noise(BLURRED[0], TRUTH[0], 15.0, mask, seed=0),
    ):
        assert torch.equal(out[:, 30:], BLURRED[0][:, 30:])
        assert not torch.equal(out[:, :30], BLURRED[0][:, :30])
    assert psnr(out, TRUTH[0], mask) == pytest.approx(15, abs=2e-3)


def test_distances_of_sets_stand_beside_their_floor_and_what_cheap_tricks_reach():
    pairs = [Pair(str(i), b, t) for i, (b, t) in enumerate(zip(BLURRED, TRUTH, strict=True))]
    out = sets.distances(pairs)
    assert out["swd"] == swd(BLURRED, TRUTH).mean
    assert out["swd_floor"] == swd_floor(TRUTH).mean
    assert sets.distances(pairs, [TRUTH[0], TRUTH[0]])["swd_floor"] == 0
    best = tuned_unsharp(BLURRED, TRUTH)
    assert out["swd_unsharp"] == best.distance < out["swd"]
    assert out["psnr_noise"] <= out["psnr_unsharp"] + 2e-3
    # Pictures that are right cannot be sharpened, and no noise is added to them.
    same = sets.distances([Pair(p.name, p.truth, p.truth) for p in pairs])
    assert same["swd"] == same["swd_unsharp"] == 0
    assert same["psnr_noise"] == pytest.approx(same["psnr_unsharp"], abs=1e-2)


# --- FID and KID


def test_fid_has_its_closed_forms():
    a = normal(50, 6)
    assert fid(a, a) == pytest.approx(0, abs=1e-9)
    assert fid(a, a + 2) == pytest.approx(4 * 6, rel=1e-9)
    # Scaling about the mean by s: (s - 1)^2 tr C.
    scaled = a.mean(0) + 3 * (a - a.mean(0))
    assert fid(a, scaled) == pytest.approx(4 * float(torch.cov(a.T).trace()), rel=1e-9)
    one, other = normal(80, 1), 3 * normal(60, 1, seed=1) + 1
    expected = float((one.mean() - other.mean()) ** 2 + (one.std() - other.std()) ** 2)
    assert fid(one, other) == pytest.approx(expected, rel=1e-9)


def test_fid_is_what_a_matrix_square_root_gives():
    linalg = pytest.importorskip("scipy.linalg")
    a, b = normal(40, 8) @ normal(8, 8, seed=1), normal(60, 8, seed=2) @ normal(8, 8, seed=3) + 1
    ca, cb = np.cov(a.numpy(), rowvar=False), np.cov(b.numpy(), rowvar=False)
    gap = (a.mean(0) - b.mean(0)).numpy()
    expected = gap @ gap + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)
    assert fid(a, b) == pytest.approx(expected, rel=1e-8)
    # Fewer pictures than features: the covariance is singular, and the number stays finite and symmetric.
    assert fid(a[:4], b[:5]) == pytest.approx(fid(b[:5], a[:4]), rel=1e-7)


def test_kid_is_the_loop_over_pairs():
    a, b = normal(7, 4), 1 + normal(5, 4, seed=1)

    def k(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    within_a = sum(k(a[i], a[j]) for i in range(7) for j in range(7) if i != j) / 42
    within_b = sum(k(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(k(x, y) for x in a for y in b) / 35
    assert kid(a, b) == pytest.approx(within_a + within_b - 2 * across, rel=1e-9)
    # Unbiased: around zero for one distribution, far above it for two.
    same = [kid(normal(60, 4, seed=2 * i), normal(60, 4, seed=2 * i + 1)) for i in range(40)]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(40)
    assert kid(normal(60, 4), 1 + normal(60, 4, seed=1)) > 5 * np.std(same)


@pytest.mark.parametrize("measure", [fid, kid])
def test_bad_features_are_refused(measure):
    a = normal(5, 3)
    with pytest.raises(UserError, match="more pictures"):
        measure(a[:1], a)
    with pytest.raises(UserError, match="not finite"):
        measure(a, a / 0)
    with pytest.raises(ValueError, match="features"):
        measure(a, a[:, :2])
