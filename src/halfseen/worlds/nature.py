"""Grown things: fruit and pot plants. Metres, z up."""

from __future__ import annotations

import numpy as np

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.surfaces import glaze


def fruit(draw: Draw) -> Made:
    """Apples, pears, lemons, oranges, bananas, pumpkins, with a stem and a blush on one side."""
    kind = draw.pick("fruit", ("apple", "pear", "lemon", "orange", "banana", "pumpkin"))
    colours: dict[str, tuple[Rgb, Rgb]] = {
        "apple": ((0.55, 0.62, 0.2), (0.68, 0.1, 0.08)),
        "pear": ((0.66, 0.64, 0.22), (0.6, 0.4, 0.15)),
        "lemon": ((0.92, 0.8, 0.15), (0.8, 0.7, 0.1)),
        "orange": ((0.9, 0.48, 0.08), (0.85, 0.38, 0.05)),
        "banana": ((0.9, 0.75, 0.15), (0.45, 0.5, 0.12)),
        "pumpkin": ((0.85, 0.42, 0.08), (0.65, 0.28, 0.05)),
    }
    a, b = colours[kind]
    r = draw.number("r", 0.034, 0.045)
    skin = Material(
        draw.vary("a", a, 0.06),
        M.FRUIT,
        draw.vary("b", b, 0.06),
        M.scaled(a, 1.0, 0.25),
        scale=r,
        p1=draw.number("spots", 0.1, 0.7),
        gloss=0.45,
        sharpness=25,
        mirror=0.02,
        grain=0.05,
        grain_scale=0.004,
        seed=draw.texture_seed("s"),
    )
    stem = Material((0.3, 0.22, 0.12), M.WOOD, (0.2, 0.14, 0.08), scale=0.01)
    leaf = Material((0.2, 0.38, 0.12), M.VEINS, (0.15, 0.3, 0.1), (0.4, 0.52, 0.25), scale=0.03, gloss=0.2)
    if kind == "banana":
        path = S.curve([(-0.08, 0, 0.05), (-0.05, 0, 0.012), (0.0, 0, 0.0), (0.055, 0, 0.018), (0.085, 0, 0.06)], 22)
        radius = 0.019 * np.clip(np.sin(np.linspace(0.15, np.pi - 0.12, 22)), 0.25, 1) ** 0.5
        fingers = [
            X.turn(S.tube(path, radius, 6 if draw.chance("edges", 0.5) else 14), "z", 14.0 * k)
            for k in range(draw.whole("count", 1, 4))
        ]
        tip = S.tube(np.array([[0.085, 0, 0.06], [0.093, 0, 0.075], [0.098, 0, 0.09]]), 0.007, 8)
        return [X.paint(X.join(fingers), 0), X.paint(tip, 1)], [skin, stem]
    angle = np.linspace(-np.pi / 2, np.pi / 2, 30)
    dent = {"apple": 0.16, "pumpkin": 0.2}.get(kind, 0.0)
    radius, z = np.cos(angle), np.sin(angle)
    if kind == "pear":
        radius = radius * (1 - 0.42 * np.clip(z, 0, 1) ** 0.8)
        z = z * 1.35
    if kind == "lemon":
        z = z * 1.3 + 0.12 * np.sign(z) * np.abs(z) ** 12
    z = z - dent * np.sign(z) * np.exp(-((radius / 0.25) ** 2))
    ball = S.lathe(list(zip(r * radius, r * z, strict=True)), 48)
    if kind == "pumpkin":
        around = np.arctan2(ball.xyz[:, 1], ball.xyz[:, 0])
        ribs = 1 - 0.1 * np.abs(np.cos(draw.whole("ribs", 4, 7) * around)) ** 0.5
        ball = X.bend(ball, ball.xyz * np.column_stack([1.25 * ribs, 1.25 * ribs, np.ones_like(ribs)]) - ball.xyz)
    bump = 1 + 0.03 * np.sin(3 * np.arctan2(ball.xyz[:, 1], ball.xyz[:, 0]) + draw.number("phase", 0, 6))
    ball = X.bend(ball, ball.xyz * (bump[:, None] - 1))
    parts = [X.paint(ball, 0)]
    high = float(ball.xyz[:, 2].max()) - dent * r * 0.9
    stalk = S.curve([(0, 0, high - 0.005), (0.002, 0, high + 0.008), (0.008, 0.003, high + 0.018)], 7)
    parts.append(X.paint(S.tube(stalk, 0.0022, 8), 1))
    if draw.chance("leaf", 0.5):
        blade = S.sheet((0.018, 0.036), (6, 10))
        shape = blade.xyz.copy()
        shape[:, 0] *= np.sqrt(np.clip(1 - (shape[:, 1] / 0.018) ** 2, 0, 1))
        shape[:, 2] += 0.25 * np.abs(shape[:, 0]) - 3 * (shape[:, 1]) ** 2
        parts.append(X.paint(X.move(X.build(shape, blade.faces, uv=blade.uv), (0.012, 0.014, high + 0.013)), 2))
    return parts, [skin, stem, leaf]


