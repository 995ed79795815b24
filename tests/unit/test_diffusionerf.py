"""The regulariser against its formulas: times, gradients, cameras, frustums."""

from __future__ import annotations

from dataclasses import replace

import gaussian_support
import pytest
import torch
from support import as_bytes, dotted, random_cameras
from torch import Tensor

from halfseen.bench import rows
from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import generator
from halfseen.fields import operators
from halfseen.fields.contract import RaySamples, Rendering
from halfseen.methods.diffusionerf import cameras, geometric
from halfseen.methods.diffusionerf import score as scores
from halfseen.methods.diffusionerf.algorithm import METHOD
from halfseen.methods.diffusionerf.config import GEOMETRIC, PAPER, Patches, Score
from halfseen.methods.photometric import losses
from halfseen.priors import denoisers, patches, schedules
from halfseen.priors.contract import NoiseLevel, x0_of

COSINE = schedules.squared_cosine()


def _patch(side: int = 8) -> tuple[Tensor, Tensor]:
    rgb = torch.rand(side, side, 3, generator=generator(0, "rgb")).double().requires_grad_()
    z = (0.1 + 3 * torch.rand(side, side, generator=generator(0, "z")).double()).requires_grad_()
    return rgb, z


def _guessing(eps: Tensor):
    def denoise(x: Tensor, level: NoiseLevel, cond: object = None) -> Tensor:
        del cond
        return x0_of(x, eps, NoiseLevel(level.alpha.double(), level.sigma.double()))

    return denoise


@pytest.mark.parametrize(("tau", "t"), [(0.1, 99), (0.05, 47), (0.01, 7), (0.0, 3)])
def test_times_of_tau(tau: float, t: int) -> None:
    assert scores.time_of(tau) == t


def test_tau_falls_and_stays() -> None:
    cfg = replace(Score(), tau_until=2500 / 12000)
    assert [scores.tau(cfg, s / 12000) for s in (0, 1250, 2500, 12000)] == pytest.approx([0.1, 0.05, 0, 0])
    assert float(scores.level_at(cfg, COSINE, 1.0).sigma) == pytest.approx(0.0139380, abs=1e-5)


@pytest.mark.parametrize("rule", ["metric", "relative"])
def test_the_pull_has_the_gradient_that_is_written_down(rule: patches.Rule) -> None:
    rgb, z = _patch()
    eps = torch.randn(1, 4, 8, 8, generator=generator(0, "eps")).double()
    level = scores.level_at(Score(), COSINE, 0.0)
    scores.pull(rgb, z, _guessing(eps), level, rule, Score(), pulled=(True, True)).backward()
    assert rgb.grad is not None
    assert z.grad is not None
    assert float(rgb.grad.norm()) == pytest.approx(2 * 3e-6 * 0.2, rel=1e-6), "a fixed norm, on colours in [-1, 1]"
    assert torch.allclose(rgb.grad / rgb.grad.norm(), (eps[0, :3] / eps[0, :3].norm()).movedim(0, -1))
    sigma, zd = float(level.sigma), z.detach()
    if rule == "metric":
        wanted = 0.2 * 2e-6 * zd * eps[0, 3] / sigma * -(2 * 0.2 / zd**2) * (zd > 0.2)
    else:
        median = patches.median(zd[None])
        moves = 0.5 * median / zd < 1
        centred = eps[0, 3] - eps[0, 3][moves].mean()
        wanted = 0.2 * 8e-7 * centred / sigma * -(1 / zd) * moves
        assert abs(float((z.grad * zd).sum())) < 1e-9 * float((z.grad * zd).abs().sum()), (
            "no patch is pushed as a whole"
        )
    assert torch.allclose(z.grad, wanted, rtol=1e-4, atol=1e-12)


def test_magnitudes_of_the_specification() -> None:
    z = torch.full((8, 8), 2.0, dtype=torch.float64, requires_grad=True)
    for progress, each in ((0.0, 4.8e-7), (1.0, 5.7e-6)):
        level = scores.level_at(Score(), COSINE, progress)
        eps = torch.ones(1, 4, 8, 8, dtype=torch.float64)
        cfg = replace(Score(), weight=0.2)
        pulled = scores.pull(torch.rand(8, 8, 3).double(), z, _guessing(eps), level, "metric", cfg, pulled=(True, True))
        (slope,) = torch.autograd.grad(pulled, z)
        assert float(slope.abs().mean()) == pytest.approx(each, rel=0.02)


