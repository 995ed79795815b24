"""SparseFusion (Zhou and Tulsiani, CVPR 2023): an object from two to six photos.

    EFT            what photos tell of every view of an orbit around the object         `view_prior.tell`
    bootstrap      the field learns from the photos and from what the EFT shows
    distillation   x <- rendering;  z_t <- E(x) noised to t;  z_0 <- denoised in steps;  x_0 <- D(z_0)
                   the field learns from the photos and from sigma_t^2 |x - x_0|        `looking.distilled`
    refinement     the photos have the last word, at their own size

`small` imagines all views of the orbit at once, in rounds whose t falls; the released code one view at every step, at a random t.
Shown beside it: `eft` and `vldm` put the transformer's pictures, or one sample of each view, in the place of renderings; `pixelnerf`
predicts a field.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data.capture import Capture
from halfseen.fields.contract import After, Field
from halfseen.methods.contract import Method
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric import fit, lessons
from halfseen.methods.photometric.fit import Fit
from halfseen.methods.photometric.lessons import Lesson
from halfseen.methods.sparsefusion import inputs, looking, orbit, predicting, resolving, view_prior
from halfseen.methods.sparsefusion.config import PAPER, VARIANTS, Config
from halfseen.methods.sparsefusion.inputs import Inputs
from halfseen.methods.sparsefusion.looking import Compared
from halfseen.methods.sparsefusion.showing import Shown
from halfseen.methods.sparsefusion.view_prior import Told, ViewPrior
from halfseen.metrics import lpips
from halfseen.priors.schedules import offset_cosine
from halfseen.runs.snapshot import Knobs, Snapshot, State

# Groups of a checkpoint: what is learned from, and what was spent.
_LESSON, _SPENT = "lesson", "spent"
# The released code takes so many looks for a unit of time.
_LOOKS_A_UNIT = 100


@dataclass
class Imagined:
    """What the photos tell of the orbit's views, and what is imagined of them now."""

    prior: ViewPrior
    cameras: Cameras  # [N] of the box frame
    told: Told
    by: Compared
    lesson: Lesson


