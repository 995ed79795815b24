"""Noise levels, samplers, networks and patches, against closed forms and stated numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from halfseen.common.rng import generator
from halfseen.priors import contract, patches, samplers, schedules
from halfseen.priors.contract import NoiseLevel, level_from_sigma
from halfseen.priors.denoisers import clipped, of_noise
from halfseen.priors.ema import Ema
from halfseen.priors.networks import patch_small, patch_unet

# The mean and spread of the data that the perfect denoiser below knows.
MEAN, SPREAD = 0.3, 0.2


def perfect(x: Tensor, level: NoiseLevel, cond: object = None) -> Tensor:
    """E[x_0 | x] where every value of x_0 is normal: a linear function."""
    a, s = contract.per_picture(level.alpha, x), contract.per_picture(level.sigma, x)
    return MEAN + a * SPREAD**2 / (a**2 * SPREAD**2 + s**2) * (x - a * MEAN)


@pytest.mark.parametrize(
    ("t", "bar", "sigma"),
    [(3, 0.9998057, 0.0139380), (47, None, 0.08627), (99, 0.9720927, 0.1670547), (499, 0.4938436, 0.7114467)],
)
def test_squared_cosine_table(t: int, bar: float | None, sigma: float) -> None:
    level = schedules.squared_cosine().level(torch.tensor([t]))
    assert float(level.sigma) == pytest.approx(sigma, abs=1e-5)
    if bar is not None:
        assert float(level.alpha) ** 2 == pytest.approx(bar, abs=1e-5)


def test_scaled_linear_ends_as_stable_diffusion() -> None:
    bar = schedules.scaled_linear().alpha_bar
    assert float(bar[0]) == pytest.approx(1 - 0.00085)
    assert float(bar[-1]) == pytest.approx(0.0046600, abs=1e-6)


def test_levels_are_variance_preserving_and_found_again() -> None:
    table = schedules.squared_cosine()
    times = torch.tensor([3, 47, 99, 250, 499, 900])
    level = table.level(times)
    assert torch.allclose(level.alpha**2 + level.sigma**2, torch.ones(6))
    assert torch.equal(table.nearest(level), times)
    time = torch.linspace(0, 1, 11)
    smooth = schedules.continuous_cosine(time)
    assert (smooth.log_snr.diff() < 0).all()
    assert float(smooth.log_snr[0]) == pytest.approx(schedules.LOG_SNR_MAX, abs=1e-2)
    assert float(smooth.log_snr[5]) == pytest.approx(0, abs=1e-5)


@given(st.floats(0.01, 0.99))
def test_what_follows_from_x0(sigma: float) -> None:
    level = level_from_sigma(torch.tensor([sigma], dtype=torch.float64))
    x0, eps = torch.randn(2, 1, 3, 4, 4, dtype=torch.float64, generator=generator(1, "x"))
    x = contract.noised(x0, eps, level)
    assert torch.allclose(contract.eps_of(x, x0, level), eps)
    assert torch.allclose(contract.x0_of(x, eps, level), x0)
    assert torch.allclose(contract.score_of(x, x0, level), -eps / sigma)
    v = contract.v_of(x0, eps, level)
    assert torch.allclose(level.alpha.view(-1, 1, 1, 1) * x - level.sigma.view(-1, 1, 1, 1) * v, x0)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x, s: samplers.ddim(perfect, x, s),
        lambda x, s: samplers.ddim(perfect, x, s, eta=1.0, rng=generator(0, "eta")),
        lambda x, s: samplers.ancestral(perfect, x, s, rng=generator(0, "ancestral")),
        lambda x, s: samplers.plms(perfect, x, s),
    ],
    ids=["ddim", "ddim-eta", "ancestral", "plms"],
)
def test_samplers_draw_the_distribution_that_the_denoiser_knows(draw: Callable[..., Tensor]) -> None:
    x = torch.randn(64, 1, 16, 16, generator=generator(0, "start"))
    found = draw(x, samplers.levels(schedules.squared_cosine(), 250))
    assert float(found.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(found.std()) == pytest.approx(SPREAD, rel=0.05)


def test_eta_1_is_the_ancestral_sampler() -> None:
    x = torch.randn(4, 1, 4, 4, generator=generator(0, "start")).double()
    steps = [NoiseLevel(v.alpha.double(), v.sigma.double()) for v in samplers.levels(schedules.squared_cosine(), 20)]
    steps = [level_from_sigma(v.sigma) for v in steps]
    one = samplers.ddim(perfect, x, steps, eta=1.0, rng=generator(0, "same"))
    other = samplers.ancestral(perfect, x, steps, rng=generator(0, "same"))
    assert torch.allclose(one, other, atol=1e-9)


def test_one_step_is_one_look() -> None:
    x = torch.randn(2, 1, 4, 4, generator=generator(0, "start"))
    level = level_from_sigma(torch.tensor([0.5]))
    assert torch.equal(samplers.one_step(perfect, x, level), perfect(x, level.expand(2)))


def test_the_papers_network_has_its_size_and_shapes() -> None:
    with torch.device("meta"):
        net = patch_unet.PatchUnet(patch_unet.Config())
    assert sum(p.numel() for p in net.parameters()) == 36_254_980
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in patch_unet.PatchUnet(patch_unet.Config(channels=c)).parameters()) for c in (3, 1)
        ]
    assert counts == [36_251_779, 36_245_377]
    # A few names of the published checkpoint's layout.
    names = dict(net.named_parameters())
    assert names["downs.0.2.fn.fn.to_qkv.weight"].shape == (384, 64, 1, 1)
    assert names["ups.0.3.1.weight"].shape == (256, 512, 3, 3)
    assert names["mid_attn.fn.norm.g"].shape == (1, 512, 1, 1)
    small = patch_unet.PatchUnet(patch_unet.Config(width=16, multipliers=(1, 2)))
    assert small(torch.zeros(2, 4, 24, 24), torch.tensor([3, 99])).shape == (2, 4, 24, 24)


def test_standardised_filters_do_not_feel_scale_or_shift() -> None:
    conv = patch_unet.StandardisedConv(3, 4, 3, padding=1, bias=False)
    x = torch.rand(1, 3, 8, 8, generator=generator(0, "x"))
    before = conv(x)
    conv.weight.data.mul_(3).add_(0.7)
    assert torch.allclose(conv(x), before, rtol=1e-2, atol=1e-3)


def test_linear_attention_is_attention_without_the_softmax_of_pairs() -> None:
    attend = patch_unet.LinearAttention(16)
    x = torch.randn(1, 16, 4, 4, generator=generator(0, "x"))
    q, k, v = attend.to_qkv(x).reshape(1, 3, 4, 32, 16).unbind(1)
    out = torch.zeros(1, 4, 32, 16)
    for h in range(4):
        for n in range(16):
            for m in range(16):
                similar = (torch.softmax(q[0, h, :, n], 0) / math.sqrt(32)) @ torch.softmax(k[0, h], 1)[:, m]
                out[0, h, :, n] += similar * v[0, h, :, m] / 16
    assert torch.allclose(attend(x), attend.to_out(out.reshape(1, 128, 4, 4)), atol=1e-5)


@pytest.mark.parametrize("side", [24, 48, 20])
def test_the_small_network_takes_patches_of_any_size(side: int) -> None:
    net = patch_small.PatchSmall(patch_small.Config(widths=(16, 32, 32), blocks=1))
    x = torch.randn(2, 4, side, side, generator=generator(0, "x"))
    assert net(x, torch.tensor([3.0, 8.0])).shape == x.shape
    assert torch.equal(net(x, torch.tensor([3.0, 8.0])), torch.zeros_like(x)), "it begins by guessing no noise"


def test_the_small_network_hears_the_clock() -> None:
    net = patch_small.PatchSmall(patch_small.Config(widths=(16, 32), blocks=1))
    torch.nn.init.normal_(net.head.weight, generator=generator(0, "head"))
    for module in net.modules():
        if isinstance(module, patch_small.Block):
            torch.nn.init.normal_(module.conv2.weight, generator=generator(0, "w"))
    x = torch.randn(1, 4, 8, 8, generator=generator(0, "x"))
    assert not torch.allclose(net(x, torch.tensor([3.0])), net(x, torch.tensor([3.5])))


def test_a_denoiser_of_noise_asks_at_the_right_time() -> None:
    asked = []

    def network(x: Tensor, clock: Tensor) -> Tensor:
        asked.append(clock)
        return torch.zeros_like(x)

    level = schedules.squared_cosine().level(torch.tensor([99]))
    x = torch.ones(1, 4, 2, 2)
    found = of_noise(network, schedules.squared_cosine())(x, level)
    assert asked[0].tolist() == [99]
    assert torch.allclose(found, x / level.alpha)
    of_noise(network)(x, level)
    assert torch.allclose(asked[1], level.log_snr)


def test_metric_disparity_of_the_paper() -> None:
    z = torch.tensor([0.1, 0.2, 0.4, 1.0, 2.0, 5.0, 15.0, 0.0]).reshape(1, 2, 4)
    patch = patches.encode(torch.full((1, 2, 4, 3), 0.25), z, "metric")
    assert patch[0, 3].flatten().tolist() == pytest.approx([1, 1, 0, -0.6, -0.8, -0.92, -0.9733333, -1])
    assert (patch[0, :3] == -0.5).all()


def test_relative_disparity_knows_no_scale() -> None:
    z = 1 + torch.rand(3, 8, 8, generator=generator(0, "z"))
    z[0, :2] = 0
    assert torch.allclose(patches.disparity(z, "relative"), patches.disparity(7 * z, "relative"), atol=1e-6)
    assert float(patches.disparity(z, "relative")[1].median()) == pytest.approx(0.5, abs=0.02)
    assert (patches.disparity(z, "relative")[0, :2] == 0).all()
    assert (patches.disparity(torch.zeros(1, 4, 4), "relative") == 0).all()


@pytest.mark.parametrize("rule", ["metric", "relative"])
def test_gradients_of_disparity_are_finite_where_nothing_is(rule: patches.Rule) -> None:
    z = (0.5 + torch.rand(1, 4, 4, generator=generator(0, "z"))).double()
    z[0, 0, :2] = 0
    z.requires_grad_()
    patches.disparity(z, rule).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert (z.grad[0, 0, :2] == 0).all()
    assert (z.grad[0, 1:] < 0).any()


def test_decode_undoes_encode() -> None:
    rgb, z = torch.rand(2, 5, 5, 3, generator=generator(0, "c")), 1 + torch.rand(2, 5, 5, generator=generator(0, "z"))
    found, disparity = patches.decode(patches.encode(rgb, z, "relative"))
    assert torch.allclose(found, rgb, atol=1e-6)
    assert torch.allclose(disparity, patches.disparity(z, "relative"), atol=1e-6)


def test_a_young_mean_forgets_the_start() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    nets = {"n": net}
    net.weight.data.fill_(100.0)
    ema = Ema(nets, 0.999)
    net.weight.data.fill_(1.0)
    for step in range(1, 200):
        ema.update(nets, step)
    assert float(ema.values["n.weight"]) == pytest.approx(1.0, abs=0.05)


def test_clipped_guesses_stay_pictures() -> None:
    level = level_from_sigma(torch.tensor([0.99]))
    found = clipped(of_noise(lambda x, _: torch.zeros_like(x)))(torch.full((1, 4, 2, 2), 3.0), level)
    assert (found == 1).all()
