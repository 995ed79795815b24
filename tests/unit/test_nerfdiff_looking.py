"""What a field and a denoiser see of virtual views: renderings of a part and of the whole, which rays a step draws, what is handed on, and
that a denoiser which knows the truth brings a real field there."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal, cast

import pytest
import torch
from support import looking_from
from torch import Tensor

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import normalise
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.fields import samplers, triplane
from halfseen.fields.optimiser import Adam
from halfseen.methods.nerfdiff import cdm, distil, frame, looking, object_prior, virtual
from halfseen.methods.nerfdiff.algorithm import _WAYS, Distillation, _smoothed
from halfseen.methods.nerfdiff.config import Config, Guidance
from halfseen.methods.nerfdiff.looking import Looks
from halfseen.methods.nerfdiff.object_prior import ObjectPrior
from halfseen.methods.nerfdiff.photo_to_field import PhotoToField
from halfseen.methods.nerfdiff.training_config import Config as TrainingConfig
from halfseen.metrics.image import psnr
from halfseen.poses import framing, one_photo
from halfseen.priors.contract import Denoiser, eps_of, noised
from halfseen.priors.schedules import continuous_cosine
from halfseen.worlds import layouts, sample
from halfseen.worlds.families import by_name
from halfseen.worlds.layouts import SRN_FOCAL

SIZE, VIEWS = 24, 6
GUIDANCE = Guidance(views=VIEWS, rays=256)


@pytest.fixture(scope="module")
def seen() -> tuple[triplane.Triplane, Looks, Capture]:
    """A small triplane, half of whose cells are empty, and what is seen of it around a photo of a disc."""
    camera = looking_from((1.1, -1.4, 0.8), SIZE)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, SIZE),) * 2, indexing="ij")
    mask = ((x**2 + y**2) < 0.2).float()
    photo = torch.lerp(torch.ones(SIZE, SIZE, 3), torch.tensor([0.8, 0.2, 0.1]), mask[..., None])
    view = View("photo", PictureArray(photo), camera, mask=PictureArray(mask))
    capture = Capture((view,), "photos", None, mask_role="object", background=(1.0, 1.0, 1.0))  # type: ignore[arg-type]
    shown = object_prior.shown(capture, SIZE, torch.device("cpu"))
    config = triplane.Config(
        channels=8, side=16, bounded=True, sampling=samplers.Sampling("proposed", uniform=16, resampled=16)
    )
    begun = triplane.create(Similarity.identity(), config, 0, torch.device("cpu"))
    field = triplane.of_planes(
        begun.planes.detach() + 0.5 * torch.randn(begun.planes.shape, generator=generator(0, "planes")),
        begun.weights,
        frame.to_world(shown.camera, float(camera.centres.norm())).inverse(),
        Similarity.identity(),
        config,
    )
    cameras = virtual.around(shown.camera, "train-like", VIEWS, 0).to(torch.float32)
    return field, looking.of(field, cameras, shown, capture), capture


def test_what_is_looked_for_is_rendered_as_it_is_in_the_whole(
    seen: tuple[triplane.Triplane, Looks, Capture],
) -> None:
    field, looks, _ = seen
    whole = looking.rendered(field, looks, whole=True)
    # Views are told to show nothing but in their middles.
    told = looks.told.clone()
    told[:, cdm.ALPHA] = -1
    told[:, cdm.ALPHA, 8:14, 10:16] = 1
    looks = replace(looks, told=told)
    part, near = looking.rendered(field, looks), looking._near(looks, None)
    assert bool(near[:, 8:14, 10:16].all())
    assert 0.05 < float(near.float().mean()) < 0.95
    torch.testing.assert_close(part.movedim(1, -1)[near], whole.movedim(1, -1)[near])
    assert bool((part.movedim(1, -1)[~near] == 1).all()), "elsewhere is what is behind"
    for i in (0, VIEWS - 1):
        torch.testing.assert_close(looking.rendered(field, looks, only=i, whole=True), whole[i : i + 1])


@pytest.mark.parametrize("on_object", [0.0, 0.9])
def test_a_pinned_photo_has_its_share_of_the_rays(on_object: float) -> None:
    """One picture among V + 1 where rays are anywhere; and none that is not asked for."""
    shows = torch.zeros(VIEWS + 1, SIZE, SIZE, dtype=torch.bool)
    shows[:, 4:12, 6:18] = True
    count = 20_000
    picked = looking._picked(shows, (0, VIEWS + 1), count, on_object, generator(0, "picked"))
    view = picked // SIZE**2
    share = float((view == VIEWS).float().mean())
    assert share == pytest.approx(1 / (VIEWS + 1), abs=0.02)
    inside = float(shows.flatten()[picked].float().mean())
    anywhere = float(shows.float().mean())
    assert inside == pytest.approx(on_object + (1 - on_object) * anywhere, abs=0.02)
    alone = looking._picked(shows, (0, VIEWS), count, on_object, generator(0, "picked"))
    assert int((alone // SIZE**2).max()) == VIEWS - 1


def test_what_is_handed_on_goes_all_around(seen: tuple[triplane.Triplane, Looks, Capture]) -> None:
    field, looks, _ = seen
    found = looking.lesson(field, looks, 3)
    whole = (looking.rendered(field, looks, whole=True).movedim(1, -1) + 1) / 2
    which = [next(i for i in range(VIEWS) if torch.equal(found.cameras.c2w[k], looks.cameras.c2w[i])) for k in range(3)]
    assert which == sorted(set(which))
    assert which[0] < VIEWS / 3
    assert which[-1] >= 2 * VIEWS / 3
    for k, i in enumerate(which):
        torch.testing.assert_close(found.rgb[k], whole[i])
    assert len(looking.lesson(field, looks, 100).rgb) == VIEWS


def test_a_valid_mask_is_not_taken_for_the_object(seen: tuple[triplane.Triplane, Looks, Capture]) -> None:
    capture = seen[2]
    usual = 1 / (2 * SRN_FOCAL)
    small = View("s", capture.views[0].image, capture.views[0].camera, mask=PictureArray(torch.zeros(SIZE, SIZE)))
    dot = small.mask.pixels.clone()  # type: ignore[union-attr]
    dot[11:13, 11:13] = 1
    views = (replace(small, mask=PictureArray(dot)),)
    near, far = (
        object_prior.shown(replace(capture, views=views, mask_role=role), SIZE, torch.device("cpu"))
        for role in ("object", "valid")
    )

    def half(shown: object_prior.Shown) -> float:
        return SIZE / (2 * float(shown.camera.intrinsics[0, 0]))

    assert half(far) == pytest.approx(usual)
    assert half(near) < 0.5 * usual


def ball(looks: Looks) -> Tensor:
    """True views [V, 3, s, s] in [-1, 1] of a ball, which looks the same from everywhere."""
    target = torch.full_like(looks.rendered, 1.0)
    rows = torch.linspace(-1, 1, SIZE)
    disc = (rows[:, None] ** 2 + rows[None, :] ** 2) < 0.25
    for channel, value in enumerate((-0.6, 0.2, 0.7)):
        target[:, channel][:, disc] = value
    return target


def apart(field: triplane.Triplane, looks: Looks, target: Tensor) -> float:
    """PSNR of a field's renderings."""
    shown = looking.rendered(field, looks, whole=True).movedim(1, -1)
    return psnr((shown.flatten(0, 2) + 1) / 2, (target.movedim(1, -1).flatten(0, 2) + 1) / 2)


