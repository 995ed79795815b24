"""What becomes of a run's renderings before they are shown: as its method does, or repaired by a fixer because somebody asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from halfseen.api.requests import method_named
from halfseen.common import config as configs
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.fields.contract import After, Field
from halfseen.methods.difix3d.algorithm import METHOD as DIFIX3D
from halfseen.methods.difix3d.config import PLUS
from halfseen.runs.run import Run


def after_of(run: Run, field: Field, *, fix: bool | None = None, prior: str | None = None) -> After | None:
    """How a run's renderings go on: as its method says (`fix` None), repaired in any case, or not at all.

    A run of another method was never asked how strongly to repair it: there, repairs count in full wherever photos do not contradict.
    """
    if fix is False:
        return None
    chosen = method_named(str(run.config["request"]["method"]))
    cfg: Any = configs.from_plain(chosen.config, run.config["method"], "config.json: method")
    if fix:
        chosen, cfg = DIFIX3D, replace(cfg, post=True) if chosen is DIFIX3D else PLUS
        cfg = cfg if prior is None else replace(cfg, prior=prior)
    if chosen is not DIFIX3D:
        return None
    capture = loading.load(run.capture(), max(map(max, run.config["work_sizes"])))
    boxed = normalise.move(capture, run.to_user.inverse())
    return chosen.after(cfg, field, boxed, run.load()[1], torch.device("cpu"))
