"""Gaussians: kernels beside their slow twins, the same bytes on any number of threads, and populations that grow as they should."""

import math
from contextlib import nullcontext
from dataclasses import replace

import numba
import pytest
import torch
from gaussian_support import SIZE, camera, field

from halfseen.cameras import rays
from halfseen.cameras.cameras import make
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.fields import gaussian_growth as growth
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields import gaussians, kinds, operators, splats
from halfseen.fields.optimiser import Adam
from halfseen.fields.reference import splats as twins

# Of differences: small enough that no pixel comes within reach of a Gaussian or leaves it, and large beside double precision.
STEP = 1e-8
NAMES = ("xyz", "scale", "turn", "opacity", "sh")


def cloud(count, radius=-3.0, seed=0, dtype=torch.float64, spread=0.4):
    rng = generator(seed, "cloud")

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    values = (
        spread * normal(count, 3),
        radius + 0.4 * normal(count, 3),
        normal(count, 4),
        torch.sigmoid(normal(count)),
    )
    return [t.to(dtype).requires_grad_() for t in (*values, 0.3 * normal(count, 16, 3))]


def draw(values, bands=4, *, twin=False, layout=None, at=None):
    at = at or camera()
    with operators.twins() if twin else nullcontext():
        projected = splats.project(*values, at, bands)
        return projected, splats.blend(projected, values[3], layout or splats.grid((0, 0, *at.size())))


@pytest.mark.parametrize(
    ("count", "radius", "spread"), [(1, -2.0, 0.1), (60, -1.0, 0.4), (400, -3.0, 0.4), (2000, -3.5, 1.5)]
)
def test_values_and_gradients_are_those_of_the_dense_twin(count, radius, spread):
    """Every Gaussian at every pixel, so that one that is missing in the list of a tile shows."""
    values = cloud(count, radius, spread=spread)
    (fast, shown), (slow, tiled) = draw(values), draw(values, twin=True)
    seen = slow.reach[:, 0] > 0
    for name in ("mean", "conic", "reach", "features"):
        torch.testing.assert_close(getattr(fast, name)[seen], getattr(slow, name)[seen], rtol=1e-9, atol=1e-9)
    near_to_far = torch.argsort(slow.features[:, -1].detach(), stable=True)
    near_to_far = near_to_far[seen[near_to_far]]
    wanted = twins.at_pixels(slow, values[3], near_to_far, splats.grid((0, 0, *SIZE)).xy.double())
    for got in (shown, tiled):
        for a, b in zip(got[:2], wanted[:2], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=5e-6)
        # Depth of the same Gaussian; processors round its projection differently by a bit.
        torch.testing.assert_close(got[2], wanted[2], rtol=1e-9, atol=1e-9)
    pulls = [torch.randn(t.shape, generator=generator(1, "pull"), dtype=t.dtype) for t in shown[:2]]
    got, expected = (torch.autograd.grad(list(o[:2]), values, pulls) for o in (shown, wanted))
    for name, a, b in zip(NAMES, got, expected, strict=True):
        # The kernel's exponential is good to 2e-6.
        assert float((a - b).norm()) <= 5e-6 * float(b.norm()) + 1e-12, name


def test_projection_passes_the_gradient_check():
    """Against finite differences: middles, radii, turns and colours, on all bands, with some beside and behind the camera."""
    values = cloud(12, -1.5, spread=0.9)

    def flat(xyz, scale, turn, sh):
        p = splats.project(xyz, scale, turn, values[3].detach(), sh, camera(), 4)
        return p.mean, p.conic, p.features[:, :3], p.features[p.reach[:, 0] > 0, 3]

    assert torch.autograd.gradcheck(flat, (values[0], values[1], values[2], values[4]), eps=1e-6, atol=1e-5)


def test_the_same_bytes_on_any_number_of_threads():
    values, before = cloud(3000, -3.2, dtype=torch.float32), numba.get_num_threads()
    runs = []
    try:
        for threads in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(threads)
            _, shown = draw(values)
            runs.append([*shown, *torch.autograd.grad(shown[0].sum() + shown[1].sum(), values)])
    finally:
        numba.set_num_threads(before)
    for a, b in zip(*runs, strict=True):
        assert torch.equal(a, b)


