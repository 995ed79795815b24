"""From a run's checkpoint to a field that renders."""

from __future__ import annotations

import torch

from halfseen.common.config import from_plain
from halfseen.common.errors import UserError, quote
from halfseen.fields import kinds
from halfseen.fields.contract import Field
from halfseen.runs.run import Run


def load_field(run: Run, step: int | None = None, device: torch.device | None = None) -> Field:
    """The field of a checkpoint, by default the last."""
    _, state = run.load(step)
    description = run.config.get("field", {})
    kind = description.get("kind")
    if kind not in kinds.CONFIGS:
        raise UserError(
            "the run's field cannot be restored",
            got=quote(kind),
            accepted=", ".join(kinds.CONFIGS),
            do="Use the version of halfseen that made the run.",
        )
    config = from_plain(kinds.CONFIGS[kind], description.get("config", {}))
    return kinds.restore(state.get("field", {}), run.to_user, config, device or torch.device("cpu"))
