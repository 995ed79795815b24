"""From a run's checkpoint to a field that renders. The one place that knows which kinds of field exist."""

from __future__ import annotations

from typing import Any

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common.config import from_plain
from halfseen.common.errors import UserError, quote
from halfseen.fields import voxels
from halfseen.fields.contract import Field
from halfseen.runs.run import Run

KINDS = ("voxels",)


def load_field(run: Run, step: int | None = None, device: torch.device | None = None) -> Field:
    """The field of a checkpoint, by default the last."""
    _, state = run.load(step)
    return _restore(run.config.get("field", {}), state.get("field", {}), run.to_user, device or torch.device("cpu"))


def _restore(
    description: dict[str, Any], tensors: dict[str, torch.Tensor], to_user: Similarity, device: torch.device
) -> Field:
    kind = description.get("kind")
    shapes = [tuple(tensors[k].shape) for k in ("density", "colour") if k in tensors]
    if kind == "voxels" and [s[:2] for s in shapes if len(s) == 5] == [(1, 1), (1, 3)]:
        return voxels.restore(tensors, to_user, from_plain(voxels.Config, description.get("config", {})), device)
    raise UserError(
        "the run's field cannot be restored",
        got=quote(kind),
        accepted=", ".join(KINDS),
        do="Use the version of halfseen that made the run.",
    )