def test_windows_and_loose_pixels_are_pieces_of_the_picture():
    made = field()
    two = make(torch.cat([camera().c2w, camera((-1.0, 1.5, 0.6)).c2w]), tuple(camera().intrinsics[0].tolist()), SIZE)
    whole = [made.render(two[i], background=(0.2, 0.4, 0.6)) for i in range(2)]
    part = made.render(two[1], window=(7, 5, 20, 11), background=(0.2, 0.4, 0.6))
    for name in ("rgb", "alpha", "depth", "mean_depth"):
        torch.testing.assert_close(getattr(part, name), getattr(whole[1], name)[5:16, 7:27], atol=1e-6, rtol=0)
    views = torch.tensor([1, 0, 1, 0, 0, 1])
    at = torch.tensor([[3, 4], [20, 30], [49, 36], [0, 0], [25, 18], [24, 17]])
    loose = made.render(two, pixels=(views, at + 0.5), background=(0.2, 0.4, 0.6))
    for name in ("rgb", "alpha", "depth"):
        wanted = torch.stack(
            [getattr(whole[v], name)[y, x] for v, (x, y) in zip(views.tolist(), at.tolist(), strict=True)]
        )
        torch.testing.assert_close(getattr(loose, name), wanted, atol=1e-6, rtol=0)


def test_depth_is_along_the_axis_and_normals_look_back():
    """A wall of flat Gaussians before the camera: its z-depth is the same in all pixels, and its normal faces the camera."""
    side = torch.linspace(-1.5, 1.5, 40)
    y, z = torch.meshgrid(side, side, indexing="ij")
    xyz = torch.stack([torch.zeros(1600), y.reshape(-1), z.reshape(-1)], -1)
    made = gaussians.create(
        Similarity.identity(), gaussians.Config(start=1600), 0, torch.device("cpu"), None,
        seeding.Seeds(xyz, torch.full((1600, 3), 0.7), torch.full((1600,), 0.08)),
    )  # fmt: skip
    made.values["turn"].data[:] = torch.tensor([1.0, 0, 0, 0])
    made.values["scale"].data[:] = torch.tensor([0.004, 0.08, 0.08]).log()
    made.values["opacity"].data[:] = 3.0
    ahead = camera((2.0, 0.0, 0.0))
    with torch.no_grad():
        shown = made.render(ahead, background=(0.0, 0.0, 0.0))
    assert float((shown.depth[8:-8, 8:-8] - 2).abs().max()) < 0.02
    assert float((shown.mean_depth[8:-8, 8:-8] - 2).abs().max()) < 0.02
    normal = made.normals(ahead)
    torch.testing.assert_close(
        normal[8:-8, 8:-8], torch.tensor([1.0, 0, 0]).expand(SIZE[1] - 16, SIZE[0] - 16, 3), atol=0.02, rtol=0
    )


@pytest.mark.parametrize("name", ["xyz", "scale", "turn", "opacity"])
def test_normals_have_the_gradients_of_differences(name):
    """Along a random direction, in double precision."""
    made = field(40)
    made.values = {k: v.detach().double().requires_grad_() for k, v in made.values.items()}
    value, at = made.values[name], camera()
    pull = torch.randn(SIZE[1], SIZE[0], 3, generator=generator(0, "pull"), dtype=torch.float64)
    along = torch.randn(value.shape, generator=generator(1, name), dtype=torch.float64)

    def total():
        return (made.normals(at) * pull).sum()

    (grad,) = torch.autograd.grad(total(), value)
    with torch.no_grad():
        value += STEP * along
        above = total()
        value -= 2 * STEP * along
        below = total()
    assert float((grad * along).sum()) == pytest.approx(float(above - below) / (2 * STEP), rel=1e-3)


@pytest.mark.parametrize("grown", ["default", "mcmc"])
def test_a_fit_grows_keeps_its_limits_and_goes_on_from_its_state(grown):
    """Twelve steps with growth every three, whole and in two halves: the same bytes."""
    cfg = {"growth": grown, "grow_every": 3, "grow_from": 0.0, "grow_until": 1.0, "pull": 0.0, "most": 420}
    target = field(300).render(camera(), background=(0.0, 0.0, 0.0)).rgb.detach().flip(1)

    def go(made, optimiser, steps):
        for step in steps:
            shown = made.render(camera(), background=(0.0, 0.0, 0.0), generator=generator(0, "x", step))
            ((shown.rgb - target) ** 2).mean().backward()
            optimiser.step(1.0)
            origin = made.after_step(step, {"progress": torch.tensor(step / 12)})
            if origin is not None:
                optimiser.rearrange(made.parameter_groups(), origin)
        return made, optimiser

    whole, _ = go(*(lambda f: (f, Adam(f.parameter_groups())))(field(300, **cfg)), range(1, 13))
    half, optimiser = go(*(lambda f: (f, Adam(f.parameter_groups())))(field(300, **cfg)), range(1, 8))
    state = {k: v.detach().clone() for k, v in half.state().items()}
    moments = {k: v.clone() for k, v in optimiser.state().items()}
    again = kinds.restore(state, Similarity.identity(), half.config, torch.device("cpu"), camera())
    again, _ = go(again, Adam(again.parameter_groups(), moments), range(8, 13))
    assert 300 < len(whole) <= 420
    for name, value in whole.state().items():
        assert torch.equal(value, again.state()[name]), name
    scale = whole.values["scale"].detach()
    assert float((scale.amax(1) - scale.amin(1)).max()) <= math.log(whole.config.stretch) + 1e-5


