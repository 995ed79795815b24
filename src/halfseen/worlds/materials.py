"""Materials as rows of numbers, so that a compiled kernel can shade them. Colours are sRGB in [0, 1].

A pattern lives in its part's own frame (`tex`, solid: wood, marble, weave) or along the surface (`uv`: labels, leaves), in world
units, so that its grain has a size and not a number of repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfseen.images.color import linear_from_srgb

Rgb = tuple[float, float, float]

# Pattern numbers, shared with the kernel in `shade.py`.
(
    PLAIN, WOOD, WEAVE, BRICK, TILE, MARBLE, STRIPES, CHECKS, DOTS, LABEL, TWO_TONE, SPECKLE, VEINS, PLANKS, ORNAMENT, PAINTING,
    FRUIT, FACADE, RADIAL, KNIT, IMAGE, VERTEX,
) = range(22)  # fmt: skip

# Columns of a row.
KIND, COLOUR_A, COLOUR_B, COLOUR_C, SCALE, GLOSS, SHARPNESS, P1, P2, P3, GRAIN, GRAIN_SCALE, SEED, MIRROR, WEAR = (
    0, 1, 4, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
)  # fmt: skip
COLUMNS = 21


@dataclass(frozen=True)
class Material:
    """One surface. `a`, `b`, `c` are the pattern's colours; p1..p3 mean what the pattern says in `shade.py`."""

    a: Rgb
    kind: int = PLAIN
    b: Rgb = (0.5, 0.5, 0.5)
    c: Rgb = (0.5, 0.5, 0.5)
    scale: float = 0.1  # size of one repeat in world units
    gloss: float = 0.1  # strength of the highlight
    sharpness: float = 20.0  # exponent of the highlight
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    grain: float = 0.06  # relative strength of fine irregularity
    grain_scale: float = 0.02  # its size in world units
    seed: float = 0.0
    mirror: float = 0.0  # share of the sky that it reflects at a right angle; more at grazing angles
    wear: float = 0.0  # strength of scratches and stains


def scaled(colour: Rgb, factor: float, plus: float = 0.0) -> Rgb:
    """A darker or lighter colour: factor * colour + plus, cut to [0, 1]."""
    r, g, b = (min(1.0, max(0.0, factor * c + plus)) for c in colour)
    return r, g, b


def table(materials: Sequence[Material]) -> NDArray[np.float32]:
    """Rows [K, COLUMNS] for the kernel, colours in linear light."""
    import torch

    rows = np.zeros((len(materials), COLUMNS), np.float32)
    colours = linear_from_srgb(torch.tensor([(m.a, m.b, m.c) for m in materials]).clamp(0, 1)).numpy()
    for row, m, (a, b, c) in zip(rows, materials, colours, strict=True):
        row[KIND] = m.kind
        for start, colour in ((COLOUR_A, a), (COLOUR_B, b), (COLOUR_C, c)):
            row[start : start + 3] = colour
        row[SCALE:] = (
            m.scale, m.gloss, m.sharpness, m.p1, m.p2, m.p3, m.grain, m.grain_scale, m.seed, m.mirror, m.wear,
        )  # fmt: skip
    return rows


# Ready-made colours of things: wood, paint, leather, cloth. Families draw from them and vary them.
WOODS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.70, 0.52, 0.33), (0.48, 0.32, 0.18)),
    ((0.55, 0.36, 0.22), (0.36, 0.22, 0.13)),
    ((0.82, 0.68, 0.48), (0.66, 0.49, 0.30)),
    ((0.36, 0.22, 0.15), (0.22, 0.13, 0.09)),
    ((0.62, 0.33, 0.20), (0.42, 0.19, 0.11)),
    ((0.75, 0.70, 0.62), (0.58, 0.52, 0.45)),
)
CAR_PAINTS: tuple[Rgb, ...] = (
    (0.80, 0.80, 0.82), (0.10, 0.10, 0.12), (0.55, 0.57, 0.60), (0.62, 0.07, 0.08), (0.08, 0.17, 0.45), (0.90, 0.90, 0.88),
    (0.05, 0.28, 0.18), (0.93, 0.70, 0.10), (0.90, 0.36, 0.08), (0.30, 0.52, 0.70), (0.35, 0.28, 0.22), (0.45, 0.10, 0.25),
    (0.50, 0.70, 0.55), (0.72, 0.62, 0.48),
)  # fmt: skip
CLOTHS: tuple[Rgb, ...] = (
    (0.30, 0.34, 0.40), (0.62, 0.58, 0.52), (0.55, 0.15, 0.16), (0.16, 0.26, 0.42), (0.24, 0.38, 0.28), (0.75, 0.68, 0.55),
    (0.78, 0.52, 0.20), (0.42, 0.24, 0.36), (0.20, 0.20, 0.22), (0.60, 0.70, 0.74), (0.72, 0.45, 0.42), (0.86, 0.83, 0.77),
)  # fmt: skip
GLAZES: tuple[Rgb, ...] = (
    (0.92, 0.90, 0.85), (0.20, 0.35, 0.55), (0.55, 0.20, 0.15), (0.25, 0.45, 0.38), (0.85, 0.72, 0.35), (0.18, 0.18, 0.20),
    (0.75, 0.50, 0.45), (0.62, 0.72, 0.80), (0.40, 0.28, 0.20), (0.80, 0.35, 0.20), (0.52, 0.62, 0.30), (0.70, 0.62, 0.75),
)  # fmt: skip
METALS: tuple[Rgb, ...] = (
    (0.60, 0.60, 0.62),
    (0.30, 0.30, 0.32),
    (0.72, 0.60, 0.38),
    (0.12, 0.12, 0.13),
    (0.85, 0.85, 0.84),
)
