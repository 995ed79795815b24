"""NerfDiff's parts: its samples, the denoiser's clock, Algorithm 1, and where virtual cameras stand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support import looking_from
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import rays
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.fields import samplers
from halfseen.methods.nerfdiff import carving, cdm, distil, presets, samples, virtual
from halfseen.methods.nerfdiff.config import Config, Guidance
from halfseen.methods.nerfdiff.photo_to_field import _LOUD, NerfConfig, PhotoToField
from halfseen.methods.nerfdiff.training import NerfDiffTask
from halfseen.methods.nerfdiff.training_config import Config as TrainingConfig
from halfseen.priors.contract import NoiseLevel, eps_of, noised
from halfseen.priors.networks import unet
from halfseen.priors.schedules import continuous_cosine
from halfseen.worlds.objects import Order, as_views, of_world


def test_both_rivals_have_as_many_parameters() -> None:
    counts = [sum(p.numel() for p in PhotoToField(c, 0).parameters()) for c in (NerfConfig(), presets.RIVAL.nerf)]
    assert counts[1] / counts[0] == pytest.approx(1, abs=0.05)
    assert max(counts) <= 4_000_000


def test_presets_are_as_large_as_they_say() -> None:
    counts = {}
    for name, config in (("base", presets.BASE), ("large", presets.LARGE), ("small", presets.SMALL)):
        with torch.device("meta"):
            counts[name] = sum(p.numel() for p in cdm.Cdm(config.cdm).parameters()) / 1e6
    assert counts["base"] == pytest.approx(406, abs=2)
    assert counts["large"] == pytest.approx(972, abs=4)
    assert counts["small"] <= 4


@pytest.mark.parametrize("kind", ["triplane", "projection"])
def test_what_need_not_be_learned_is_told(kind: str) -> None:
    """A red square on white in rows 4 to 7 and columns 8 to 11: the photo; red at its columns and at its rows, whatever the depth."""
    config = NerfConfig(kind=kind, unet=replace(NerfConfig().unet, widths=(16, 32), attention=(1,)))  # type: ignore[arg-type]
    photo = torch.ones(1, 3, 16, 16)
    photo[0, :, 4:8, 8:12] = torch.tensor([1.0, -1.0, -1.0])[:, None, None]
    with torch.no_grad():
        found = PhotoToField(config, 0)(photo)[0] / _LOUD
    told = found[-9:].unflatten(0, (3, 3)) if kind == "projection" else found[:, -9:].unflatten(1, (3, 3))
    colours, columns, rows = told if kind == "projection" else (told[k, k] for k in range(3))
    assert torch.equal(colours, photo[0])
    for at in (columns[:, :, 8:12], rows[:, 4:8] if kind == "projection" else rows[:, :, 4:8]):
        red = torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand_as(at)
        torch.testing.assert_close(at, red, atol=0.02, rtol=0)
    if kind == "triplane":
        assert not any(told[k, other].any() for k in range(3) for other in range(3) if other != k)


def test_the_paper_denoises_the_picture_and_is_told_the_rendering_alone() -> None:
    config = replace(
        presets.TINY.cdm,
        unet=unet.Config(inside=6, outside=3, widths=(16, 32), blocks=1, attention=(1,), heads=2, time=16),
    )
    torch.manual_seed(0)
    net = cdm.Cdm(config)
    for p in net.parameters():
        if float(p.detach().abs().max()) == 0:
            torch.nn.init.normal_(p, std=0.2)
    y, told = torch.randn(1, 3, 8, 8), torch.randn(1, 9, 8, 8)
    rest = (torch.zeros(1, 3, 8, 8), torch.ones(1))
    changed = told.clone()
    changed[:, cdm.RENDER.stop :] += 1
    with torch.no_grad():
        first = net(y, torch.zeros(1), told, *rest)
        assert torch.equal(net(y, torch.zeros(1), changed, *rest), first)
        assert not torch.equal(net(y, torch.zeros(1), told + 1, *rest), first)


def test_what_is_seen_in_a_mirror_is_where_the_mirror_shows_it() -> None:
    order = Order(("chairs",), 24, 3, "hemisphere", "train")
    views = as_views(of_world(order, 0), 0)
    sample = samples.posed(views, 0, [1, 2])
    mirror = samples.mirrored(sample)
    point = torch.tensor([[0.2, -0.1, 0.3]])
    before, _ = rays.project(sample.cameras, point)
    after, _ = rays.project(mirror.cameras, point * torch.tensor([-1.0, 1, 1]))
    assert torch.allclose(after[..., 0], 24 - before[..., 0], atol=1e-3)
    assert torch.allclose(after[..., 1], before[..., 1], atol=1e-3)
    twice = samples.mirrored(mirror)
    assert torch.allclose(twice.cameras.c2w, sample.cameras.c2w)
    assert torch.equal(twice.rgb, sample.rgb)


def test_rays_of_a_sample_show_the_pixels_that_they_pass() -> None:
    order = Order(("chairs",), 24, 3, "hemisphere", "train")
    sample = samples.posed(as_views(of_world(order, 0), 0), 0, [1, 2])
    found = samples.some_rays(sample, 200, 0.8, generator(0, "rays"))
    at = found["origins"] + 2.0 * found["directions"]
    for view in range(2):
        mine = slice(200 * view, 200 * (view + 1))
        pixels, _ = rays.project(sample.cameras[view], at[mine])
        x, y = pixels[0].floor().long().unbind(-1)
        assert torch.equal(sample.rgb[view][y, x], found["rgb"][mine])
    shown = (found["opacity"] > 0.5).float().mean()
    assert float(shown) > 1.25 * float((sample.mask > 0.5).float().mean()), "most look at the object"


def test_the_denoisers_clock_is_the_same_process() -> None:
    """What is noised as a picture and looked at as a difference is what would be noised as a difference."""
    config = cdm.Config()
    level = NoiseLevel(
        *(
            v.double()
            for v in (continuous_cosine(torch.tensor([0.4])).alpha, continuous_cosine(torch.tensor([0.4])).sigma)
        )
    )
    rng = generator(0, "clock")
    clean, told, eps = (torch.randn(1, c, 4, 4, generator=rng, dtype=torch.float64) for c in (3, 9, 3))
    y, own = cdm.inward(config, noised(clean, eps, level), told, level)
    y0 = (clean - told[:, cdm.RENDER]) / config.residual
    assert torch.allclose(y, noised(y0, eps, own))
    assert torch.allclose(cdm.outward(config, y0, told), clean)
    assert float(own.alpha**2 + own.sigma**2) == pytest.approx(1)
    back = cdm.picture_level(config, own)
    assert float(back.alpha) == pytest.approx(float(level.alpha), rel=1e-6)
    plain = replace(config, residual=0.0)
    assert torch.equal(cdm.inward(plain, clean, told, level)[0], clean)


def test_noise_is_biased_as_the_config_says() -> None:
    time = torch.linspace(0.05, 0.95, 7)
    less, more = (cdm.level_at(replace(cdm.Config(), bias=b), time).log_snr for b in (0.0, -1.5))
    assert torch.allclose(less - more, torch.full((7,), 1.5), atol=1e-3)


@pytest.mark.parametrize("residual", [0.0, 0.25])
def test_a_denoiser_that_knows_finds_the_picture(residual: float) -> None:
    config = replace(cdm.Config(), residual=residual)
    rng = generator(1, "oracle")
    clean, told = (torch.rand(2, c, 4, 4, generator=rng) * 2 - 1 for c in (3, 9))
    y0 = (clean - told[:, cdm.RENDER]) / residual if residual else clean

    class Oracle(torch.nn.Module):
        def forward(self, y: Tensor, log_snr: Tensor, told: Tensor, photo: Tensor, there: Tensor) -> Tensor:
            own = NoiseLevel(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())
            eps = eps_of(y, y0, own)
            return own.alpha[:, None, None, None] * eps - own.sigma[:, None, None, None] * y0

    level = continuous_cosine(torch.tensor([0.3, 0.6]))
    x = noised(clean, torch.randn(clean.shape, generator=rng), level)
    found = cdm.denoiser_of(config, Oracle())(x, level, {cdm.CONDITION: told, cdm.PHOTO: torch.zeros(1, 3, 8, 8)})
    assert torch.allclose(found, clean, atol=1e-4)


def test_a_denoiser_looks_at_all_that_it_is_told_and_at_the_photo() -> None:
    config = replace(
        cdm.Config(),
        unet=unet.Config(
            inside=12, outside=3, widths=(16, 32), blocks=1, block=2, attention=(1,), heads=2, time=16, tokens=16
        ),
    )
    torch.manual_seed(0)
    net = cdm.Cdm(config)
    for p in net.parameters():
        if float(p.detach().abs().max()) == 0:
            torch.nn.init.normal_(p, std=0.2)
    rng = generator(2, "told")
    inputs = [
        torch.randn(1, 3, 16, 16, generator=rng),
        torch.tensor([0.5]),
        torch.randn(1, 9, 16, 16, generator=rng),
        torch.randn(1, 3, 16, 16, generator=rng),
        torch.ones(1),
    ]
    with torch.no_grad():
        first = net(*inputs)
        for k, other in ((0, inputs[0] + 1), (1, torch.tensor([-3.0])), (3, inputs[3] + 1), (4, torch.zeros(1))):
            changed = [*inputs[:k], other, *inputs[k + 1 :]]
            assert float((net(*changed) - first).abs().max()) > 1e-4
        for channel in range(9):
            told = inputs[2].clone()
            told[:, channel] += 1
            assert float((net(*inputs[:2], told, *inputs[3:]) - first).abs().max()) > 1e-5
        blind = [*inputs[:4], torch.zeros(1)]
        other = [*inputs[:3], inputs[3] + 1, torch.zeros(1)]
        assert torch.equal(net(*blind), net(*other)), "a photo that is not there is not looked at"


# The toy of the specification, 4.3: eight views of one scalar, whose exact denoiser is that of two points, +1 and -1.
TOY_VIEWS, TOY_SEEDS, TOY_TIMES, TOY_FITS, TOY_RATE = 8, 100, 50, 64, 0.05


def toy(cfg: Guidance, seeds: int = TOY_SEEDS) -> tuple[float, float, float]:
    """(share of seeds in which all views end in one mode, mean |theta|, mean squared distance of views from the field)."""
    agree, size, apart = [], [], []
    times = torch.linspace(0.98, 0.02, TOY_TIMES, dtype=torch.float64)
    levels = [NoiseLevel(torch.cos(t * math.pi / 2)[None], torch.sin(t * math.pi / 2)[None]) for t in times]
    for seed in range(seeds):
        field = {"theta": torch.zeros((), dtype=torch.float64)}
        rng = generator(seed, "toy")

        def render(field: dict[str, Tensor] = field) -> Tensor:
            return field["theta"].expand(TOY_VIEWS, 1, 1, 1).clone()

        def denoise(z: Tensor, level: NoiseLevel) -> Tensor:
            return torch.tanh(level.alpha[:, None, None, None] * z / level.sigma[:, None, None, None] ** 2)

        views = distil.start(render(), cfg, rng)
        for level in levels:
            views = distil.begin(views, level, cfg, denoise, render)
            wanted = views.targets.mean()
            # So many steps of gradient descent on the mean squared distance to the targets.
            field["theta"] = wanted + (1 - 2 * TOY_RATE) ** TOY_FITS * (field["theta"] - wanted)
            views = distil.end(views, level, cfg, render)
            assert torch.allclose(views.noisy, noised(views.images, views.eps, level.expand(TOY_VIEWS)), atol=1e-9)
        signs = views.targets.sign()
        agree.append(float(bool((signs == signs[0]).all())))
        size.append(abs(float(field["theta"])))
        apart.append(float((views.targets - field["theta"]).square().mean()))
    return sum(agree) / seeds, sum(size) / seeds, sum(apart) / seeds


APART = Guidance(shared_noise=False)


def test_toy_views_agree_when_guesses_are_blended_after_the_fit() -> None:
    agree, size, apart = toy(APART)
    assert agree > 0.95
    assert size > 0.95
    assert apart < 0.01


def test_toy_views_do_not_agree_without_guidance_unless_they_share_their_noise() -> None:
    agree, size, apart = toy(replace(APART, blend=0.0))
    assert agree < 0.1
    assert size < 0.6
    assert apart > 0.5
    assert toy(replace(APART, blend=0.0, shared_noise=True))[0] == 1.0


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_unguided_samples_spread_as_far_as_their_temperature_says(temperature: float) -> None:
    """The exact denoiser of N(0.2, 0.3^2), whose deterministic samples spread by 0.3 times what their noise does."""
    middle, spread = 0.2, 0.3
    cfg = Guidance(shared_noise=False, blend=0.0, temperature=temperature)
    views = distil.start(torch.full((4000, 1, 1, 1), middle, dtype=torch.float64), cfg, generator(0, "spread"))

    def denoise(z: Tensor, level: NoiseLevel) -> Tensor:
        a, s = level.alpha[:, None, None, None], level.sigma[:, None, None, None]
        return middle + (z - a * middle) * a * spread**2 / (a**2 * spread**2 + s**2)

    def unasked() -> Tensor:
        raise AssertionError("unguided, no field is looked at")

    for t in torch.linspace(0.999, 0.001, 400, dtype=torch.float64):
        level = continuous_cosine(t[None])
        views = distil.end(distil.begin(views, level, cfg, denoise, unasked), level, cfg, unasked)
    assert float(views.images.mean()) == pytest.approx(middle, abs=0.02)
    assert float(views.images.std()) == pytest.approx(temperature * spread, rel=0.05)


def test_toy_orders_that_are_known_to_fail_do() -> None:
    before, printed = (toy(replace(APART, order=order, blend=0.9)) for order in ("pre", "literal"))
    after = toy(replace(APART, blend=0.9))
    assert after[1] > before[1] + 0.2, "blending before the fit blurs"
    assert printed[0] < 0.3, "the order as printed hardly agrees"
    assert after[0] > 0.9


def test_a_target_that_is_the_fields_own_rendering_is_refused() -> None:
    with pytest.raises(UserError, match="cannot blend wholly"):
        Guidance(order="pre", blend=1.0)
    with pytest.raises(UserError, match="cannot blend wholly"):
        Guidance(order="pre", gamma=10.0)
    Guidance(order="pre", gamma=10.0, most=0.9)


def test_gamma_gives_a_blend_that_never_passes_its_most() -> None:
    cfg = replace(Guidance(), gamma=10.0, most=0.8)
    blends = [distil.blend(continuous_cosine(torch.tensor([t])), cfg) for t in (0.02, 0.1, 0.5, 0.95)]
    assert blends[0] < blends[1] < blends[2] == blends[3] == 0.8
    level = continuous_cosine(torch.tensor([0.02]))
    assert blends[0] == pytest.approx(10 * float(level.sigma / level.alpha) ** 2)


def test_an_oracle_teaches_the_field_more_at_every_time() -> None:
    """A denoiser that knows the truth up to a share of the noise in what it is given: the field, and what is noised next, never get worse."""
    truth = torch.rand(4, 3, 2, 2, generator=generator(0, "truth")) * 2 - 1
    field = {"values": torch.zeros_like(truth)}

    def render() -> Tensor:
        return field["values"]

    def denoise(z: Tensor, level: NoiseLevel) -> Tensor:
        return truth + 0.05 * (z - level.alpha[:, None, None, None] * truth)

    cfg = Guidance()
    views = distil.start(render(), cfg, generator(0, "oracle"))
    errors, noise = [], []
    for t in torch.linspace(0.95, 0.02, 10):
        level = continuous_cosine(t[None])
        before = views
        views = distil.begin(views, level, cfg, denoise, render)
        assert torch.allclose(views.noisy, noised(before.images, before.eps, level.expand(4)))
        field["values"] = torch.lerp(field["values"], views.targets, 0.5)
        views = distil.end(views, level, cfg, render)
        assert torch.equal(views.images, render()), "blended wholly, what goes on is the field's own rendering"
        errors.append(float((field["values"] - truth).square().mean()))
        noise.append(float((views.targets - truth).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.02 * errors[0]
    assert noise[-1] < 0.05 * noise[0], "as there is less noise, guesses are better"


@pytest.mark.parametrize("reaches", [False, True])
def test_the_denoisers_loss_reaches_the_field_only_where_it_is_asked_to(reaches: bool) -> None:
    small = unet.Config(inside=5, outside=12, widths=(16, 32), blocks=1, attention=(1,), heads=2)
    config = TrainingConfig(
        nerf=NerfConfig(unet=small, sampling=samplers.Sampling("proposed", uniform=8, resampled=8)),
        cdm=replace(cdm.Config(), unet=replace(small, inside=12, outside=3, time=16, tokens=16)),
        stage="joint", cdm_grad_to_nerf=reaches, size=16, views=3, rays=16, targets=1, families=("chairs",),
        window=1, workers=0, points=32, carving_views=2,
    )  # fmt: skip
    task = NerfDiffTask(config)
    torch.nn.init.normal_(task.networks["cdm"].unet.head.weight, std=0.3)  # type: ignore[union-attr]
    batch = task.batch(range(2))
    encoded = task.networks["nerf"](2 * batch["photo"] - 1)
    task._joint(task.networks, encoded, batch).backward()
    moved = [p.grad is not None and bool((p.grad != 0).any()) for p in task.networks["nerf"].parameters()]
    assert any(moved) == reaches
    assert any(p.grad is not None for p in task.networks["cdm"].parameters())


@pytest.mark.parametrize("layout", ["train-like", "sphere", "hemisphere", "spiral", "arc"])
def test_virtual_cameras_stand_around_the_object_as_far_away_as_the_photo(layout: str) -> None:
    source = looking_from((1.1, -1.4, 0.8))
    found = virtual.around(source, layout, 24, seed=3)  # type: ignore[arg-type]
    assert len(found) == 24
    assert torch.allclose(found.centres.norm(dim=-1), source.centres.norm().expand(24).double())
    pixels, z = rays.project(found, torch.zeros(1, 3, dtype=torch.float64))
    assert torch.allclose(pixels, torch.full_like(pixels, 8.0), atol=1e-6)
    assert bool((z > 0).all())
    heights = found.centres[:, 2] / found.centres.norm(dim=-1)
    below = {"sphere": True}.get(layout, False)
    assert bool((heights < 0).any()) == below
    if layout == "arc":
        assert torch.allclose(heights, (source.centres[0, 2] / source.centres.norm()).expand(24))
    assert float(torch.cdist(found.centres, found.centres).fill_diagonal_(9).min()) > 0.02, "no two are the same"
    again = virtual.around(source, layout, 24, seed=3)  # type: ignore[arg-type]
    assert torch.equal(again.c2w, found.c2w)


def test_steps_are_shared_out_between_times_and_refinement() -> None:
    cfg = Config(steps=500)
    assert cfg.each == 16
    assert cfg.distilled == 400
    assert cfg.steps_in_all == 500
    assert Config(steps=10).distilled == 25, "every time has a step at least"


def test_carved_points_are_what_the_thing_is() -> None:
    """Of a ball: points in its skin are solid, points outside are free, nothing false is told, and colours are those of its surface."""
    radius, size = 0.5, 32
    eyes = [(2.0, 0.3, 0.4), (-1.0, 1.7, 0.5), (-0.8, -1.8, 0.3), (0.1, 0.2, 2.0), (0.2, -0.1, -2.0)]
    cameras = cams.concat([looking_from(e, size) for e in eyes]).to(torch.float32)
    ray = [rays.cast_all(cameras[i]) for i in range(len(eyes))]
    depth = []
    for r in ray:
        along = -(r.origins * r.directions).sum(-1)
        inside = radius**2 - (r.origins.square().sum(-1) - along**2)
        t = along - inside.clamp_min(0).sqrt()
        depth.append(torch.where(inside > 0, t * r.z_scale, torch.zeros_like(t)).reshape(size, size))
    z = torch.stack(depth)
    rgb = torch.where(z[..., None] > 0, torch.tensor([0.8, 0.1, 0.2]), torch.ones(3))
    found = carving.points(rgb, z, cameras, 4000, generator(0, "carve"))
    far = found.xyz.norm(dim=-1)
    solid, free = (found.known > 0) & (found.solid > 0), (found.known > 0) & (found.solid == 0)
    # A pixel at the ball's rim spans a good part of the margin.
    assert bool((far[solid] < radius + 0.04).all())
    assert bool((far[free] > radius - 0.01).all())
    assert int(solid.sum()) > 400
    assert int(free.sum()) > 1000
    assert bool((found.xyz[found.known > 0].abs() <= 1).all())
    coloured = found.coloured > 0
    assert int(coloured.sum()) > 400
    assert bool(((far[coloured] - radius).abs() < 0.1).all())
    assert torch.equal(found.rgb[coloured], torch.tensor([0.8, 0.1, 0.2]).expand(int(coloured.sum()), 3))
