"""Difix3D+ (Wu et al., CVPR 2025): a fit to photos whose renderings are repaired in one step, and taught back to it.

    1  fit the scene to its photos
    2  round r: cameras creep from the captured ones towards the targets; render, repair, judge; add to what is learned from
    3  go on with photos and repaired views, then the next round
    4  repair every rendering of the finished scene once more (Difix3D+)

base          1 alone                        at-once       one round, from the targets
filled        base, before the colour of 4   plus          all: Difix3D+
renders-only  1 and 4 (table 4a)             per-step      a view is repaired at every step (FixingGS)
progressive   1 to 3: Difix3D

Short fits that leave a photo out decide how strongly to repair; where none of them gains by it, nothing is repaired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, Colour
from halfseen.fields import kinds
from halfseen.fields.contract import After, Field, Rendering
from halfseen.methods.contract import Estimate, Method
from halfseen.methods.difix3d import creeping, inputs, repairing, teaching, trial
from halfseen.methods.difix3d.config import VARIANTS, Config
from halfseen.methods.difix3d.fixers import load_fixer
from halfseen.methods.difix3d.inputs import Witnesses
from halfseen.methods.difix3d.repairing import Repairer
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric import cost, fit, lessons, warming
from halfseen.methods.photometric.fit import Fit, Phase
from halfseen.methods.photometric.lessons import Lesson
from halfseen.priors.networks.fixer_small import CHANNELS
from halfseen.runs.snapshot import Knobs, Snapshot, State

# Steps after which a repair at every step looks anew at what photos know.
_LOOK_AGAIN = 50
# Repairs with the renderings that they need, in repairs.
_WITH_RENDERING = 2
# Groups of a checkpoint: the lesson, what was decided and spent, and what photos know of the field.
_LESSON, _DECIDED, _KNOWN = "lesson", "repair", "known"


@dataclass
class Teaching:
    """What is decided once, and what changes with every round."""

    repairer: Repairer
    strength: float
    lesson: Lesson | None = None
    # What photos know of the field; looked up seldom where every step repairs a view.
    known: Witnesses | None = None


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture."""
    return replace(cfg, fit=photometric.resolve(replace(cfg.fit, steps=cfg.steps), capture, kind))


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
    fix = repairing.of_fixer(load_fixer(cfg.prior, device)) if cfg.use_prior else None
    yield from rebuild(capture, to_user, cfg, seed, fix, device=device, state=state)


