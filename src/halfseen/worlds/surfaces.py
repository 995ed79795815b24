"""Surfaces that many things share: glazes and printed labels."""

from __future__ import annotations

from halfseen.worlds import materials as M
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material


def glaze(draw: Draw, name: str) -> Material:
    """Ceramic, glass-like plastic, lacquer, stone: plain or patterned."""
    a, b = (
        draw.vary(f"{name} a", draw.pick(f"{name} a", M.GLAZES)),
        draw.vary(f"{name} b", draw.pick(f"{name} b", M.GLAZES)),
    )
    kind = draw.pick(f"{name} k", (M.PLAIN, M.PLAIN, M.SPECKLE, M.MARBLE, M.TWO_TONE, M.STRIPES, M.DOTS))
    shiny = {
        "gloss": draw.number(f"{name} g", 0.2, 0.9),
        "sharpness": draw.number(f"{name} e", 20, 120),
        "mirror": draw.number(f"{name} m", 0.02, 0.08),
    }
    scale = {
        M.SPECKLE: 0.008,
        M.MARBLE: 0.09,
        M.STRIPES: draw.number(f"{name} s", 0.015, 0.05),
        M.DOTS: draw.number(f"{name} s", 0.02, 0.04),
    }.get(kind, 0.05)
    return Material(a, kind, b, draw.pick(f"{name} c", M.GLAZES), scale=scale, p1=draw.number(f"{name} p1", 0.02, 0.2) if kind == M.TWO_TONE else draw.number(f"{name} d", -0.4, 0.4), p2=0.004 if kind == M.TWO_TONE else 1.0, p3=draw.number(f"{name} p3", 0.25, 0.6), seed=draw.texture_seed(name), grain=0.03, **shiny)  # fmt: skip


def label(draw: Draw, height: float, width: float, at: float = 0.0) -> Material:
    """Printed paper: marks like text, a bar, a picture."""
    paper = draw.pick("paper", ((0.94, 0.93, 0.88), (0.85, 0.78, 0.62), draw.pick("paper colour", M.GLAZES)))
    ink, accent = (
        draw.pick("ink", ((0.08, 0.08, 0.1), (0.1, 0.2, 0.45), (0.5, 0.08, 0.1))),
        draw.pick("accent", M.CAR_PAINTS),
    )
    return Material(
        paper,
        M.LABEL,
        ink,
        accent,
        scale=height / draw.number("lines", 5, 9),
        p1=height,
        p2=width,
        p3=at,
        gloss=0.1,
        grain=0.03,
        seed=draw.texture_seed("label"),
    )
