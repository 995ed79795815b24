"""What every fixer is: one forward pass from a rendering and photos to the picture as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Repaired:
    """What a fixer makes of a rendering."""

    rgb: Tensor  # [3, H, W] in [0, 1]
    # [H, W] the error in [0, 1] that it expects of itself; None when it does not say.
    error: Tensor | None = None


class Fixer(Protocol):
    """A one-step prior. What it does not use of its input it leaves unread."""

    def __call__(self, shown: Tensor, references: Sequence[Tensor]) -> Repaired:
        """Repair an input [10, H, W] (colours, opacity, disparity, seen, borrowed colours, trusted) beside photos [3, h, w], of
        which there may be none. The size stays."""
        ...