@pytest.mark.parametrize("way", ["sample-then-fit", "sds"])
def test_other_ways_bring_a_field_to_the_truth_too(
    seen: tuple[triplane.Triplane, Looks, Capture], way: Literal["sample-then-fit", "sds"]
) -> None:
    """With a denoiser that knows the true views; away from them where it knows their opposites."""
    field, looks, _ = seen
    target = ball(looks)
    looks = replace(looks, photo=target[:1])
    cfg = Config(steps=120, refine=0.0, way=way, guidance=replace(GUIDANCE, times=4, on_object=0.5, pin_source=False))
    gains = []
    for known in (target, -target):
        some = copy.deepcopy(field)
        views = distil.start(looking.rendered(some, looks), cfg.guidance, generator(0, "ways"))
        going = Distillation(some, Adam(some.parameter_groups()), some.planes.detach().clone(), looks, views)
        oracle = cast(Denoiser, lambda x, level, cond=None, known=known: known[: len(x)])
        prior = ObjectPrior(TrainingConfig(), cast(PhotoToField, None), oracle, torch.device("cpu"))
        before = apart(some, looks, target)
        for _ in _WAYS[way](going, prior, cfg, 0, 0):
            pass
        gains.append(apart(some, looks, target) - before)
    assert gains[0] > 4, gains
    assert gains[1] < 0, gains


def test_the_step_of_score_distillation_is_its_gradient() -> None:
    """w (eps_phi - eps) with w = sigma / alpha is what half the squared distance to the guess has."""
    image = torch.rand(1, 3, 4, 4, generator=generator(0, "image")).requires_grad_()
    eps, guess = (torch.randn(1, 3, 4, 4, generator=generator(i, "sds")) for i in (1, 2))
    level = continuous_cosine(torch.tensor([0.4]))
    noisy = noised(image.detach(), eps, level)
    wanted = float(level.sigma / level.alpha) * (eps_of(noisy, guess, level) - eps)
    (0.5 * (image - guess).square().sum()).backward()
    torch.testing.assert_close(image.grad, wanted, rtol=1e-4, atol=1e-5)


