"""Claims as sets of cells: (claim, row, scene, views, seed). Each is computed once, kept as a small JSON, and never twice.

Rows get equal chances: the same steps, size and views. Scenes are worlds of claims seeds, which nothing is trained on, and real
captures where they are at hand.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from halfseen.bench import kinds, objects, rows
from halfseen.bench.kinds import Settings, Tier
from halfseen.bench.rows import Row
from halfseen.common.config import to_plain
from halfseen.common.files import sha256, write_text
from halfseen.common.jsonfile import read_json
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture, Split
from halfseen.export.measured import measure, photos
from halfseen.export.together import together
from halfseen.images import color
from halfseen.methods.contract import OnCompile
from halfseen.poses import framing, one_photo
from halfseen.priors.weights import file_of, shipped_names
from halfseen.runs.snapshot import Snapshot

CELLS = "cells"
# What the floor of SWD is, for the protocol of a cell.
_FLOOR = "SWD between every second photo and the rest, of all that are held out"


@dataclass(frozen=True)
class Cell:
    """One number to be computed."""

    claim: str
    row: Row
    scene: str
    views: int
    seed: int
    tier: Tier
    inception: str = ""  # path of weights for FID; cells without them have none

    @property
    def settings(self) -> Settings:
        """What its tier computes."""
        return kinds.of_claim(self.claim).tiers[self.tier]


@dataclass(frozen=True)
class Fitted:
    """What a cell's pictures are made of."""

    capture: Capture
    split: Split
    targets: tuple[int, ...]
    inputs: Capture
    boxed: Capture  # these in the box frame
    last: Snapshot


def cells(
    tier: Tier, captures: Path | None, method: str = "plain", *, ablations: bool = False, more: tuple[Row, ...] = ()
) -> list[Cell]:
    """All cells of a tier, rows beside each other so that an early stop leaves pairs; `more` are a user's own rows."""
    kind = kinds.of_method(method)
    scenes, settings = kind.names(captures, tier), kind.tiers[tier]
    found = [
        Cell(kind.claim, row, scene, views, seed, tier)
        for seed in settings.seeds
        for views in settings.views
        for scene in scenes
        for row in (*rows.of_method(method), *more)
    ]
    if not ablations:
        return found
    return found + [
        Cell(kind.ablations, row, scene, settings.views[0], settings.seeds[0], tier)
        for scene in scenes
        if scene in kind.ablated
        for row in rows.ABLATIONS[method]
    ]


def path_of(cell: Cell, out: Path) -> Path:
    """The file of a cell: its name is a hash of what it is, of the settings of its tier and its row, and of the priors it uses."""
    cfg = rows.config_of(cell.row, cell.settings.steps)
    weights = [sha256(file_of(name)) for name in rows.METHODS[cell.row.method].priors_of(cfg)]
    weights += [sha256(Path(cell.inception))] if cell.inception else []
    plain = json.dumps([_named(cell), asdict(cell.settings), to_plain(cfg), *weights], sort_keys=True)
    return out / CELLS / f"{hashlib.sha256(plain.encode()).hexdigest()[:16]}.json"


def _named(cell: Cell) -> dict[str, Any]:
    """A cell as plain data, without where on this machine weights lie, nor how a row is read and what else its fit serves."""
    plain = {k: v for k, v in asdict(cell).items() if k != "inception"}
    return {**plain, "row": {k: v for k, v in plain["row"].items() if k not in ("base", "also")}}


def without_priors(wanted: list[Cell]) -> dict[str, str]:
    """Names of a method's own rows whose prior is not here (a rival's weights are not shipped), with that of the prior."""
    out = {}
    for row in dict.fromkeys(c.row for c in wanted):
        own = row in (*rows.ROWS[row.method], *rows.ABLATIONS[row.method])
        for name in rows.METHODS[row.method].priors_of(rows.config_of(row, 1)) if own else ():
            if name not in shipped_names() and not Path(name).exists():
                out[row.name] = name
    return out


