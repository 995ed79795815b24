"""What becomes of a run's renderings before they are shown: as its method does, or repaired by a fixer because somebody asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from halfseen.api.requests import method_named
from halfseen.common import config as configs
from halfseen.common.errors import UserError
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.fields.contract import After, Field
from halfseen.methods.contract import Method
from halfseen.methods.difix3d.algorithm import METHOD as DIFIX3D
from halfseen.methods.difix3d.config import PLUS, Config
from halfseen.priors import weights
from halfseen.runs.run import Run


def told(run: Run, fix: bool | None, prior: str | None) -> dict[str, Any]:
    """What files say beyond their run's own account: which fixer repaired them because somebody asked, or that none did."""
    if fix is None:
        return {}
    return {"repaired_by": _fixers(_asked(run, prior)) if fix else []}


def after_of(run: Run, field: Field, *, fix: bool | None = None, prior: str | None = None) -> After | None:
    """How a run's renderings go on: as its method says (`fix` None), repaired in any case, or not at all.

    Asked for, repairs count in full wherever photos do not contradict them.
    """
    if fix is False:
        return None
    if prior is not None and not fix:
        raise UserError("a fixer is named but not asked for", got=prior, accepted="--fix with it", do="Add --fix.")
    method = DIFIX3D if fix else _method_of(run)
    if method.after is None:
        return None
    # Whoever asks for it gets it in full, whatever a trial of another fixer found.
    cfg, state = (_asked(run, prior), {}) if fix else (_own(run), run.load()[1])
    capture = loading.load(run.capture(), max(map(max, run.config["work_sizes"])))
    boxed = normalise.move(capture, run.to_user.inverse())
    return method.after(cfg, field, boxed, state, torch.device("cpu"))


def _method_of(run: Run) -> Method:
    return method_named(str(run.config["request"]["method"]))


def _own(run: Run) -> Any:
    """The config of a run's method."""
    return configs.from_plain(_method_of(run).config, run.config["method"], "config.json: method")


def _asked(run: Run, prior: str | None) -> Config:
    """How renderings are repaired because somebody asks: with the run's own settings where it has some."""
    own = replace(_own(run), post=True) if _method_of(run) is DIFIX3D else PLUS
    return own if prior is None else replace(own, prior=prior)


def _fixers(cfg: Config) -> list[dict[str, str]]:
    """The fixers of a config, to the byte."""
    return weights.told(DIFIX3D.priors_of(cfg))