def test_an_oracle_brings_a_field_to_the_truth(seen: tuple[triplane.Triplane, Looks, Capture]) -> None:
    """A denoiser that knows the true views: after every time the field is nearer to them, and in the end as near as a fit comes."""
    field, looks = copy.deepcopy(seen[0]), seen[1]
    target = ball(looks)
    blind = replace(looks, photo=target[:1])
    optimiser = Adam(field.parameter_groups())
    cfg = replace(GUIDANCE, on_object=0.5)

    def render() -> Tensor:
        return looking.rendered(field, blind, shown=target)

    def score() -> float:
        return apart(field, blind, target)

    views = distil.start(render(), cfg, generator(0, "oracle"))
    scores = [score()]
    for number, t in enumerate(torch.linspace(0.95, 0.02, 4)):
        level = continuous_cosine(t[None])
        views = distil.begin(views, level, cfg, lambda z, level: target, render)
        for step in range(40):
            looking.error(field, blind, views.targets, cfg, generator(number, "fit", step)).backward()
            optimiser.step(1.0)
        views = distil.end(views, level, cfg, render)
        scores.append(score())
    assert scores == sorted(scores), scores
    assert scores[-1] > scores[0] + 6, scores


@pytest.mark.parametrize("number", [10, 64, 150])
def test_the_upright_of_a_photos_world_is_the_virtual_cameras_own(number: int) -> None:
    """A posed photo from 3, 23 or 52 degrees above: cameras around it stand on the same floor and are level, as in training."""
    capture = sample.capture(by_name("chairs"), 3, layout="srn-test", views=251, size=(16, 16)).select([number])
    photo = one_photo.as_photo(capture)
    box = framing.measure(photo).to_box
    boxed = normalise.move(photo, box)
    wanted, found = photo.cameras().centres[0], boxed.cameras().centres[0]
    assert float(found[2] / found.norm()) == pytest.approx(float(wanted[2] / wanted.norm()), abs=1e-6)
    cameras = virtual.around(boxed.cameras(), "train-like", 24, 0)
    here = box.inverse().cameras(cameras)
    assert float(here.c2w[:, 2, 0].abs().max()) < 1e-6, "their x axes are level"
    assert float(here.centres[:, 2].min()) > 0, "none stands below the floor"


def test_cameras_that_are_level_about_no_axis_are_upright_about_their_own() -> None:
    tilted = looking_from((1.1, -1.4, 0.8))
    assert torch.allclose(normalise.up_axis(tilted), torch.tensor([0.0, 0.0, 1.0]).to(tilted.c2w))
    rolled = replace(tilted, c2w=tilted.c2w.clone())
    turn = torch.tensor([[0.9, -(0.19**0.5), 0.0], [0.19**0.5, 0.9, 0.0], [0.0, 0.0, 1.0]]).to(rolled.c2w)
    rolled.c2w[0, :3, :3] = rolled.c2w[0, :3, :3] @ turn
    assert torch.allclose(normalise.up_axis(rolled), rolled.up[0])


@pytest.mark.parametrize("depth", [True, False])
def test_what_a_photo_shows_does_not_move_the_middle_of_the_object(depth: bool) -> None:
    capture = sample.capture(by_name("cars"), 3, layout="hemisphere", views=2, size=(16, 16)).select([0])
    focus = -torch.tensor(by_name("cars").stage(3).focus, dtype=torch.float64)
    capture = normalise.move(capture, Similarity(1.0, torch.eye(3, dtype=torch.float64), focus))
    if not depth:
        capture = replace(capture, views=tuple(replace(v, depth=None) for v in capture.views))
    frame = framing.measure(one_photo.as_photo(capture))
    assert frame.source.startswith("the origin of its file")
    assert float(frame.focus.norm()) == 0


def test_views_from_all_around_are_asked_for_where_a_prior_learned_from_them() -> None:
    source = looking_from((1.1, -1.4, 0.8), SIZE)
    heights = virtual.around(source, "train-like", 24, 0, layouts.SPHERE).centres[:, 2]
    assert int((heights < 0).sum()) == 12


def test_a_weave_between_the_rays_of_small_pictures_is_not_handed_on(
    seen: tuple[triplane.Triplane, Looks, Capture],
) -> None:
    """Cells half as wide as the pixels that were distilled: what alternates from cell to cell goes, what pixels can tell stays."""
    field = copy.deepcopy(seen[0])
    cells = field.planes.shape[-1]
    wave = torch.sin(torch.arange(cells) * (2 * torch.pi / cells)).expand(cells, cells)
    weave = (-1.0) ** torch.arange(cells)
    with torch.no_grad():
        field.planes.copy_((wave + weave).expand_as(field.planes))
        _smoothed(field, cells // 2)
        assert float((field.planes - wave).abs().mean()) < 0.1
        before = field.planes.clone()
        _smoothed(field, cells)
        assert torch.equal(field.planes, before), "cells as wide as pixels stay"
