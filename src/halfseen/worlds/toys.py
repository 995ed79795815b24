"""Toys of simple bodies: a bear, a robot, a duck, a stack of blocks, each in its own proportions. Metres, z up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.surfaces import glaze

_BEAD = Material((0.04, 0.04, 0.05), gloss=0.9, sharpness=150, mirror=0.05)
_DUCKS: tuple[Rgb, ...] = ((0.93, 0.76, 0.1), (0.9, 0.85, 0.8), (0.4, 0.6, 0.75), (0.85, 0.45, 0.55), (0.3, 0.32, 0.3))
# Material numbers of parts: the first, second and third colour of a toy, and its black beads.
_A, _B, _C, _EYE = range(4)


def toy(draw: Draw) -> Made:
    """One toy."""
    kind = draw.pick("toy", ("bear", "robot", "duck", "blocks"))
    return {"bear": _bear, "robot": _robot, "duck": _duck, "blocks": _blocks}[kind](draw)


def _ball(radii: Sequence[float], at: Sequence[float], material: int) -> Mesh:
    return X.paint(X.move(S.ellipsoid(radii, 24), at), material)


def _box(half: Sequence[float], at: Sequence[float], material: int) -> Mesh:
    return X.paint(X.move(S.box(half, 0.2 * min(half), cells=2), at), material)


def _head(parts: list[Mesh], draw: Draw, neck: Sequence[float]) -> list[Mesh]:
    """Grow or shrink a head about the neck, turn it and tip it."""
    size = draw.number("head", 0.82, 1.25)
    at_neck = X.stretch(
        X.move(X.join(parts), [-v for v in neck]), (size, size, size * draw.number("tall head", 0.9, 1.12))
    )
    turned = X.turn(X.turn(at_neck, "y", draw.number("tip", -14, 14)), "z", draw.number("look", -45, 45))
    return [X.move(turned, neck)]


def _bear(draw: Draw) -> Made:
    """A sitting bear of plush; some wear a scarf or a bow."""
    fur = draw.vary("fur", draw.pick("fur", M.CLOTHS))
    plush = Material(fur, M.SPECKLE, M.scaled(fur, 0.8), M.scaled(fur, 0.9), scale=0.004, grain=0.25, grain_scale=0.004, gloss=0.0)  # fmt: skip
    pale = Material(M.scaled(fur, draw.number("pale", 0.5, 1.2), 0.2), grain=0.2, grain_scale=0.004, gloss=0.0)
    stout, ear, limb = draw.number("stout", 0.85, 1.3), draw.number("ear", 0.7, 1.7), draw.number("limb", 0.8, 1.3)
    parts = [
        _ball((0.06 * stout, 0.07 * stout, 0.08), (0, 0, 0.08), _A),
        _ball((0.03, 0.045 * stout, 0.05), (0.032 * stout, 0, 0.08), _B),
    ]
    head = [_ball((0.055, 0.06, 0.055), (0.01, 0, 0.19), _A), _ball((0.025, 0.03, 0.022), (0.06, 0, 0.18), _B)]
    head.append(_ball((0.009, 0.012, 0.008), (0.084, 0, 0.186), _EYE))
    for s in (1, -1):
        raised, spread = draw.number(f"arm{s}", -0.02, 0.045), draw.number(f"leg{s}", -5, 35)
        arm = X.turn(_ball((0.026, 0.026, 0.05 * limb), (0, 0, 0), _A), "x", s * 700 * max(raised, 0.0))
        leg = X.turn(_ball((0.055 * limb, 0.03, 0.03), (0.055 * limb, 0, 0), _A), "z", s * spread)
        parts += [X.move(arm, (0.03, 0.075 * s * stout, 0.1 + raised)), X.move(leg, (0.01, 0.04 * s * stout, 0.03))]
        head += [
            _ball((0.02, 0.022 * ear, 0.022 * ear), (0, 0.045 * s, 0.235), _A),
            _ball((0.007, 0.007, 0.007), (0.058, 0.022 * s, 0.205), _EYE),
        ]
    if draw.chance("scarf", 0.4):
        angle = np.linspace(0, 2 * np.pi, 28)
        ring = np.stack([0.05 * np.cos(angle), 0.055 * np.sin(angle), np.full(28, 0.148)], 1)
        parts += [X.paint(S.tube(ring, 0.014, 10), _C), _ball((0.012, 0.016, 0.045), (0.062 * stout, 0.02, 0.11), _C)]
    return parts + _head(head, draw, (0, 0, 0.15)), [plush, pale, glaze(draw, "c"), _BEAD]


def _robot(draw: Draw) -> Made:
    """A robot of rounded boxes, with one or two antennas."""
    wide, deep, tall = draw.number("wide", 0.75, 1.4), draw.number("deep", 0.75, 1.3), draw.number("tall", 0.75, 1.4)
    leg, skull = draw.number("leg", 0.7, 1.6), draw.number("skull", 0.75, 1.3)
    hip = 0.065 * leg
    chest, neck = hip + 0.06 * tall, hip + 0.12 * tall
    parts = [
        _box((0.04 * deep, 0.05 * wide, 0.06 * tall), (0, 0, chest), _A),
        _box((0.005, 0.03 * wide, 0.025), (0.041 * deep, 0, chest), _C),
    ]
    head = [_box((0.035, 0.04 * skull, 0.032), (0, 0, neck + 0.04), _B)]
    for s in (1, -1):
        swing = X.turn(
            _box((0.016, 0.012, 0.045 * tall), (0, 0, -0.035 * tall), _B), "y", draw.number(f"swing{s}", -110, 40)
        )
        parts += [
            _box((0.02, 0.016, 0.5 * hip), (0, 0.03 * s * wide, 0.5 * hip), _B),
            X.move(swing, (0, 0.064 * s * wide, neck - 0.02)),
        ]
        head.append(_ball((0.01, 0.011, 0.011), (0.036, 0.017 * s * skull, neck + 0.048), _EYE))
        if s == 1 or draw.chance("second antenna", 0.4):
            y, top = 0.022 * s, neck + draw.number("antenna", 0.085, 0.13)
            head.append(X.paint(S.tube(np.array([[0, y, neck + 0.07], [0, 1.3 * y, top]]), 0.004, 8), _C))
            head.append(_ball((0.009, 0.009, 0.009), (0, 1.35 * y, top + 0.007), _C))
    return parts + _head(head, draw, (0, 0, neck)), [*(glaze(draw, n) for n in "abc"), _BEAD]


def _duck(draw: Draw) -> Made:
    """A bath duck that looks somewhere; some wear a hat."""
    paint = draw.vary("duck paint", draw.pick("duck", _DUCKS))
    body = Material(paint, gloss=draw.number("gloss", 0.2, 0.8), sharpness=50, mirror=0.03)
    beak = Material(draw.vary("beak", draw.pick("beaks", ((0.88, 0.4, 0.08), (0.8, 0.2, 0.12)))), gloss=0.5)
    long, tall, wing = draw.number("long", 0.8, 1.25), draw.number("tall", 0.85, 1.35), draw.number("wing", 0.7, 1.4)
    z = 0.1 * tall
    parts = [_ball((0.085 * long, 0.06, 0.05 * tall), (0, 0, 0.05 * tall), _A)]
    tail = X.turn(_ball((0.04, 0.012 * wing, 0.03), (0, 0, 0), _A), "y", draw.number("tail", -20, 50))
    parts.append(X.move(tail, (-0.08 * long, 0, 0.07 * tall)))
    bill = draw.number("bill", 0.8, 1.5)
    head = [
        _ball((0.045, 0.042, 0.043), (0.05 * long, 0, z + 0.025), _A),
        _ball((0.025 * bill, 0.02, 0.008), (0.05 * long + 0.05, 0, z + 0.018), _B),
    ]
    for s in (1, -1):
        side = X.turn(_ball((0.045 * wing, 0.015, 0.025 * wing), (0, 0, 0), _A), "y", draw.number("spread", -25, 20))
        parts.append(X.move(side, (-0.01, 0.055 * s, 0.06 * tall)))
        head.append(_ball((0.006, 0.006, 0.007), (0.05 * long + 0.035, 0.022 * s, z + 0.04), _EYE))
    if draw.chance("hat", 0.35):
        hat = S.lathe(
            [(0, 0), (0.042, 0), (0.042, 0.006), (0.026, 0.008), (0.023, draw.number("crown", 0.025, 0.06)), (0, 0.05)],
            28,
        )
        head.append(X.paint(X.move(hat, (0.045 * long, 0, z + 0.06)), _C))
    return parts + _head(head, draw, (0.04 * long, 0, z - 0.01)), [body, beak, glaze(draw, "c"), _BEAD]


def _blocks(draw: Draw) -> Made:
    """A stack of three to six blocks, rolls and balls."""
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
        at = (part.number("x", -0.01, 0.01), part.number("y", -0.01, 0.01), z)
        parts.append(X.paint(X.move(X.turn(piece, "z", part.number("turn", 0, 90)), at), k % 3))
    return parts, [glaze(draw, n) for n in "abc"]
