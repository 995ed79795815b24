"""SparseFusion's parts: what falls where along epipolar lines, and the transformer over it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths, rays
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.methods.sparsefusion import eft, epipolar, latents, lending, vldm
from halfseen.methods.sparsefusion.epipolar import Query
from halfseen.methods.sparsefusion.training import SparseFusionTask
from halfseen.methods.sparsefusion.training_config import Config as TrainingConfig
from halfseen.priors import residual, samplers, schedules
from halfseen.priors.contract import NoiseLevel, eps_of, level_from_log_snr, noised, v_of
from halfseen.priors.networks import autoencoder, kl_f8, pyramid

SMALL = replace(
    eft.Config(), encoder=pyramid.Config(widths=(16, 32), project=16), width=16, layers=1, feedforward=16, depths=5
)
MIDDLE = torch.tensor([[0.0, 0.0, 2.0]])
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
EYES = ((2.0, 0.0, 0.5), (1.5, 1.5, 0.3), (0.2, 2.1, 0.9), (-2.0, 0.4, 0.1))


def poses(count: int = 4) -> Tensor:
    eye = torch.tensor(EYES[:count], dtype=torch.float64)
    return paths.look_at(eye, torch.zeros_like(eye), UP)


def asked(query: int, photos: list[int]) -> Query:
    """A query and photos of one focal length, 1.3 picture sides."""
    c2w = poses()
    relative = (c2w[query].inverse() @ c2w[photos]).float()[None]
    lens = torch.tensor([1.3, 1.3, 0.5, 0.5])
    return Query(lens[None], relative, lens.expand(1, len(photos), 4), torch.tensor([[1.0, 3.0]]), MIDDLE)


def test_samples_fall_where_cameras_project_them() -> None:
    """In the query's frame as in the world's, by the cameras that everything else uses."""
    query = asked(0, [1, 2])
    found = epipolar.samples(query, 3, 4, 5)
    torch.testing.assert_close(found.depth[0, 0], torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))
    camera = cams.make(poses(1), (1.3 * 40, 1.3 * 30, 20.0, 15.0), (40, 30)).to(torch.float64)
    others = cams.Cameras(poses()[[1, 2]], camera.intrinsics.expand(2, -1), camera.sizes.expand(2, -1))
    # Cell (2, 1) of 4 x 3, in a picture of 40 x 30.
    ray = rays.cast(camera, torch.zeros(1, dtype=torch.long), torch.tensor([[25.0, 15.0]], dtype=torch.float64))
    for d in range(5):
        world = ray.at_depth(found.depth[0, 0, d : d + 1].double())
        pixels, z = rays.project(others, world)
        wanted = 2 * pixels[:, 0] / torch.tensor([40.0, 30.0]) - 1
        torch.testing.assert_close(found.at[0, :, 4 + 2, d].double(), wanted, atol=1e-5, rtol=0)
        assert bool((z > 0).all())
        assert bool(found.before[0, :, 4 + 2, d].all())


def test_what_is_behind_a_photos_camera_is_not_seen() -> None:
    """A photo from the other side, whose camera looks away from the query's first samples."""
    c2w = torch.eye(4).expand(1, 1, 4, 4).clone()
    c2w[0, 0, 2, 3] = 2.0
    lens = torch.tensor([1.3, 1.3, 0.5, 0.5])
    query = Query(lens[None], c2w, lens.expand(1, 1, 4), torch.tensor([[1.0, 3.0]]), MIDDLE)
    where = epipolar.samples(query, 1, 1, 5)
    assert where.before[0, 0, 0].tolist() == [False, False, False, True, True]
    maps = torch.ones(1, 1, 2, 8, 8)
    assert epipolar.found(maps, where)[0, 0, 0, :, 0].tolist() == [0, 0, 0, 1, 1]


def test_lines_are_those_through_the_samples() -> None:
    query = asked(0, [1])
    where = epipolar.samples(query, 2, 2, 3)
    lines = epipolar.photo_lines(query, where.xyz)
    direction, moment = lines[0, 0, ..., :3], lines[0, 0, ..., 3:]
    torch.testing.assert_close(torch.linalg.cross(where.xyz[0], direction), moment, atol=1e-5, rtol=0)
    assert not epipolar.query_lines(where)[..., 3:].any()


