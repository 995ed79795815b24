"""A street to drive along: road with markings, pavements, facades, trees, lamps, parked cars. The road runs along +x.

z is up, metres; the road's middle is the origin, the street is `LENGTH` long.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from halfseen.worlds import cars, tabletop
from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Assembly, Made
from halfseen.worlds.draw import Draw, daylight
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.render import Model

LENGTH = 60.0
_LANE = 3.2
_CURB = 0.14
# Length of one stone of the curb: light changes along it in halves.
_CURBSTONE = 2.0
_WALLS: tuple[Rgb, ...] = ((0.78, 0.7, 0.58), (0.62, 0.36, 0.28), (0.72, 0.74, 0.74), (0.82, 0.78, 0.7), (0.55, 0.5, 0.46), (0.7, 0.58, 0.45), (0.48, 0.54, 0.58))  # fmt: skip


def make(seed: int) -> Model:
    """One street."""
    draw = Draw(seed, "outdoor")
    street = Assembly()
    walk = draw.number("walk", 2.2, 4.0)
    _ground(street, walk, draw.below("ground"))
    for side in (1, -1):
        _houses(street, side, walk, draw.below(f"houses{side}"))
        _furniture(street, side, walk, draw.below(f"furniture{side}"))
    return street.model(replace(daylight(draw.below("light")), exposure=draw.number("exposure", 1.1, 1.5)))


def _ground(street: Assembly, walk: float, draw: Draw) -> None:
    """Asphalt with a dashed middle line and edge lines, curbs, paved walks."""
    cells = (int(LENGTH * 2), 16)
    asphalt = Material(
        (0.28, 0.28, 0.29),
        M.SPECKLE,
        (0.22, 0.22, 0.23),
        (0.36, 0.35, 0.34),
        scale=0.03,
        gloss=0.05,
        grain=0.15,
        grain_scale=0.4,
        wear=0.4,
        seed=draw.texture_seed("road"),
    )
    street.add([S.sheet((LENGTH, 2 * _LANE), cells)], [asphalt])
    paint = Material((0.85, 0.84, 0.8), wear=0.6, grain=0.2, grain_scale=0.05, seed=draw.texture_seed("paint"))
    marks = [X.move(S.sheet((2.0, 0.13), (6, 1)), (x, 0, 0.004)) for x in np.arange(-LENGTH / 2 + 1, LENGTH / 2, 4.5)]
    marks += [X.move(S.sheet((LENGTH, 0.1), (60, 1)), (0, s * (_LANE - 0.25), 0.004)) for s in (1, -1)]
    if draw.chance("crossing", 0.6):
        x = draw.number("crossing x", -15, 15)
        marks += [X.move(S.sheet((3.0, 0.4), (8, 2)), (x, y, 0.005)) for y in np.arange(-_LANE + 0.5, _LANE, 0.85)]
    street.add(marks, [paint])
    stone = Material(
        (0.6, 0.59, 0.57),
        M.TILE,
        (0.54, 0.52, 0.5),
        (0.42, 0.41, 0.4),
        scale=draw.number("slab", 0.3, 0.6),
        p1=0.02,
        gloss=0.03,
        wear=0.3,
        seed=draw.texture_seed("slabs"),
    )
    for s in (1, -1):
        slab = X.move(S.sheet((LENGTH, walk), (120, 10)), (0, s * (_LANE + walk / 2), _CURB))
        curb = S.box((_CURBSTONE / 2, 0.08, _CURB / 2), 0.02, steps=1)
        along = np.arange(-LENGTH / 2 + _CURBSTONE / 2, LENGTH / 2, _CURBSTONE)
        curbs = [X.move(curb, (x, s * (_LANE + 0.08), _CURB / 2 + 0.002)) for x in along]
        street.add([slab, *curbs], [stone])


def _houses(street: Assembly, side: int, walk: float, draw: Draw) -> None:
    """A row of houses of differing width, height, setback and facade; roofs, doors, awnings."""
    x, k = -LENGTH / 2 - 2, 0
    front = _LANE + walk
    while x < LENGTH / 2 + 2:
        part = draw.below(f"house{k}")
        wide, tall, storey = part.number("w", 6, 12), part.whole("storeys", 2, 5), part.number("storey", 2.8, 3.4)
        height, back = tall * storey + 0.6, part.number("back", 0.0, 1.2)
        wall = part.vary("wall", part.pick("wall", _WALLS))
        facade = Material(
            wall,
            M.FACADE,
            (0.2, 0.26, 0.32),
            part.pick("frame", ((0.9, 0.89, 0.86), (0.25, 0.22, 0.2), (0.5, 0.42, 0.35))),
            scale=storey,
            p1=part.number("bay", 0.7, 1.1),
            p2=part.number("open", 0.45, 0.7),
            gloss=0.1,
            sharpness=40,
            wear=0.3,
            grain=0.1,
            grain_scale=0.3,
            seed=part.texture_seed("facade"),
        )
        plain = Material(wall, grain=0.1, grain_scale=0.3, wear=0.3)
        y = side * (front + back)
        face = X.turn(S.sheet((wide, height), (int(wide * 2), int(height * 2))), "x", 90)
        face = X.shift_uv(face, wide / 2, height / 2 - 0.3)
        parts = [X.move(X.turn(face, "z", 180.0 if side < 0 else 0.0), (x + wide / 2, y, height / 2))]
        body = S.box((wide / 2, 3.0, height / 2 - 0.01), 0.0, cells=4)
        street.add(parts, [facade])
        street.add([X.move(body, (x + wide / 2, y + side * 3.01, height / 2 - 0.01))], [plain])
        if part.chance("gable", 0.5):
            ridge = part.number("ridge", 1.2, 2.8)
            ends = [
                np.array([[xx, -0.3, 0], [xx, 6.3, 0], [xx, 3.0, ridge]]) for xx in (-wide / 2 - 0.2, wide / 2 + 0.2)
            ]
            roof = X.faceted(S.loft(np.asarray(ends)))
            roof = X.stretch(roof, (1, float(side), 1))
            street.add(
                [X.move(roof, (x + wide / 2, y, height - 0.02))],
                [
                    Material(
                        (0.48, 0.25, 0.2), M.BRICK, (0.38, 0.2, 0.16), (0.3, 0.18, 0.15), scale=0.3, p1=0.06, wear=0.3
                    )
                ],
            )
        _ground_floor(street, x + wide / 2, y, side, part)
        x += wide + part.pick("gap", (0.0, 0.0, 0.0, 1.5))
        k += 1


def _ground_floor(street: Assembly, x: float, y: float, side: int, draw: Draw) -> None:
    """A door with a step, and a shop's awning and sign now and then."""
    wood = draw.pick("door", M.WOODS)
    door = X.move(
        S.box((0.5, 0.06, 1.05), 0.02, steps=1, cells=2), (x + draw.number("dx", -2, 2), y - side * 0.03, 1.05 + _CURB)
    )
    street.add(
        [door],
        [
            Material(
                draw.pick("paint", M.CAR_PAINTS) if draw.chance("painted", 0.5) else wood[0],
                M.WOOD,
                wood[1],
                scale=0.3,
                gloss=0.3,
            )
        ],
    )
    if draw.chance("shop", 0.4):
        stripes = Material(draw.pick("awning", M.CLOTHS), M.STRIPES, (0.9, 0.88, 0.84), scale=0.5, p1=1.0, p3=0.5)
        awning = X.turn(S.sheet((3.2, 1.3), (12, 4)), "x", 20.0 * side)
        street.add([X.move(awning, (x, y - side * 0.65, 2.75))], [stripes])
        sign = X.turn(S.sheet((2.8, 0.5), (4, 2)), "x", 90)
        sign = X.shift_uv(sign, 1.4, 0.25)
        street.add(
            [X.move(X.turn(sign, "z", 180.0 if side < 0 else 0.0), (x, y - side * 0.03, 3.15))],
            [
                Material(
                    draw.pick("sign", M.CAR_PAINTS),
                    M.LABEL,
                    (0.95, 0.93, 0.88),
                    draw.pick("bar", M.GLAZES),
                    scale=0.22,
                    p1=0.5,
                    p2=2.8,
                    seed=draw.texture_seed("sign"),
                )
            ],
        )


