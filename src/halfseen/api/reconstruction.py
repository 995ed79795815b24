"""From a capture to a finished run: choose views, decode, find the box, fit, measure. Also how a run is gone on with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from halfseen.api import choosing, evaluation, posing
from halfseen.api.requests import (
    AUTO,
    LEAST_STEPS,
    Request,
    default_out,
    device_named,
    method_config,
    method_for,
    method_named,
    no_such,
    request_of,
)
from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.common.log import logger
from halfseen.common.threads import peak_memory_mib
from halfseen.data import formats, normalise, protocols, transforms_camera
from halfseen.data import load as loading
from halfseen.data.capture import Capture, Split
from halfseen.data.normalise import Frame
from halfseen.export.measured import headline
from halfseen.fields import kinds
from halfseen.images import io
from halfseen.methods.contract import Estimate, Method, OnCompile
from halfseen.methods.difix3d import creeping
from halfseen.poses import foreground, framing, one_photo
from halfseen.priors import weights
from halfseen.runs import provenance
from halfseen.runs import run as runs
from halfseen.runs.fields import load_field
from halfseen.runs.record import record
from halfseen.runs.run import Run
from halfseen.runs.snapshot import Snapshot

# The setting of methods that look from cameras that a user may name.
TARGETS = "targets"
# The most steps that a budget may become.
_MOST_STEPS = 10**7
# Mask values above this count as valid photo.
_VALID = 0.5
# Renderings that are less opaque than this on the mean show nothing.
_EMPTY = 0.01
# Views that are rendered for the score of a run, inputs and held-out ones each, and those that are shown in previews/.
MAX_MEASURED, SHOWN_HELD_OUT = 6, 3
HELD_OUT = "held-out.png"


def reconstruct(
    capture: Capture | str | Path,
    *,
    out: str | Path | None = None,
    method: str = "auto",
    variant: str | None = None,
    profile: str = "small",
    field: str | None = None,
    views: int | None = None,
    view_ids: Sequence[int] | None = None,
    split_by: str | None = None,
    max_size: int | None = None,
    steps: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    settings: tuple[str, ...] = (),
    priors: tuple[str, ...] = (),
    target_poses: str | Path | None = None,
    poses: str | Path | None = None,
    fov: float | None = None,
    distance: float | None = None,
    on_compile: OnCompile = lambda done, parts: None,
    on_start: Callable[[Run, Estimate | None], None] = lambda run, estimate: None,
    on_snapshot: Callable[[Snapshot], None] = lambda snapshot: None,
) -> Run:
    """Rebuild a scene into the run folder `out` and return the finished run.

    A `budget` in seconds becomes a number of steps by timing a few of them here, so that the run can be repeated by its steps;
    with `steps`, whichever ends first. Photos are fitted at `max_size` pixels on their longer side (256, or what the method's paper has
    where `profile` is paper). Cameras of photos that have none are those of the file `poses`, or found by what the photos share. A single photo gets one: `fov` degrees wide, `distance` units before the object. `target_poses` is a file of cameras that repaired views look from. A run that is resumed keeps the number of steps that its budget came to.
    """
    if not isinstance(capture, Capture):
        capture = formats.read([Path(capture)])
    path = Path(out) if out is not None else default_out(capture.folder.resolve().name, method, capture)
    before = runs.open_run(path) if resume else None
    if before is not None and method == AUTO:
        method = str(before.config["request"]["method"])
    _check(chosen := method_for(method, capture), variant, profile, capture)
    capture = posing.with_cameras(capture, chosen, fov, distance, None if poses is None else Path(poses), seed)
    split = _split(capture, views, view_ids, split_by, before)
    free = method == AUTO and not (variant or settings or priors) and profile == "small"
    taken = choosing.choose(capture.select(split.train), field) if free else None
    if taken is not None:
        chosen, variant, field = method_named(taken.method), taken.variant, taken.field
        capture = capture.noted(taken.said)
    if chosen.cut_out or _cut_out(before) or (taken is not None and taken.alone):
        capture = foreground.cut_out(capture, {*split.train, *thinned(split.test)})
    if target_poses is not None:
        settings = (*settings, targets_setting(chosen, Path(target_poses), capture))
    request = request_of(chosen, variant, field, split, max_size, seed, steps, settings, priors, profile)
    where = device_named(device)
    if before is None:
        run = _create(path, chosen, request, capture, split, where, budget, on_compile)
    else:
        run = _reopen(before, chosen, request, capture, split)
    if not run.finished:
        fit_run(run, chosen, where, on_compile, on_start, on_snapshot, capture.select(thinned(split.test)))
    return run


def _split(
    capture: Capture, views: int | None, view_ids: Sequence[int] | None, split_by: str | None, before: Run | None
) -> Split:
    """Which views are the inputs: as asked for, or as a run that is gone on with had it."""
    if before is not None and views is None and view_ids is None and split_by is None:
        return _split_of(before, len(capture))
    return protocols.choose(capture, views, view_ids, split_by)


def _cut_out(before: Run | None) -> bool:
    """Whether a run that is gone on with is of an object, which its own inputs say."""
    return before is not None and before.capture().mask_role == "object"


def _check(method: Method, variant: str | None, profile: str, capture: Capture) -> None:
    """What is wrong already, before cameras are searched for."""
    if variant is not None and variant not in (known := tuple(method.profiles.get(profile, method.variants))):
        raise no_such(method, "variant", variant, known)
    if method.one_photo and len(capture) > 1 and not capture.posed:
        raise UserError(
            f"method {method.name} takes one photo",
            got=f"{len(capture)} photos without cameras",
            accepted="one photo, or photos with cameras of which --view-ids names one",
            do="Name one photo alone, or take another --method.",
        )


def _create(
    path: Path,
    method: Method,
    request: Request,
    capture: Capture,
    split: Split,
    device: torch.device,
    budget: float | None,
    on_compile: OnCompile,
) -> Run:
    """Decode the inputs and write a new run folder. What the method later reads are the files written here."""
    selected = capture.select(split.train)
    selected.cameras()
    loaded = loading.load(selected, request.max_size)
    if method.one_photo:
        loaded = one_photo.as_photo(loaded)
    _check_masks(loaded)
    cfg = method_config(method, request, loaded)
    for name in method.priors_of(cfg):
        # A wrong name is said before kernels are compiled.
        weights.file_of(name)
    method.warm_up(cfg, loaded, device, on_compile)
    frame = framing.measure(loaded)
    if budget is not None:
        steps, loaded = _within(budget, method, cfg, loaded, frame, device)
        steps = min(request.steps or _MOST_STEPS, steps)
        # What a method makes of its number of steps is made of this one.
        cfg = method_config(method, replace(request, steps=steps), loaded)
    document = describe(method, request, cfg, frame, split, selected, loaded)
    return runs.create(
        path, document, replace(loaded, splits=()), provenance_of(selected, request, method.priors_of(cfg))
    )


def describe(
    method: Method, request: Request, cfg: Any, frame: Frame, split: Split, selected: Capture, loaded: Capture
) -> dict[str, Any]:
    """The config.json of a run of views as they are `selected`, and as they were `loaded`."""
    sizes = [(v.image.width, v.image.height) for v in selected.views]
    targets = getattr(cfg, TARGETS, ())
    asked = [f"repaired views look from {len(targets)} cameras that were given"] if targets else []
    if not targets and getattr(cfg, "teach", "never") != "never":
        asked = ["repaired views look from cameras that are made around the photos'; no held-out camera is used"]
    return {
        "request": configs.to_plain(request),
        "method": configs.to_plain(cfg),
        "field": _field(method.field_config(cfg)),
        "to_user": frame.to_box.inverse().to_plain(),
        "normalised_by": frame.source,
        "background": None if loaded.background is None else list(loaded.background),
        "split": asdict(split),
        "photo_sizes": sorted(set(sizes)),
        "work_sizes": sorted({(v.image.width, v.image.height) for v in loaded.views}),
        "assumed": [*loaded.notes, *asked, *method.notes_of(cfg)],
    }


def _field(config: kinds.Config) -> dict[str, Any]:
    """A field's config as config.json has it. It tells its own kind: some variants predict another than was asked for."""
    return {"kind": kinds.kind_of_config(config), "config": configs.to_plain(config)}