def test_descending_the_pull_removes_the_noise() -> None:
    clean = torch.full((8, 8, 3), 0.5, dtype=torch.float64)
    noise = 0.01 * torch.randn(8, 8, 3, generator=generator(0, "n")).double()
    rgb, z = (clean + noise).requires_grad_(), torch.full((8, 8), 2.0, dtype=torch.float64)

    def denoise(x: Tensor, level: NoiseLevel, cond: object = None) -> Tensor:
        del cond, level
        out = x.clone()
        out[:, :3] = 0.0  # the grey that the patch would be without its noise
        return out

    scores.pull(
        rgb, z, denoise, scores.level_at(Score(), COSINE, 0.5), "metric", Score(), pulled=(True, True)
    ).backward()
    assert rgb.grad is not None
    with torch.no_grad():
        after = rgb - 1000 * rgb.grad
    assert float((after - clean).norm()) < float(noise.norm())


def test_a_prior_that_sees_no_noise_does_nothing() -> None:
    rgb, z = _patch()
    zero = torch.zeros(1, 4, 8, 8).double()
    scores.pull(
        rgb, z, _guessing(zero), scores.level_at(Score(), COSINE, 0), "metric", Score(), pulled=(True, True)
    ).backward()
    assert rgb.grad is not None
    assert z.grad is not None
    assert float(rgb.grad.abs().max()) < 1e-13
    assert float(z.grad.abs().max()) < 1e-12


def test_a_photos_colours_are_not_pulled_and_near_depth_is_not_either() -> None:
    rgb, z = _patch()
    eps = torch.randn(1, 4, 8, 8, generator=generator(0, "eps")).double()
    level = scores.level_at(Score(), COSINE, 0.0)
    scores.pull(rgb, z, _guessing(eps), level, "metric", Score(), pulled=(False, True)).backward()
    assert rgb.grad is not None
    assert z.grad is not None
    assert (rgb.grad == 0).all()
    assert (z.grad[z.detach() < 0.2] == 0).all()
    assert (z.grad[z.detach() > 0.2] != 0).all()