def test_the_papers_tokens_have_the_papers_sizes() -> None:
    assert eft.PAPER.inputs == (606, 425, 412)
    with torch.device("meta"):
        net = eft.Eft(eft.PAPER)
    parts = [
        sum(p.numel() for p in part.parameters()) / 1e6 for part in (net.over_photos, net.along_rays, net.over_views)
    ]
    assert parts == pytest.approx([1.74, 1.69, 1.69], abs=0.01)
    assert sum(p.numel() for p in net.encoder.parameters()) / 1e6 == pytest.approx(2.78, abs=0.01)


def test_pieces_of_many_rays_are_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net, query = eft.Eft(SMALL).eval(), asked(0, [1, 2])
    photos = torch.rand(1, 2, 3, 16, 16, generator=generator(0, "photos"))
    with torch.no_grad():
        whole = net(photos, query, 4, 6)
        monkeypatch.setattr(eft, "_MOST_AT_ONCE", 7)
        parts = net(photos, query, 4, 6)
    for key, value in vars(whole).items():
        torch.testing.assert_close(getattr(parts, key), value)


def test_an_autoencoder_of_other_channels_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    kl_f8.untrained((8, 8), 4).vae.save_pretrained(tmp_path / "vae", safe_serialization=True)
    config = replace(
        vldm.Config(), latent=3, unet=replace(vldm.Config().unet, inside=vldm.Config().unet.inside - 2, outside=3)
    )
    task = SparseFusionTask(TrainingConfig(vldm=config, autoencoder=str(tmp_path / "vae"), workers=0))
    with pytest.raises(UserError, match="has other latents"):
        task.batch(range(1))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_order_of_photos_makes_no_difference(count: int) -> None:
    torch.manual_seed(0)
    net = eft.Eft(SMALL).eval()
    photos = torch.rand(1, count, 3, 16, 16, generator=generator(0, "photos"))
    order = list(range(count))[::-1]
    query = asked(0, [1, 2, 3][:count])
    turned = replace(
        query, photo_to_query=query.photo_to_query[:, order], photo_intrinsics=query.photo_intrinsics[:, order]
    )
    with torch.no_grad():
        found, other = net(photos, query, 4, 6), net(photos[:, order], turned, 4, 6)
    assert (found.rgb.shape, found.features.shape, found.depth.shape) == (
        (1, 3, 4, 6),
        (1, SMALL.channels, 4, 6),
        (1, 4, 6),
    )
    torch.testing.assert_close(other.rgb, found.rgb, atol=1e-5, rtol=0)
    torch.testing.assert_close(other.features, found.features, atol=1e-4, rtol=0)
    torch.testing.assert_close(other.depth, found.depth, atol=1e-5, rtol=0)
    assert bool(((found.depth > 1) & (found.depth < 3)).all())