def targets_setting(method: Method, path: Path, capture: Capture) -> str:
    """The setting of wanted cameras, from a file in the capture's own frame; without sizes in it they take those of the photos."""
    if TARGETS not in {f.name for f in fields(method.config)}:
        raise UserError(
            f"method {method.name} looks from no cameras of its own",
            got="--target-poses",
            accepted="a method that repairs views: difix3d",
            do="Leave it out, or change --method.",
        )
    image = capture.views[0].image
    cameras, notes = transforms_camera.read_file(path, (image.width, image.height))
    for note in notes:
        logger.info("%s: %s", path.name, note)
    return f"{TARGETS}={json.dumps(creeping.of(cameras))}"


def _within(
    budget: float, method: Method, cfg: Any, loaded: Capture, frame: Frame, device: torch.device
) -> tuple[int, Capture]:
    """As many steps as the budget (seconds) allows on this machine; the capture says so where it allows none."""
    if not budget > 0:
        raise UserError("--budget is too small", got=f"{budget:g} s", accepted="more than 0", do="Write --budget 5m.")
    estimate = method.estimate(normalise.move(loaded, frame.to_box), frame.to_box.inverse(), cfg, device)
    left = budget - estimate.before
    if left < 0:
        loaded = loaded.noted(
            f"the budget of {budget:.0f} s is less than the {estimate.before:.0f} s before the first step: it takes longer"
        )
    return max(LEAST_STEPS, int(cfg.steps * left / (estimate.seconds - estimate.before))), loaded


