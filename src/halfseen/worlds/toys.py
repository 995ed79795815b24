"""Toys of simple bodies: a bear, a robot, a duck, a stack of blocks. Metres, z up."""

from __future__ import annotations

import numpy as np

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material
from halfseen.worlds.surfaces import glaze


def toy(draw: Draw) -> Made:
    """Toys of simple bodies: a bear, a robot, a duck, a stack of blocks."""
    kind = draw.pick("toy", ("bear", "robot", "duck", "blocks"))
    materials = [glaze(draw, n) for n in "abc"] + [Material((0.04, 0.04, 0.05), gloss=0.9, sharpness=150, mirror=0.05)]
    ball = lambda r, at, m, power=2.0: X.paint(X.move(S.ellipsoid(r, 24, power), at), m)  # noqa: E731
    if kind == "bear":
        fur = draw.vary("fur", draw.pick("fur", M.CLOTHS))
        materials[0] = Material(
            fur,
            M.SPECKLE,
            M.scaled(fur, 0.8),
            M.scaled(fur, 0.9),
            scale=0.004,
            grain=0.25,
            grain_scale=0.004,
            gloss=0.0,
        )
        materials[1] = Material(M.scaled(fur, 1.0, 0.2), grain=0.2, grain_scale=0.004, gloss=0.0)
        parts = [
            ball((0.06, 0.07, 0.08), (0, 0, 0.08), 0),
            ball((0.055, 0.06, 0.055), (0.01, 0, 0.19), 0),
            ball((0.025, 0.03, 0.022), (0.06, 0, 0.18), 1),
            ball((0.03, 0.04, 0.05), (0.03, 0, 0.08), 1),
        ]
        for s in (1, -1):
            raised = 0.03 if s == 1 and draw.chance("wave", 0.5) else 0.0
            parts += [
                ball((0.02, 0.022, 0.022), (0, 0.045 * s, 0.235), 0),
                ball((0.026, 0.026, 0.05), (0.03, 0.075 * s, 0.1 + raised), 0),
                ball((0.055, 0.03, 0.03), (0.06, 0.05 * s, 0.03), 0),
                ball((0.007, 0.007, 0.007), (0.058, 0.022 * s, 0.205), 3),
            ]
        parts.append(ball((0.009, 0.012, 0.008), (0.084, 0, 0.186), 3))
        return parts, materials
    if kind == "robot":
        box = lambda half, at, m: X.paint(X.move(S.box(half, 0.2 * min(half), cells=2), at), m)  # noqa: E731
        parts = [
            box((0.04, 0.05, 0.06), (0, 0, 0.12), 0),
            box((0.035, 0.04, 0.032), (0, 0, 0.22), 1),
            box((0.005, 0.03, 0.025), (0.041, 0, 0.12), 2),
        ]
        for s in (1, -1):
            parts += [
                box((0.02, 0.016, 0.035), (0, 0.03 * s, 0.03), 1),
                box((0.016, 0.012, 0.045), (0.01 + 0.02 * s, 0.066 * s, 0.12), 1),
                ball((0.01, 0.011, 0.011), (0.036, 0.017 * s, 0.228), 3),
            ]
        parts.append(X.paint(S.tube(np.array([[0, 0.02, 0.25], [0, 0.025, 0.28]]), 0.004, 8), 2))
        parts.append(ball((0.009, 0.009, 0.009), (0, 0.026, 0.287), 2))
        return parts, materials
    if kind == "duck":
        body = Material(
            draw.pick("duck", ((0.93, 0.76, 0.1), (0.9, 0.85, 0.8), (0.4, 0.6, 0.75))),
            gloss=0.6,
            sharpness=50,
            mirror=0.03,
        )
        beak = Material((0.88, 0.4, 0.08), gloss=0.5)
        parts = [
            ball((0.085, 0.06, 0.05), (0, 0, 0.05), 0),
            ball((0.045, 0.042, 0.043), (0.05, 0, 0.125), 0),
            ball((0.025, 0.02, 0.008), (0.1, 0, 0.118), 1),
            ball((0.03, 0.012, 0.03), (-0.085, 0, 0.075), 0),
        ]
        for s in (1, -1):
            parts += [
                ball((0.045, 0.015, 0.025), (-0.01, 0.055 * s, 0.06), 0),
                ball((0.006, 0.006, 0.007), (0.085, 0.022 * s, 0.14), 3),
            ]
        return parts, [body, beak, *materials[2:]]
    parts = []
    for k in range(draw.whole("count", 3, 6)):
        part, z = draw.below(f"block{k}"), 0.025 + 0.05 * k
        shape = part.pick("shape", ("box", "box", "roll", "ball"))
        half = part.number("half", 0.022, 0.03)
        piece = {
            "box": lambda h=half: S.box((h, h, 0.025), 0.004, cells=2),
            "roll": lambda h=half: S.lathe([(0, -0.025), (h, -0.025), (h, 0.025), (0, 0.025)], 28),
            "ball": lambda h=half: S.ellipsoid((h, h, 0.025), 20, 2.6),
        }[shape]()
        parts.append(
            X.paint(
                X.move(
                    X.turn(piece, "z", part.number("turn", 0, 90)),
                    (part.number("x", -0.01, 0.01), part.number("y", -0.01, 0.01), z),
                ),
                k % 3,
            )
        )
    return parts, materials
