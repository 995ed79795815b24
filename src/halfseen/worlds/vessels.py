"""Vessels: bottles, vases, mugs, teapots, cans and jars. Made on a wheel, so most of each is a lathe; metres, z up."""

from __future__ import annotations

import numpy as np

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material
from halfseen.worlds.surfaces import glaze, label


def round_bottle(draw: Draw) -> Made:
    """Bottles of glass or plastic with a cap and a label around them."""
    height, radius = draw.number("height", 0.18, 0.34), draw.number("radius", 0.028, 0.05)
    shoulder, neck = draw.number("shoulder", 0.5, 0.75) * height, draw.number("neck", 0.28, 0.5) * radius
    waist = draw.number("waist", 0.8, 1.0)
    profile = [
        (0, 0.004),
        (0.9 * radius, 0),
        (radius, 0.012),
        (radius * waist, 0.4 * shoulder),
        (radius, 0.8 * shoulder),
        (radius, shoulder),
        (neck, shoulder + 0.6 * (height - shoulder)),
        (neck, height),
        (0, height),
    ]
    body = S.lathe(profile, 48, smooth=2)
    cap = S.lathe([(0, 0), (1.25 * neck, 0), (1.25 * neck, 0.022), (1.1 * neck, 0.026), (0, 0.026)], 28)
    low, high = 0.2 * shoulder, draw.number("label top", 0.6, 0.95) * shoulder
    paper = S.lathe([(1.012 * radius, low), (1.012 * radius, high)], 48)
    around = 2 * np.pi * 1.012 * radius
    tint = draw.vary(
        "tint",
        draw.pick(
            "tint",
            (
                (0.12, 0.3, 0.16),
                (0.35, 0.2, 0.08),
                (0.75, 0.85, 0.85),
                (0.1, 0.15, 0.3),
                (0.9, 0.9, 0.9),
                (0.75, 0.15, 0.15),
            ),
        ),
    )
    glass = Material(tint, gloss=0.9, sharpness=120, mirror=0.1, grain=0.0)
    cap_paint = Material(draw.pick("cap", M.CAR_PAINTS), gloss=0.4, mirror=0.03)
    return [X.paint(body, 0), X.paint(X.move(cap, (0, 0, height - 0.012)), 1), X.paint(paper, 2)], [
        glass,
        cap_paint,
        label(draw, high - low, draw.number("label w", 0.5, 0.98) * around),
    ]


def vase(draw: Draw) -> Made:
    """Turned vessels with a foot, a belly and a lip; some with two ears."""
    height, radius = draw.number("height", 0.15, 0.4), draw.number("radius", 0.05, 0.11)
    keys = [(draw.number("foot", 0.35, 0.8) * radius, 0.0)]
    for i, z in enumerate((0.15, 0.35, 0.6, 0.8, 0.93)):
        keys.append((radius * draw.number(f"r{i}", 0.35 if i > 2 else 0.6, 1.0), z * height))
    keys.append((keys[-1][0] * draw.number("lip", 1.0, 1.45), height))
    outer = S.curve(keys, 30)
    inner = outer[::-1][:20] - [0.005, 0]
    profile = [(0.0, 0.0), *map(tuple, outer), *((max(r, 0.001), z) for r, z in inner), (0.0, inner[-1][1])]
    parts = [X.paint(S.lathe(profile, 56), 0)]
    if draw.chance("ears", 0.25):
        r = float(np.interp(0.75 * height, outer[:, 1], outer[:, 0]))
        for s in (1, -1) if draw.chance("both", 0.7) else (1,):
            loop = S.curve(
                [
                    (s * 0.9 * r, 0, 0.85 * height),
                    (s * (r + 0.035), 0, 0.82 * height),
                    (s * (r + 0.03), 0, 0.6 * height),
                    (s * r * 1.02, 0, 0.52 * height),
                ],
                14,
            )
            parts.append(X.paint(S.tube(loop, 0.007, 10), 0))
    return parts, [glaze(draw, "glaze")]


