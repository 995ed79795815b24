"""Which seeds are for what. Fixed here and nowhere else, so that nothing that is measured was ever trained on."""

from __future__ import annotations

from typing import Literal

Purpose = Literal["train", "validation", "claims"]

# First seed and number of seeds of each purpose. Training may run for years before it meets another range.
RANGES: dict[Purpose, tuple[int, int]] = {
    "train": (0, 1_000_000_000),
    "validation": (1_000_000_000, 1_000_000),
    "claims": (2_000_000_000, 1_000_000),
}


def seed_of(purpose: Purpose, index: int) -> int:
    """The seed of the index-th member of a purpose."""
    first, count = RANGES[purpose]
    if not 0 <= index < count:
        raise ValueError(f"{purpose} has {count} seeds, asked for number {index}")
    return first + index
