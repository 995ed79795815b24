"""Protocols: numbers carry them, keep them, and are named by what they are."""

import json
import math

import pytest
import torch

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics.flip import flip
from halfseen.metrics.image import psnr, sharpness, ssim
from halfseen.metrics.protocol import FILLED, Pair, Protocol, filled, measure, quantised

PLAIN = Protocol("even", split="even-3", size=(20, 16))


def picture(seed, height=16, width=20):
    return torch.rand(height, width, 3, generator=generator(seed, "test"))


def two_views(**masks):
    return [Pair(f"v{i}", picture(i), picture(10 + i), **masks) for i in range(2)]


def disc():
    mask = torch.zeros(16, 20, dtype=torch.bool)
    mask[5:11, 6:14] = True
    return mask


def test_every_number_is_the_measure_that_its_key_names():
    mask, valid = disc(), ~torch.zeros(16, 20, dtype=torch.bool)
    valid[:, :7] = False
    pairs = two_views(object=mask, valid=valid)
    out = measure(pairs, Protocol("p", "s", (20, 16), mask="object and valid by hand"))
    a, b = picture(0), picture(10)
    # Sharpness and composites see the photo where it is not valid.
    whole = torch.where(valid[..., None], a, b)
    white_a, white_b = (torch.where(mask[..., None], x, torch.ones(3)) for x in (whole, b))
    expected = {
        "psnr": psnr(a, b),
        "ssim": ssim(a, b),
        "ssim_uniform7": ssim(a, b, window="uniform"),
        "flip": flip(a, b),
        "psnr_masked": psnr(a, b, mask),
        "ssim_masked": ssim(a, b, mask),
        "flip_masked": flip(a, b, mask),
        "psnr_valid": psnr(a, b, valid),
        "ssim_valid": ssim(a, b, valid),
        "flip_valid": flip(a, b, valid),
        "laplacian_variance": sharpness(whole),
        "laplacian_variance_truth": sharpness(b),
        "sharpness_ratio": sharpness(whole) / sharpness(b),
        "ssim_composited": ssim(white_a, white_b),
    }
    assert out["views"]["v0"] == pytest.approx(expected, rel=1e-12)
    assert len(set(expected.values())) == len(expected)


def test_the_mean_is_over_views_and_everything_is_json():
    out = measure(two_views(), PLAIN)
    assert out["count"] == 2
    for key, value in out["mean"].items():
        assert value == pytest.approx((out["views"]["v0"][key] + out["views"]["v1"][key]) / 2, rel=1e-12)
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    assert out["protocol"] == {
        "name": "even",
        "split": "even-3",
        "size": [20, 16],
        "mask": "none",
        "network": "none",
        "colour": "float",
        "flip_pixels_per_degree": 67.02,
    }
    assert not any("lpips" in key or "masked" in key for key in out["mean"])


def test_lpips_is_there_only_with_its_network_and_under_its_name():
    def distance(a, b):
        return (a - b).abs().mean()

    protocol = Protocol("p", "s", mask="object", network="alex+vgg")
    networks = {"vgg": lambda a, b: 2 * distance(a, b), "alex": distance}
    view = measure(two_views(object=disc()), protocol, networks)["views"]["v0"]
    a, b = picture(0), picture(10)
    assert view["lpips_alex"] == pytest.approx(distance(a, b).item())
    assert view["lpips_vgg"] == pytest.approx(2 * view["lpips_alex"])
    assert view["lpips_vgg_composited"] < 0.5 * view["lpips_vgg"]
    average = (10 ** (-psnr(a, b) / 10) * math.sqrt(1 - ssim(a, b)) * view["lpips_vgg"]) ** (1 / 3)
    assert view["average_vgg"] == pytest.approx(average)


