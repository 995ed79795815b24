"""`Snapshot`: what a method yields. Read access for writers, viewers and tests; the loop owns the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from halfseen.data.capture import View
from halfseen.fields.contract import Field

# Groups of tensors by name, as a checkpoint stores them: {"field": {...}, "optimizer": {...}}.
State = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Knobs:
    """What a watcher may change between steps, sent into the generator."""

    paused: bool = False
    prior_weight: float = 1.0


@dataclass(frozen=True)
class Snapshot:
    """The state of a reconstruction after `step` of `total` steps."""

    step: int
    total: int
    phase: str
    field: Field
    losses: dict[str, float]
    state: Callable[[], State]  # what resuming needs; called only when a checkpoint is due
    panels: Callable[[], dict[str, Tensor]] = dict  # pictures [H, W, 3] worth showing, rendered only when asked for
    generated: tuple[View, ...] = ()
    # Numbers beside the losses, such as what a prior cost so far.
    facts: dict[str, float] = dataclasses.field(default_factory=dict)
