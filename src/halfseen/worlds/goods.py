"""Made things: lamps, packages, shoes, hydrants. Metres, z up."""

from __future__ import annotations

import numpy as np

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.surfaces import glaze, label


def lamp(draw: Draw) -> Made:
    """Table lamps: a turned or straight foot, a shade, a cable switch on one side; or a desk lamp with a bent arm."""
    parts: list[Mesh] = []
    if draw.chance("desk", 0.35):
        parts.append(X.paint(S.lathe([(0, 0), (0.085, 0), (0.085, 0.015), (0.03, 0.03), (0, 0.03)], 36, smooth=1), 0))
        elbow = (draw.number("ex", -0.16, -0.05), 0.0, draw.number("ez", 0.18, 0.26))
        head = (draw.number("hx", 0.08, 0.18), 0.0, draw.number("hz", 0.3, 0.42))
        for a, b in (((0, 0, 0.02), elbow), (elbow, head)):
            parts.append(X.paint(S.tube(np.linspace(a, b, 4), 0.007, 10), 1))
        parts.append(X.paint(X.move(S.ellipsoid((0.013, 0.013, 0.013), 12), elbow), 0))
        bell = S.lathe(
            [(0.012, 0.07), (0.03, 0.05), (0.065, -0.03), (0.06, -0.03), (0.025, 0.045), (0, 0.05)], 36, smooth=1
        )
        parts.append(X.paint(X.move(X.turn(bell, "y", -draw.number("tilt", 15, 55)), head), 0))
        return parts, [glaze(draw, "paint"), Material(draw.pick("rod", M.METALS), gloss=0.8, mirror=0.3)]
    stem, radius = draw.number("stem", 0.14, 0.3), draw.number("radius", 0.03, 0.07)
    keys = [
        (radius * draw.number("f", 0.9, 1.5), 0.0),
        (radius * 0.8, 0.02),
        *((radius * draw.number(f"k{i}", 0.25, 1.0), z * stem) for i, z in enumerate((0.3, 0.5, 0.75))),
        (0.012, stem),
    ]
    parts.append(X.paint(S.lathe([(0, 0), *map(tuple, S.curve(keys, 26))], 40), 0))
    low, high, tall = draw.number("low", 0.09, 0.15), draw.number("high", 0.05, 0.1), draw.number("tall", 0.12, 0.2)
    shade = S.lathe([(low, 0), (high, tall), (high - 0.003, tall), (low - 0.003, 0.0)], 48)
    parts.append(X.paint(X.move(shade, (0, 0, stem + 0.01)), 1))
    parts.append(X.paint(X.move(S.ellipsoid((0.028, 0.028, 0.036), 18), (0, 0, stem + 0.05)), 2))
    cord = S.curve([(0.9 * radius, 0, 0.006), (radius + 0.05, 0.03, 0.004), (radius + 0.09, 0.01, 0.004)], 12)
    parts.append(X.paint(S.tube(cord, 0.003, 8), 3))
    cloth = draw.vary("shade", draw.pick("shade", M.CLOTHS))
    shade_material = Material(
        cloth,
        draw.pick("shade k", (M.WEAVE, M.STRIPES, M.PLAIN)),
        M.scaled(cloth, 0.85, 0.1),
        scale=draw.number("shade s", 0.01, 0.03),
        p1=1.0,
        p3=0.5,
        gloss=0.02,
    )
    return parts, [
        glaze(draw, "foot"),
        shade_material,
        Material((0.97, 0.95, 0.85), gloss=0.9, mirror=0.1),
        Material((0.07, 0.07, 0.07)),
    ]


def package(draw: Draw) -> Made:
    """Cartons and books: a label on the front, another on the back, another colour on the sides, perhaps a handle."""
    x, y, z = draw.number("x", 0.02, 0.08), draw.number("y", 0.05, 0.12), draw.number("z", 0.06, 0.16)
    base, side = draw.vary("base", draw.pick("base", M.GLAZES)), draw.vary("side", draw.pick("side", M.GLAZES))
    wide, tall = 1.88 * y, 1.88 * z
    stripes = Material(
        base,
        M.STRIPES,
        side,
        scale=draw.number("s", 0.03, 0.09),
        p1=draw.number("a", -1, 1),
        p2=1.0,
        p3=0.4,
        gloss=0.2,
        wear=0.15,
    )
    front = X.shift_uv(S.sheet((wide, tall), (4, 4)), 0.0, tall / 2)
    back = X.shift_uv(S.sheet((wide, tall / 2), (4, 4)), 0.0, tall / 4)
    parts = [X.paint(S.box((x, y, z), draw.number("bevel", 0.001, 0.006), cells=3), 0)]
    for k, (panel, turn, at) in enumerate(((front, 90, (x + 0.0008, 0, 0)), (back, -90, (-x - 0.0008, 0, 0.2 * z))), 1):
        parts.append(X.paint(X.move(X.turn(X.turn(panel, "x", 90), "z", turn), at), k))
    if draw.chance("handle", 0.2):
        loop = S.curve([(0, -0.4 * y, z), (0, 0, z + 0.05), (0, 0.4 * y, z)], 14)
        parts.append(X.paint(S.tube(loop, 0.004, 8), 0))
    labels = [label(draw.below("front"), tall, wide, -wide / 2), label(draw.below("back"), tall / 2, wide, -wide / 2)]
    return parts, [stripes, *labels]