def test_copies_in_one_place_look_like_the_one_they_came_from():
    """Kheradmand et al.: equation 9 keeps the picture of a Gaussian that becomes several."""
    for copies in (2, 3, 5):
        one = field(1)
        one.values["opacity"].data[:] = 1.0
        one.values["scale"].data[:] = -1.2
        one.values["xyz"].data[:] = 0
        before = one.render(camera(), background=(0.0, 0.0, 0.0)).alpha
        opacity, shrink = growth.shares(one.opacity().detach(), torch.tensor([copies]))
        values = {k: v.detach().repeat(copies, *[1] * (v.dim() - 1)) for k, v in one.values.items()}
        values["opacity"][:], values["scale"][:] = torch.logit(opacity), values["scale"] + shrink.log()
        one.values = values
        after = one.render(camera(), background=(0.0, 0.0, 0.0)).alpha
        values["scale"][:] = -1.2
        swollen = one.render(camera(), background=(0.0, 0.0, 0.0)).alpha
        assert abs(float(after.detach().mean() / before.detach().mean()) - 1) < 0.06
        assert float(swollen.detach().mean() / before.detach().mean()) > 1.15


def test_splitting_follows_the_pull_and_keeps_within_the_limit():
    made = field(100)
    pull = torch.arange(100) / 100
    keep = torch.ones(100, dtype=torch.bool)
    keep[:10] = False
    limits = growth.Limits(most=120, pull=0.5, large=1e9, thin=0.01, more=0.1)
    values, origin = growth.split(made.values, keep, pull, limits, generator(0, "s"))
    assert len(values["xyz"]) == 120
    assert origin[:90].tolist() == list(range(10, 100))
    assert (origin[90:] == -1).all()
    # The thirty hardest pulled were cloned where they are.
    assert torch.equal(values["xyz"][90:], made.values["xyz"].detach()[70:])
    halved, origin = growth.split(made.values, keep, pull, replace(limits, large=0.0, most=10**6), generator(0, "s"))
    pulled = int((pull > 0.5).sum())
    assert len(halved["xyz"]) == 90 + pulled
    assert torch.allclose(halved["scale"][-1], made.values["scale"].detach()[99] - math.log(1.6))


def test_what_is_thin_huge_or_before_a_lens_is_dropped():
    made = field(4)
    eye = camera().centres[0].float()
    made.values["xyz"].data[:] = torch.stack([torch.zeros(3), torch.zeros(3), torch.zeros(3), 0.95 * eye])
    made.values["opacity"].data[:] = torch.tensor([2.0, -9.0, 2.0, 2.0])
    made.values["scale"].data[:] = torch.tensor([-3.0, -3.0, 3.0, -3.0])[:, None]
    assert growth.kept(made.values, 0.01, 0.5, 0.2, camera()).tolist() == [True, False, False, False]


def test_seeds_are_where_cameras_look_and_as_large_as_their_gaps():
    random = seeding.random(500, camera(), generator(0, "r"))
    pixels, z = rays.project(camera().to(random.xyz), random.xyz)
    assert rays.in_frame(camera().to(random.xyz), pixels, z).all()
    lattice = torch.stack(torch.meshgrid(*[torch.arange(6.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    known = seeding.from_points(lattice, torch.zeros_like(lattice))
    torch.testing.assert_close(known.radius, torch.ones(216))
    fewer = seeding.thinned(known, 54, generator(0, "t"))
    assert len(fewer.xyz) == 54
    torch.testing.assert_close(fewer.radius, torch.full((54,), 2.0))


def test_a_state_that_does_not_fit_is_refused():
    state = field(20).state()
    with pytest.raises(UserError, match="does not fit"):
        kinds.restore(
            {**state, "turn": state["turn"][:5]}, Similarity.identity(), gaussians.Config(), torch.device("cpu")
        )
