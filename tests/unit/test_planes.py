"""Planes before a photo's camera, many fields at once, and what a projection looks up."""

from __future__ import annotations

import math

import pytest
import torch
from support import looking_from
from torch import Tensor

from halfseen.cameras import paths, rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import batched, decoder, planes, projection, samplers, triplane, volume
from halfseen.methods.nerfdiff import frame
from halfseen.methods.nerfdiff.photo_to_field import NerfConfig, PhotoToField
from halfseen.priors.networks import unet
from halfseen.worlds.layouts import SRN_FOCAL

DECODER = decoder.Config(
    hidden=16, geometry=7, colour_hidden=16, colour_layers=1, degree=0, activation="softplus", shift=1.0
)
SAMPLING = samplers.Sampling("proposed", uniform=48, resampled=48, least_weight=0.0)
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def some_planes(batch: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    rng = generator(seed, "planes")
    return 2 * torch.randn(batch, 3, 6, 12, 12, generator=rng), decoder.create(DECODER, 6, rng)


def test_each_coordinate_moves_exactly_two_planes() -> None:
    found, _ = some_planes(1)
    xyz = torch.tensor([[0.2, -0.4, 0.5]])
    for axis in range(3):
        moved = xyz.clone()
        moved[0, axis] += 0.1
        changed = []
        for plane in range(3):
            alone = torch.zeros_like(found)
            alone[:, plane] = found[:, plane]
            before, after = (planes.features(alone, x[None]) for x in (xyz, moved))
            changed.append(not torch.allclose(before, after))
        assert sum(changed) == 2
        assert [axis in planes.AXES[p] for p in range(3)] == changed


def test_features_are_the_hand_computed_bilinear_value() -> None:
    grid = torch.zeros(1, 3, 1, 2, 2)
    grid[0, 0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    # Centres of cells are at -0.5 and 0.5: a quarter of the way in x, the middle in y.
    found = planes.features(grid, torch.tensor([[[-0.25, 0.0, 0.9]]]))
    assert float(found) == pytest.approx(0.75 * (1 + 3) / 2 + 0.25 * (2 + 4) / 2)


def test_the_plane_of_the_picture_is_the_picture() -> None:
    """A point that falls on a pixel is looked up in the xy plane where the pixel is, if it is as far away as the middle."""
    source = looking_from((1.0, 1.5, 0.7))
    distance = frame.distance_of(source, torch.zeros(3))
    assert distance == pytest.approx(math.sqrt(1 + 2.25 + 0.49))
    to_world = frame.to_world(source, distance)
    ray = rays.cast(source, torch.zeros(1, dtype=torch.long), torch.tensor([[3.5, 10.5]]))
    point = ray.at_depth(torch.tensor([distance], dtype=torch.float64))
    q = to_world.inverse().points(point)[0]
    assert q.tolist() == pytest.approx([2 * 3.5 / 16 - 1, 2 * 10.5 / 16 - 1, 0.0], abs=1e-6)
    # It is a similarity: the picture's own camera is straight before the cube.
    camera = to_world.inverse().cameras(source)
    assert camera.centres[0].tolist() == pytest.approx([0, 0, -2 * SRN_FOCAL], abs=1e-6)
    assert torch.allclose(camera.c2w[0, :3, :3], torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_rays_enter_and_leave_the_cube_where_they_do() -> None:
    origins = torch.tensor([[0.0, 0, -3], [0.0, 0, -3], [0.0, 5, -3], [0.5, 0, 0]])
    directions = torch.nn.functional.normalize(
        torch.tensor([[0.0, 0, 1], [0.25, 0, 1], [0.0, 0, 1], [1.0, 0, 0]]), dim=-1
    )
    near, far = volume.through_cube(origins, directions)
    assert near[0].item() == pytest.approx(2)
    assert far[0].item() == pytest.approx(4)
    assert (origins + far[:, None] * directions)[1, 2].item() == pytest.approx(1), "it leaves by the far side"
    assert near[2] == far[2], "it misses"
    assert far[3].item() == pytest.approx(0.5)


def test_many_fields_at_once_are_each_of_them_alone() -> None:
    """The batched renderer of training against the field that runs use."""
    found, weights = some_planes(2)
    camera = looking_from((0.0, -2.0, 0.5)).to(torch.float32)
    ray = rays.cast_all(camera)
    both = torch.stack([ray.origins, ray.origins]), torch.stack([ray.directions, ray.directions])
    back = torch.tensor([[1.0, 1, 1], [0.2, 0.4, 0.6]])
    traced = batched.trace(planes.many(found, weights, DECODER), *both, SAMPLING, back)
    config = triplane.Config(channels=6, side=12, bounded=True, decoder=DECODER, sampling=SAMPLING)
    for i in range(2):
        field = triplane.of_planes(found[i], weights, Similarity.identity(), Similarity.identity(), config)
        alone = field.render(camera, background=tuple(back[i].tolist()))
        assert torch.allclose(alone.rgb.reshape(-1, 3), traced.rgb[i], atol=2e-5)
        assert torch.allclose(alone.alpha.reshape(-1), traced.alpha[i], atol=2e-5)
        shown = traced.alpha[i] > 0.1
        depth = traced.distance[i] * ray.z_scale
        assert torch.allclose(alone.mean_depth.reshape(-1)[shown], depth[shown], atol=2e-4)


def test_a_slab_of_even_density_has_the_opacity_of_its_thickness() -> None:
    def even(xyz: Tensor) -> Tensor:
        return planes.inside(torch.full(xyz.shape[:-1], 0.7), xyz)

    many = batched.Many(even, lambda xyz: (even(xyz), torch.zeros_like(xyz)))
    one = torch.tensor([[[0.0, 0, -3]]]), torch.tensor([[[0.0, 0, 1]]])
    found = batched.trace(many, *one, SAMPLING, torch.ones(1, 3))
    # What is drawn spans the cube but for the ends of the first and last sample.
    assert float(found.alpha) == pytest.approx(1 - math.exp(-0.7 * 2), abs=0.01)
    nothing = batched.Many(
        lambda x: torch.zeros(x.shape[:-1]), lambda x: (torch.zeros(x.shape[:-1]), torch.zeros_like(x))
    )
    assert torch.equal(batched.trace(nothing, *one, SAMPLING, torch.ones(1, 3)).rgb, torch.ones(1, 1, 3))


def test_a_turned_and_scaled_triplane_looks_as_one_that_is_not() -> None:
    found, weights = some_planes(1)
    config = triplane.Config(channels=6, side=12, bounded=True, decoder=DECODER, sampling=SAMPLING)
    turn = paths.look_at(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64), torch.zeros(3, dtype=torch.float64), UP)[
        :3, :3
    ]
    to_planes = Similarity(1.6, turn, torch.tensor([0.1, -0.05, 0.2], dtype=torch.float64))
    camera = looking_from((0.4, -2.0, 0.8)).to(torch.float32)
    there = to_planes.cameras(camera)
    plain = triplane.of_planes(found[0], weights, Similarity.identity(), Similarity.identity(), config)
    placed = triplane.of_planes(found[0], weights, to_planes, Similarity.identity(), config)
    with torch.no_grad():
        a, b = plain.render(there, background=(1.0, 1, 1)), placed.render(camera, background=(1.0, 1, 1))
    assert torch.allclose(a.rgb, b.rgb, atol=1e-4)
    assert float(b.alpha.max()) > 0.5
    shown = b.alpha > 0.1
    assert torch.allclose(a.mean_depth[shown], 1.6 * b.mean_depth[shown], atol=1e-3)


def test_features_of_a_projection_are_those_of_the_pixel_that_a_point_falls_on() -> None:
    source = looking_from((0.0, -2.0, 0.0), size=16)
    to_world = frame.to_world(source, 2.0)
    x, y = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy")
    features = torch.stack([x, y])[None]
    ray = rays.cast(source, torch.zeros(2, dtype=torch.long), torch.tensor([[5.5, 9.5], [12.5, 2.5]]))
    at = to_world.inverse().points(ray.at_depth(torch.tensor([1.7, 2.3], dtype=torch.float64)))[None].float()
    found = projection.seen_at(features, at, projection.ahead(torch.tensor([2 * SRN_FOCAL])))[0]
    assert found.flatten().tolist() == pytest.approx([5, 9, 12, 2], abs=1e-3)


def test_a_predicted_projection_is_the_network_that_predicted_it() -> None:
    config = NerfConfig(
        kind="projection",
        unet=unet.Config(inside=5, outside=16, widths=(16, 32), blocks=1, attention=(1,), heads=2),
        layers=projection.Layers(octaves=3, width=16, blocks=2),
        sampling=SAMPLING,
    )
    net = PhotoToField(config, 0)
    torch.nn.init.normal_(net.unet.head.weight, std=0.3)
    source, other = (looking_from(e).to(torch.float32) for e in ((0.0, -2.0, 0.6), (1.4, -1.2, 0.9)))
    to_box = frame.to_world(source, frame.distance_of(source, torch.zeros(3)))
    focal = torch.tensor([2 * SRN_FOCAL])
    with torch.no_grad():
        encoded = net(torch.rand(1, 3, 16, 16, generator=generator(0, "photo")) * 2 - 1)
    ray = rays.cast_all(to_box.inverse().cameras(other))
    traced = batched.trace(
        net.fields(encoded, focal), ray.origins[None], ray.directions[None], SAMPLING, torch.ones(1, 3)
    )
    kind = projection.Config(16, 16, 1, config.layers, SAMPLING)
    field = projection.of_features(
        encoded, projection.ahead(focal), net.weights, [to_box.inverse()], Similarity.identity(), kind
    )
    with torch.no_grad():
        alone = field.render(other, background=(1.0, 1.0, 1.0))
    assert torch.allclose(alone.rgb.reshape(-1, 3), traced.rgb[0], atol=1e-4)
    again = projection.restore(field.state(), Similarity.identity(), kind, torch.device("cpu"))
    assert torch.equal(again.render(other, background=(1.0, 1, 1)).rgb, alone.rgb)
