"""Measure a run under a named protocol, and lay runs beside each other that were measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from halfseen.api.rendering import background_of
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import read_json
from halfseen.data import load as loading
from halfseen.data.capture import Capture
from halfseen.export import frames as framing
from halfseen.fields.contract import Field
from halfseen.metrics import protocol as protocols
from halfseen.metrics.protocol import Pair, Protocol
from halfseen.runs import run as runs
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

# Which views a protocol measures: those that the run's split holds out, the run's own inputs, or all of a capture.
HELD_OUT, INPUTS, ALL = "held-out", "inputs", "all"
PROTOCOLS = (HELD_OUT, INPUTS, ALL)
# Mask values above this belong to the object, or are valid.
_INSIDE = 0.5
_LEAST_RUNS = 2


def evaluate(run: Run, against: Capture | None = None, protocol: str | None = None) -> dict[str, Any]:
    """Numbers of a finished run: on views of a capture that it may not have seen, or without one on its own inputs."""
    name = protocol or (INPUTS if against is None else HELD_OUT)
    if name not in PROTOCOLS:
        raise UserError("the protocol is not known", got=quote(name), accepted=", ".join(PROTOCOLS), do="Choose one.")
    if name == INPUTS:
        chosen = run.capture()
    elif against is None:
        raise UserError(
            f"protocol {name} needs the capture",
            got="no --against",
            accepted="the folder that the run was made from",
            do="Name it with --against, or use --protocol inputs.",
        )
    else:
        chosen = against if name == ALL else against.select(_held_out(run, len(against)))
    return measure(run, load_field(run), chosen, name)[0]


def measure(run: Run, field: Field, views: Capture, name: str) -> tuple[dict[str, Any], list[tuple[Tensor, Tensor]]]:
    """Measure a field on views of the user's frame at the run's work size. Also returns (photo, rendering) of each view."""
    background = run.config.get("background")
    work = max(map(max, run.config["work_sizes"]))
    behind = views.background if background is None else (background[0], background[1], background[2])
    loaded = loading.load(replace(views, background=behind), work)
    frames = framing.render(field, None, loaded.cameras(), background_of(run))
    role = loaded.mask_role
    # A photo without a validity mask is known everywhere; an object's masks are there for all photos, or no use.
    some = [v.mask is not None for v in loaded.views]
    masked = any(some) if role == "valid" else role is not None and all(some)
    pairs, shown = [], []
    for view, frame in zip(loaded.views, frames, strict=True):
        photo = view.image.read()[..., :3]
        known = torch.ones(photo.shape[:2]) if view.mask is None else view.mask.read_grey()
        inside = known > _INSIDE if masked else None
        alone, valid = (inside, None) if role == "object" else (None, inside)
        pairs.append(Pair(view.name, frame.rgb, photo, alone, valid))
        shown.append((photo, frame.rgb))
    mask = f"{role} mask > {_INSIDE}" if masked else protocols.NO_MASK
    split = f"{run.config['split']['name']}: {len(run.config['split']['train'])} inputs, {len(pairs)} measured"
    sizes = {(p.truth.shape[1], p.truth.shape[0]) for p in pairs}
    size = next(iter(sizes)) if len(sizes) == 1 else None
    return protocols.measure(pairs, Protocol(name, split, size, mask)), shown


def headline(measured: dict[str, Any]) -> float:
    """The PSNR that counts: over the pixels that the photos know, where they do not know all, else over whole pictures."""
    mean = measured["mean"]
    return float(mean["psnr_valid"] if "psnr_valid" in mean else mean["psnr"])


def compare(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One row for each run, of numbers that stand under one protocol on the same views; anything else is refused."""
    if len(paths) < _LEAST_RUNS:
        raise UserError("compare needs runs", got=str(len(paths)), accepted="two or more", do="Name their folders.")
    rows, kept = [], []
    for path in paths:
        run = runs.open_run(path)
        if not run.finished:
            raise UserError(
                f"run {quote(str(path))} is not finished",
                got="no metrics.json",
                accepted="finished runs",
                do="Resume it, or leave it out.",
            )
        metrics, request = read_json(path / runs.METRICS), run.config["request"]
        measured = metrics.get("held_out") or metrics.get("inputs")
        if not isinstance(measured, dict):
            raise UserError(
                f"run {quote(str(path))} was measured by an older version",
                got="numbers without a protocol",
                accepted="runs of this version",
                do="Reconstruct it again.",
            )
        stated = measured["protocol"]
        kept.append((stated["name"], stated["size"], sorted(measured["views"]), stated["mask"], stated["colour"]))
        rows.append(
            {
                "run": str(path),
                "method": request["method"],
                "variant": request["variant"],
                "field": request["field"],
                "inputs": metrics["views"],
                "protocol": measured["protocol"]["name"],
                "measured": measured["count"],
                **{k: round(v, 4) for k, v in measured["mean"].items()},
                "seconds": metrics["seconds"],
            }
        )
    different = [i for i, k in enumerate(kept) if k != kept[0]]
    if different:
        first, other = kept[0], kept[different[0]]
        raise UserError(
            f"runs {quote(rows[0]['run'])} and {quote(rows[different[0]]['run'])} cannot be compared",
            got=f"{len(first[2])} {first[0]} views at {first[1]}, and {len(other[2])} {other[0]} views at {other[1]}",
            accepted="runs measured on the same views at one size",
            do="Reconstruct with the same --views and --max-size, or use 'halfseen evaluate --against'.",
        )
    return rows


def _held_out(run: Run, views: int) -> list[int]:
    test = [int(i) for i in run.config["split"]["test"]]
    if not test or max(test) >= views:
        raise UserError(
            "the run holds nothing out of this capture",
            got=f"{len(test)} held-out views, {views} views in the capture",
            accepted="the capture that the run was made from, with some views left out of the fit",
            do="Use --protocol all or inputs, or reconstruct with --views.",
        )
    return test