def rebuild(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    fix: repairing.Fix | None,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """`reconstruct` with any fixer."""
    done, tensors = state or (0, None)
    taught = None if fix is None else _decide(capture, to_user, cfg, seed, fix, device, tensors)
    if taught is not None and taught.strength == 0 and cfg.base > 0:
        # Nothing is worth repairing here: one fit has all the steps. (What is only improved goes on from what there is.)
        cfg = replace(cfg, base=1.0)
    base = _base(cfg)
    going = fit.begin(capture, to_user, base, seed, device, tensors)
    mark = partial(_marked, taught)
    yield from fit.each(fit.steps(going, base, seed, done, until=cfg.base_steps, phase=Phase(total=cfg.steps)), mark)
    if taught is not None and taught.strength > 0 and cfg.teach != "never":
        yield from _taught(going, to_user, cfg, seed, taught, done, mark)
    elif cfg.base_steps < cfg.steps:
        # The photos have the rest of the steps.
        yield from fit.each(_tuned(going, cfg, seed, max(done - cfg.base_steps, 0), None), mark)


def _decide(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    fix: repairing.Fix,
    device: torch.device,
    tensors: State | None,
) -> Teaching:
    """How strongly to repair: as an earlier start decided, or as leave-one-out fits say; of one photo alone nothing is known."""
    repairer = Repairer(fix, cfg.guard, cfg.references, cfg.passes)
    if tensors is not None and _DECIDED in tensors:
        stored = {k: float(v) for k, v in tensors[_DECIDED].items()}
        repairer.spent.calls = int(stored["calls"])
        repairer.spent.checked, repairer.spent.accepted = int(stored["checked"]), int(stored["accepted"])
        known = None
        if _KNOWN in tensors:
            photos = [v.image.read()[..., :3] for v in capture.views]
            known = inputs.restored(tensors[_KNOWN], photos, capture.cameras())
        return Teaching(repairer, stored["strength"], lessons.restored(tensors, _LESSON), known)
    found = trial.gains(capture, to_user, cfg, seed, repairer, device)
    # What is told of the guard from here on is what it let through of lessons.
    repairer.spent.checked = repairer.spent.accepted = 0
    chosen = cfg.guard.blind if found is None else _strength(found, cfg)
    return Teaching(repairer, chosen)


def _strength(gains: Tensor, cfg: Config) -> float:
    """The strength with the best mean gain [photos, strengths]; the weaker where two are equal."""
    return cfg.guard.strengths[int(gains.mean(0).argmax())]


def _taught(
    going: Fit,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    taught: Teaching,
    done: int,
    mark: Callable[[Snapshot], Snapshot],
) -> Generator[Snapshot, Knobs | None, None]:
    """The rounds, each with its share of what is left of the steps."""
    captured, length = going.capture.cameras(), cfg.steps - cfg.base_steps
    wanted = creeping.targets(cfg.targets, to_user, captured, cfg.updates)
    start = max(done - cfg.base_steps, 0)
    if cfg.teach == "every-step":
        yield from fit.each(_tuned(going, cfg, seed, start, partial(_fresh, going, wanted, cfg, seed, taught)), mark)
        return
    ends = [round(length * r / cfg.updates.rounds) for r in range(cfg.updates.rounds + 1)]
    for number, (first, last) in enumerate(pairwise(ends), 1):
        if start >= last:
            continue
        if start <= first or taught.lesson is None:
            _learn(going, wanted, cfg, taught, number)
        extra = partial(_lesson, going, cfg, seed, taught)
        yield from fit.each(_tuned(going, cfg, seed, max(start, first), extra, last), mark)


def _learn(going: Fit, wanted: Cameras, cfg: Config, taught: Teaching, number: int) -> None:
    """Render, repair and judge the views of a round, and add them to the lesson."""
    captured = going.capture.cameras()
    taught.known = repairing.known_of(going.field, going.capture)
    cameras = creeping.crept(captured, wanted, cfg.updates, number, taught.known.unit, going.field.to_user)
    new = _prepared(going, cameras, cfg, taught, number)
    taught.lesson = lessons.joined(taught.lesson, new, cfg.updates.keep)


def _prepared(going: Fit, cameras: Cameras, cfg: Config, taught: Teaching, number: int) -> Lesson:
    assert taught.known is not None
    back = repairing.background(going.capture)
    return teaching.prepare(
        going.field, taught.known, back, cameras, taught.repairer, taught.strength, cfg.updates, number
    )


def _lesson(going: Fit, cfg: Config, seed: int, taught: Teaching, step: int) -> dict[str, Tensor]:
    """The term of a step on the lesson of the round."""
    assert taught.lesson is not None
    return lessons.term(
        going, taught.lesson, cfg.updates.share, cfg.updates.weight, cfg.fit, generator(seed, "difix3d", step)
    )


def _fresh(going: Fit, wanted: Cameras, cfg: Config, seed: int, taught: Teaching, step: int) -> dict[str, Tensor]:
    """The term of a step on one view that is repaired for it, at a random place whose reach grows with the steps."""
    rng = generator(seed, "difix3d/view", step)
    which, way = torch.rand(2, generator=rng).tolist()
    target = wanted[int(which * len(wanted))]
    captured = going.capture.cameras()
    reach = way * step / (cfg.steps - cfg.base_steps)
    if taught.known is None or step % _LOOK_AGAIN == 1:
        taught.known = repairing.known_of(going.field, going.capture)
    start = creeping.starts(captured, target, taught.known.unit)
    camera = replace(target, c2w=creeping.between(start, target.c2w, reach))
    taught.lesson = _prepared(going, camera, cfg, taught, step)
    return lessons.term(
        going, taught.lesson, cfg.updates.share, cfg.updates.weight, cfg.fit, generator(seed, "difix3d", step)
    )


def _tuned(
    going: Fit,
    cfg: Config,
    seed: int,
    start: int,
    extra: Callable[[int], dict[str, Tensor]] | None,
    until: int | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """Steps after the base fit, `start` to `until` of them, whose schedules go on or begin anew."""
    going_on, total = extra or _nothing, cfg.steps
    if cfg.updates.schedule == "through":
        before, phase, rest = cfg.base_steps, Phase("teach", 0, total), _base(cfg)
    else:
        # What stereo knows counts as little as it did at the base's end.
        before, phase = 0, Phase("teach", cfg.base_steps, total, first=False, rate=cfg.updates.rate)
        depth = cfg.fit.depth * cfg.fit.depth_end
        rest = replace(cfg.fit, steps=total - cfg.base_steps, depth=depth, depth_end=1.0, distortion_from=0.0)
    last = None if until is None else before + until
    return fit.steps(going, rest, seed, before + start, lambda s: going_on(s - before), until=last, phase=phase)


def _base(cfg: Config) -> photometric.Config:
    """The fit to photos: of all steps where its schedules go through the updates, else of those before the first repair."""
    through = cfg.updates.schedule == "through"
    return replace(cfg.fit, steps=cfg.steps if through else cfg.base_steps)


def _nothing(step: int) -> dict[str, Tensor]:
    del step
    return {}


def _marked(taught: Teaching | None, snapshot: Snapshot) -> Snapshot:
    """The snapshot with what was decided, spent and accepted, and with its lesson."""
    if taught is None:
        return snapshot
    spent, lesson, known = taught.repairer.spent, taught.lesson, taught.known
    numbers = {"strength": taught.strength, "accepted": spent.share}
    costs = {"prior_calls": float(spent.calls), "prior_seconds": spent.seconds}
    # Seconds are no two times the same, and a checkpoint's bytes are.
    kept = {"strength": taught.strength, "calls": spent.calls, "checked": spent.checked, "accepted": spent.accepted}

    def state() -> State:
        out = {**snapshot.state(), _DECIDED: {k: torch.tensor(v, dtype=torch.float64) for k, v in kept.items()}}
        out |= {} if lesson is None else {_LESSON: lesson.to_plain()}
        return out if known is None else {**out, _KNOWN: known.to_plain()}

    def panels() -> dict[str, Tensor]:
        return snapshot.panels() if lesson is None else {**snapshot.panels(), "repaired": lesson.sheet()}

    shown = () if lesson is None else lesson.views()
    return replace(snapshot, facts={**snapshot.facts, **numbers, **costs}, state=state, panels=panels, generated=shown)


@dataclass
class LastPass:
    """A repair of each rendering (section 6 of the specification), with an account of it."""

    repairer: Repairer
    known: Witnesses
    strength: float

    def __call__(self, rendering: Rendering, camera: Cameras, back: Colour, /) -> Tensor:
        """Colours [H, W, 3] of a rendering at a camera of the box frame."""
        return self.repairer.repair(rendering, camera, self.known, back).by(self.strength)

    @property
    def facts(self) -> dict[str, float]:
        """What it cost and what the guard let through."""
        spent = self.repairer.spent
        return {"post_calls": float(spent.calls), "post_seconds": spent.seconds, "post_accepted": spent.share}


@dataclass(frozen=True)
class Filled:
    """A rendering before what the last pass puts behind it, and no more."""

    behind: Tensor | None

    def __call__(self, rendering: Rendering, camera: Cameras, back: Colour, /) -> Tensor:
        """Colours [H, W, 3] of a rendering."""
        return repairing.before(rendering, self.behind, back).rgb

    @property
    def facts(self) -> dict[str, float]:
        """Nothing was asked."""
        return {}


def after(cfg: Config, field: Field, capture: Capture, state: State, device: torch.device) -> After | None:
    """The last pass, as strongly as was found good for this scene; a scene that was never asked about is repaired in full."""
    decided = state.get(_DECIDED, {})
    strength = float(decided["strength"]) if decided else max(cfg.guard.strengths)
    if not cfg.post or strength == 0:
        return Filled(repairing.behind(capture)) if cfg.fill else None
    repairer = Repairer(repairing.of_fixer(load_fixer(cfg.prior, device)), cfg.guard, cfg.references, cfg.passes)
    return LastPass(repairer, repairing.known_of(field, capture), strength)


def estimate(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> Estimate:
    """What the fits cost, and every repair as much as one of noise that is timed here, its renderings as much again."""
    found = cost.estimate(
        partial(rebuild, fix=None),
        lambda cfg: cfg.fit,
        lambda cfg, fitted: replace(cfg, fit=fitted, steps=fitted.steps, teach="never", post=False),
        capture,
        to_user,
        cfg,
        device,
    )
    if not cfg.use_prior:
        return found
    trials = min(cfg.guard.trials, len(capture)) if len(capture) > 1 else 0
    targets = len(cfg.targets) or cfg.updates.targets
    calls = {"never": 0, "rounds": cfg.updates.rounds * targets, "every-step": cfg.steps - cfg.base_steps}
    share = trials * trial.trial_steps(cfg) / cfg.steps
    repairs = (trials + calls[cfg.teach]) * cfg.passes * _WITH_RENDERING * _seconds_of_a_repair(capture, cfg, device)
    # What grows with the steps stays apart from what does not, so that a budget can be turned into steps.
    fits = (found.seconds - found.before) * (1 + share)
    fixed = found.before * (1 + trials) + (0.0 if cfg.teach == "every-step" else repairs)
    growing = fits + (repairs if cfg.teach == "every-step" else 0.0)
    return replace(found, seconds=fixed + growing, before=fixed)


def _seconds_of_a_repair(capture: Capture, cfg: Config, device: torch.device) -> float:
    image = capture.views[0].image
    noise = torch.rand(CHANNELS, image.height, image.width, generator=generator(0, "difix3d/estimate"))
    fixer = load_fixer(cfg.prior, device)
    photos = [noise[:3]] * cfg.references
    fixer(noise, photos)
    started = time.perf_counter()
    fixer(noise, photos)
    return time.perf_counter() - started


def with_prior(cfg: Config, role: str, name: str, weight: float | None) -> Config:
    """The config with another fixer, or another weight of what it repairs."""
    del role
    updates = cfg.updates if weight is None else replace(cfg.updates, weight=weight)
    return replace(cfg, prior=name, updates=updates)


METHOD = Method(
    name="difix3d",
    variants=VARIANTS,
    fields=kinds.FITTED,
    config=Config,
    resolve=resolve,
    field_config=lambda cfg: photometric.field_config(cfg.fit),
    estimate=estimate,
    reconstruct=reconstruct,
    warm_up=partial(warming.warm_up, lambda cfg: cfg.fit),
    roles=("fixer",),
    with_prior=with_prior,
    priors_of=lambda cfg: (cfg.prior,) if cfg.use_prior else (),
    after=after,
)
