"""Volume rendering against a loop that a student can read, closed cases, and the voxel field's gradients."""

import math

import pytest
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import seen, volume, voxels
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
    borders = torch.arange(11.0)[None]
    weights = torch.zeros(1, 10)
    weights[0, 3], weights[0, 9] = 0.6, 0.3  # the mean would lie in between, at 5.2
    assert float(volume.median_distance(weights, borders)[0]) == pytest.approx(3 + 0.45 / 0.6)
    assert float(volume.median_distance(torch.zeros(1, 10), borders)[0]) == 0


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


def test_the_voxel_field_has_the_gradients_of_its_formula():
    config = voxels.Config(start_resolution=4, samples=6)
    field = voxels.create(Similarity.identity(), config, 0, torch.device("cpu"))
    field.density, field.colour = (g.detach().double().requires_grad_() for g in (field.density, field.colour))
    camera = cams.make(
        paths.look_at(
            torch.tensor([[2.5, 0.3, 0.2]], dtype=torch.float64),
            torch.zeros(3, dtype=torch.float64),
            torch.tensor([0, 0, 1.0], dtype=torch.float64),
        ),
        (4.0, 4.0, 2.0, 1.5),
        (4, 3),
    )

    def colours(density, colour):
        field.density, field.colour = density, colour
        views = torch.zeros(3, dtype=torch.long)
        xy = torch.tensor([[0.5, 0.5], [2.0, 1.5], [3.5, 2.5]])
        return field.render(camera, pixels=(views, xy), background=(0.1, 0.2, 0.3)).rgb

    assert torch.autograd.gradcheck(colours, (field.density, field.colour), atol=1e-6)


def test_windows_and_pixels_are_parts_of_the_picture():
    field = voxels.create(Similarity.identity(), voxels.Config(start_resolution=8, samples=16), 3, torch.device("cpu"))
    field.density.data += torch.randn(field.density.shape, generator=generator(0, "d")) * 3 + 4
    pose = paths.look_at(torch.tensor([[2.0, 0.3, 0.2]]), torch.zeros(3), torch.tensor([0, 0, 1.0]))
    camera = cams.make(pose, (10.0, 10.0, 6.0, 4.0), (12, 8))
    with torch.no_grad():
        whole = field.render(camera, background=(1.0, 1.0, 1.0))
        part = field.render(camera, window=(3, 2, 5, 4), background=(1.0, 1.0, 1.0))
        loose = field.render(camera, pixels=(torch.tensor([0]), torch.tensor([[4.5, 3.5]])), background=(1.0, 1.0, 1.0))
    torch.testing.assert_close(part.rgb, whole.rgb[2:6, 3:8])
    torch.testing.assert_close(part.depth, whole.depth[2:6, 3:8])
    torch.testing.assert_close(loose.rgb[0], whole.rgb[3, 4])
    assert loose.samples is not None
    assert loose.samples.weights.shape == (1, 16)


def test_an_empty_field_is_its_background():
    field = voxels.create(
        Similarity.identity(), voxels.Config(start_resolution=4, samples=8, density_bias=-40.0), 0, torch.device("cpu")
    )
    camera = cams.make(
        paths.look_at(torch.tensor([[2.0, 0, 0]]), torch.zeros(3), torch.tensor([0, 0, 1.0])),
        (10.0, 10.0, 4.0, 4.0),
        (8, 8),
    )
    picture = field.render(camera, background=(0.2, 0.4, 0.6))
    torch.testing.assert_close(picture.rgb, torch.tensor([0.2, 0.4, 0.6]).expand(8, 8, 3))
    assert float(picture.depth.abs().max()) == 0


def test_growing_keeps_the_picture():
    config = voxels.Config(start_resolution=8, resolution=16, grow_at=(5,), samples=32)
    field = voxels.create(Similarity.identity(), config, 0, torch.device("cpu"))
    field.density.data += torch.randn(field.density.shape, generator=generator(0, "d")) + 4
    pose = paths.look_at(torch.tensor([[2.0, 0.3, 0.2]]), torch.zeros(3), torch.tensor([0, 0, 1.0]))
    camera = cams.make(pose, (10.0, 10.0, 6.0, 4.0), (12, 8))
    before = field.render(camera, background=(1.0, 1.0, 1.0)).rgb
    assert not field.after_step(4, {})
    assert field.after_step(5, {})
    assert field.density.shape[-1] == 16
    assert psnr(before, field.render(camera, background=(1.0, 1.0, 1.0)).rgb) > 30


class Wall:
    """A field that is an opaque plane x = 0, seen from x > 0."""

    to_user = Similarity.identity()

    def render(self, cameras, *, window=None, pixels=None, background, generator=None):
        from halfseen.cameras import rays
        from halfseen.fields.contract import Rendering

        width, height = cameras.size()
        xy = rays.pixel_centres(width, height)
        ray = rays.cast(cameras, torch.zeros(len(xy), dtype=torch.long), xy)
        t = -ray.origins[:, 0] / ray.directions[:, 0]
        hit = t > 0
        depth = torch.where(hit, t * ray.z_scale, torch.zeros_like(t)).reshape(height, width)
        return Rendering(torch.zeros(height, width, 3), depth, hit.reshape(height, width).double())


def test_seen_counts_the_views_that_see_a_point_and_not_those_behind_a_wall():
    up, focus = torch.tensor([0, 0, 1.0], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    eyes = torch.tensor([[3.0, 0, 0], [3.0, 1.0, 0], [-3.0, 0, 0]], dtype=torch.float64)
    cameras = cams.make(paths.look_at(eyes, focus, up), (40.0, 40.0, 20.0, 20.0), (40, 40))
    witness = seen.witness(Wall(), cameras)
    points = torch.tensor([[0, 0, 0], [-1.0, 0, 0], [0, -1.5, 0], [0, 9.0, 0]], dtype=torch.float64)
    # On the wall (the third camera looks at its back, which is the same surface), behind it, at the edge of view, outside.
    assert seen.count_views(witness, points).tolist() == [3, 1, 2, 0]
    picture = Wall().render(cameras[0], background=(0, 0, 0))
    map_ = seen.seen_map(witness, picture, cameras[0])
    assert int(map_[20, 20]) == seen.TWO_VIEWS


def test_psnr_of_a_known_error():
    a, b = torch.zeros(4, 4, 3), torch.full((4, 4, 3), 0.1)
    assert psnr(a, b) == pytest.approx(20, abs=1e-5)
    assert psnr(a, a) == 100
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 0] = True
    b[0, 0] = 0.01
    assert psnr(a, b, mask) == pytest.approx(40, abs=1e-4)