def test_turns_are_a_tenth_of_a_random_rotation() -> None:
    angles = []
    for i in range(400):
        turn = cameras.turned(0.1, generator(0, "turn", i))
        assert torch.allclose(turn @ turn.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
        angles.append(torch.rad2deg(torch.arccos((turn.trace() - 1) / 2)))
    found = torch.stack(angles)
    assert float(found.max()) <= 18.0
    assert float(found.mean()) == pytest.approx(12.6, abs=0.5)


def test_patch_cameras_stand_near_photos() -> None:
    photos, cfg = random_cameras(5, 1), Patches(side=24)
    for i in range(50):
        camera = cameras.near(photos, 2.0, cfg, generator(0, "near", i))
        away = (camera.centres - photos.centres).abs().amax(-1)
        assert float(away.min()) <= cfg.shift * 2.0 + 1e-9
        assert camera.size() == (24, 24)
        cx, cy = camera.intrinsics[0, 2:].tolist()
        assert cfg.width / 2 - cfg.width + 12 <= cx <= cfg.width / 2 + 12
        assert cfg.height / 2 - cfg.height + 12 <= cy <= cfg.height / 2 + 12


def test_a_photos_patch_lies_inside_it_and_shows_its_colours() -> None:
    pose = torch.eye(4, dtype=torch.float64)[None]
    photo = Cameras(pose, torch.tensor([[60.0, 60.0, 50.0, 40.0]], dtype=torch.float64), torch.tensor([[100, 80]]))
    ramp = torch.stack(torch.meshgrid(torch.arange(80) + 0.5, torch.arange(100) + 0.5, indexing="ij"), -1)
    rgb = torch.cat([ramp.flip(-1), torch.zeros(80, 100, 1)], -1)
    camera = cameras.of_photo(photo, 0, Patches(side=8), generator(0, "p"))
    assert camera is not None
    found = cameras.colours(camera, photo, rgb)
    ray = rays.cast_all(camera)
    xy, z = rays.project(photo, (ray.origins + 3 * ray.directions).double())
    assert rays.in_frame(photo, xy, z).all()
    assert torch.allclose(found[..., :2].reshape(-1, 2).double(), xy[0], atol=1e-4)


def test_a_photo_narrower_than_a_patch_is_given_up_on() -> None:
    photo = random_cameras(1, 0)
    narrow = Cameras(photo.c2w, photo.intrinsics * 100, photo.sizes)
    assert cameras.of_photo(narrow, 0, Patches(side=48), generator(0, "p")) is None


def _two_cameras() -> Cameras:
    """Side by side at x = -1 and 1, looking along z, with a right angle of view."""
    pose = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    pose[0, 0, 3], pose[1, 0, 3] = -1, 1
    return Cameras(pose, torch.tensor([[50.0, 50.0, 50.0, 50.0]]).repeat(2, 1).double(), torch.tensor([[100, 100]] * 2))


def test_points_in_frustums_are_counted() -> None:
    points = torch.tensor(
        [[0.0, 0, 3], [-3.5, 0, 3], [0, 0, -3], [0.0, 0, 0.5], [9, 0, 3], [1, 0, 0.1]], dtype=torch.float64
    )
    # Both see it, one does, it is behind both, between both, far to the side; before the second lens, nearer than a frustum begins.
    assert geometric.in_frustums(_two_cameras(), points, 0.2).tolist() == [2, 1, 0, 0, 0, 0]
    assert geometric.in_frustums(_two_cameras(), points, 0.0).tolist() == [2, 1, 0, 0, 0, 1]


def _around(wanted: int, *, alone: bool = False) -> geometric.Around:
    return geometric.Around(_two_cameras(), 0.2, wanted, alone)


def _shown() -> Rendering:
    """Three rays with a sample each: one in both frustums, one in one, one in none."""
    points = torch.tensor([[0.0, 0, 3], [-3.5, 0, 3], [0, 0, -3]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64, requires_grad=True)
    where = operators.Marched(torch.ones(3), torch.ones(3), torch.arange(3), torch.arange(4))
    alpha = weights.detach().float()
    shown = Rendering(
        torch.zeros(3, 3), torch.ones(3), torch.ones(3), torch.ones(3), RaySamples(weights, where, points)
    )
    return replace(shown, alpha=alpha)


def test_frustum_penalties() -> None:
    shown = _shown()
    assert shown.samples is not None
    weights = shown.samples.weights
    found = geometric.frustum(shown, _around(geometric.ON_RAYS))
    assert float(found.detach()) == pytest.approx((0 * 0.5 + 1 * 0.25 + 2 * 0.125) / 3)
    found.backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert float(geometric.frustum(shown, _around(geometric.ON_PATCHES)).detach()) == pytest.approx(0.125 / 3)


def test_schedules_of_the_geometric_baseline() -> None:
    cfg = GEOMETRIC.geometric
    exact = replace(cfg, distortion_from=0.25, distortion_full=8 / 12)
    assert [geometric.ramp(exact, s / 12000) for s in (3000, 5500, 8000, 12000)] == pytest.approx([0, 0.5, 1, 1])
    # What the paper's profile has, at the steps that the specification names: 0.1, 0.05 and 0 give times 99, 47 and 3.
    paper = PAPER["geometric-prior"]
    assert [geometric.ramp(paper.geometric, s / paper.steps) for s in (3000, 5500, 8000)] == pytest.approx([0, 0.5, 1], abs=1e-3)  # fmt: skip
    times = [scores.time_of(scores.tau(paper.score, s / paper.steps)) for s in (0, 1250, 2500, 12_000)]
    assert times == [99, 47, 3, 3]


def test_terms_are_weighted_and_frustums_count_little_after_a_hundred_steps() -> None:
    cfg = replace(GEOMETRIC.geometric, frustum=0.3, foreground=2.0, distortion=0.0)
    early = geometric.terms(_shown(), _around(geometric.ON_RAYS), cfg, 99, 0.1)
    late = geometric.terms(_shown(), _around(geometric.ON_RAYS), cfg, 100, 0.1)
    penalty = (0.25 + 2 * 0.125) / 3
    assert float(early["frustum"].detach()) == pytest.approx(0.3 * penalty)
    assert float(late["frustum"].detach()) == pytest.approx(0.003 * penalty)
    empty = ((1 - torch.tensor([0.5, 0.25, 0.125])) ** 2).mean()
    assert float(early["foreground"]) == pytest.approx(2 * float(empty))
    # An object's rays may end nowhere, and so may those of patches.
    assert "foreground" not in geometric.terms(_shown(), _around(geometric.ON_RAYS, alone=True), cfg, 99, 0.1)
    assert "foreground" not in geometric.terms(_shown(), _around(geometric.ON_PATCHES), cfg, 99, 0.1)


def test_gaussians_outside_of_frustums_are_pushed_to_nothing() -> None:
    points = torch.tensor([[0.0, 0, 3], [-3.5, 0, 3], [0, 0, -3]])
    field = gaussian_support.field(3)
    field.values["xyz"].data[:] = points
    field.values["opacity"].data[:] = 0.0
    cfg = replace(GEOMETRIC.geometric, frustum=1.0)
    geometric.of_gaussians(field, _around(geometric.ON_RAYS), cfg, 1)["frustum"].backward()
    pushed = field.values["opacity"].grad
    assert pushed is not None
    assert pushed.reshape(-1)[0] == 0
    assert pushed.reshape(-1)[2] == pytest.approx(2 * float(pushed.reshape(-1)[1]), rel=1e-4)
    assert pushed.reshape(-1)[1] > 0


def test_what_is_hardly_spread_is_let_be() -> None:
    """Two samples a ray, a little and far apart: with a floor between the two only the second counts."""
    where = operators.Marched(torch.tensor([1.0, 1.001, 1.0, 3.0]), torch.full((4,), 1e-4), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 4]))  # fmt: skip
    weights = torch.full((4,), 0.5, requires_grad=True)
    shown = Rendering(torch.zeros(2, 3), torch.ones(2), torch.tensor([1.0, 2.0]), torch.ones(2), RaySamples(weights, where, torch.zeros(4, 3)))  # fmt: skip
    losses.distortion(shown, 1e-3).backward()
    assert weights.grad is not None
    assert weights.grad[:2].tolist() == [0, 0]
    assert float(weights.grad[2:].abs().sum()) > 0
    bare = torch.full((4,), 0.5, requires_grad=True)
    losses.distortion(replace(shown, samples=replace(shown.samples, weights=bare)), 0.0).backward()
    assert bare.grad is not None
    assert float(bare.grad[:2].abs().sum()) > 0
    # Of two rays only the first is held by what is known.
    some = torch.full((4,), 0.5, requires_grad=True)
    losses.distortion(replace(shown, samples=replace(shown.samples, weights=some)), held=torch.tensor([True, False])).backward()  # fmt: skip
    assert some.grad is not None
    assert some.grad[:2].tolist() == bare.grad[:2].tolist()
    assert some.grad[2:].tolist() == [0, 0]