def read(wanted: list[Cell], out: Path) -> list[dict[str, Any]]:
    """The cells that have been computed."""
    return [read_json(p) for c in wanted if (p := path_of(c, out)).is_file()]


def compute(cell: Cell, out: Path, captures: Path | None, on_compile: OnCompile) -> float:
    """Fit, render, measure, write, and the same for the row that this fit serves as well; returns the seconds it took."""
    started = time.monotonic()
    fitted = _fitted(cell, captures, on_compile)
    fitting = time.monotonic() - started
    also = rows.also_of(cell.row)
    wanted = [cell] if also is None else [replace(cell, row=also), cell]
    for one in wanted:
        looked = time.monotonic()
        if not path_of(one, out).exists():
            measured = _measured(one, fitted)
            seconds = {"fit": fitting, "all": fitting + time.monotonic() - looked}
            _write(one, fitted, measured, seconds, out)
    return time.monotonic() - started


def _write(cell: Cell, fitted: Fitted, measured: dict[str, Any], seconds: dict[str, float], out: Path) -> None:
    record = {
        **_named(cell),
        "row": cell.row.name,
        "way": asdict(cell.row),
        "settings": asdict(cell.settings),
        "train": list(fitted.split.train),
        "targets": list(fitted.targets),
        "protocol": measured["protocol"],
        "metrics": measured["mean"],
        "seconds": round(seconds["all"], 2),
        "fit_seconds": round(seconds["fit"], 2),
        "version": metadata.version("halfseen"),
        "commit": _commit(),
    }
    path = path_of(cell, out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")


def _fitted(cell: Cell, captures: Path | None, on_compile: OnCompile) -> Fitted:
    settings = cell.settings
    capture, split = kinds.of_claim(cell.claim).capture(cell.scene, captures, cell.views, settings.size)
    step = max(1, min(settings.every, len(split.test) // settings.least))
    inputs = loading.load(capture.select(split.train), settings.size)
    if objects.known(cell.scene):
        # Photos have no depth, which worlds and meshes come with.
        inputs = replace(inputs, views=tuple(replace(v, depth=None) for v in inputs.views))
    method = rows.METHODS[cell.row.method]
    if method.one_photo:
        inputs = one_photo.as_photo(inputs)
    cfg = method.resolve(rows.config_of(cell.row, settings.steps), inputs, rows.field_of(cell.row))
    method.warm_up(cfg, inputs, torch.device("cpu"), on_compile)
    frame = framing.measure(inputs)
    boxed, to_user = normalise.move(inputs, frame.to_box), frame.to_box.inverse()
    for snapshot in method.reconstruct(boxed, to_user, cfg, cell.seed, device=torch.device("cpu")):
        last = snapshot
    return Fitted(capture, split, split.test[::step], inputs, boxed, last)


def _measured(cell: Cell, fitted: Fitted) -> dict[str, Any]:
    """What the renderings of a fit are worth, shown as a row shows them."""
    capture, split, last, size = fitted.capture, fitted.split, fitted.last, cell.settings.size
    method, name = rows.METHODS[cell.row.method], f"{cell.claim}-{cell.tier}"
    cfg = method.resolve(rows.config_of(cell.row, cell.settings.steps), fitted.inputs, rows.field_of(cell.row))
    background = fitted.inputs.background or color.WHITE
    after = None
    if method.after is not None:
        after = method.after(cfg, last.field, fitted.boxed, last.state(), torch.device("cpu"))
    found = measure(last.field, capture.select(fitted.targets), size, background, name, split.name, after=after)
    # A floor of the few targets alone would be the difference of two places; that of all held-out photos costs no rendering.
    features = Path(cell.inception) if cell.inception else None
    whole = together(found, features, photos=photos(capture.select(split.test), size, background))
    return {
        "protocol": {**found.numbers["protocol"], **whole.definitions, "swd_floor": _FLOOR},
        "mean": {**found.numbers["mean"], **whole.numbers, **last.facts, **({} if after is None else after.facts)},
    }


def _commit() -> str:
    """The commit of the checkout that this runs from; 'unknown' for an installed package."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