def plant(draw: Draw) -> Made:
    """A pot with leaves on stems, or a round cactus with ribs."""
    r, h = draw.number("r", 0.05, 0.08), draw.number("h", 0.07, 0.13)
    pot = S.lathe(
        [
            (0, 0),
            (0.75 * r, 0),
            (r, 0.85 * h),
            (1.08 * r, 0.86 * h),
            (1.08 * r, h),
            (0.95 * r, h),
            (0.93 * r, 0.9 * h),
            (0, 0.9 * h),
        ],
        40,
    )
    parts, materials = (
        [X.paint(pot, 0)],
        [
            glaze(draw, "pot"),
            Material((0.13, 0.09, 0.06), M.SPECKLE, (0.2, 0.14, 0.1), (0.08, 0.06, 0.04), scale=0.01),
        ],
    )
    parts.append(X.paint(S.lathe([(0.93 * r, 0.91 * h), (0, 0.925 * h)], 28), 1))
    green = draw.vary(
        "green", draw.pick("green", ((0.16, 0.36, 0.12), (0.3, 0.45, 0.16), (0.12, 0.3, 0.2), (0.45, 0.5, 0.25)))
    )
    pale = M.scaled(green, 1.0, 0.15)
    materials.append(
        Material(
            green,
            M.VEINS,
            M.scaled(green, 0.75),
            pale,
            scale=draw.number("leaf s", 0.04, 0.09),
            gloss=0.35,
            sharpness=25,
            mirror=0.02,
        )
    )
    if draw.chance("cactus", 0.25):
        body = S.ellipsoid((0.8 * r, 0.8 * r, draw.number("tall", 0.8, 2.2) * r), 48)
        around = np.arctan2(body.xyz[:, 1], body.xyz[:, 0])
        body = X.bend(body, body.xyz * (0.12 * np.abs(np.cos(draw.whole("ribs", 5, 9) * around))[:, None] * [1, 1, 0]))
        return [*parts, X.paint(X.move(body, (0, 0, h + 0.5 * r)), 2)], materials
    count, long, wide = draw.whole("leaves", 7, 18), draw.number("long", 0.08, 0.2), draw.number("wide", 0.012, 0.04)
    for k in range(count):
        part = draw.below(f"leaf{k}")
        azimuth, rise = 2.4 * k + part.number("a", -0.3, 0.3), part.number("rise", 0.3, 1.25)
        size = long * part.number("size", 0.6, 1.1)
        n = 10
        t = np.linspace(0, 1, n)
        reach = size * np.stack(
            [t * np.cos(rise) + 0.25 * t**2 * np.sin(rise), t * np.sin(rise) - 0.45 * t**2 * np.cos(rise)], -1
        )
        breadth = wide * np.sin(np.pi * t**0.8) + 0.0015
        across = np.linspace(-1, 1, 5)
        xyz = np.zeros((n, 5, 3))
        xyz[..., 0], xyz[..., 2] = (
            0.3 * r + reach[:, None, 0],
            h + reach[:, None, 1] - 0.3 * breadth[:, None] * across**2,
        )
        xyz[..., 1] = breadth[:, None] * across
        uv = np.stack(np.broadcast_arrays(breadth[:, None] * across, (size * t)[:, None]), -1).reshape(-1, 2)
        blade = X.build(xyz.reshape(-1, 3), S.grid_faces(n, 5)[:, ::-1], uv=uv)
        parts.append(X.paint(X.turn(blade, "z", float(np.degrees(azimuth))), 2))
    return parts, materials
