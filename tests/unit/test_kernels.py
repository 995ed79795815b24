"""Compiled loops against their slow twins, against differences in double precision, and across numbers of threads."""

import numba
import pytest
import torch

from halfseen.common.rng import generator
from halfseen.fields import decoder, harmonics, operators, planes, samplers
from halfseen.fields.kernels import encoding as kernels
from halfseen.fields.operators import Marched
from halfseen.fields.reference import adam as adam_twin
from halfseen.fields.reference import encoding as encoding_twin
from halfseen.fields.reference import rays as ray_twins

LEVELS = operators.levels([3, 6, 13], 256)
# Rays with no sample, one, and several.
COUNTS = torch.tensor([4, 0, 1, 7, 0, 3])
# Cells along a side of the occupancy grid that rays march through, their steps (least, share of the distance), and how far (in cells)
# a point has to be from a face to lie on one side of it whatever the rounding.
SIDE, STEPS, OFF = 8, (0.07, 0.03), 1e-4
TOLERANCE = {"atol": 2e-6, "rtol": 2e-5}


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=generator(seed, f"r{shape}"), dtype=dtype)


def packed(dtype=torch.float64):
    start = operators.starts(COUNTS)
    ray = torch.repeat_interleave(torch.arange(len(COUNTS)), COUNTS)
    delta = 0.05 + 0.1 * random(int(start[-1]), seed=1, dtype=dtype)
    t = torch.cat([0.5 + d.cumsum(0) - d / 2 for d in delta.split(COUNTS.tolist())])
    return Marched(t, delta, ray, start)


def test_levels_are_dense_while_they_fit():
    assert LEVELS.dense.tolist() == [True, False, False]
    assert LEVELS.size.tolist() == [64, 256, 256]
    assert LEVELS.first.tolist() == [0, 64, 320]


@pytest.mark.parametrize("channels", [1, 16, 33])
def test_planes_are_their_twin_in_value_and_gradients(channels):
    held = (random(2, 3, channels, 7, 7, dtype=torch.float32) - 0.5).requires_grad_()
    # Some positions are outside of the planes, some in their corners.
    at = 2.4 * random(2, 300, 3, seed=2, dtype=torch.float32) - 1.2
    at[:, 0], at[:, 1], at[:, 2] = 1.0, -1.0, 0.0
    weight = random(2, 300, channels, seed=3, dtype=torch.float32)
    fast = planes.features(held, at)
    with operators.twins():
        slow = planes.features(held, at)
    assert type(fast.grad_fn) is not type(slow.grad_fn)
    torch.testing.assert_close(fast, slow, **TOLERANCE)
    (a,), (b,) = (torch.autograd.grad((f * weight).sum(), held) for f in (fast, slow))
    torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)


def test_planes_have_the_gradients_of_differences_and_of_positions_by_their_twin():
    held = (random(1, 3, 2, 4, 4) - 0.5).requires_grad_()
    at = 1.6 * random(1, 5, 3, seed=5) - 0.8
    assert torch.autograd.gradcheck(lambda p: planes.features(p, at), (held,), eps=1e-6, atol=1e-6)
    at.requires_grad_()
    (slope,) = torch.autograd.grad(planes.features(held.detach(), at).sum(), at)
    assert bool(slope.any())


@pytest.mark.parametrize("features", sorted(kernels.BY_FEATURES))
def test_encoding_is_its_twin_in_value_and_gradients(features):
    table = (random(int(LEVELS.size.sum()), features, dtype=torch.float32) - 0.5).requires_grad_()
    xyz = random(300, 3, seed=2, dtype=torch.float32).requires_grad_()
    weight = random(300, 3 * features, seed=3, dtype=torch.float32)
    fast = operators.encode(xyz, table, LEVELS)
    slow = encoding_twin.forward(xyz, table, LEVELS.first, LEVELS.size, LEVELS.cells, LEVELS.dense)
    torch.testing.assert_close(fast, slow, **TOLERANCE)
    for a, b in zip(*(torch.autograd.grad((f * weight).sum(), (xyz, table)) for f in (fast, slow)), strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-4)


def test_encoding_has_the_gradients_of_differences():
    table = (random(int(LEVELS.size.sum()), 2) - 0.5).requires_grad_()
    # Away from the faces of cells, where the slope jumps.
    xyz = (0.02 + 0.9 * random(4, 3, seed=5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, t: operators.encode(x, t, LEVELS), (xyz, table), eps=1e-7, atol=1e-5)


def test_encoding_at_the_borders_stays_inside():
    table = random(int(LEVELS.size.sum()), 4, dtype=torch.float32)
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.5]])
    slow = encoding_twin.forward(corners, table, LEVELS.first, LEVELS.size, LEVELS.cells, LEVELS.dense)
    torch.testing.assert_close(operators.encode(corners, table, LEVELS), slow, **TOLERANCE)