def mug(draw: Draw) -> Made:
    """Mugs with a handle on one side, a print on another, perhaps something to drink."""
    height, radius = draw.number("height", 0.08, 0.13), draw.number("radius", 0.035, 0.05)
    belly = draw.number("belly", 0.85, 1.15)
    outer = [
        (0.8 * radius, 0),
        (radius, 0.008),
        (radius * belly, 0.5 * height),
        (radius, 0.98 * height),
        (0.97 * radius, height),
    ]
    inner = [(0.93 * radius, 0.985 * height), (0.93 * radius * belly, 0.5 * height), (0.9 * radius, 0.012), (0, 0.01)]
    parts = [X.paint(S.lathe([(0, 0.0), *outer, *inner], 48, smooth=1), 0)]
    reach = draw.number("reach", 0.025, 0.04)
    high, low = draw.number("hi", 0.78, 0.9) * height, draw.number("lo", 0.15, 0.3) * height
    handle = S.curve(
        [
            (0.97 * radius, 0, high),
            (radius + reach, 0, high - 0.004),
            (radius + reach, 0, low + 0.01),
            (0.97 * radius, 0, low),
        ],
        18,
    )
    parts.append(X.paint(S.tube(handle, draw.number("grip", 0.005, 0.008), 10), 0))
    if draw.chance("filled", 0.5):
        parts.append(X.paint(S.lathe([(0.93 * radius, 0.86 * height), (0, 0.861 * height)], 32), 1))
    if draw.chance("print", 0.5):
        band = S.lathe(
            [
                (1.01 * radius * (belly + 1) / 2, 0.25 * height),
                (1.01 * radius * belly, 0.5 * height),
                (1.01 * radius * (belly + 1) / 2, 0.78 * height),
            ],
            48,
        )
        parts.append(X.paint(band, 2))
    drink = Material(
        draw.pick("drink", ((0.16, 0.09, 0.05), (0.55, 0.3, 0.1), (0.85, 0.75, 0.62))),
        gloss=0.8,
        sharpness=90,
        mirror=0.05,
    )
    return parts, [
        glaze(draw, "glaze"),
        drink,
        label(draw, 0.53 * height, 2.2 * radius, draw.number("where", 0.5, 3.0) * radius),
    ]


def teapot(draw: Draw) -> Made:
    """A round pot with a spout in front, a handle behind and a knob on the lid."""
    r = draw.number("r", 0.06, 0.09)
    squash = draw.number("squash", 0.7, 1.0)
    angle = np.linspace(-1.25, 1.2, 26)
    body = S.lathe(
        [(0, -0.95 * r * squash), *((r * np.cos(a), r * squash * np.sin(a)) for a in angle), (0, 0.96 * r * squash)], 48
    )
    reach, rise, loop = draw.number("reach", 1.45, 1.95), draw.number("rise", 0.45, 1.0), draw.number("loop", 1.35, 1.9)
    rise *= squash
    spout = S.curve(
        [
            (0.8 * r, 0, -0.35 * r),
            (0.78 * reach * r, 0, -0.05 * r),
            (0.91 * reach * r, 0, 0.7 * rise * r),
            (reach * r, 0, rise * r),
        ],
        16,
    )
    low = draw.number("low", -0.55, -0.2) * squash
    grip = S.curve(
        [(-0.85 * r, 0, 0.45 * r), (-loop * r, 0, 0.5 * r), (-loop * r, 0, low * r), (-0.9 * r, 0, low * r)], 18
    )
    knob = S.ellipsoid((0.16 * r, 0.16 * r, 0.14 * r), 16)
    top = r * squash
    lid = S.lathe([(0.45 * r, 0), (0.43 * r, 0.06 * r), (0.2 * r, 0.14 * r), (0, 0.16 * r)], 36, smooth=1)
    parts = [
        X.paint(p, 0)
        for p in (body, S.tube(spout, np.linspace(0.24 * r, 0.1 * r, 16), 14), X.move(lid, (0, 0, 0.92 * top)))
    ]
    parts += [X.paint(S.tube(grip, 0.09 * r, 10), 1), X.paint(X.move(knob, (0, 0, 0.92 * top + 0.26 * r)), 1)]
    wood = draw.pick("wood", M.WOODS)
    handle = (
        Material(wood[0], M.WOOD, wood[1], scale=0.04, gloss=0.3)
        if draw.chance("wooden", 0.5)
        else glaze(draw, "handle")
    )
    return parts, [glaze(draw, "glaze"), handle]


def can(draw: Draw) -> Made:
    """Drinks and food cans, jars: a printed wall, metal ends."""
    r, h = draw.number("r", 0.03, 0.05), draw.number("h", 0.07, 0.15)
    jar = draw.chance("jar", 0.3)
    lip = 0.86 * r
    wall = S.lathe([(0.9 * r, 0.004), (r, 0.012), (r, h - 0.012), (lip, h - 0.002)], 56)
    around = 2 * np.pi * r
    parts = [
        X.paint(wall, 0),
        X.paint(S.lathe([(0, 0.006), (0.84 * r, 0.006), (0.9 * r, 0), (0.9 * r, 0.004)], 48), 1),
        X.paint(
            S.lathe(
                [(lip, h - 0.003), (lip, h + 0.002), (0.95 * lip, h + 0.002), (0.9 * lip, h - 0.003), (0, h - 0.003)]
                if not jar
                else [
                    (r, h - 0.02),
                    (1.02 * r, h - 0.02),
                    (1.02 * r, h + 0.005),
                    (0.98 * r, h + 0.008),
                    (0, h + 0.008),
                ],
                48,
            ),
            1,
        ),
    ]
    if not jar and draw.chance("ring", 0.6):
        tab = S.ellipsoid((0.012, 0.007, 0.0015), 16)
        parts.append(X.paint(X.move(tab, (0.25 * r, 0, h + 0.0)), 1))
    return parts, [
        label(draw, 0.97 * h, draw.number("w", 0.45, 0.97) * around),
        Material(draw.pick("metal", M.METALS), gloss=0.8, sharpness=50, mirror=0.35),
    ]