def shoe(draw: Draw) -> Made:
    """A shoe: a loft from heel to toe over a sole, laces or a strap, an opening."""
    length, high = draw.number("length", 0.24, 0.3), draw.number("high", 0.08, 0.15)
    x = np.linspace(0, 1, 26)
    width = length * np.interp(x, [0, 0.08, 0.3, 0.7, 0.92, 1.0], [0.07, 0.11, 0.115, 0.155, 0.12, 0.05])
    top = np.interp(x, [0, 0.1, 0.35, 0.5, 0.72, 0.92, 1.0], [high * 0.9, high, 0.85 * high, 0.07, 0.055, 0.045, 0.02])
    sway = 0.012 * np.sin(np.pi * x)
    rings = []
    for xi, w, t, s in zip(x, width, top, sway, strict=True):
        ring = S.rounded_section(float(w), 0.0, float(t), 28, 2.6)
        lean = 1 - 0.35 * np.clip(ring[:, 1] / max(t, 0.05), 0, 1) ** 2 * (t > 0.06)
        rings.append(np.column_stack([np.full(28, xi * length), ring[:, 0] * lean + s, ring[:, 1]]))
    parts = [X.paint(S.loft(np.asarray(rings)), 0)]
    sole = [
        np.column_stack([r[:, 0], 1.06 * (r[:, 1] - s) + s, np.clip(r[:, 2] * 0.12, 0, 0.018) - 0.012])
        for r, s in zip(rings, sway, strict=True)
    ]
    parts.append(X.paint(S.loft(np.asarray(sole)), 1))
    hole = S.ellipsoid((0.11 * length, 0.032 * length, 0.006), 20)
    parts.append(X.paint(X.move(X.turn(hole, "y", 5), (0.17 * length, 0.004, high * 0.955)), 2))
    for k in range(draw.whole("laces", 0, 5)):
        at = 0.4 + 0.06 * k
        z = float(np.interp(at, x, top))
        lace = S.curve(
            [
                (at * length, -0.035, z - 0.012),
                (at * length, 0.006, z + 0.004),
                (at * length + 0.006, 0.045, z - 0.014),
            ],
            8,
        )
        parts.append(X.paint(S.tube(lace, 0.0035, 8), 3))
    patch = X.turn(S.sheet((0.06, 0.03), (3, 3)), "x", 90)
    parts.append(X.paint(X.move(patch, (0.25 * length, -0.1 * length, 0.3 * high)), 4))
    cloth = draw.vary("cloth", draw.pick("cloth", M.CLOTHS))
    upper = Material(
        cloth,
        draw.pick("upper", (M.WEAVE, M.SPECKLE, M.PLAIN)),
        M.scaled(cloth, 0.75),
        M.scaled(cloth, 0.85),
        scale=0.006,
        gloss=draw.number("g", 0.02, 0.5),
        wear=0.2,
    )
    return parts, [upper, Material(draw.pick("sole", ((0.93, 0.92, 0.88), (0.15, 0.13, 0.12), (0.6, 0.42, 0.25))), grain=0.08), Material((0.05, 0.05, 0.05), gloss=0.0), Material(draw.pick("lace", M.CLOTHS)), label(draw, 0.03, 0.06, -0.03)]  # fmt: skip


def hydrant(draw: Draw) -> Made:
    """Hydrants, skittles, bollards: turned bodies with bolts and side caps."""
    h, r = draw.number("h", 0.5, 0.75), draw.number("r", 0.09, 0.12)
    profile = [
        (0, 0),
        (1.45 * r, 0),
        (1.45 * r, 0.04),
        (r, 0.05),
        (r, 0.72 * h),
        (1.2 * r, 0.73 * h),
        (1.2 * r, 0.78 * h),
        *((1.1 * r * np.cos(a), 0.78 * h + 0.17 * h * np.sin(a)) for a in np.linspace(0, 1.4, 8)),
        (0.25 * r, 0.96 * h),
        (0.25 * r, h),
        (0, h),
    ]
    parts = [X.paint(S.lathe(profile, 44), 0)]
    cap = S.lathe([(0, 0), (0.5 * r, 0), (0.5 * r, 0.06), (0.2 * r, 0.065), (0.2 * r, 0.09), (0, 0.09)], 20)
    for angle, size in ((0, 1.3), (90, 0.9), (-90, 0.9))[: draw.whole("caps", 1, 3)]:
        out = X.turn(X.move(X.turn(X.stretch(cap, (size, size, size)), "y", 90), (0.92 * r, 0, 0.55 * h)), "z", angle)
        parts.append(X.paint(out, 1))
    for k in range(8):
        bolt = S.ellipsoid((0.014, 0.014, 0.014), 10)
        parts.append(X.paint(X.turn(X.move(bolt, (1.28 * r, 0, 0.045)), "z", 45.0 * k), 1))
    paint = draw.vary(
        "paint", draw.pick("paint", ((0.75, 0.12, 0.1), (0.85, 0.7, 0.1), (0.2, 0.35, 0.6), (0.85, 0.85, 0.82)))
    )
    return parts, [Material(paint, M.TWO_TONE, draw.vary("low", paint, 0.2), (0.9, 0.9, 0.88), p1=draw.number("line", 0.1, 0.5) * h, p2=0.012, gloss=0.35, wear=0.5, grain=0.08, mirror=0.02), Material(draw.pick("cap", ((0.6, 0.6, 0.62), (0.85, 0.85, 0.8), (0.15, 0.15, 0.16))), gloss=0.4, wear=0.4)]  # fmt: skip
