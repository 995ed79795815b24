"""Views per second of every family on one core, building, baking and rendering included. Prints a table in Markdown."""

from __future__ import annotations

import time

import torch

from halfseen.worlds import families, sample, seeds
from halfseen.worlds.families import Family

# (size, views of each member, members) that are timed.
CASES = ((64, 50, 4), (128, 50, 2), (256, 10, 2))


def main() -> None:
    """Warm the compiled kernels up, then time."""
    torch.set_num_threads(1)
    _rate(families.by_name("chairs"), 16, 2, 1)
    print("| family | " + " | ".join(f"{s} px, {v} views" for s, v, _ in CASES) + " |")
    print("|---|" + "---|" * len(CASES))
    for family in families.FAMILIES:
        rates = [_rate(family, *case) for case in CASES]
        print(f"| {family.name} | " + " | ".join(f"{r:.1f}" for r in rates) + " |", flush=True)


def _rate(family: Family, size: int, views: int, members: int) -> float:
    start = time.perf_counter()
    for i in range(members):
        sample.capture(family, seeds.seed_of("validation", 500 + i), views=views, size=(size, size))
    return members * views / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
