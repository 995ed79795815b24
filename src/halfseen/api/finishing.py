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
from halfseen.methods.difix3d.algorithm import METHOD as DIFIX3D
from halfseen.methods.difix3d.config import PLUS
from halfseen.runs.run import Run


def after_of(run: Run, field: Field, *, fix: bool | None = None, prior: str | None = None) -> After | None:
    """How a run's renderings go on: as its method says (`fix` None), repaired in any case, or not at all.

    Asked for, repairs count in full wherever photos do not contradict them.
    """
    if fix is False:
        return None
    chosen = method_named(str(run.config["request"]["method"]))
    cfg: Any = configs.from_plain(chosen.config, run.config["method"], "config.json: method")
    state = run.load()[1]
    if fix:
        # Whoever asks for it gets it in full, whatever a trial of another fixer found.
        state, cfg = {}, replace(cfg, post=True) if chosen is DIFIX3D else PLUS
        chosen, cfg = DIFIX3D, cfg if prior is None else replace(cfg, prior=prior)
    elif prior is not None:
        raise UserError("a fixer is named but not asked for", got=prior, accepted="--fix with it", do="Add --fix.")
    if chosen is not DIFIX3D:
        return None
    capture = loading.load(run.capture(), max(map(max, run.config["work_sizes"])))
    boxed = normalise.move(capture, run.to_user.inverse())
    return chosen.after(cfg, field, boxed, state, torch.device("cpu"))
