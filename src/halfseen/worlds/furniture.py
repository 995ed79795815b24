"""Furniture of rooms beside chairs: tables, shelves, rows of books, lamps, and things of a given largest size. Metres, z up."""

from __future__ import annotations

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds import tabletop
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.mesh import Mesh


def table(draw: Draw, wood: tuple[Rgb, Rgb], half: tuple[float, float], height: float) -> Made:
    """A board or a round top on four legs or one foot."""
    material = Material(
        wood[0],
        M.WOOD,
        wood[1],
        scale=draw.number("grain", 0.15, 0.35),
        gloss=0.3,
        sharpness=40,
        mirror=0.03,
        wear=0.2,
        seed=draw.texture_seed("wood"),
    )
    if draw.chance("round", 0.3):
        r = min(half)
        top = S.lathe([(0, -0.02), (r, -0.02), (r, 0.005), (0, 0.01)], 48, smooth=1)
        foot = S.lathe([(0, 0), (0.6 * r, 0), (0.5 * r, 0.03), (0.06, 0.1), (0.05, height - 0.02)], 32, smooth=1)
        return [X.move(top, (0, 0, height)), foot], [material]
    parts = [X.move(X.grain(S.box((half[0], half[1], 0.018), 0.008, cells=10), "x"), (0, 0, height - 0.018))]
    for sx in (1, -1):
        for sy in (1, -1):
            parts.append(
                X.move(
                    S.box((0.03, 0.03, height / 2 - 0.015), 0.006, cells=3),
                    (sx * (half[0] - 0.05), sy * (half[1] - 0.05), height / 2 - 0.02),
                )
            )
    return parts, [material]


def shelf(draw: Draw, wood: tuple[Rgb, Rgb]) -> tuple[Made, list[tuple[float, float]], float]:
    """A bookcase against +y: its boards, the (height, depth) of each, and its half width."""
    half, deep, boards = draw.number("half", 0.35, 0.65), draw.number("deep", 0.13, 0.2), draw.whole("boards", 3, 6)
    gap = draw.number("gap", 0.28, 0.38)
    tall = boards * gap
    material = Material(wood[0], M.WOOD, wood[1], scale=0.2, gloss=0.2, seed=draw.texture_seed("s"), wear=0.2)
    parts = [X.move(S.box((0.012, deep, tall / 2), 0.003, cells=6), (s * half, 0, tall / 2)) for s in (1, -1)]
    parts.append(X.move(S.box((half, 0.006, tall / 2), 0.002, cells=6), (0, deep - 0.006, tall / 2)))
    levels = [0.03 + i * gap for i in range(boards)] + [tall]
    parts += [X.move(X.grain(S.box((half, deep, 0.011), 0.003, cells=6), "x"), (0, 0, z)) for z in levels]
    return (parts, [material]), [(z + 0.011, deep) for z in levels], half


def books(draw: Draw, width: float, height: float) -> Made:
    """A row of books, each with its own thickness, height and colour; the last one leans."""
    parts: list[Mesh] = []
    materials: list[Material] = []
    x = -width / 2
    while x < width / 2 - 0.05 and len(parts) < 24:
        part = draw.below(f"book{len(parts)}")
        thick, tall, deep = (
            part.number("t", 0.012, 0.04),
            part.number("h", 0.6, 0.95) * height,
            part.number("d", 0.07, 0.1),
        )
        book = S.box((thick / 2, deep, tall / 2), 0.003)
        spine = part.vary("c", part.pick("c", M.CLOTHS + M.CAR_PAINTS))
        parts.append(X.paint(X.move(book, (x + thick / 2, 0, tall / 2)), len(materials)))
        materials.append(
            Material(
                spine,
                M.STRIPES,
                part.pick("line", M.GLAZES),
                scale=0.5 * tall,
                p1=0.0,
                p2=1.0,
                p3=part.number("bar", 0.06, 0.3),
                gloss=0.15,
                wear=0.2,
            )
        )
        x += thick + 0.002
    return parts, materials


def things(draw: Draw, name: str, largest: float) -> Made:
    """A thing from the tabletop family, no larger than this in any direction."""
    parts, materials = tabletop.thing(draw.below(name))
    whole = X.join(parts)
    low, high = X.bounds(whole)
    factor = min(1.0, largest / float((high - low).max()))
    return [X.stretch(whole, (factor,) * 3)], materials


def floor_lamp(draw: Draw) -> Made:
    """A lamp with a shade on a pole."""
    pole = S.lathe([(0, 0), (0.15, 0), (0.15, 0.02), (0.02, 0.03), (0.015, 1.35), (0, 1.36)], 32)
    low, high = draw.number("low", 0.18, 0.26), draw.number("high", 0.1, 0.18)
    shade = S.lathe([(low, 1.3), (high, 1.62), (high - 0.004, 1.62), (low - 0.004, 1.3)], 40)
    cloth = draw.vary("shade", draw.pick("shade", M.CLOTHS))
    return [X.paint(pole, 0), X.paint(shade, 1)], [
        Material(draw.pick("metal", M.METALS), gloss=0.7, mirror=0.2),
        Material(cloth, M.WEAVE, draw.vary("b", cloth, 0.1), scale=0.02, gloss=0.0),
    ]