def test_queries_of_a_batch_do_not_know_each_other() -> None:
    torch.manual_seed(0)
    net = eft.Eft(SMALL).eval()
    photos = torch.rand(2, 2, 3, 16, 16, generator=generator(0, "photos"))
    single = [asked(0, [1, 2]), asked(3, [0, 1])]
    both = Query(*(torch.cat([getattr(q, k) for q in single]) for k in vars(single[0])))
    with torch.no_grad():
        together = net(photos, both, 4, 4).rgb
        alone = torch.cat([net(photos[i : i + 1], q, 4, 4).rgb for i, q in enumerate(single)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_it_learns_to_copy_what_a_photo_shows() -> None:
    """A flat picture at a known depth before two cameras beside each other: its colours in the query are those of the photo, shifted."""
    torch.manual_seed(0)
    net = eft.Eft(SMALL)
    optimiser = torch.optim.Adam(net.parameters(), lr=1.5e-3)
    c2w = torch.eye(4).expand(4, 1, 4, 4).clone()
    c2w[:, 0, 0, 3] = 0.25
    lens = torch.tensor([1.0, 1.0, 0.5, 0.5])
    query = Query(
        lens.expand(4, 4), c2w, lens.expand(4, 1, 4), torch.tensor([[1.0, 3.0]]).expand(4, 2), MIDDLE.expand(4, 3)
    )
    losses = []
    for step in range(120):
        # At depth 2, a quarter of a unit to the side is an eighth of a picture: 2 of 16 pixels.
        coarse = torch.rand(4, 3, 4, 5, generator=generator(step, "flat"))
        wide = torch.nn.functional.interpolate(coarse, (16, 20), mode="bilinear")
        photo, truth = wide[..., 2:18], wide[..., :16]
        rgb = net(photo[:, None], query, 16, 16).rgb
        loss = (rgb[..., 3:] - truth[..., 3:]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    # Guessing the mean leaves 0.044; by now a tenth of that is left.
    assert sum(losses[-10:]) / 10 < 0.3 * sum(losses[:5]) / 5


def test_weights_of_torchvision_are_taken_by_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, other = pyramid.ResNet(), pyramid.ResNet()
    # Its older file has no counters.
    kept = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    stored = {**kept, "fc.weight": torch.zeros(2, 2), "layer4.0.conv1.weight": torch.zeros(1)}
    torch.save(stored, tmp_path / "resnet18.pth")
    pyramid.load_resnet(other, tmp_path / "resnet18.pth")
    photos = torch.rand(2, 3, 32, 32, generator=generator(0, "photos"))
    found = other.train()(photos)
    assert found.shape == (2, 512, 16, 16)
    torch.testing.assert_close(found, net.eval()(photos))
    config = TrainingConfig(
        eft=replace(SMALL, encoder=pyramid.Config(widths=(), project=0), width=48),
        resnet=str(tmp_path / "resnet18.pth"),
        stage="eft",
        workers=0,
    )
    begun = SparseFusionTask(config).networks["eft"].encoder
    torch.testing.assert_close(begun(photos), net(photos))  # type: ignore[operator]
    with pytest.raises(UserError, match="encoder is no ResNet-18"):
        replace(config, eft=replace(SMALL, width=48))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"is no ResNet-18"):
        pyramid.load_resnet(other, tmp_path / "other.pth")


def test_latents_are_a_quarter_of_the_side_and_follow_their_distribution() -> None:
    config = autoencoder.Config(widths=(16, 32), blocks=1, scale=2.0)
    torch.manual_seed(0)
    net = autoencoder.Autoencoder(config)
    pictures = 2 * torch.rand(2, 3, 16, 24, generator=generator(0, "pictures")) - 1
    mean, log_variance = net.distribution(pictures)
    assert (config.factor, mean.shape) == (4, (2, 4, 4, 6))
    torch.testing.assert_close(net.encode(pictures), 2 * mean)
    torch.testing.assert_close(net.decode(net.encode(pictures)), net.pictures(mean))
    eps = torch.randn(mean.shape, generator=generator(0, "eps"))
    torch.testing.assert_close(net(pictures, eps)[0], net.pictures(mean + (0.5 * log_variance).exp() * eps))
    standard = torch.zeros(3), torch.zeros(3)
    assert float(autoencoder.divergence(*standard)) == 0
    assert float(autoencoder.divergence(torch.ones(3), torch.zeros(3))) == pytest.approx(0.5)


def test_stable_diffusions_latents_are_those_of_its_folder(tmp_path: Path) -> None:
    """Eight pixels a side, scaled by 0.18215, the mean and no draw; nothing but safetensors in diffusers' layout is read."""
    with torch.device("meta"):
        whole = kl_f8.untrained((128, 256, 512, 512), 32)
    assert sum(p.numel() for p in whole.parameters()) / 1e6 == pytest.approx(83.65, abs=0.01)
    torch.manual_seed(0)
    small = kl_f8.untrained((8, 8, 16, 16), 4)
    small.vae.save_pretrained(tmp_path / "vae", safe_serialization=True)
    found = latents.load(str(tmp_path / "vae"), torch.device("cpu"))
    assert found.config.factor == 8
    pictures = 2 * torch.rand(2, 3, 32, 48, generator=generator(0, "pictures")) - 1
    wanted = small.vae.eval().encode(pictures).latent_dist.mean
    encoded = found.encode(pictures)
    assert encoded.shape == (2, 4, 4, 6)
    torch.testing.assert_close(encoded, 0.18215 * wanted)
    torch.testing.assert_close(found.decode(encoded), small.vae.decode(wanted).sample)
    known = latents.hash_of(str(tmp_path / "vae"))
    latents.same(str(tmp_path / "vae"), known)
    with pytest.raises(UserError, match="is not the one that was trained with"):
        latents.same(str(tmp_path / "vae"), "0" * 64)
    (tmp_path / "vae" / "config.json").write_text("{}")
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="is no autoencoder in diffusers' layout"):
        latents.load(str(tmp_path / "vae"), torch.device("cpu"))


def test_the_papers_sizes_are_a_recipe() -> None:
    from halfseen.api import priors

    config = priors.recipe("sparsefusion-paper").own
    assert config.eft.inputs == (606, 425, 412)
    assert (config.fewest, config.most, config.repeats, config.size) == (2, 5, 12, 256)


def test_the_sampler_of_the_released_code_finds_what_an_oracle_knows() -> None:
    """From any noise, in as many steps as it takes there: the clean latent, with one look more than steps."""
    clean = torch.randn(2, 4, 3, 3, generator=generator(0, "clean"))
    looks = []

    def oracle(x: Tensor, level: NoiseLevel, cond: object = None) -> Tensor:
        del x, cond
        looks.append(level)
        return clean

    for first, count in ((0.005, 1), (0.05, 5), (0.3, 30), (0.98, 50)):
        looks.clear()
        grid = [schedules.offset_cosine(t[None]) for t in torch.linspace(first, 0.0, count)]
        noisy = noised(clean, torch.randn(clean.shape, generator=generator(1, "eps")), grid[0].expand(2))
        found = samplers.ancestral_plms(oracle, noisy, grid, rng=generator(2, "draws"))
        torch.testing.assert_close(found, clean, atol=1e-5, rtol=0)
        assert len(looks) == (count + 1 if count > 1 else 1)


def test_the_schedule_has_the_released_codes_ends() -> None:
    found = schedules.offset_cosine(torch.tensor([0.0, 0.25, 0.5, 0.75, 0.99], dtype=torch.float64)).log_snr
    assert found.tolist() == pytest.approx([8.77, 1.71, -0.03, -1.78, -8.3], abs=0.06)


def latent_noise(count: int, time: float, there: float) -> dict[str, Tensor]:
    return {
        "eps": torch.randn(count, 4, 4, 4, generator=generator(3, "eps")),
        "time": torch.full((count,), time),
        "there": torch.full((count,), there),
        "valid": torch.ones(count, 1, 4, 4),
    }


@pytest.mark.parametrize("time", [0.05, 0.5, 0.95])
def test_noise_is_learned_with_the_papers_weight(time: float) -> None:
    """A network that always guesses no noise errs by one, times (1 + SNR)^-1/2; where the picture ends nothing is asked."""
    config, noise = vldm.Config(residual=0), latent_noise(512, time, 1.0)
    clean, told = torch.zeros(512, 4, 4, 4), torch.zeros(512, config.told, 4, 4)

    class Nothing(torch.nn.Module):
        def forward(self, z: Tensor, log_snr: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
            return 0 * z, 0 * z

    level = schedules.offset_cosine(torch.tensor([0.999 * time]))
    snr = float((level.alpha / level.sigma) ** 2)
    found = float(vldm.loss(config, Nothing(), clean, told, noise))
    assert found == pytest.approx((1 + snr) ** -0.5 * float(noise["eps"].square().mean()), rel=1e-4)
    assert float(vldm.loss(config, Nothing(), clean, told, {**noise, "valid": torch.zeros(512, 1, 4, 4)})) == 0


def test_what_is_dropped_is_nothing_and_guidance_counts_what_is_told() -> None:
    config = vldm.Config(guidance=2.0, residual=0)
    seen = []

    class Adds(torch.nn.Module):
        def forward(self, z: Tensor, log_snr: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
            seen.append(told)
            return told[:, :4], 0 * z

    clean, told = torch.zeros(2, 4, 4, 4), torch.full((2, config.told, 4, 4), 0.5)
    vldm.loss(config, Adds(), clean, told, latent_noise(2, 0.5, 0.0))
    assert not seen[-1].any()
    level = NoiseLevel(torch.tensor([0.8, 0.8]), torch.tensor([0.6, 0.6]))
    z = torch.ones(2, 4, 4, 4)
    found = vldm.denoiser_of(config, Adds())(z, level, {vldm.CONDITION: told})
    # eps = 0 + 2 (0.5 - 0).
    torch.testing.assert_close(found, (z - 0.6) / 0.8)
    assert float(vldm.denoiser_of(config, Adds())(100 * z, level, {vldm.CONDITION: told}).max()) == 10


class Differs(torch.nn.Module):
    """Knows that latents are 2 more than the first channel that is told, which it takes for what is usual."""

    def forward(self, z: Tensor, log_snr: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        usual = told[:, :1].expand(-1, 4, -1, -1)
        y, own = residual.inward(z, usual, level_from_log_snr(log_snr), 0.5)
        y0 = torch.full_like(y, 4.0)
        return v_of(y0, eps_of(y, y0, own), own), usual


@pytest.mark.parametrize("time", [0.05, 0.5, 0.95])
def test_what_latents_differ_in_from_the_usual_is_learned_and_denoised(time: float) -> None:
    """In units of 0.5 they differ by 4: who knows that errs by the 2 of what is usual alone, and denoises to the truth from all noise."""
    config, noise = vldm.Config(), latent_noise(64, time, 1.0)
    told = torch.rand(64, config.told, 4, 4, generator=generator(4, "told"))
    clean = told[:, :1].expand(-1, 4, -1, -1) + 2
    assert float(vldm.loss(config, Differs(), clean, told, noise)) == pytest.approx(4, rel=1e-3)
    level = vldm.levels(time, time, 1)[0].expand(64)
    z = noised(clean, noise["eps"], level)
    found = vldm.denoiser_of(config, Differs())(z, level, {vldm.CONDITION: told})
    torch.testing.assert_close(found, clean, rtol=1e-3, atol=1e-3)


def test_the_papers_latent_network_is_of_the_papers_class() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in vldm.Vldm(vldm.PAPER).parameters())
    assert count / 1e6 == pytest.approx(400, rel=0.02)
    small = sum(sum(p.numel() for p in net.parameters()) for net in (vldm.Vldm(vldm.Config()), eft.Eft(eft.Config())))
    assert small <= 4_000_000


def test_what_is_lent_is_what_the_nearest_photo_shows_there() -> None:
    """A flat picture at depth 2 before cameras a quarter of a unit apart: an eighth of a picture to the side; beyond the photo nothing."""
    c2w = torch.eye(4).expand(1, 2, 4, 4).clone()
    c2w[0, :, 0, 3] = torch.tensor([1.0, 0.25])
    lens = torch.tensor([1.0, 1.0, 0.5, 0.5])
    query = Query(lens[None], c2w, lens.expand(1, 2, 4), torch.tensor([[1.0, 3.0]]), MIDDLE)
    photos = torch.rand(1, 2, 3, 16, 16, generator=generator(0, "photos"))
    assert lending.nearest(query).tolist() == [1]
    colours, there = lending.lent(photos, query, torch.full((1, 4, 4), 2.0), 16)
    torch.testing.assert_close(colours[0, :, :, 2:], photos[0, 1, :, :, :14], atol=1e-5, rtol=0)
    assert bool(there[0, 0, :, 2:].all())
    assert not there[0, 0, :, :2].any()
    assert not colours[0, :, :, :2].any()