def _check_masks(capture: Capture) -> None:
    """A mask that leaves nothing of a photo makes that photo useless, and a fit on it meaningless."""
    for view in capture.views:
        if view.mask is not None and not bool((view.mask.read_grey() > _VALID).any()):
            raise UserError(
                f"the mask of {quote(view.name)} leaves nothing of the photo",
                got="a mask that is black everywhere",
                accepted="masks that are white where the photo counts",
                do="Correct the mask, or leave the photo out with --view-ids.",
            )


def _reopen(run: Run, method: Method, request: Request, capture: Capture, split: Split) -> Run:
    """A run to go on with; it must have been asked for the same thing on the same photos."""
    asked = configs.to_plain(request)
    defaults = request_of(method, None, None, split, None, 0, None, (), profile=request.profile)
    omitted = {**configs.to_plain(defaults), "profile": "small"}
    stored = run.config.get("request", {})
    # What is left at its default is taken from the run; only a contradiction is refused.
    different = [k for k in asked if asked[k] != stored.get(k) and (k == "method" or asked[k] != omitted[k])]
    if different:
        raise UserError(
            f"run {quote(str(run.path))} was started with other settings",
            got=", ".join(f"{k}={asked[k]}" for k in different),
            accepted=", ".join(f"{k}={stored.get(k)}" for k in different),
            do="Use the same settings, or another --out.",
        )
    if not provenance.same_inputs(run, capture):
        raise UserError(
            f"run {quote(str(run.path))} was started from other photos",
            got="files that differ",
            accepted="the same files",
            do="Use another --out.",
        )
    return run


