"""NerfDiff (Gu et al., ICML 2023): an object from one photo.

    W, theta <- a network predicts a triplane from the photo I^s        `object_prior`: the frame is the photo's camera's
    c^pi     <- its renderings at virtual views pi                      what eps_phi(Z^pi, I^s) is told, rendered once
    NGD      <- Algorithm 1 distils eps_phi into (W, theta)             `distil`
    refine   <- the photo at its own size, beside renderings of that    this project's; any kind of field

feedforward      W, theta as they are predicted               sds             a random t at every step
ngd              all                                          diffusion-only  no field: a sample of each view that is asked for
sample-then-fit  every view sampled alone, then fitted        pixelnerf       the rival: features where points fall on the photo
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data.capture import Capture
from halfseen.fields import kinds
from halfseen.fields.contract import After, Field
from halfseen.fields.optimiser import Adam
from halfseen.fields.projection import Projection
from halfseen.fields.triplane import Triplane
from halfseen.methods.contract import Method
from halfseen.methods.nerfdiff import cdm, costing, distil, looking, object_prior, resolving, virtual
from halfseen.methods.nerfdiff.config import PAPER, PAPER_SIZE, VARIANTS, Config
from halfseen.methods.nerfdiff.distil import Views
from halfseen.methods.nerfdiff.looking import Looks
from halfseen.methods.nerfdiff.object_prior import ObjectPrior
from halfseen.methods.photometric import fit, lessons
from halfseen.methods.photometric.fit import Fit, Phase
from halfseen.methods.photometric.lessons import Lesson
from halfseen.priors import samplers
from halfseen.priors.contract import Denoiser, NoiseLevel, noised
from halfseen.runs.snapshot import Knobs, Snapshot, State
from halfseen.worlds import layouts

# Groups of a checkpoint: the virtual views, what the denoiser is told of them, what the refinement learns from, and numbers that are told.
_VIEWS, _LOOKS, _LESSON, _TOLD = "views", "looks", "lesson", "told"
# The time of the look by which agreement is judged.
_HALFWAY = 0.5


@dataclass
class Distillation:
    """Everything that changes from step to step of the distillation, and what it looks at."""

    field: Triplane
    optimiser: Adam
    first: Tensor  # W0
    looks: Looks
    views: Views
    agreement: dict[str, float] = dataclasses.field(default_factory=dict)  # in the end


def reconstruct(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """Predict a field from the first photo of a loaded capture in the box frame and go on as the config says. `state` is (step,
    tensors) of an earlier snapshot."""
    done, tensors = state or (0, None)
    prior = object_prior.load(cfg.prior, device)
    shown = object_prior.shown(capture, prior.config.size, device)
    if not cfg.fits:
        found = object_prior.predicted(prior, shown, to_user, cfg.projection or cfg.fit.triplane)
        yield Snapshot(1, 1, "predict", found, {}, partial(_predicted, found), dict)
        return
    if tensors is None or _LESSON not in tensors:
        if tensors is None:
            field: kinds.AnyField = object_prior.predicted(prior, shown, to_user, cfg.fit.triplane)
        else:
            field = kinds.restore(tensors["field"], to_user, cfg.fit.triplane, device)
        assert isinstance(field, Triplane)
        # What the denoiser is told is rendered as in training, from planes as the network gives them.
        native = replace(cfg.fit.triplane, side=prior.config.size)
        told = None if tensors else object_prior.predicted(prior, shown, to_user, native)
        going = _begin(prior, field, told, shown, capture, cfg, seed, tensors)
        yield from _WAYS[cfg.way](going, prior, cfg, seed, done)
        if cfg.refined == 0:
            return
        tensors = _given(going, prior, cfg, seed)
    yield from _refined(capture, to_user, cfg, seed, device, done, tensors)


def _begin(
    prior: ObjectPrior,
    field: Triplane,
    predicted: Field | None,
    shown: object_prior.Shown,
    capture: Capture,
    cfg: Config,
    seed: int,
    tensors: State | None,
) -> Distillation:
    """Render the predicted field at the virtual views, once, and draw the noise; or what an earlier start came to."""
    optimiser = Adam(field.parameter_groups(), (tensors or {}).get("optimizer"))
    first = field.planes.detach().clone()
    if tensors is not None and _VIEWS in tensors:
        here = {k: v.to(first) for k, v in tensors[_VIEWS].items()}
        looks = looking.restored(tensors[_LOOKS], shown)
        return Distillation(field, optimiser, tensors["first"]["planes"].to(first), looks, Views(**here))
    standing = shown.camera.to(torch.device("cpu"))
    heights = layouts.SPHERE if prior.config.layout == "sphere" else layouts.HEMISPHERE
    cameras = virtual.around(standing, cfg.guidance.layout, cfg.guidance.views, seed, heights).to(shown.camera.c2w)
    assert predicted is not None
    looks = looking.of(predicted, cameras, shown, capture)
    views = distil.start(looks.rendered, cfg.guidance, generator(seed, "nerfdiff/noise"))
    return Distillation(field, optimiser, first, looks, views)


def _ngd(
    going: Distillation, prior: ObjectPrior, cfg: Config, seed: int, done: int
) -> Generator[Snapshot, Knobs | None, None]:
    """Algorithm 1."""
    denoise = _denoise(going, prior, cfg)

    def render() -> Tensor:
        return looking.rendered(going.field, going.looks, shown=going.views.targets)

    for number, t in enumerate(levels(prior, cfg)):
        before = number * cfg.each
        if done >= before + cfg.each:
            continue
        if done <= before:
            going.views = distil.begin(going.views, t, cfg.guidance, denoise, render)
        for step in range(max(done, before) + 1, before + cfg.each + 1):
            loss = _fitted(going, cfg, generator(seed, "nerfdiff/fit", step))
            if step == before + cfg.each:
                going.views = distil.end(going.views, t, cfg.guidance, render)
            yield from fit.shown(_snapshot(going, prior, cfg, seed, step, loss))


def _sample_then_fit(
    going: Distillation, prior: ObjectPrior, cfg: Config, seed: int, done: int
) -> Generator[Snapshot, Knobs | None, None]:
    """Every virtual view is sampled once, alone; then the field is fitted to the samples."""
    if done == 0:
        denoise, x = _denoise(going, prior, cfg), going.views
        grid = levels(prior, cfg)
        start = noised(x.images, x.eps, grid[0].expand(len(x.images)))
        sampled = samplers.ddim(lambda z, level, cond=None: denoise(z, level).clamp(-1, 1), start, grid)
        going.views = replace(x, targets=sampled, images=sampled)
    for step in range(done + 1, cfg.distilled + 1):
        loss = _fitted(going, cfg, generator(seed, "nerfdiff/fit", step))
        yield from fit.shown(_snapshot(going, prior, cfg, seed, step, loss))


def _sds(
    going: Distillation, prior: ObjectPrior, cfg: Config, seed: int, done: int
) -> Generator[Snapshot, Knobs | None, None]:
    """Score distillation: at every step one view is rendered, noised and guessed anew. The gradient w (eps_phi - eps) of a rendering is
    that of w alpha / (2 sigma) |rendering - guess|^2; with w = sigma / alpha it is half the squared distance to the guess."""
    grid = levels(prior, cfg)
    for step in range(done + 1, cfg.distilled + 1):
        rng = generator(seed, "nerfdiff/sds", step)
        which, when = torch.rand(2, generator=rng).tolist()
        view, t = int(which * len(going.views.images)), grid[int(when * len(grid))]
        image = looking.rendered(going.field, going.looks, only=view)
        eps = cfg.guidance.temperature * torch.randn(image.shape, generator=rng).to(image)
        guess = _denoise(going, prior, cfg, only=view)(noised(image, eps, t), t).clamp(-1, 1)
        targets = going.views.targets.clone()
        targets[view] = guess[0]
        going.views = replace(going.views, targets=targets)
        loss = _fitted(going, cfg, rng, only=view)
        yield from fit.shown(_snapshot(going, prior, cfg, seed, step, loss))


_WAYS = {"ngd": _ngd, "sample-then-fit": _sample_then_fit, "sds": _sds}


def levels(prior: ObjectPrior, cfg: Config) -> list[NoiseLevel]:
    """The noise of pictures at each time, from the first to the last."""
    found = cdm.levels(prior.config.cdm, cfg.guidance.first, cfg.guidance.last, cfg.guidance.times)
    return [level.to(prior.device) for level in found]


def _denoise(going: Distillation, prior: ObjectPrior, cfg: Config, only: int | None = None) -> distil.Denoise:
    """eps_phi(Z, I^s), told the first renderings, as guesses of what is under the noise."""
    network: Denoiser = object_prior.denoiser(prior, cfg.prior)
    told = going.looks.told if only is None else going.looks.told[only : only + 1]
    return partial(looking.denoised, network, told, going.looks.photo)


def _fitted(going: Distillation, cfg: Config, rng: torch.Generator, only: int | None = None) -> dict[str, float]:
    """One step on random rays of all targets, the photo among them: mean |I_{theta,W}(r) - I(r)|^2."""
    loss = {"rgb": looking.error(going.field, going.looks, going.views.targets, cfg.guidance, rng, only)}
    if cfg.guidance.pull:
        loss["pull"] = cfg.guidance.pull * (going.field.planes - going.first).square().mean()
    torch.stack(list(loss.values())).sum().backward()
    going.optimiser.step(1.0)
    return {k: v.item() for k, v in loss.items()}


def _snapshot(
    going: Distillation, prior: ObjectPrior, cfg: Config, seed: int, step: int, losses: dict[str, float]
) -> Snapshot:
    def state() -> State:
        return {
            "field": going.field.state(),
            "optimizer": going.optimiser.state(),
            "first": {"planes": going.first},
            _VIEWS: going.views.to_plain(),
            _LOOKS: going.looks.to_plain(),
        }

    panels = partial(looking.panels, going.looks, going.views)
    if step == cfg.distilled:
        going.agreement = _agreement(going, prior, cfg, seed)
    return Snapshot(step, cfg.steps_in_all, "distil", going.field, losses, state, panels, facts=going.agreement)


def _agreement(going: Distillation, prior: ObjectPrior, cfg: Config, seed: int) -> dict[str, float]:
    """What views differ in from the field's renderings of them: `residual`, the last targets, which are little else than renderings where
    blends are whole and times end near 0; `residual_anew`, guesses from fresh noise at half of the time, which doubt what does not look
    like an object. Score distillation has no targets of one time."""
    shown = looking.rendered(going.field, going.looks, whole=True)
    level = cdm.levels(prior.config.cdm, _HALFWAY, _HALFWAY, 1)[0].to(prior.device).expand(len(shown))
    eps = torch.randn(shown.shape, generator=generator(seed, "nerfdiff/anew")).to(shown)
    guess = _denoise(going, prior, cfg)(noised(shown, eps, level), level).clamp(-1, 1)
    pairs = {"residual_anew": guess} | ({} if cfg.way == "sds" else {"residual": going.views.targets})
    return {k: float((v - shown).square().mean()) for k, v in pairs.items()}


def _given(going: Distillation, prior: ObjectPrior, cfg: Config, seed: int) -> State:
    """What the refinement begins with: the distilled planes, and renderings of them to learn from; and what is told of it."""
    # A start that ended with the distillation left no numbers; they are of the field as it was distilled.
    known = going.agreement or _agreement(going, prior, cfg, seed)
    _smoothed(going.field, prior.config.size)
    lesson = looking.lesson(going.field, going.looks, cfg.lessons)
    told = {k: torch.tensor(v, dtype=torch.float64) for k, v in known.items()}
    return {**fit.begun(going.field), _LESSON: lesson.to_plain(), _TOLD: told}


def _smoothed(field: Triplane, size: int) -> None:
    """Planes as fine as the pictures that were distilled, kept on their own cells: what differs from cell to cell between these pictures' rays
    nobody asked for, and larger pictures show it as a weave."""
    with torch.no_grad():
        finer = field.planes.shape[-1] / size
        if finer > 1:
            small = F.interpolate(field.planes, (size, size), mode="area")
            field.planes.copy_(F.interpolate(small, field.planes.shape[-2:], mode="bilinear", align_corners=False))


def _refined(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    device: torch.device,
    done: int,
    tensors: State | None,
) -> Generator[Snapshot, Knobs | None, None]:
    """The photo at its own size, beside renderings of what was distilled: the planes go on, any other field begins here."""
    start = max(done - cfg.distilled, 0)
    lesson = lessons.restored(tensors, _LESSON)
    assert lesson is not None
    assert tensors is not None
    told = tensors[_TOLD]
    warm = tensors if cfg.fit.kind == "triplane" or start > 0 else None
    going = fit.begin(capture, to_user, cfg.fit, seed, device, warm)
    extra = partial(_taught, going, lesson, cfg, seed)
    phase = Phase("refine", cfg.distilled, cfg.steps_in_all)
    facts = {k: float(v) for k, v in told.items()}

    def marked(snapshot: Snapshot) -> Snapshot:
        state = partial(_with_lesson, snapshot, lesson, told)
        return replace(snapshot, state=state, generated=lesson.views(), facts={**snapshot.facts, **facts})

    yield from fit.each(fit.steps(going, cfg.fit, seed, start, extra, phase=phase), marked)


def _taught(going: Fit, lesson: Lesson, cfg: Config, seed: int, step: int) -> dict[str, Tensor]:
    return lessons.term(going, lesson, cfg.share, cfg.weight, cfg.fit, generator(seed, "nerfdiff/refine", step))


def _with_lesson(snapshot: Snapshot, lesson: Lesson, told: dict[str, Tensor]) -> State:
    return {**snapshot.state(), _LESSON: lesson.to_plain(), _TOLD: told}


def _predicted(field: Triplane | Projection) -> State:
    return {"field": field.state()}


def after(cfg: Config, field: Field, capture: Capture, state: State, device: torch.device) -> After | None:
    """Of `diffusion-only`, a sample of the denoiser in the place of each rendering."""
    del state, device
    if cfg.way != "diffusion-only":
        return None
    device = field.parameter_groups()[0]["params"][0].device
    prior = object_prior.load(cfg.prior, device)
    shown = object_prior.shown(capture, prior.config.size, device)
    network = object_prior.denoiser(prior, cfg.prior)
    known = looking.witness(field, shown, capture)
    return looking.Sampled(network, levels(prior, cfg), shown, known, prior.config.size, prior.multiple, cfg.guidance)


METHOD = Method(
    name="nerfdiff",
    variants=VARIANTS,
    fields=("triplane", "hashgrid", "gaussians"),
    config=Config,
    resolve=resolving.resolve,
    field_config=resolving.field_config,
    estimate=partial(costing.estimate, reconstruct),
    reconstruct=reconstruct,
    warm_up=costing.warm_up,
    one_photo=True,
    roles=("object",),
    priors_of=lambda cfg: (cfg.prior,),
    with_prior=resolving.with_prior,
    after=after,
    notes_of=resolving.notes_of,
    paper=PAPER,
    paper_size=PAPER_SIZE,
)
