"""Improve what is there already: a run, or splats that another program trained, taught by repaired views of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from halfseen.api import evaluation
from halfseen.api.reconstruction import describe, fit_run, provenance_of, targets_setting, thinned
from halfseen.api.requests import DEFAULT_MAX_SIZE, device_named, method_config, request_of
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import write_json
from halfseen.data import formats, normalise, splat_files
from halfseen.data import load as loading
from halfseen.data.capture import Capture, Split
from halfseen.data.normalise import Frame
from halfseen.export.measured import Measured
from halfseen.fields import gaussian_files, gaussians, kinds
from halfseen.images.color import WHITE
from halfseen.methods.contract import Estimate, OnCompile
from halfseen.methods.difix3d.algorithm import METHOD
from halfseen.methods.photometric.fit import begun
from halfseen.metrics.image import psnr
from halfseen.poses import framing
from halfseen.runs import provenance
from halfseen.runs import run as runs
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run
from halfseen.runs.snapshot import Snapshot

STEPS = 400
# What improved by how much, in the run's folder.
IMPROVED = "improved.json"
_ALL = "all views of the capture"
# Gaussians that there may be after improving, as a share of those before.
_ROOM = 1.25


def improve(
    source: str | Path,
    *,
    capture: Capture | str | Path | None = None,
    out: str | Path,
    variant: str = "plus",
    steps: int = STEPS,
    max_size: int | None = None,
    seed: int = 0,
    settings: tuple[str, ...] = (),
    priors: tuple[str, ...] = (),
    target_poses: str | Path | None = None,
    device: str = "auto",
    on_compile: OnCompile = lambda done, parts: None,
    on_start: Callable[[Run, Estimate | None], None] = lambda run, estimate: None,
    on_snapshot: Callable[[Snapshot], None] = lambda snapshot: None,
) -> Run:
    """Go on from a run, or from splats (.ply, .splat) in the frame of a capture, by `steps` of difix3d; returns the new run.

    A run brings its own photos; with its capture, what it held out is measured before and after, and never learned from.
    """
    where = device_named(device)
    photos = formats.read([Path(capture)]) if isinstance(capture, str | Path) else capture
    size = max_size or _size_of(Path(source))
    field, selected, held_out, split, frame = _begin(Path(source), photos, size)
    loaded = loading.load(selected, size)
    if not Path(source).is_dir():
        _check_frame(field, selected.select(thinned(range(len(selected)))), size)
    if target_poses is not None:
        settings = (*settings, targets_setting(METHOD, Path(target_poses), selected))
    kind = kinds.kind_of(field)
    request = request_of(METHOD, variant, kind, split, size, seed, steps, settings, priors)
    cfg = method_config(METHOD, request, loaded)
    # The base fit is what is there, and its schedules have ended.
    cfg = replace(
        cfg, base=0.0, updates=replace(cfg.updates, schedule="anew"), fit=replace(cfg.fit, **{kind: _roomy(field)})
    )
    METHOD.warm_up(cfg, loaded, where, on_compile)
    document = describe(METHOD, request, cfg, frame, split, selected, loaded)
    document["assumed"] = [*document["assumed"], f"goes on from {source}"]
    facts = {**provenance_of(selected, request, METHOD.priors_of(cfg)), "goes_on_from": str(source)}
    run = runs.create(Path(out), document, replace(loaded, splits=()), facts)
    # One step of the base fit is left, which says what was decided even where nothing is taught.
    run.save(cfg.base_steps - 1, begun(field))
    shown = held_out if len(held_out) else selected.select(thinned(range(len(selected))))
    name = evaluation.HELD_OUT if len(held_out) else evaluation.INPUTS
    before = _before(run, Path(source), field, shown, name)
    fit_run(run, METHOD, where, on_compile, on_start, on_snapshot, held_out)
    after = evaluation.measure(run, load_field(run), shown, name)
    write_json(run.path / IMPROVED, {"views": name, **compared(before.numbers, after.numbers)})
    return run


def compared(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Means before and after, and what each view gained in dB."""
    gained = {k: round(v["psnr"] - before["views"][k]["psnr"], 3) for k, v in after["views"].items()}
    return {"before": before["mean"], "after": after["mean"], "gained": gained}


def _begin(source: Path, photos: Capture | None, size: int) -> tuple[kinds.AnyField, Capture, Capture, Split, Frame]:
    """(field, inputs, held-out views, split, frame) of what is to be improved."""
    if source.is_dir():
        run = runs.open_run(source)
        field, capture = load_field(run), photos or run.capture()
        assert isinstance(field, kinds.AnyField)
        split = _split_of(run, photos)
        frame = normalise.of_box(run.to_user.inverse(), capture.cameras(), run.config["normalised_by"])
    else:
        if photos is None:
            raise UserError(
                f"{quote(str(source))} needs the photos that it was made from",
                got="no --capture",
                accepted="a capture with cameras in the frame of the splats",
                do="Name it with --capture.",
            )
        capture = photos
        split = Split(_ALL, tuple(range(len(capture))), ())
        frame = framing.measure(loading.load(capture, size))
        field = gaussian_files.field_of(splat_files.read(source), frame.to_box.inverse())
    held_out = capture.select(thinned(split.test))
    return field, capture.select(split.train), held_out, split, frame


def _size_of(source: Path) -> int:
    """The size that a run was asked for; of splats the default."""
    return int(runs.open_run(source).config["request"]["max_size"]) if source.is_dir() else DEFAULT_MAX_SIZE


def _before(run: Run, source: Path, field: kinds.AnyField, shown: Capture, name: str) -> Measured:
    """What is improved, measured as it was shown: a run as its own method shows it, splats as they are."""
    if not source.is_dir():
        return evaluation.measure(run, field, shown, name, finished=False)
    return evaluation.measure(runs.open_run(source), field, shown, name, size=max(map(max, run.config["work_sizes"])))


def _check_frame(field: kinds.AnyField, photos: Capture, size: int) -> None:
    """Refuse splats that are farther from the photos than one colour is: the cameras are those of another frame."""
    render, flat = [], []
    for view in loading.load(photos, size).views:
        assert view.camera is not None
        photo = view.image.read()[..., :3]
        with torch.no_grad():
            shown = field.render(field.to_user.inverse().cameras(view.camera), background=photos.background or WHITE)
        render.append(psnr(shown.rgb, photo))
        flat.append(psnr(photo.mean((0, 1)).expand_as(photo), photo))
    if fmean(render) < fmean(flat):
        raise UserError(
            "the splats do not show what the photos show",
            got=f"{fmean(render):.1f} dB from the photos' cameras; one colour alone has {fmean(flat):.1f}",
            accepted="a capture with cameras in the frame of the splats",
            do="Name the capture that they were made from.",
        )


def _split_of(run: Run, photos: Capture | None) -> Split:
    """The run's own split of its capture; of its own copies everything is an input."""
    if photos is None:
        return Split(_ALL, tuple(range(len(run.capture()))), ())
    if not provenance.same_inputs(run, photos):
        # Among other photos nobody could say which were held out.
        raise UserError(
            "the capture is not the run's",
            got="inputs that are other files",
            accepted="the capture that the run was made from",
            do="Name that one, or leave --capture out: the run has its own photos.",
        )
    stored = run.config["split"]
    return Split(str(stored["name"]), tuple(stored["train"]), tuple(stored["test"]))


def _roomy(field: kinds.AnyField) -> kinds.Config:
    """The field's own config; Gaussians may become a few more."""
    config = field.config
    if isinstance(config, gaussians.Config):
        return replace(config, most=max(config.most, round(_ROOM * config.start)))
    return config
