"""What the plain method makes of its settings: for a number of photos, and for rays of a certain cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import as_bytes, dotted

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import load, normalise, pixels
from halfseen.data.capture import Capture
from halfseen.fields import hashgrid, kinds
from halfseen.methods.photometric import config, geometry, rays
from halfseen.poses import framing

CPU = torch.device("cpu")


def _capture(views: int) -> Capture:
    capture = as_bytes(dotted())
    return replace(capture, views=(capture.views * 3)[:views], splits=())


@pytest.mark.parametrize(("views", "share"), [(1, 1), (3, 1), (6, 1 / 2), (9, 1 / 3)])
def test_more_photos_need_less_geometry(views: int, share: float) -> None:
    full = replace(config.CLASSIC, coarse_scene=0.5)
    found = config.resolve(full, _capture(views), "hashgrid")
    wanted = (full.near * share, full.depth * share, full.opacity * share, full.pictures.opacity * share)
    assert (found.near, found.depth, found.opacity, found.pictures.opacity) == pytest.approx(wanted)
    assert found.distortion == pytest.approx(full.distortion * share**2)
    assert found.hashgrid.coarse_to_fine == pytest.approx(0.5 * full.hashgrid.coarse_to_fine * share**2)
    assert config.resolve(found, _capture(views), "hashgrid") == found, "what is resolved stays"


def test_scenes_of_classic_have_all_levels_at_once() -> None:
    assert config.resolve(config.CLASSIC, _capture(3), "hashgrid").hashgrid.coarse_to_fine == 0


def test_an_object_alone_needs_coarse_levels_for_half_as_long() -> None:
    alone = replace(_capture(3), mask_role="object")
    found = config.resolve(config.CLASSIC, alone, "hashgrid")
    assert found.hashgrid.coarse_to_fine == pytest.approx(config.CLASSIC.hashgrid.coarse_to_fine / 2)
    assert config.resolve(found, alone, "hashgrid") == found, "what is resolved stays"


def test_basic_does_not_ask_how_many_photos_there_are() -> None:
    few, many = (config.resolve(config.BASIC, _capture(n), "hashgrid") for n in (2, 12))
    assert few == many


def test_a_step_has_as_many_rays_as_its_work_allows() -> None:
    capture = _capture(4)
    photos = pixels.of(capture, CPU)
    grid = hashgrid.Config(levels=4, finest=64, log2_entries=12)
    field = kinds.create(Similarity.identity(), grid, 0, CPU, photos.cameras, None)
    cfg = replace(config.BASIC, work=20_000, least_rays=1, most_rays=10**6)
    effort = rays.FIRST_PER_RAY
    for step in range(60):
        _, shown = rays.terms(field, photos, None, capture, cfg, effort, 0.0, generator(0, "t", step))
        effort = rays.paced(effort, shown)
    count = int(cfg.work / effort)
    pick = torch.arange(count) % len(photos)
    samples = field.render(
        photos.cameras,
        pixels=(photos.views[pick], photos.xy[pick]),
        background=(0.0, 0.0, 0.0),
        generator=generator(0, "r"),
    ).samples
    assert samples is not None
    assert samples.marched >= samples.looked_at >= len(samples.weights) > 0
    assert rays.effort(samples) == pytest.approx(cfg.work, rel=0.15)


def test_distortion_counts_where_stereo_knows_the_depth() -> None:
    capture = load.load(as_bytes(dotted()), 48)
    boxed = normalise.move(capture, framing.measure(capture).to_box)
    photos = pixels.of(boxed, CPU)
    field = kinds.create(
        Similarity.identity(), hashgrid.Config(levels=3, finest=32, log2_entries=10), 0, CPU, photos.cameras
    )
    cfg = replace(config.BASIC, distortion=1.0, distortion_from=0.0, distortion_known=True, least_rays=64, most_rays=64)

    def spread(depth: float) -> float:
        count = sum(v.image.width * v.image.height for v in boxed.views)
        known = geometry.Geometry(torch.full((count,), depth), torch.ones(count), torch.zeros(len(boxed)))
        found, _ = rays.terms(field, photos, known, boxed, cfg, 170.0, 1.0, generator(0, "rays"))
        return float(found["distortion"].detach())

    assert spread(0.0) == 0, "stereo knows nothing"
    assert spread(1.0) > 0
    assert cfg.geometry, "so stereo is asked"
    assert not config.BASIC.geometry