def reconstruct(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """Fit a field to a loaded capture in the box frame, with a resolved config. `state` is (step, tensors) of an earlier snapshot."""
    done, tensors = state or (0, None)
    if cfg.way == "pixelnerf":
        found = predicting.predicted(capture, to_user, cfg, device)
        yield Snapshot(1, 1, "predict", found, {}, lambda: {"field": found.state()}, dict)
        return
    prior = view_prior.load(cfg.prior, device, cfg.imagining.guidance)
    if cfg.way != "eft":
        view_prior.diffuses(prior, cfg.prior)
    seen = inputs.of(capture, prior.config.size, device)
    going = fit.begin(capture, to_user, cfg.fit, seed, device, tensors)
    imagined = _begin(prior, seen, to_user, cfg, seed, tensors)
    extra = partial(_learned, going, imagined, cfg, seed)
    yield from fit.each(fit.steps(going, cfg.fit, seed, done, extra), lambda s: _marked(s, imagined, cfg))


def _begin(
    prior: ViewPrior, seen: Inputs, to_user: Similarity, cfg: Config, seed: int, tensors: State | None
) -> Imagined:
    """Ask the transformer of every view, once; its pictures are what is learned from first."""
    size = prior.config.size
    cameras = wanted(seen, to_user, cfg, seed, size)
    lenses = cameras.intrinsics / cameras.sizes[:, [0, 1, 0, 1]]
    told = view_prior.tell(prior, seen, cameras.c2w.double(), lenses.double())
    lesson = lessons.restored(tensors, _LESSON)
    if tensors is not None and _SPENT in tensors:
        prior.calls = int(tensors[_SPENT]["calls"])
    net = None
    if cfg.imagining.backbone:
        net = lpips.load("vgg", Path(cfg.imagining.backbone), Path(cfg.imagining.heads)).to(prior.device)
    by = Compared(net, prior.autoencoder)
    return Imagined(prior, cameras, told, by, lesson or looking.lesson(told.rgb, cameras, 1.0, 1))


def wanted(seen: Inputs, to_user: Similarity, cfg: Config, seed: int, size: int) -> Cameras:
    """Views that are imagined, of size x size pixels in the box frame: those that are given in the user's frame, else an orbit around."""
    if cfg.targets:
        rows = torch.tensor(cfg.targets, dtype=torch.float64)
        given = to_user.inverse().cameras(make(rows[:, :16].reshape(-1, 4, 4), (1.0, 1.0, 0.5, 0.5), (size, size)))
        return inputs.cameras(given.c2w, seen.lens, size).to(torch.float32)
    poses = orbit.around(seen.c2w, seen.middle, cfg.imagining.views, cfg.imagining.jitter, seed)
    return inputs.cameras(poses, seen.lens, size).to(torch.float32)


def _learned(going: Fit, imagined: Imagined, cfg: Config, seed: int, step: int) -> dict[str, Tensor]:
    """The terms of a step (from 1) beside the photos'."""
    rng = generator(seed, "sparsefusion/view", step)
    which = int(torch.randint(len(imagined.cameras), (), generator=rng))
    if step <= cfg.begun:
        return looking.bootstrapped(going.field, imagined.lesson, imagined.told.alpha, which, cfg.imagining, rng)
    if step <= cfg.imagined:
        which = _imagine(going, imagined, cfg, seed, step, which)
    factor = 1.0 if step <= cfg.imagined else cfg.kept
    which = min(which, len(imagined.lesson.rgb) - 1)
    told = _told_there(imagined, which)
    return looking.distilled(going.field, imagined.lesson, told, which, cfg.imagining, imagined.by, factor, rng)


def _told_there(imagined: Imagined, which: int) -> tuple[Tensor, Tensor | None]:
    """What the transformer shows [3, s, s], and its opacity [1, s, s], at a view of the lesson, which may have one view alone."""
    apart = (imagined.cameras.c2w - imagined.lesson.cameras.c2w[which]).abs().sum((1, 2))
    view, alpha = int(apart.argmin()), imagined.told.alpha
    return imagined.told.rgb[view], None if alpha is None else alpha[view]


def _imagine(going: Fit, imagined: Imagined, cfg: Config, seed: int, step: int, which: int) -> int:
    """Imagine views where a step asks for new ones; which of them it learns from."""
    how, since = cfg.imagining, step - cfg.begun
    if how.schedule == "fresh":
        rng = view_prior.fresh(seed, "time", step)
        time = how.last + (how.first - how.last) * float(torch.rand((), generator=rng))
        looks = min(how.most, max(1, int(_LOOKS_A_UNIT * time)))
        imagined.lesson = _dreamed(going, imagined, cfg, [which], time, looks, seed, step)
        return 0
    number = _round(since, cfg)
    if since == 1 or number != _round(since - 1, cfg):
        share = (number - 1) / max(1, how.rounds - 1)
        time = how.first + (how.last - how.first) * share
        every = list(range(len(imagined.cameras)))
        imagined.lesson = _dreamed(going, imagined, cfg, every, time, how.looks, seed, number)
    return which


def _round(since: int, cfg: Config) -> int:
    """The round (from 1) of a step of the distillation (from 1)."""
    length = cfg.imagined - cfg.begun
    return 1 + (since - 1) * min(cfg.imagining.rounds, length) // length


def _dreamed(
    going: Fit, imagined: Imagined, cfg: Config, which: list[int], time: float, looks: int, seed: int, number: int
) -> Lesson:
    """Some views as the denoiser would have them, from renderings that are noised to a time; each counts as much as sigma squared."""
    told = imagined.told.told
    assert told is not None
    cameras = imagined.cameras[which]
    shown = looking.shown(going.field, cameras)
    rng = view_prior.fresh(seed, "noise", number)
    found = view_prior.imagined(
        imagined.prior, cfg.prior, told[which], shown, (time, looks), cfg.imagining.sampler, rng
    )
    sigma2 = float(offset_cosine(torch.tensor([time])).sigma ** 2)
    return looking.lesson(found, cameras, sigma2, number + 1)


def _marked(snapshot: Snapshot, imagined: Imagined, cfg: Config) -> Snapshot:
    """The snapshot with its phase, what is learned from and what was spent."""
    name = "bootstrap" if snapshot.step <= cfg.begun else "distil" if snapshot.step <= cfg.imagined else "refine"
    lesson, calls = imagined.lesson, float(imagined.prior.calls)

    def state() -> State:
        spent = {"calls": torch.tensor(calls, dtype=torch.float64)}
        return {**snapshot.state(), _LESSON: lesson.to_plain(), _SPENT: spent}

    def panels() -> dict[str, Tensor]:
        return {**snapshot.panels(), "imagined": lesson.sheet()}

    facts = {**snapshot.facts, "prior_calls": calls}
    return replace(snapshot, phase=name, state=state, panels=panels, generated=lesson.views(), facts=facts)


def after(cfg: Config, field: Field, capture: Capture, state: State, device: torch.device) -> After | None:
    """Of `eft` and `vldm`, their own pictures in the place of renderings."""
    del field, state
    if cfg.way not in ("eft", "vldm"):
        return None
    prior = view_prior.load(cfg.prior, device, cfg.imagining.guidance)
    return Shown(prior, inputs.of(capture, prior.config.size, device), cfg)


METHOD = Method(
    name="sparsefusion",
    variants=VARIANTS,
    fields=("hashgrid", "gaussians", "triplane"),
    config=Config,
    resolve=resolving.resolve,
    field_config=lambda cfg: cfg.projection or photometric.field_config(cfg.fit),
    estimate=partial(resolving.estimate, reconstruct),
    reconstruct=reconstruct,
    warm_up=resolving.warm_up,
    cut_out=True,
    roles=("views",),
    priors_of=lambda cfg: (cfg.prior,),
    with_prior=resolving.with_prior,
    after=after,
    notes_of=resolving.notes_of,
    paper=PAPER,
    paper_size=128,
)
