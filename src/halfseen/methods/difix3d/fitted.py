"""Pairs to learn repair from, made as the paper makes them: fits of too few photos, or too short ones, beside photos they did not see.

sparse     fit some views, render the others
underfit   fit most views for a part of the schedule, render the others
cycle      a drive: fit it, render it from the side, fit these renderings, and render the first way by that fit
cross      a rig of cameras: fit one, render the others
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import derive_seed, generator
from halfseen.data import formats, normalise, protocols
from halfseen.data import load as loading
from halfseen.data.capture import Capture, PictureArray
from halfseen.fields.contract import Field
from halfseen.images import resize
from halfseen.methods.difix3d import inputs, pair_files, repairing
from halfseen.methods.difix3d.pair_files import Row
from halfseen.methods.difix3d.pairs import Pair, as_bytes, packed
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric import fit
from halfseen.methods.photometric.config import BASIC, CLASSIC
from halfseen.metrics.image import psnr
from halfseen.poses import framing
from halfseen.worlds import sample
from halfseen.worlds.corrupt import Camera
from halfseen.worlds.families import Family, by_name
from halfseen.worlds.seeds import Purpose, seed_of

Strategy = Literal["sparse", "underfit", "cycle", "cross"]
Kind = Literal["hashgrid", "gaussians"]
STRATEGIES: tuple[Strategy, ...] = ("sparse", "underfit", "cycle", "cross")
# Shares of the schedule at which a sparse fit is looked at, and the range of those of underfitting.
_LOOKS, _UNDER = {"gaussians": (0.5, 0.75, 1.0), "hashgrid": (0.5, 1.0)}, (0.4, 0.8)
# Inputs of a sparse fit (the paper's 4 to 16 are of hundreds of photos), and every how many views one is held out of underfitting.
_INPUTS, _HELD = (3, 3, 4, 6), 4
# Share of places that are photographed from one side: a few views from all around leave nothing to repair.
_FORWARD = 0.95
# PSNR (dB) between which a rendering teaches repair: below are views of what no photo saw, grey beside the truth.
_TEACHES = (13.0, 36.0)
DRIVES = ("cycle", "cross")
# Share of sparse fits whose inputs are evenly spread, as protocols have them; the others' are drawn.
_EVENLY = 0.5
# The worst of what worlds lack: stops of exposure, degrees and world units that poses are off (the last two mostly much less).
_STOPS, _POSE_DEGREES, _POSE_DISTANCE = 0.1, 0.3, 0.01
# Share of worlds whose fitted photos have what a camera adds to each alone: defocus, noise, JPEG. The truth has none of it, and colours
# that change from photo to photo beyond `_STOPS` no fixer could foresee.
_PHOTOGRAPHED, _CAMERA = 0.5, Camera(exposure=0.0, white_balance=0.0, tone=0.0, desaturate=0.0)
# Cameras of a rig that takes turns (`drive`), and which of them is fitted; how far to the side a drive is rendered, in its steps.
_RIG, _MIDDLE, _ASIDE = 3, 1, (0.5, 2.5)
# Share of fits with the losses of `classic`; the others have colours alone.
_CLASSIC = 0.8


@dataclass(frozen=True)
class Job:
    """One fit, or two, and the pairs that come of it."""

    strategy: Strategy
    kind: Kind
    number: int  # decides whatever is drawn
    family: str = ""  # a world; else
    capture: str = ""  # a capture's folder
    purpose: Purpose = "train"
    part: Literal["train", "test"] = "train"
    views: int = 14
    width: int = 160
    height: int = 128
    steps: int = 300
    # Pairs that are kept of each look at a fit.
    each: int = 6
    references: int = 1


def make(job: Job, folder: Path) -> None:
    """All pairs of a job, into a new folder."""
    rng = generator(0, f"fitted/{job.purpose}/{job.strategy}", job.number)
    capture, taken = _captures(job, rng)
    train, targets = _split(job, len(capture), rng)
    looks = {max(1, round(job.steps * s)) for s in _LOOKS[job.kind]}
    if job.strategy == "underfit":
        share = _UNDER[0] + (_UNDER[1] - _UNDER[0]) * float(torch.rand((), generator=rng))
        looks = {max(1, round(job.steps * share))}
    chosen = _photographed(taken.select(train), rng)
    if job.strategy == "cycle":
        chosen, looks = _from_the_side(job, chosen, rng), {job.steps}
    rows = []
    for step, field, boxed in _fitted(job, chosen, looks, rng):
        rows += _looked_at(job, field, boxed, capture.select(targets), step, rng)
    pair_files.write(folder, rows, job.part)


def _captures(job: Job, rng: torch.Generator) -> tuple[Capture, Capture]:
    """(truths, photos to fit) of the same views, decoded: photos of worlds have errors of pose and exposure, which no fixer could foresee
    in a truth."""
    size = max(job.width, job.height)
    if job.capture:
        read = loading.load(formats.read([Path(job.capture)]), size)
        return read, read
    family = by_name(job.family)
    layout = "drive" if job.strategy in DRIVES else _layout(family, rng)
    if job.strategy in DRIVES and family.name != "outdoor":
        raise UserError(
            "this strategy needs a drive", got=quote(job.family), accepted="the family outdoor", do="Change --families."
        )
    much = float(torch.rand((), generator=rng))
    flaws = sample.Imperfect(_POSE_DEGREES * much**2, _POSE_DISTANCE * much**2, _STOPS * much)
    made = [
        sample.capture(
            family,
            seed_of(job.purpose, job.number),
            layout=layout,
            views=job.views,
            size=(job.width, job.height),
            imperfect=imperfect,
        )
        for imperfect in (sample.Imperfect(), flaws)
    ]
    truths, photos = (loading.load(m, size) for m in made)
    return truths, photos


def _photographed(capture: Capture, rng: torch.Generator) -> Capture:
    """The photos of a world that is fitted as a camera might have taken them, in a share of worlds; captures have been taken."""
    seed = int(torch.randint(2**31, (), generator=rng))
    if capture.layout != "world" or float(torch.rand((), generator=rng)) >= _PHOTOGRAPHED:
        return capture
    views = []
    for i, view in enumerate(capture.views):
        mask = None if view.mask is None else view.mask.read_grey()
        taken = sample.photographed(view.image.read()[..., :3], mask, _CAMERA, generator(seed, "fitted/photo", i))
        views.append(replace(view, image=PictureArray(taken)))
    return replace(capture, views=tuple(views))


def _layout(family: Family, rng: torch.Generator) -> str | None:
    """Where sparse and short fits are photographed from (None: as the family has it)."""
    if family.background != "environment":
        return "hemisphere"
    return "forward" if float(torch.rand((), generator=rng)) < _FORWARD else None


def _split(job: Job, count: int, rng: torch.Generator) -> tuple[list[int], list[int]]:
    """(fitted, rendered) views of a job."""
    everyone = list(range(count))
    if job.strategy == "cycle":
        middle = everyone[_MIDDLE::_RIG]
        return middle, middle
    if job.strategy == "cross":
        return everyone[_MIDDLE::_RIG], [i for i in everyone if i % _RIG != _MIDDLE]
    if job.strategy == "underfit":
        first = int(torch.randint(_HELD, (), generator=rng))
        return [i for i in everyone if i % _HELD != first], everyone[first::_HELD]
    wanted = min(_INPUTS[int(torch.randint(len(_INPUTS), (), generator=rng))], count - 1)
    if float(torch.rand((), generator=rng)) < _EVENLY:
        train = list(protocols.spread(everyone, wanted))
    else:
        train = torch.randperm(count, generator=rng)[:wanted].sort().values.tolist()
    return train, [i for i in everyone if i not in train]


def _fitted(job: Job, capture: Capture, looks: set[int], rng: torch.Generator) -> Iterator[tuple[int, Field, Capture]]:
    """A fit that is looked at: (step, field, inputs in the box frame)."""
    frame = framing.measure(capture)
    boxed, to_user = normalise.move(capture, frame.to_box), frame.to_box.inverse()
    chosen = CLASSIC if float(torch.rand((), generator=rng)) < _CLASSIC else BASIC
    cfg = photometric.resolve(replace(chosen, steps=job.steps), boxed, job.kind)
    seed = derive_seed(0, f"fitted/{job.strategy}", job.number)
    going = fit.begin(boxed, to_user, cfg, seed, torch.device("cpu"))
    for snapshot in fit.steps(going, cfg, seed, 0, until=max(looks)):
        if snapshot.step in looks:
            yield snapshot.step, snapshot.field, boxed


def _from_the_side(job: Job, capture: Capture, rng: torch.Generator) -> Capture:
    """Renderings of a fit of a way, from beside it."""
    *_, (_, field, boxed) = _fitted(job, capture, {job.steps}, rng)
    cameras = capture.cameras()
    step = float((cameras.centres[1:] - cameras.centres[:-1]).norm(dim=-1).median())
    aside = _ASIDE[0] + (_ASIDE[1] - _ASIDE[0]) * float(torch.rand((), generator=rng))
    side = (-1) ** int(torch.randint(2, (), generator=rng))
    c2w = cameras.c2w.clone()
    c2w[:, :3, 3] += side * aside * step * c2w[:, :3, 0]
    moved = replace(cameras, c2w=c2w)
    views = []
    for i, view in enumerate(capture.views):
        with torch.no_grad():
            shown = field.render(field.to_user.inverse().cameras(moved[i]), background=repairing.background(boxed))
        views.append(replace(view, image=PictureArray(shown.rgb.clamp(0, 1)), camera=moved[i], mask=None, depth=None))
    return replace(capture, views=tuple(views), points=None, mask_role=None)


def _looked_at(job: Job, field: Field, boxed: Capture, targets: Capture, step: int, rng: torch.Generator) -> list[Row]:
    """The pairs of one look: renderings of some targets beside their photos."""
    known, back = repairing.known_of(field, boxed), repairing.background(boxed)
    some = torch.randperm(len(targets), generator=rng)[: job.each].tolist()
    rows = []
    for i in some:
        view = targets.views[i]
        assert view.camera is not None
        camera = field.to_user.inverse().cameras(view.camera)
        with torch.no_grad():
            rendering = repairing.before(field.render(camera, background=back), known.behind, back)
            shown = inputs.shown(rendering, camera, known)
        truth = view.image.read()[..., :3]
        quality = psnr(shown[:3].movedim(0, -1), truth)
        if not _TEACHES[0] < quality < _TEACHES[1]:
            continue
        near = inputs.order(known, camera)[: job.references]
        references = torch.stack([_sized(known.photos[n], job) for n in near])
        pair = Pair(packed(shown), as_bytes(truth.movedim(-1, 0)), as_bytes(references.movedim(-1, 1)))
        facts = {"strategy": job.strategy, "field": job.kind, "severity": step / job.steps, "psnr": round(quality, 3)}
        rows.append(Row(f"{step:06d}-{i:04d}", pair, facts))
    return rows


def _sized(photo: Tensor, job: Job) -> Tensor:
    """A reference [H, W, 3] at the one size that all of a training have; another aspect is stretched."""
    return resize.resize(photo, job.width, job.height)
