"""Volume rendering against a loop that a student can read, closed cases, and what every kind of field promises."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths, rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.fields import (
    decoder,
    gaussians,
    hashgrid,
    hull,
    kinds,
    occupancy,
    samplers,
    triplane,
    volume,
    volumetric,
)
from halfseen.fields.optimiser import Adam
from halfseen.metrics.image import psnr


def test_weights_equal_the_loop():
    rng = generator(0, "weights")
    density, delta = torch.rand(5, 7, generator=rng) * 3, torch.rand(5, 7, generator=rng)
    got = volume.weights(density, delta)
    for p in range(5):
        through = 1.0
        for n in range(7):
            alpha = 1 - math.exp(-float(density[p, n] * delta[p, n]))
            assert float(got[p, n]) == pytest.approx(through * alpha, abs=1e-6)
            through *= 1 - alpha


def test_a_slab_has_the_opacity_of_beer_and_lambert():
    weights = volume.weights(torch.full((1, 100), 0.7), torch.full((1, 100), 0.03))
    assert float(weights.sum()) == pytest.approx(1 - math.exp(-0.7 * 3), abs=1e-6)


def test_the_median_distance_of_a_wall_in_fog():
    samples = samplers.packed(torch.arange(10.0).repeat(3, 1) + 0.5, torch.ones(3, 10))
    weights = torch.zeros(3, 10)
    weights[0, 3], weights[0, 9] = 0.6, 0.3  # the mean would lie in between, at 5.2
    weights[2, 9] = 1.0
    got = volumetric.median_distance(weights.reshape(-1), samples)
    assert got.tolist() == pytest.approx([3 + 0.45 / 0.6, 0, 9.5], abs=1e-5)


@pytest.mark.parametrize("bounded", [True, False])
def test_intervals_grow_and_jitter_stays_in_order(bounded):
    distance = torch.tensor([1.2, 3.0, 8.0])
    still = volume.intervals(distance, 40, None, bounded=bounded)
    jittered = volume.intervals(distance, 40, generator(0, "j"), bounded=bounded)
    for borders in (still, jittered):
        assert (borders.diff(dim=-1) > 0).all()
        assert (borders[:, 0] > 0).all()
    assert not torch.equal(still, jittered)
    assert torch.equal(still, volume.intervals(distance, 40, None, bounded=bounded))
    if not bounded:
        assert (still[:, -1] > 50).all()


def test_contraction_keeps_the_box_and_folds_the_rest():
    inside = torch.tensor([[0.3, -0.9, 1.0]])
    assert torch.equal(volume.contract(inside), inside)
    far = volume.contract(torch.tensor([[1e6, 3.0, 0.0], [-4.0, 0.0, 0.0]]))
    assert float(far[0, 0]) == pytest.approx(2, abs=1e-4)
    assert far[1].tolist() == pytest.approx([-1.75, 0, 0])


def test_expanding_undoes_contracting():
    xyz = 5 * torch.randn(200, 3, generator=generator(0, "c"), dtype=torch.float64)
    torch.testing.assert_close(volume.expand(volume.contract(xyz)), xyz, atol=1e-9, rtol=1e-9)


def camera(size=(12, 8), eye=(2.0, 0.3, 0.2), focal=10.0):
    pose = paths.look_at(torch.tensor([eye]), torch.zeros(3), torch.tensor([0, 0, 1.0]))
    return cams.make(pose, (focal, focal, size[0] / 2, size[1] / 2), size)


SMALL = {
    "hashgrid": hashgrid.Config(levels=4, finest=64, log2_entries=10, bounded=True, occupancy=occupancy.Config(side=8)),
    "scene": hashgrid.Config(levels=4, finest=64, log2_entries=10, bounded=False, occupancy=occupancy.Config(side=8)),
    "resampled": hashgrid.Config(
        levels=4, finest=64, log2_entries=10, bounded=True, sampling=samplers.Sampling("resample", uniform=24, resampled=16)
    ),
    "blob": hashgrid.Config(
        levels=4, finest=64, log2_entries=10, bounded=True,
        decoder=decoder.Config(degree=0, blob=5.0), occupancy=occupancy.Config(side=8),
    ),
    "triplane": triplane.Config(channels=4, side=8, bounded=True),
}  # fmt: skip


def some_field(name):
    """A field with something in it."""
    field = kinds.create(Similarity.identity(), SMALL[name], 3, torch.device("cpu"))
    for group in field.parameter_groups():
        values = group["params"][0].data
        if group["name"] in ("table", "planes"):
            values += 2 * torch.randn(values.shape, generator=generator(0, "d"))
    return field


@pytest.mark.parametrize("name", sorted(SMALL))
def test_windows_and_pixels_are_parts_of_the_picture(name):
    field, view = some_field(name), camera()
    with torch.no_grad():
        whole = field.render(view, background=(1.0, 1.0, 1.0))
        part = field.render(view, window=(3, 2, 5, 4), background=(1.0, 1.0, 1.0))
        loose = field.render(view, pixels=(torch.tensor([0]), torch.tensor([[4.5, 3.5]])), background=(1.0, 1.0, 1.0))
    for what in ("rgb", "depth", "alpha", "mean_depth"):
        torch.testing.assert_close(getattr(part, what), getattr(whole, what)[2:6, 3:8])
        torch.testing.assert_close(getattr(loose, what)[0], getattr(whole, what)[3, 4])
    assert float(whole.alpha.max()) > 0.05
    assert loose.samples is not None
    assert float(loose.samples.weights.sum()) == pytest.approx(float(loose.alpha[0]), abs=1e-5)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_pictures_have_gradients_in_colour_depth_and_opacity(name):
    """Against differences: a step along the gradient changes a weighted sum of everything rendered by its squared length."""
    field, view = some_field(name), camera((6, 5))
    parameters = [g["params"][0] for g in field.parameter_groups()]

    def total():
        picture = field.render(view, window=(0, 0, 6, 5), background=(0.1, 0.2, 0.3))
        seen = picture.alpha.detach() > 0.02
        return picture.rgb.sum() + 0.3 * picture.mean_depth[seen].sum() + 0.5 * picture.alpha.sum()

    for name_, part in (("all", parameters), ("networks", parameters[1:])):
        grads = torch.autograd.grad(total(), part, allow_unused=True)
        grads = [torch.zeros_like(p) if g is None else g for p, g in zip(part, grads, strict=True)]
        length = float(sum((g**2).sum() for g in grads))
        assert length > 0, name_
        step = 1e-3 / length**0.5
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                for p, g in zip(part, grads, strict=True):
                    p += sign * step * g
                values.append(float(total()))
                for p, g in zip(part, grads, strict=True):
                    p -= sign * step * g
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(length, rel=0.05)


def test_several_cameras_at_once_are_those_cameras_one_by_one():
    field = some_field("scene")
    both = cams.concat([camera(), camera(eye=(0.5, 2.0, 0.1), focal=14.0)])
    xy = torch.tensor([[4.5, 3.5], [2.5, 6.5], [9.5, 0.5]])
    with torch.no_grad():
        mixed = field.render(both, pixels=(torch.tensor([0, 1, 1]), xy), background=(1.0, 1.0, 1.0))
        whole = [field.render(both[i], background=(1.0, 1.0, 1.0)) for i in range(2)]
    for k, (view, (x, y)) in enumerate(zip((0, 1, 1), ((4, 3), (2, 6), (9, 0)), strict=True)):
        torch.testing.assert_close(mixed.rgb[k], whole[view].rgb[y, x])


@pytest.mark.parametrize("name", ["hashgrid", "triplane"])
def test_an_empty_field_is_its_background(name):
    config = replace(SMALL[name], decoder=replace(SMALL[name].decoder, shift=40.0))
    field = kinds.create(Similarity.identity(), config, 0, torch.device("cpu"))
    picture = field.render(camera(), background=(0.2, 0.4, 0.6))
    torch.testing.assert_close(picture.rgb, torch.tensor([0.2, 0.4, 0.6]).expand(8, 12, 3))
    assert float(picture.depth.abs().max()) == 0


def test_a_blob_is_in_the_middle_and_gone_outside():
    field = kinds.create(Similarity.identity(), SMALL["blob"], 0, torch.device("cpu"))
    density, _ = field.look(torch.tensor([[0.0, 0, 0], [0.9, 0, 0], [1.1, 0, 0]]))
    assert float(density[0] / density[1]) == pytest.approx(math.exp(5), rel=0.05)
    assert float(density[2]) == 0


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_saved_field_is_the_field(name):
    field = some_field(name)
    again = kinds.restore(field.state(), field.to_user, SMALL[name], torch.device("cpu"))
    with torch.no_grad():
        assert torch.equal(*(f.render(camera(), background=(0.0, 0.0, 0.0)).rgb for f in (field, again)))
    with pytest.raises(UserError, match="does not fit"):
        kinds.restore({**field.state(), "extra": torch.zeros(1)}, field.to_user, SMALL[name], torch.device("cpu"))


def test_normals_of_a_ball_point_away_from_it():
    """A dense blob seen from outside: normals at its surface are along the radius."""
    config = replace(SMALL["blob"], decoder=decoder.Config(degree=0, blob=9.0, blob_radius=0.4, shift=3.0))
    field, view = kinds.create(Similarity.identity(), config, 0, torch.device("cpu")), camera((24, 20), focal=30.0)
    with torch.no_grad():
        picture = field.render(view, background=(0.0, 0.0, 0.0))
    normal = volumetric.normals(field, view, picture.depth)
    ray = rays.cast_all(view)
    at = ray.origins + (picture.depth.reshape(-1) / ray.z_scale)[:, None] * ray.directions
    solid = picture.alpha.reshape(-1) > 0.9
    cosine = (normal.reshape(-1, 3) * torch.nn.functional.normalize(at, dim=-1)).sum(-1)
    assert int(solid.sum()) > 20
    assert float(cosine[solid].min()) > 0.98


def test_occupancy_finds_what_is_there_and_forgets_what_is_not():
    config = occupancy.Config(side=16, part=1)
    value = occupancy.start(config, bounded=True, cameras=None)
    assert occupancy.occupied(value, config).all()

    def ball(xyz):
        return torch.where(xyz.norm(dim=-1) < 0.5, 50.0, 0.0)

    for step in range(0, 16 * 40, 16):
        value = occupancy.update(value, step, config, ball, lambda x: torch.full((len(x),), 0.01), bounded=True)
    found = occupancy.occupied(value, config)
    middle = occupancy.points(torch.arange(16**3), torch.full((16**3, 3), 0.5), config, bounded=True)
    assert found[middle.norm(dim=-1) < 0.4].all()
    assert not found[middle.norm(dim=-1) > 0.65].any()


def test_space_that_no_camera_sees_stays_empty():
    config = occupancy.Config(side=16)
    value = occupancy.start(config, bounded=True, cameras=camera(eye=(3.0, 0, 0), focal=40.0))
    middle = occupancy.points(torch.arange(16**3), torch.full((16**3, 3), 0.5), config, bounded=True)
    found = occupancy.occupied(value, config)
    assert found[middle.norm(dim=-1) < 0.2].all()
    assert not found[middle[:, 2] > 0.8].any()


def test_levels_join_one_by_one():
    config = replace(SMALL["scene"], coarse_to_fine=0.5)
    field = kinds.create(Similarity.identity(), config, 0, torch.device("cpu"))
    seen_levels = []
    for progress in (0.0, 0.2, 0.3, 0.5, 1.0):
        field.after_step(1, {"progress": torch.tensor(progress)})
        seen_levels.append(field.active_levels())
    assert seen_levels == sorted(seen_levels)
    assert seen_levels[0] == 1
    assert seen_levels[-2:] == [4, 4]


def test_a_fit_and_a_render_in_two_threads_do_not_disturb_each_other():
    field, other = some_field("scene"), some_field("hashgrid")
    view = camera((40, 30), focal=30.0)
    with torch.no_grad():
        alone = field.render(view, background=(1.0, 1.0, 1.0)).rgb

    def fit(steps):
        optimiser = Adam(other.parameter_groups())
        for step in range(steps):
            picture = other.render(view, window=(0, 0, 40, 30), background=(1.0, 1.0, 1.0))
            ((picture.rgb - 0.3) ** 2).mean().backward()
            optimiser.step(1.0)
            other.after_step(step, {"progress": torch.tensor(0.5)})
        return other.table.detach().clone()

    def show():
        with torch.no_grad():
            return [field.render(view, background=(1.0, 1.0, 1.0)).rgb for _ in range(12)]

    with ThreadPoolExecutor(2) as pool:
        shown, fitted = pool.submit(show), pool.submit(fit, 12)
        pictures, table = shown.result(), fitted.result()
    assert all(torch.equal(p, alone) for p in pictures)
    other = some_field("hashgrid")
    assert torch.equal(fit(12), table)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_field_says_its_normals_at_a_camera(name):
    field, view = some_field(name), camera()
    normal = field.normals(view)
    assert normal.shape == (8, 12, 3)
    length = normal.norm(dim=-1)
    with torch.no_grad():
        shown = field.render(view, background=(0.0, 0.0, 0.0)).depth > 0
    torch.testing.assert_close(length[shown], torch.ones(int(shown.sum())), atol=1e-3, rtol=0)
    assert (length[~shown] == 0).all()


def test_an_object_is_only_where_all_its_masks_allow_it():
    up, focus = torch.tensor([0, 0, 1.0], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    eyes = torch.tensor([[3.0, 0, 0], [0, 3.0, 0]], dtype=torch.float64)
    cameras = cams.make(paths.look_at(eyes, focus, up), (40.0, 40.0, 20.0, 20.0), (40, 40))
    middle = torch.zeros(40, 40)
    middle[15:25, 15:25] = 1
    points = torch.tensor([[0, 0, 0], [0.9, 0, 0], [0, 0.9, 0], [0, 0, 9.0]], dtype=torch.float64)
    both = hull.of(cameras, [middle, middle])
    assert both.holds(points).tolist() == [True, False, False, False]
    # A photo that cuts the object off says nothing of what is outside of it.
    touching = middle.clone()
    touching[:, :20] = 1
    assert hull.of(cameras, [touching, touching]).holds(points[3:]).tolist() == [True]
    grid = hashgrid.Config(levels=4, finest=64, log2_entries=10, bounded=True)
    free, carved = (
        hashgrid.create(Similarity.identity(), grid, 0, torch.device("cpu"), cameras, h) for h in (None, both)
    )
    assert 0 < int((carved.values >= 0).sum()) < 0.2 * int((free.values >= 0).sum())
    splats_ = kinds.create(
        Similarity.identity(), gaussians.Config(start=500), 0, torch.device("cpu"), cameras, None, both
    )
    assert both.holds(splats_.values["xyz"].detach().double()).all()


@pytest.mark.parametrize("kind", ["hashgrid", "gaussians"])
def test_who_looks_at_a_field_that_is_being_fitted_sees_it_whole_and_changes_nothing(kind):
    """Levels join and Gaussians grow between two looks of the same field; each look is whole, and the fit ends in the same bytes."""
    view, steps = camera((40, 30), focal=30.0), 40
    if kind == "hashgrid":
        config = hashgrid.Config(levels=6, finest=64, log2_entries=10, bounded=True, coarse_to_fine=1.0)
    else:
        config = gaussians.Config(start=400, most=4000, grow_every=1, grow_from=0.0, grow_until=1.0, pull=0.0)

    def begun():
        return kinds.create(Similarity.identity(), config, 3, torch.device("cpu"), view)

    def fit(field):
        optimiser = Adam(field.parameter_groups())
        for step in range(1, steps + 1):
            picture = field.render(view, background=(1.0, 1.0, 1.0), generator=generator(0, "f", step))
            ((picture.rgb - 0.3) ** 2).mean().backward()
            optimiser.step(1.0)
            origin = field.after_step(step, {"progress": torch.tensor(step / steps)})
            if origin is not None:
                optimiser.rearrange(field.parameter_groups(), origin)
        return {**field.state(), **optimiser.state()}

    alone, watched = fit(begun()), begun()
    with ThreadPoolExecutor(2) as pool, torch.no_grad():
        fitted = pool.submit(fit, watched)
        pictures = []
        while not fitted.done():
            pictures += [watched.render(view, background=(1.0, 1.0, 1.0)).rgb, watched.normals(view)]
        state = fitted.result()
    assert all(torch.isfinite(p).all() for p in pictures)
    assert len(pictures) > 2
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in alone.items()}
    assert all(torch.equal(v, alone[k]) for k, v in state.items())
    if kind == "gaussians":
        assert len(watched) != 400


def test_psnr_of_a_known_error():
    a, b = torch.zeros(4, 4, 3), torch.full((4, 4, 3), 0.1)
    assert psnr(a, b) == pytest.approx(20, abs=1e-5)
    assert psnr(a, a) == 100
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 0] = True
    b[0, 0] = 0.01
    assert psnr(a, b, mask) == pytest.approx(40, abs=1e-4)