def fit_run(
    run: Run,
    method: Method,
    device: torch.device,
    on_compile: OnCompile,
    on_start: Callable[[Run, Estimate | None], None],
    on_snapshot: Callable[[Snapshot], None],
    held_out: Capture,
) -> None:
    """Fit a run that was created, from its last checkpoint on where it has one, and measure it."""
    capture = loading.load(run.capture(), max(map(max, run.config["work_sizes"])))
    to_user = run.to_user
    boxed = normalise.move(capture, to_user.inverse())
    cfg: Any = configs.from_plain(method.config, run.config["method"], "config.json: method")
    state = run.load() if run.checkpoints() else None
    spent = run.seconds()
    if state:
        method.warm_up(cfg, capture, device, on_compile, fresh=False)
    on_start(run, None if state else method.estimate(boxed, to_user, cfg, device))
    run.event("resume" if state else "start", step=state[0] if state else 0, device=str(device))
    started, last = time.monotonic(), None
    seed = int(run.config["request"]["seed"])
    with closing(record(run, method.reconstruct(boxed, to_user, cfg, seed, device=device, state=state))) as recorded:
        for snapshot in recorded:
            last = snapshot
            on_snapshot(snapshot)
    _finish(run, capture, held_out, last, spent + time.monotonic() - started)


def _split_of(run: Run, views: int) -> Split:
    """The split that a run was started with."""
    stored = run.config["split"]
    ids = [*stored.get("train", []), *stored.get("test", [])]
    if not ids or max(ids) >= views:
        raise UserError(
            "the capture is not the run's",
            got=f"{views} views",
            accepted=f"at least {max(ids, default=0) + 1}",
            do="Name the same capture.",
        )
    return Split(str(stored.get("name")), tuple(stored["train"]), tuple(stored["test"]))


def thinned(ids: Sequence[int]) -> list[int]:
    """At most `MAX_MEASURED` of some views, evenly spread."""
    return list(ids) if len(ids) <= MAX_MEASURED else list(protocols.spread(ids, MAX_MEASURED))


def _finish(run: Run, capture: Capture, held_out: Capture, last: Snapshot | None, seconds: float) -> None:
    """Measure the fit on its own inputs and on views that were held out, and close the run."""
    field = last.field if last is not None else load_field(run)
    shown_inputs = capture.select(thinned(range(len(capture))))
    found = evaluation.measure(run, field, shown_inputs, evaluation.INPUTS)
    metrics: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "peak_memory_mib": peak_memory_mib(),
        "work_sizes": run.config["work_sizes"],
        "photo_sizes": run.config["photo_sizes"],
        "views": len(capture),
        "opacity_inputs": round(found.opacity, 4),
        "psnr_inputs": round(headline(found.numbers), 3),
        "inputs": found.numbers,
    }
    if found.opacity < _EMPTY:
        logger.warning("the fit ended with nothing in it: its renderings are %.1f %% opaque", 100 * found.opacity)
    if len(held_out):
        held = evaluation.measure(run, field, held_out, evaluation.HELD_OUT)
        metrics |= {"psnr_held_out": round(headline(held.numbers), 3), "held_out": held.numbers}
        _show([(p.truth, p.rendered) for p in held.pairs], run.path / runs.PREVIEWS / HELD_OUT)
    run.finish(metrics)
    run.event("finished", **{k: v for k, v in metrics.items() if k in ("psnr_inputs", "psnr_held_out", "seconds")})


def _show(pairs: list[tuple[torch.Tensor, torch.Tensor]], path: Path) -> None:
    """A sheet of the first few, photos above renderings."""
    alike = [p for p in pairs if p[0].shape == pairs[0][0].shape][:SHOWN_HELD_OUT]
    io.write_png(path, torch.cat([torch.cat([p[row] for p in alike], 1) for row in (0, 1)], 0))


def provenance_of(capture: Capture, request: Request, priors: tuple[str, ...]) -> dict[str, Any]:
    """Where a run comes from."""
    known = weights.told(priors)
    return {
        **provenance.describe(capture),
        "method": request.method,
        "variant": request.variant,
        "priors": known,
        "seed": request.seed,
        "invented": "what no photo saw follows the prior" if known else "nothing: no prior was used",
    }
