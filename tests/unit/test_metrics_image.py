"""PSNR, SSIM and sharpness against scikit-image, stored numbers of it, slow twins and closed forms."""

import math

import numpy as np
import pytest
import torch

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.images.resize import sharpness as sharpness_float32
from halfseen.metrics import structure
from halfseen.metrics.image import average_error, psnr, sharpness, sharpness_ratio, ssim, ssim_map


def waves(height, width, phase):
    """A picture that any machine draws alike: waves of colour and a checkerboard."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    board = 0.1 + 0.8 * ((x // 8 + y // 8) % 2)
    picture = np.stack([0.5 + 0.4 * np.sin(x / 5 + phase), 0.5 + 0.4 * np.cos(y / 7 + x / 11 - phase), board], -1)
    return torch.from_numpy(picture)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed, "test"), dtype=torch.float64)


# scikit-image 0.26: structural_similarity(channel_axis=-1, data_range=1, ...) of waves(h, w, 0) and waves(h, w, phase).
SKIMAGE = [
    # height, width, phase, gaussian_weights sigma 1.5 population covariance, defaults (uniform 7x7)
    (24, 31, 0.3, 0.8856624728182753, 0.8845071827461569),
    (40, 33, 1.1, 0.4678188323646177, 0.4534231428756401),
    (11, 11, 2.0, -0.16317754387675612, -0.14988691191280537),
]


def slow_ssim(a, b, radius, weights, correction):
    """SSIM from its definition: one window after another, each mean a plain sum."""
    height, width, _ = a.shape
    out = np.zeros((height - 2 * radius, width - 2 * radius))
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for c in range(3):
                p = a[y : y + 2 * radius + 1, x : x + 2 * radius + 1, c]
                q = b[y : y + 2 * radius + 1, x : x + 2 * radius + 1, c]
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp = correction * (weights * (p - mp) ** 2).sum()
                vq = correction * (weights * (q - mq) ** 2).sum()
                cov = correction * (weights * (p - mp) * (q - mq)).sum()
                top = (2 * mp * mq + 1e-4) * (2 * cov + 9e-4)
                out[y, x] += top / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)) / 3
    return out


def windows():
    r = np.arange(-5, 6)
    g = np.exp(-(r**2) / (2 * 1.5**2))
    g = np.outer(g, g)
    return {"gaussian": (5, g / g.sum(), 1.0), "uniform": (3, np.full((7, 7), 1 / 49), 49 / 48)}


def test_psnr_of_a_known_offset_and_of_a_mask():
    a = torch.full((4, 5, 3), 0.5)
    b = a.clone()
    b[:2] += 0.1
    assert psnr(a, a + 0.1) == pytest.approx(20, abs=1e-5)
    assert psnr(a, b) == pytest.approx(20 + 10 * math.log10(2), abs=1e-5)
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[:2] = True
    assert psnr(a, b, mask) == pytest.approx(20, abs=1e-5)
    assert psnr(a, b, ~mask) == 100
    assert psnr(a.reshape(-1, 3), b.reshape(-1, 3), mask.reshape(-1)) == psnr(a, b, mask)


@pytest.mark.parametrize(("height", "width", "phase", "gauss", "uniform"), SKIMAGE)
def test_ssim_is_what_scikit_image_gave(height, width, phase, gauss, uniform):
    a, b = waves(height, width, 0.0), waves(height, width, phase)
    assert ssim(a, b) == pytest.approx(gauss, abs=1e-9)
    assert ssim(a, b, window="uniform") == pytest.approx(uniform, abs=1e-9)


@pytest.mark.parametrize("shape", [(11, 11), (17, 40), (64, 48)])
def test_ssim_is_what_scikit_image_gives_now(shape):
    metrics = pytest.importorskip("skimage.metrics")
    a = noise(*shape, 3)
    b = (a + 0.2 * noise(*shape, 3, seed=1)).clamp(0, 1)
    gauss = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for window, options in (("gaussian", gauss), ("uniform", {})):
        expected = metrics.structural_similarity(a.numpy(), b.numpy(), channel_axis=-1, data_range=1, **options)
        assert ssim(a, b, window=window) == pytest.approx(expected, abs=1e-6)
        assert ssim(a.float(), b.float(), window=window) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_ssim_map_is_its_definition_and_a_mask_takes_its_part(window):
    a, b = noise(16, 13, 3), noise(16, 13, 3, seed=1)
    radius, weights, correction = windows()[window]
    expected = slow_ssim(a.numpy(), b.numpy(), radius, weights, correction)
    np.testing.assert_allclose(ssim_map(a, b, window=window).numpy(), expected, atol=1e-12)
    mask = torch.zeros(16, 13, dtype=torch.bool)
    mask[radius + 1, radius], mask[radius, radius + 2], mask[0, 0] = True, True, True
    assert ssim(a, b, mask, window=window) == pytest.approx((expected[1, 0] + expected[0, 2]) / 2, abs=1e-12)


def test_ssim_of_equal_pictures_is_one_and_symmetric():
    a, b = noise(20, 20, 3), noise(20, 20, 3, seed=1)
    assert ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12)
    assert ssim(a, 1 - a) < 0


def test_sharpness_is_the_variance_of_the_laplacian():
    a = noise(9, 7, 3)
    grey = a.mean(-1).numpy()
    responses = [
        grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1] - 4 * grey[y, x]
        for y in range(1, 8)
        for x in range(1, 6)
    ]
    assert sharpness(a) == pytest.approx(np.var(responses, ddof=1), rel=1e-12)
    assert sharpness(a) == pytest.approx(sharpness_float32(a.float()), rel=1e-5)
    blurred = (a[1:-1] + a[:-2] + a[2:]) / 3
    assert sharpness_ratio(blurred, a[1:-1]) < 0.6
    assert sharpness_ratio(0.5 * a, a) == pytest.approx(0.25)


def test_average_error_is_the_geometric_mean():
    assert average_error(20, 0.84, 0.2) == pytest.approx((0.01 * 0.4 * 0.2) ** (1 / 3))
    # Rounding may lift SSIM above 1 by a hair.
    assert average_error(100, 1 + 1e-12, 0.0) == 0


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_bad_pictures_are_refused(measure):
    a = noise(12, 12, 3)
    with pytest.raises(UserError, match="shapes"):
        measure(a, a[:, :11])
    broken = a.clone()
    broken[3, 3, 0] = math.nan
    with pytest.raises(UserError, match="1 of 432 values are NaN"):
        measure(a, broken)
    with pytest.raises(UserError, match="not finite"):
        measure(a / 0, a)
    with pytest.raises(UserError, match="empty mask"):
        measure(a, a, torch.zeros(12, 12, dtype=torch.bool))
    with pytest.raises(UserError, match="mask"):
        measure(a, a, torch.ones(12, 12))
    with pytest.raises(UserError, match="mask"):
        measure(a, a, torch.ones(12, 10, dtype=torch.bool))


def test_pictures_smaller_than_the_window_are_refused():
    with pytest.raises(UserError, match="at least 11 pixels"):
        ssim(noise(10, 20, 3), noise(10, 20, 3))
    assert ssim(noise(10, 20, 3), noise(10, 20, 3), window="uniform") == pytest.approx(1)
    with pytest.raises(UserError, match="at least 7 pixels"):
        ssim(noise(10, 6, 3), noise(10, 6, 3), window="uniform")
    with pytest.raises(UserError, match="too small"):
        sharpness(noise(3, 3, 3))
    with pytest.raises(UserError, match="constant"):
        sharpness_ratio(noise(5, 5, 3), torch.ones(5, 5, 3, dtype=torch.float64))
    margin_only = torch.zeros(12, 12, dtype=torch.bool)
    margin_only[0] = True
    with pytest.raises(UserError, match="empty mask"):
        ssim(noise(12, 12, 3), noise(12, 12, 3), margin_only)


def test_the_loss_is_the_measure_and_passes_the_gradient_check():
    rng = generator(0, "structure")
    a, b = (torch.rand(17, 21, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    assert float(structure.dissimilarity(a, b)) == pytest.approx((1 - ssim(a, b)) / 2, abs=1e-12)
    single = structure.dissimilarity(a.float(), b.float())
    assert float(single) == pytest.approx((1 - ssim(a, b)) / 2, abs=1e-5)
    assert torch.autograd.gradcheck(lambda x: structure.dissimilarity(x, b), (a.requires_grad_(),))
