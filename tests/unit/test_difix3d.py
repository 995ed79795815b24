"""Difix3D: cameras that creep, a guard that believes no nonsense, and rounds that teach a scene what a fixer knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.fields import gaussian_seeds, gaussians
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.difix3d import algorithm, creeping, guard, repairing, trial
from halfseen.methods.difix3d.config import VARIANTS, Config, Guard, Updates
from halfseen.methods.photometric.config import BASIC, Pictures
from halfseen.metrics.image import psnr
from halfseen.priors.one_step.contract import Repaired
from halfseen.runs.snapshot import Snapshot, State

SIZE = 32
CPU = torch.device("cpu")
HERE = Similarity.identity()
SMALL = gaussians.Config(start=400, most=600, bands=1, grow_until=0.0)
FIT = replace(BASIC, gaussians=SMALL, kind="gaussians", pictures=Pictures(seeds="random"), lr_end=0.3)
QUICK = Config(
    steps=240,
    base=0.33,
    fit=FIT,
    updates=Updates(rounds=4, share=0.45, weight=1.0, alpha=0.0, rate=1.0),
    guard=Guard(trials=0),
    references=1,
)


def looking(azimuths: Sequence[float]) -> Cameras:
    """Cameras around the origin, 3 units away."""
    turn = torch.tensor([math.radians(a) for a in azimuths], dtype=torch.float64)
    eyes = 3 * torch.stack([torch.cos(turn), torch.sin(turn), torch.full_like(turn, 0.3)], 1)
    origin, up = torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    poses = paths.look_at(eyes, origin, up)
    return make(poses, torch.tensor([[45.0, 45.0, SIZE / 2, SIZE / 2]], dtype=torch.float64), (SIZE, SIZE))


def thing() -> Gaussians:
    """A ball of coloured blobs, opaque."""
    rng = generator(0, "test/thing")
    xyz = torch.nn.functional.normalize(torch.randn(300, 3, generator=rng), dim=-1) * 0.6
    colour = (xyz / 1.2 + 0.5 + 0.15 * torch.randn(300, 3, generator=rng)).clamp(0, 1)
    seeds = gaussian_seeds.Seeds(xyz, colour, torch.full((300,), 0.12))
    return gaussians.create(HERE, replace(SMALL, first_opacity=0.95), 0, CPU, seeds=seeds)


def seen(field: Gaussians, camera: Cameras) -> Tensor:
    with torch.no_grad():
        return field.render(camera, background=(1.0, 1.0, 1.0)).rgb.clamp(0, 1)


CAPTURED, WANTED = looking([0, 35]), looking([70, 110, 150])


def photographed(field: Gaussians) -> Capture:
    """Two photos of it as an object before white."""
    views = []
    for i in range(len(CAPTURED)):
        with torch.no_grad():
            shown = field.render(CAPTURED[i], background=(1.0, 1.0, 1.0))
        mask = PictureArray(shown.alpha[..., None].clamp(0, 1))
        views.append(View(str(i), PictureArray(shown.rgb.clamp(0, 1)), CAPTURED[i], mask=mask))
    return Capture(tuple(views), "test", Path(), mask_role="object", background=(1.0, 1.0, 1.0))


def rebuilt(cfg: Config, fix: repairing.Fix | None, state: tuple[int, State] | None = None) -> list[Snapshot]:
    """All snapshots of a rebuild of the thing."""
    asked = replace(cfg, targets=creeping.of(WANTED))
    return list(algorithm.rebuild(photographed(thing()), HERE, asked, 0, fix, device=CPU, state=state))


def quality(cfg: Config, fix: repairing.Fix | None) -> list[float]:
    """PSNR at the wanted cameras after the base fit and after each round."""
    truth, asked = thing(), replace(cfg, targets=creeping.of(WANTED))
    length = cfg.steps - cfg.base_steps
    ends = {cfg.base_steps + round(length * r / cfg.updates.rounds) for r in range(cfg.updates.rounds + 1)}
    out = []
    for s in algorithm.rebuild(photographed(truth), HERE, asked, 0, fix, device=CPU):
        if s.step in ends:
            assert isinstance(s.field, Gaussians)
            found = [psnr(seen(s.field, WANTED[i]), seen(truth, WANTED[i])) for i in range(len(WANTED))]
            out.append(sum(found) / len(found))
    return out


def oracle(shown: Tensor, references: Sequence[Tensor], camera: Cameras) -> Repaired:
    return Repaired(seen(thing(), camera).movedim(-1, 0))


def identity(shown: Tensor, references: Sequence[Tensor], camera: Cameras) -> Repaired:
    return Repaired(shown[:3])


def noise(shown: Tensor, references: Sequence[Tensor], camera: Cameras) -> Repaired:
    return Repaired(torch.rand(shown[:3].shape, generator=generator(0, "test/noise")))


@pytest.mark.parametrize("schedule", ["through", "anew"])
def test_an_oracle_raises_quality_round_by_round_and_identity_costs_nothing(
    schedule: Literal["through", "anew"],
) -> None:
    cfg = replace(QUICK, updates=replace(QUICK.updates, schedule=schedule))
    risen = quality(cfg, oracle)
    assert len(risen) == 5
    assert all(after > before for before, after in pairwise(risen)), risen
    assert risen[-1] > risen[0] + 2
    alone = quality(replace(QUICK, teach="never", post=False), None)[-1]
    same = quality(cfg, identity)
    assert same[-1] >= min(same[0], alone) - 0.2, (same, alone)


def test_updates_whose_lessons_weigh_nothing_leave_the_one_fit_that_photos_alone_give() -> None:
    """Schedules go through the updates; if they begin anew the fit is another."""
    cfg = replace(QUICK, steps=60, updates=replace(QUICK.updates, weight=0.0, schedule="through"))
    alone = rebuilt(replace(cfg, teach="never", post=False), None)[-1].field.state()
    through = rebuilt(cfg, oracle)[-1].field.state()
    assert all(torch.equal(alone[k], through[k]) for k in gaussians.PARAMETERS)
    anew = rebuilt(replace(cfg, updates=replace(cfg.updates, schedule="anew")), oracle)[-1].field.state()
    assert not torch.equal(alone["xyz"], anew["xyz"])


def test_noise_is_rejected() -> None:
    """By the photos where they say something; and leave-one-out fits switch it off altogether."""
    last = rebuilt(QUICK, noise)[-1]
    assert last.facts["accepted"] < 0.2
    tried = replace(QUICK, steps=60, guard=Guard(trials=2, trial_share=0.8))
    off = rebuilt(tried, noise)
    assert off[-1].facts["strength"] == 0
    assert off[-1].facts["prior_calls"] == 2, "it is asked no more"
    assert off[-1].step == 60, "the photos have the rest of the steps"
    assert rebuilt(tried, oracle)[-1].facts["strength"] == 1


@pytest.mark.parametrize("teach", ["rounds", "every-step"])
def test_a_resumed_rebuild_ends_where_an_unbroken_one_does(teach: Literal["rounds", "every-step"]) -> None:
    cfg = replace(QUICK, steps=40, teach=teach)
    for cut in (5, 13, 21, 27):
        kept: State = {}
        asked = replace(cfg, targets=creeping.of(WANTED))
        for s in algorithm.rebuild(photographed(thing()), HERE, asked, 0, oracle, device=CPU):
            if s.step == cut:
                kept = {g: {k: v.detach().clone() for k, v in t.items()} for g, t in s.state().items()}
        whole, again = s, rebuilt(cfg, oracle, (cut, kept))[-1]
        assert again.step == whole.step == 40
        a, b = whole.state()["field"], again.state()["field"]
        assert all(torch.equal(a[k], b[k]) for k in a), cut
        assert again.facts["prior_calls"] == whole.facts["prior_calls"]


def scene() -> Capture:
    """The same two photos, but as photos of a place: nobody knows what stands behind, and a corner of one is not valid."""
    alone = photographed(thing())
    valid = torch.ones(SIZE, SIZE, 1)
    valid[:8, :8] = 0
    whole = PictureArray(torch.ones(SIZE, SIZE, 1))
    views = (replace(alone.views[0], mask=PictureArray(valid)), replace(alone.views[1], mask=whole))
    return replace(alone, views=views, mask_role="valid", background=None)


def test_what_stands_behind_a_scene_is_no_merit_of_a_fixer() -> None:
    """A rendering that is half transparent changes its colour with what is behind it; an identity gains nothing by that."""
    capture, faint = scene(), thing()
    faint.values["opacity"].data.fill_(0.0)
    known = repairing.known_of(faint, capture)
    assert known.behind is not None
    repairer = repairing.Repairer(identity, Guard(), 1)
    with torch.no_grad():
        rendering = faint.render(WANTED[0], background=(1.0, 1.0, 1.0))
    made = repairer.repair(rendering, WANTED[0], known, (1.0, 1.0, 1.0))
    assert float((made.before - rendering.rgb).abs().max()) > 0.05
    assert torch.allclose(made.by(1.0), made.before, atol=1e-6)
    found = trial.gains(capture, HERE, replace(QUICK, guard=Guard(trials=2)), 0, repairer, CPU)
    assert found is not None
    assert float(found.abs().max()) < 1e-4


def test_what_is_not_valid_of_a_photo_is_no_witness() -> None:
    capture, field = scene(), thing()
    everywhere = repairing.known_of(field, replace(capture, mask_role=None))
    here = repairing.known_of(field, capture)
    assert not here.seen.depths[0][:7, :7].any()
    assert torch.equal(here.seen.depths[1], everywhere.seen.depths[1])
    assert here.behind is not None
    assert everywhere.behind is not None
    assert not torch.equal(here.behind, everywhere.behind)


def test_each_variant_asks_the_fixer_as_often_as_it_says() -> None:
    calls = {}
    for name, variant in VARIANTS.items():
        cfg = replace(variant, steps=20, base=0.5, fit=FIT, guard=Guard(trials=0))
        last = rebuilt(cfg, oracle if cfg.use_prior else None)[-1]
        assert last.step == 20
        calls[name] = last.facts.get("prior_calls")
    assert calls == {
        "plus": 12,
        "progressive": 12,
        "at-once": 3,
        "renders-only": 0,
        "per-step": 10,
        "base": None,
        "filled": None,
    }


def test_a_repair_of_several_passes_asks_as_often_and_goes_on_from_itself() -> None:
    def halved(shown: Tensor, references: Sequence[Tensor], camera: Cameras) -> Repaired:
        return Repaired(shown[:3] / 2)

    capture, field = photographed(thing()), thing()
    repairer = repairing.Repairer(halved, Guard(), 1, passes=3)
    with torch.no_grad():
        shown = field.render(WANTED[0], background=(1.0, 1.0, 1.0))
    made = repairer.repair(shown, WANTED[0], repairing.known_of(field, capture), (1.0, 1.0, 1.0))
    assert torch.allclose(made.after, made.before / 8)
    assert repairer.spent.calls == 3


def test_the_guard_believes_what_photos_say() -> None:
    photo = torch.rand(3, 24, 24, generator=generator(0, "test/guard"))
    rendered = (photo + 0.1).clamp(0, 1)
    known = torch.zeros(24, 24, dtype=torch.bool)
    known[:, :12] = True
    good = guard.judge(rendered, photo, photo, known, Guard())
    assert good.share == 1
    assert good.weight.all()
    half = photo.clone()
    half[:, :12, :12] = 1 - half[:, :12, :12]
    some = guard.judge(rendered, half, photo, known, Guard(least=0.2))
    assert 0.3 < some.share < 0.6
    assert not some.weight[2:9, 2:9].any()
    assert some.weight[15:, :12].all()
    assert some.weight[:, 16:].all(), "what no photo saw cannot be checked"
    none = guard.judge(rendered, 1 - photo, photo, known, Guard())
    assert not none.weight.any(), "and is not believed when the rest is wrong"
    assert none.accepted == 0
    blind = guard.judge(rendered, 1 - photo, photo, torch.zeros_like(known), Guard())
    assert blind.share == 1
    assert blind.weight.all()


def test_cameras_creep_from_the_captured_ones_to_the_wanted_ones() -> None:
    cfg = Updates(rounds=3)
    rounds = [creeping.crept(CAPTURED, WANTED, cfg, r, 3.0, HERE) for r in (1, 2, 3)]
    assert torch.allclose(rounds[-1].c2w, WANTED.c2w)
    # All start from the nearest photo, at 35 degrees, and go straight.
    start = CAPTURED.centres[1]
    for r, c in enumerate(rounds, 1):
        assert torch.allclose(c.centres, start + (WANTED.centres - start) * r / 3)
    twice = Similarity(2.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    half = creeping.crept(CAPTURED, WANTED, replace(cfg, stride="delta", delta=1.0), 1, 3.0, twice)
    assert torch.allclose(half.c2w[:, :3, 3], paths.step_towards(CAPTURED.c2w, WANTED.c2w, 0.5)[:, :3, 3])
    stepped = [creeping.crept(CAPTURED, WANTED, replace(cfg, stride="delta"), r, 3.0, HERE) for r in (1, 2)]
    once = paths.step_towards(CAPTURED.c2w, WANTED.c2w, 0.5)
    assert torch.equal(stepped[0].c2w, once)
    assert torch.equal(stepped[1].c2w, paths.step_towards(once, WANTED.c2w, 0.5))
    assert creeping.crept(CAPTURED, WANTED, replace(cfg, creep=False), 1, 3.0, HERE) is WANTED


def test_targets_are_what_is_given_or_stand_around_the_captured_cameras() -> None:
    to_user = Similarity(2.0, torch.eye(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    given = creeping.targets(creeping.of(to_user.cameras(WANTED)), to_user, CAPTURED, Updates())
    assert torch.allclose(given.c2w, WANTED.c2w)
    assert torch.equal(given.sizes, WANTED.sizes)
    made = creeping.targets((), to_user, CAPTURED, Updates(targets=7))
    assert len(made) == 7
    close = creeping.targets((), to_user, CAPTURED[0], Updates(targets=5))
    assert float((close.centres - CAPTURED.centres[0]).norm(dim=-1).max()) < 1.4, "one photo is looked at from near by"
    assert float((made.centres.norm(dim=-1) - CAPTURED.centres.norm(dim=-1)[0]).abs().max()) < 0.7


def test_one_photo_alone_says_nothing_of_strength() -> None:
    one = photographed(thing()).select([0])
    assert trial.gains(one, HERE, replace(QUICK, guard=Guard()), 0, repairing.Repairer(oracle, Guard(), 1), CPU) is None


def test_the_last_pass_repairs_what_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, capture = thing(), photographed(thing())
    monkeypatch.setattr(
        algorithm, "load_fixer", lambda name, device: lambda shown, references: Repaired(shown[:3] * 0.5)
    )
    decided = {"repair": {"strength": torch.tensor(0.5, dtype=torch.float64)}}
    cfg = replace(QUICK, guard=Guard(tolerance=1.0))
    last = algorithm.after(cfg, truth, capture, decided, CPU)
    assert last is not None
    shown = truth.render(WANTED[0], background=(1.0, 1.0, 1.0))
    assert torch.allclose(last(shown, WANTED[0], (1.0, 1.0, 1.0)), 0.75 * shown.rgb, atol=1e-5)
    never = {"repair": {"strength": torch.tensor(0.0)}}
    assert algorithm.after(replace(cfg, fill=False), truth, capture, never, CPU) is None
    assert algorithm.after(replace(cfg, post=False, fill=False), truth, capture, decided, CPU) is None
    scene = replace(capture, mask_role=None)
    filled = algorithm.after(cfg, truth, scene, never, CPU)
    assert filled is not None
    mean = torch.cat([v.image.read()[..., :3].flatten(0, 1) for v in scene.views]).mean(0)
    wanted = shown.rgb + (1 - shown.alpha)[..., None] * (mean - 1)
    assert torch.allclose(filled(shown, WANTED[0], (1.0, 1.0, 1.0)), wanted, atol=1e-5)
    assert filled.facts == {}