def test_measures_of_whole_pictures_ask_nothing_where_the_photo_is_not_valid():
    """A rendering that is right wherever the photo knows anything is right, whatever it shows in the photo's black border."""
    valid = torch.zeros(16, 20, dtype=torch.bool)
    valid[:, :14] = True
    photo = picture(0) * valid[..., None]
    pair = Pair("bent", torch.where(valid[..., None], photo, picture(1)), photo, valid=valid)
    torch.testing.assert_close(filled(pair), photo)
    protocol = Protocol("p", "s", mask="valid", network="alex")
    out = measure([pair], protocol, {"alex": lambda a, b: (a - b).abs().mean()})
    view = out["views"]["bent"]
    assert view["lpips_alex"] == 0 == view["average_alex"]
    assert view["laplacian_variance"] == view["laplacian_variance_truth"]
    assert view["psnr"] < 20 < view["psnr_valid"]
    assert out["protocol"]["not_valid"] == FILLED
    nowhere = Pair("blind", pair.rendered, photo, valid=torch.zeros_like(valid))
    assert "lpips_alex" not in measure([nowhere], protocol, {"alex": lambda a, b: (a - b).mean()})["mean"]


def test_a_photo_of_one_colour_has_no_sharpness_to_share():
    pairs = [Pair("flat", picture(0), torch.full((16, 20, 3), 0.5)), Pair("rich", picture(0), picture(1))]
    out = measure(pairs, Protocol("p", "s"))
    assert "sharpness_ratio" not in out["views"]["flat"]
    assert out["undefined"]["sharpness_ratio"] == 1


def test_colours_are_clamped_and_put_on_levels_as_the_protocol_says():
    values = torch.tensor([-0.2, 0.0, 0.5, 0.999, 1.7])
    assert quantised(values, "float").tolist() == pytest.approx([0, 0, 0.5, 0.999, 1])
    assert (quantised(values, "8-bit rounded") * 255).tolist() == pytest.approx([0, 0, 128, 255, 255])
    assert (quantised(values, "8-bit truncated") * 255).tolist() == pytest.approx([0, 0, 127, 254, 255])
    levels = torch.arange(256)
    for colour in ("8-bit rounded", "8-bit truncated"):
        assert torch.equal((quantised(levels / 255, colour) * 255).round().long(), levels)
    truth = torch.full((16, 20, 3), 100 / 255)
    rendered = truth + 0.9 / 255
    pair = [Pair("a", rendered, truth)]
    assert measure(pair, Protocol("p", "s", colour="8-bit truncated"))["mean"]["psnr"] == 100
    assert measure(pair, Protocol("p", "s", colour="8-bit rounded"))["mean"]["psnr"] == pytest.approx(48.13, abs=0.01)


@pytest.mark.parametrize(
    ("pairs", "protocol", "networks", "message"),
    [
        ([], PLAIN, None, "no views"),
        (two_views() + two_views(), PLAIN, None, "two views of one name"),
        (two_views(), Protocol("p", "s", (20, 17)), None, "of shape"),
        (two_views(object=disc()), PLAIN, None, "against its word"),
        (two_views(), Protocol("p", "s", mask="object"), None, "against its word"),
        ([*two_views(valid=disc())[:1], *two_views()[1:]], Protocol("p", "s", mask="valid"), None, "some views only"),
        (two_views(), Protocol("p", "s", network="vgg"), None, "LPIPS networks 'none'"),
        (two_views(), PLAIN, {"vgg": psnr}, "LPIPS networks 'vgg'"),
        (two_views(), Protocol("p", "s", colour="16-bit"), None, "16-bit"),
        ([Pair("hole", picture(0) * math.nan, picture(1))], PLAIN, None, "view 'hole'"),
        ([Pair("hot", picture(0) / 0, picture(1))], PLAIN, None, "not finite"),
        ([Pair("flat", picture(0), torch.zeros(20, 3))], PLAIN, None, "of shape"),
        ([Pair("tiny", picture(0, 8, 8), picture(1, 8, 8))], Protocol("p", "s"), None, "too small for SSIM"),
    ],
)
def test_a_protocol_that_is_not_kept_is_refused(pairs, protocol, networks, message):
    with pytest.raises(UserError, match=message):
        measure(pairs, protocol, networks)