def _fog_before_a_wall() -> Rendering:
    """A ray with a little fog at 1 and a wall at 3 and 3.2; its z-depths are 0.9 of its distances."""
    where = operators.Marched(torch.tensor([1.0, 3.0, 3.2]), torch.full((3,), 0.1), torch.zeros(3, dtype=torch.long), torch.tensor([0, 3]))  # fmt: skip
    weights = torch.tensor([0.1, 0.5, 0.3], requires_grad=True)
    mean = 0.9 * (weights * where.t).sum() / weights.sum()
    samples = RaySamples(weights, where, torch.zeros(3, 3))
    return Rendering(torch.zeros(1, 3), mean[None], weights.sum()[None], mean[None], samples)


def test_within_a_long_reach_depth_is_the_mean() -> None:
    shown = _fog_before_a_wall()
    assert shown.samples is not None
    (wanted,) = torch.autograd.grad(shown.mean_depth.sum(), shown.samples.weights, retain_graph=True)
    depth = scores.within_reach(shown, 1e6)
    (found,) = torch.autograd.grad(depth.sum(), shown.samples.weights)
    assert torch.equal(depth, shown.mean_depth)
    assert torch.allclose(found, wanted, atol=1e-6)


def test_out_of_reach_fog_brings_nothing_nearer() -> None:
    shown = _fog_before_a_wall()
    assert shown.samples is not None
    depth = scores.within_reach(shown, 0.2)
    (found,) = torch.autograd.grad(depth.sum(), shown.samples.weights)
    assert torch.equal(depth, shown.mean_depth)
    assert found[0] == 0
    assert float(found[1]) > 0
    assert float(found[2]) > float(found[1])


def test_of_what_a_prior_does_not_know_nothing_is_pulled() -> None:
    """In single precision the noise that is not found there is not quite zero, and colours are pulled by a fixed length."""
    rgb, z = (t.detach().float().requires_grad_() for t in _patch(16))
    level = COSINE.level(torch.tensor([99]))
    some = denoisers.of_part(lambda x, level, cond=None: 0.5 * x, patches.DISPARITY)
    scores.pull(rgb, z, some, level, "relative", Score(), pulled=(False, True)).backward()
    assert rgb.grad is not None
    assert z.grad is not None
    assert float(rgb.grad.abs().max()) == 0
    assert float(z.grad.abs().max()) > 0
    assert patches.knows(4) == (True, True)
    assert patches.knows(3) == (True, False)
    assert patches.knows(1) == (False, True)


def test_an_object_alone_is_pulled_harder_unless_a_weight_is_given() -> None:
    scene = as_bytes(dotted())
    alone = replace(scene, mask_role="object")
    small = METHOD.variants["prior"]
    assert METHOD.resolve(small, scene, "hashgrid").score == small.score
    found = METHOD.resolve(small, alone, "hashgrid")
    assert (found.score.weight, found.score.reach) == (small.score.weight * small.score.alone, small.score.reach_alone)
    assert METHOD.resolve(found, alone, "hashgrid") == found, "what is resolved stays"
    asked = METHOD.resolve(METHOD.with_prior(small, "patch", "patch-rgbd", 0.3), alone, "hashgrid")
    assert asked.score.weight == 0.3


def test_the_row_of_four_times_the_pull_has_four_times_the_pull() -> None:
    by_name = {r.name: r for r in (*rows.ROWS["diffusionerf"], *rows.ABLATIONS["diffusionerf"])}
    base, hard = (rows.config_of(by_name[n], 5) for n in ("geometric + prior", "pulled four times as hard"))
    assert hard.score.weight == 4 * base.score.weight