def _furniture(street: Assembly, side: int, walk: float, draw: Draw) -> None:
    """Parked cars, trees, lamp posts, a hydrant."""
    x, k = -LENGTH / 2 + draw.number("start", 0, 4), 0
    while x < LENGTH / 2:
        part = draw.below(f"car{k}")
        if part.chance("there", 0.6):
            made = cars.vehicle(part)
            street.place(made, (x, side * (_LANE - 0.95), 0.0), degrees=0.0 if side < 0 else 180.0)
        x += part.number("gap", 6, 11)
        k += 1
    for k, x in enumerate(
        np.arange(-LENGTH / 2 + draw.number("tree", 0, 6), LENGTH / 2, draw.number("spacing", 8, 14))
    ):
        spot = (float(x), side * (_LANE + 0.8), _CURB)
        if draw.chance(f"tree{k}", 0.6):
            street.place(_tree(draw.below(f"tree{k}")), spot)
        elif draw.chance(f"lamp{k}", 0.6):
            street.place(_lamp_post(), spot, degrees=90.0 * side)
        else:
            parts, materials = tabletop.KINDS["hydrant"](draw.below(f"hydrant{k}"))
            street.place((parts, materials), spot)


def _tree(draw: Draw) -> Made:
    """A trunk that forks and a crown of bumpy balls."""
    tall = draw.number("tall", 3.2, 6.0)
    trunk = S.tube(
        S.curve([(0, 0, 0), (0.06, 0.02, 0.4 * tall), (-0.04, 0.05, 0.7 * tall)], 10), np.linspace(0.17, 0.09, 10), 12
    )
    parts, green = (
        [X.paint(trunk, 0)],
        draw.vary(
            "green", draw.pick("green", ((0.24, 0.36, 0.12), (0.32, 0.42, 0.16), (0.2, 0.3, 0.14), (0.55, 0.4, 0.14)))
        ),
    )
    for k in range(draw.whole("balls", 5, 9)):
        ball = draw.below(f"ball{k}")
        r = ball.number("r", 0.16, 0.28) * tall
        crown = S.ellipsoid((r, r, 0.85 * r), 22)
        wave = sum(
            np.sin(f * crown.xyz @ np.array([ball.number(f"{a}{f}", -1, 1) for a in "xyz"]) / r + f) for f in (5, 9, 14)
        )
        crown = X.bend(crown, crown.normal * (0.07 * r * wave)[:, None])
        at = (
            ball.number("x", -0.22, 0.22) * tall,
            ball.number("y", -0.22, 0.22) * tall,
            (0.72 + ball.number("z", -0.05, 0.22)) * tall,
        )
        parts.append(X.paint(X.move(crown, at), 1))
    leaf = Material(
        green,
        M.SPECKLE,
        (0.6 * green[0], 0.6 * green[1], 0.6 * green[2]),
        (min(1.0, 1.35 * green[0]), min(1.0, 1.3 * green[1]), green[2]),
        scale=0.07,
        grain=0.5,
        grain_scale=0.12,
        gloss=0.05,
    )
    return parts, [
        Material((0.3, 0.23, 0.17), M.WOOD, (0.2, 0.15, 0.11), scale=0.25, grain=0.3, grain_scale=0.04),
        leaf,
    ]


def _lamp_post() -> Made:
    pole = S.lathe([(0, 0), (0.11, 0), (0.1, 0.5), (0.06, 0.6), (0.045, 4.6), (0, 4.6)], 20)
    arm = S.tube(S.curve([(0, 0, 4.5), (0.3, 0, 4.95), (0.95, 0, 5.0)], 10), 0.035, 10)
    head = X.move(S.ellipsoid((0.3, 0.12, 0.06), 16, 3), (1.15, 0, 4.98))
    return [X.paint(pole, 0), X.paint(arm, 0), X.paint(head, 1)], [
        Material((0.2, 0.24, 0.22), gloss=0.4, mirror=0.03, wear=0.3),
        Material((0.85, 0.85, 0.8), gloss=0.5),
    ]