def test_compositing_is_its_twin_and_has_the_gradients_of_differences():
    samples = packed()
    count = len(samples.t)
    density, colour = (8 * random(count, seed=6)).requires_grad_(), random(count, 3, seed=7).requires_grad_()
    fast = operators.composite(density, colour, samples)
    slow = ray_twins.composite(density, samples.delta, colour, samples.t, samples.start)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)
    assert torch.autograd.gradcheck(lambda d, c: operators.composite(d, c, samples), (density, colour))


def test_distortion_is_the_sum_over_pairs_and_has_its_gradient():
    samples = packed()
    weight = random(len(samples.t), seed=8).requires_grad_()
    slow = ray_twins.distortion(weight, samples.t, samples.delta, samples.start)
    torch.testing.assert_close(operators.distortion(weight, samples), slow, atol=1e-12, rtol=1e-10)
    assert torch.autograd.gradcheck(lambda w: operators.distortion(w, samples), (weight,))


def test_culling_keeps_what_weighs():
    samples = packed()
    density = 30 * random(len(samples.t), seed=9)
    weight = ray_twins.weights(density, samples.delta, samples.start)
    keep = operators.visible(density, samples, 0.05)
    assert keep.tolist() == (weight > 0.05).tolist()
    kept = samples.kept(keep)
    assert torch.equal(kept.start.diff(), torch.bincount(samples.ray[keep], minlength=len(COUNTS)))
    assert torch.equal(kept.t, samples.t[keep])


def clear_of_faces(origins, directions, march, bounded):
    """Which rays have no candidate within rounding of a cell's face, of the box's, or of the far end."""
    everywhere = torch.ones(SIDE**3, dtype=torch.bool)
    t, delta, ray = ray_twins.march(origins, directions, *march, *STEPS, everywhere, SIDE, bounded)
    xyz = origins[ray] + t[:, None] * directions[ray]
    size = xyz.abs().amax(-1, keepdim=True)
    half = 1.0 if bounded else 2.0
    folded = xyz if bounded else torch.where(size > 1, xyz * (2 - 1 / size) / size, xyz)
    place = (folded + half) / (2 * half) * SIDE
    near = ((place - place.round()).abs() < OFF).any(-1) | ((march[1][ray] - t - delta / 2).abs() < OFF)
    return torch.bincount(ray[near], minlength=len(origins)) == 0


