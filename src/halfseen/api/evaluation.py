"""Measure a run under a named protocol, and lay runs beside each other that were measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from halfseen.api import finishing
from halfseen.api.rendering import background_of
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import read_json
from halfseen.data import dtu, protocols
from halfseen.data.capture import Capture
from halfseen.export import measured
from halfseen.export.measured import Measured
from halfseen.export.together import together
from halfseen.fields.contract import Field
from halfseen.metrics import lpips as lpips_networks
from halfseen.metrics.protocol import Colour, Distance
from halfseen.runs import provenance
from halfseen.runs import run as runs
from halfseen.runs.fields import load_field
from halfseen.runs.run import Run

# Which views a protocol measures: those that the run's split holds out, the run's own inputs, all of a capture, the targets of
# DTU's few-view protocol at its size, or those of ShapeNet-SRN's with colours truncated to 8 bits (of the subset 11 of them).
HELD_OUT, INPUTS, ALL, DTU, SRN, SRN_SUBSET = "held-out", "inputs", "all", "dtu", "srn", "srn-subset"
PROTOCOLS = (HELD_OUT, INPUTS, ALL, DTU, SRN, SRN_SUBSET)
_LEAST_RUNS = 2


def evaluate(
    run: Run,
    against: Capture | None = None,
    protocol: str | None = None,
    *,
    lpips: Sequence[str] = (),
    inception: Path | None = None,
) -> dict[str, Any]:
    """Numbers of a finished run: on views of a capture that it may not have seen, or without one on its own inputs.

    `lpips` are texts NET=BACKBONE,HEADS with NET alex or vgg, `inception` a file of weights for FID and KID; without weights neither
    is measured, and `absent` says so.
    """
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
    elif name == DTU:
        chosen = _dtu_targets(run, against)
    elif name in (SRN, SRN_SUBSET):
        chosen = _srn_targets(run, against, whole=name == SRN)
    else:
        # Other photos of the same place may be measured in full; which of a capture are inputs is known of the run's own.
        chosen = against if name == ALL else against.select(_held_out(run, against))
    size = max(v.image.width for v in chosen.views) if name == DTU else None
    colour: Colour = "8-bit truncated" if name in (SRN, SRN_SUBSET) else "float"
    found = measure(run, load_field(run), chosen, name, _networks(lpips), size, colour=colour)
    whole = together(found, inception)
    absent = [*whole.absent, *([] if lpips else ["LPIPS: no weights given (--lpips alex=BACKBONE,HEADS)"])]
    return {
        **found.numbers,
        "protocol": {**found.numbers["protocol"], **whole.definitions},
        "mean": {**found.numbers["mean"], **whole.numbers},
        "absent": absent,
    }


def _networks(texts: Sequence[str]) -> dict[str, Distance]:
    """LPIPS networks of NET=BACKBONE,HEADS."""
    out: dict[str, Distance] = {}
    for text in texts:
        name, _, files = text.partition("=")
        backbone, comma, heads = files.partition(",")
        if name not in ("alex", "vgg") or not comma:
            raise UserError(
                "--lpips cannot be read",
                got=quote(text),
                accepted="alex=BACKBONE,HEADS or vgg=BACKBONE,HEADS",
                do="Name the network and both files of weights.",
            )
        out[name] = lpips_networks.load("alex" if name == "alex" else "vgg", Path(backbone), Path(heads))
    return out


def measure(
    run: Run,
    field: Field,
    views: Capture,
    name: str,
    networks: Mapping[str, Distance] | None = None,
    size: int | None = None,
    *,
    finished: bool = True,
    colour: Colour = "float",
) -> Measured:
    """Measure a field on views of the user's frame, at the run's work size unless another is named (longer side, pixels), as the run's
    method shows it unless it is not `finished`."""
    work = size or max(map(max, run.config["work_sizes"]))
    split = f"{run.config['split']['name']}: {len(run.config['split']['train'])} inputs, {len(views)} measured"
    after = finishing.after_of(run, field) if finished else None
    return measured.measure(field, views, work, background_of(run), name, split, networks, after, colour)


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
        found = metrics.get("held_out") or metrics.get("inputs")
        if not isinstance(found, dict) or "photos" not in found:
            raise UserError(
                f"run {quote(str(path))} was measured by an older version",
                got="numbers without a protocol",
                accepted="runs of this version",
                do="Reconstruct it again.",
            )
        stated = found["protocol"]
        kept.append(
            (stated["name"], stated["size"], sorted(found["views"]), stated["mask"], stated["colour"], found["photos"])
        )
        rows.append(
            {
                "run": str(path),
                "method": request["method"],
                "variant": request["variant"],
                "field": request["field"],
                "inputs": metrics["views"],
                "protocol": stated["name"],
                "measured": found["count"],
                **{k: round(v, 4) for k, v in found["mean"].items()},
                "seconds": metrics["seconds"],
            }
        )
    different = [i for i, k in enumerate(kept) if k != kept[0]]
    if different:
        first, other = kept[0], kept[different[0]]
        raise UserError(
            f"runs {quote(rows[0]['run'])} and {quote(rows[different[0]]['run'])} cannot be compared",
            got=f"{len(first[2])} {first[0]} views at {first[1]}, and {len(other[2])} {other[0]} views at {other[1]}",
            accepted="runs measured on the same photos at one size",
            do="Reconstruct with the same --views and --max-size, or use 'halfseen evaluate --against'.",
        )
    return rows


def _held_out(run: Run, capture: Capture) -> list[int]:
    test = [int(i) for i in run.config["split"]["test"]]
    if not test or max(test) >= len(capture) or not provenance.same_inputs(run, capture):
        raise UserError(
            "the run holds nothing out of this capture",
            got=f"{len(test)} held-out views; a capture of {len(capture)} views"
            + ("" if provenance.same_inputs(run, capture) else ", of which the run's inputs are other files"),
            accepted="the capture that the run was made from, with some views left out of the fit",
            do="Name that capture, use --protocol all or inputs, or reconstruct with --views.",
        )
    return test


def _srn_targets(run: Run, capture: Capture, *, whole: bool) -> Capture:
    """The targets of SRN's protocol for a run of its inputs: all that are held out, or the customary few."""
    train = tuple(int(i) for i in run.config["split"]["train"])
    known = [protocols.srn(n) for n in range(1, 1 + len(protocols.SRN_INPUTS))]
    if len(capture) != protocols.SRN_VIEWS or train not in [s.train for s in known]:
        raise UserError(
            "the run is none of SRN's protocol",
            got=f"{len(capture)} views, inputs {','.join(map(str, train))}",
            accepted="; ".join(f"{s.name}: {','.join(map(str, s.train))}" for s in known)
            + f" of {protocols.SRN_VIEWS}",
            do="Reconstruct an object of the test set with --views 1.",
        )
    held = _held_out(run, capture)
    return capture.select(held if whole else [i for i in protocols.SRN_SUBSET if i in held])


def _dtu_targets(run: Run, capture: Capture) -> Capture:
    """The targets of DTU's protocol for a run of its inputs, at its size."""
    train = tuple(int(i) for i in run.config["split"]["train"])
    stated = [s for s in capture.splits if s.name.startswith(f"{DTU}-") and s.train == train]
    if not stated or not provenance.same_inputs(run, capture):
        raise UserError(
            "the run is none of DTU's few-view protocol",
            got=f"inputs {','.join(map(str, train))}",
            accepted="; ".join(f"{s.name}: {','.join(map(str, s.train))}" for s in capture.splits) or "a scan of DTU",
            do="Reconstruct the scan with --views 3, 6 or 9.",
        )
    return dtu.at_protocol_size(capture.select(stated[0].test))