@pytest.mark.parametrize("bounded", [True, False])
def test_marching_is_its_twin(bounded):
    """On rays none of whose candidates may fall to either side of a face by rounding: the same samples."""
    count = 200
    origins = 3 * torch.nn.functional.normalize(random(count, 3, seed=10, dtype=torch.float32) - 0.5, dim=-1)
    directions = torch.nn.functional.normalize(-origins + 0.6 * random(count, 3, seed=11, dtype=torch.float32), dim=-1)
    near, far, offset = torch.full((count,), 0.7), torch.full((count,), 9.0), random(count, seed=12).float()
    clear = clear_of_faces(origins, directions, (near, far, offset), bounded)
    origins, directions, near, far, offset = (v[clear] for v in (origins, directions, near, far, offset))
    assert len(origins) > 20
    occupied = random(SIDE**3, seed=13) > 0.5
    fast = operators.march(origins, directions, (near, far), offset, STEPS, occupied, bounded=bounded)
    slow = ray_twins.march(origins, directions, near, far, offset, *STEPS, occupied, SIDE, bounded)
    assert len(fast.t) > 10 * len(origins)
    assert torch.equal(fast.ray, slow[2])
    assert torch.equal(fast.start, operators.starts(torch.bincount(slow[2], minlength=len(origins))))
    torch.testing.assert_close(fast.t.double(), slow[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast.delta.double(), slow[1], atol=1e-6, rtol=1e-5)


def networks(config, features, dtype):
    return {
        k: v.to(dtype).requires_grad_() for k, v in decoder.create(config, features, generator(0, "networks")).items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blob", [0.0, 2.0])
def test_networks_are_their_twin_in_value_and_gradients(dtype, blob):
    config = decoder.Config(hidden=9, geometry=6, colour_hidden=10, degree=2, blob=blob)
    samples = samplers.packed(random(40, 5, seed=14, dtype=dtype), random(40, 5, seed=15, dtype=dtype))
    weights = networks(config, 7, dtype)
    features, xyz = (random(200, 7, seed=16, dtype=dtype) - 0.5).requires_grad_(), random(200, 3, seed=17, dtype=dtype)
    directions = torch.nn.functional.normalize(random(40, 3, seed=18, dtype=dtype) - 0.5, dim=-1)
    fast = decoder.decode(features, xyz, directions, samples, weights, config)
    slow = decoder.slow(features, xyz, harmonics.basis(directions, 2), samples.ray, weights, config)
    tight = {"atol": 1e-10, "rtol": 1e-8} if dtype == torch.float64 else {"atol": 1e-4, "rtol": 1e-3}
    wanted = (features, *weights.values())
    grads = []
    for density, colour in (fast, slow):
        total = (density * random(200, seed=19, dtype=dtype)).sum() + (
            colour * random(200, 3, seed=20, dtype=dtype)
        ).sum()
        grads.append(torch.autograd.grad(total, wanted))
    for a, b in zip((*fast, *grads[0]), (*slow, *grads[1]), strict=True):
        torch.testing.assert_close(a, b, **tight)
    torch.testing.assert_close(decoder.look(features, xyz, weights, config), slow[0], **tight)


def test_adam_is_its_twin_and_torchs():
    value, grad = random(50, dtype=torch.float32), random(50, seed=21, dtype=torch.float32) - 0.5
    grad[::7] = 0
    fast, slow = ([value.clone(), torch.zeros(50), torch.zeros(50)] for _ in range(2))
    for _ in range(3):
        operators.adam_step(fast[0], grad, (fast[1], fast[2]), 0.01, (0.9, 0.99), 1e-12, skip_zero=True)
        adam_twin.step(slow[0], grad, slow[1], slow[2], 0.01, 0.9, 0.99, 1e-12, True)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert torch.equal(fast[0][::7], value[::7])


def test_the_fields_adam_is_torchs():
    from halfseen.fields.optimiser import Adam

    ours, theirs = (random(40, dtype=torch.float32).requires_grad_() for _ in range(2))
    one = Adam([{"name": "a", "params": [ours], "lr": 0.02}])
    two = torch.optim.Adam([theirs], lr=0.02, betas=(0.9, 0.99), eps=1e-15)
    for step in range(6):
        for value in (ours, theirs):
            ((value - 0.3) ** 2 * random(40, seed=step, dtype=torch.float32)).sum().backward()
        one.step(1.0)
        two.step()
        two.zero_grad()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    again = Adam([{"name": "a", "params": [ours.detach().clone().requires_grad_()], "lr": 0.02}], one.state())
    assert again.steps == 6
    assert torch.equal(again.moments["a"][1], one.moments["a"][1])


def test_the_number_of_threads_changes_no_byte():
    table = random(int(LEVELS.size.sum()), 4, dtype=torch.float32).requires_grad_()
    xyz = random(20000, 3, seed=22, dtype=torch.float32)
    config = decoder.Config(hidden=8, geometry=5, colour_hidden=8)
    weights = networks(config, 12, torch.float32)
    samples = samplers.packed(
        random(400, 50, seed=23, dtype=torch.float32), random(400, 50, seed=24, dtype=torch.float32)
    )
    directions = torch.nn.functional.normalize(random(400, 3, seed=25, dtype=torch.float32) - 0.5, dim=-1)

    def everything():
        features = operators.encode(xyz, table, LEVELS)
        density, colour = decoder.decode(features, xyz, directions, samples, weights, config)
        weight, rgb, depth, alpha = operators.composite(density, colour, samples)
        total = (rgb**2).sum() + depth.sum() + alpha.sum() + operators.distortion(weight, samples).sum()
        return [rgb, *torch.autograd.grad(total, (table, *weights.values()))]

    before, cores = numba.get_num_threads(), torch.get_num_threads()
    try:
        runs = []
        for count in (1, numba.config.NUMBA_NUM_THREADS):
            numba.set_num_threads(count)
            runs.append(everything())
    finally:
        numba.set_num_threads(before)
        torch.set_num_threads(cores)
    for a, b in zip(*runs, strict=True):
        assert torch.equal(a, b)


def test_resampling_draws_where_the_weight_is():
    borders = torch.linspace(0, 10, 11).expand(2, -1)
    weight = torch.zeros(2, 10)
    weight[0, 3], weight[1, :] = 1.0, 0.1
    finer = samplers.inverse_transform(borders, weight, 100, None)
    assert (((finer[0] >= 3) & (finer[0] <= 4)).float().mean()) > 0.98
    torch.testing.assert_close(finer[1], (torch.arange(100) + 0.5) / 10, atol=1e-3, rtol=0)
    jittered = samplers.inverse_transform(borders, weight, 100, generator(0, "u"))
    assert (jittered.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("activation", ["exp", "softplus"])
@pytest.mark.parametrize("layers", [1, 2])
def test_density_alone_is_its_twin_for_either_activation(activation, layers):
    config = decoder.Config(hidden=24, geometry=7, colour_layers=layers, degree=0, activation=activation, shift=1.0)
    weights = decoder.create(config, 9, generator(0, "weights"))
    # Some are far beyond where the exponential of softplus would overflow.
    features = 40 * (random(300, 9, dtype=torch.float32) - 0.5)
    xyz = random(300, 3, dtype=torch.float32)
    fast = decoder.look(features, xyz, weights, config)
    with operators.twins():
        slow = decoder.look(features, xyz, weights, config)
    assert bool(fast.isfinite().all())
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=2e-5)
