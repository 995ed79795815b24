"""Rooms: floor, walls, windows with curtains, and furniture with what lies on it; made for looking around in, as Hypersim is.

z is up, metres, the floor is z = 0 and the middle of the room is the origin.
"""

from __future__ import annotations

import numpy as np

from halfseen.worlds import chairs
from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Assembly
from halfseen.worlds.draw import Draw, daylight
from halfseen.worlds.furniture import books, floor_lamp, shelf, table, things
from halfseen.worlds.light import Light
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.render import Model

_WALL_CELL = 0.16
_WHITE: Rgb = (0.9, 0.89, 0.86)

# How a room is lit: strength and angular size (radians) of the lamp, fill light, and how far the camera opens up.
_LAMP, _LAMP_RADIUS, _FILL, _EXPOSURE = (0.9, 2.2), (0.15, 0.4), (0.35, 0.85), (2.0, 3.4)


def make(seed: int) -> Model:
    """One furnished room."""
    draw = Draw(seed, "rooms")
    length, width, height = extent(seed)
    room = Assembly()
    _shell(room, length, width, height, draw.below("shell"))
    wood = draw.pick("wood", M.WOODS)
    _against_walls(room, length, width, height, wood, draw.below("walls"))
    _middle(room, length, width, wood, draw.below("middle"))
    return room.model(_lamp(draw.below("light"), draw.number("exposure", *_EXPOSURE)))


def _lamp(draw: Draw, exposure: float) -> Light:
    """A broad lamp or window above the open ceiling, over fill light that leaves corners darker in some rooms than in others."""
    base = daylight(draw)
    fill = draw.number("fill", *_FILL)
    return Light(
        base.sun_direction,
        base.sun,
        draw.number("lamp", *_LAMP) * base.sun_strength,
        draw.number("lamp size", *_LAMP_RADIUS),
        (fill, fill, fill),
        (0.95 * fill, 0.93 * fill, 0.9 * fill),
        (0.6 * fill, 0.56 * fill, 0.5 * fill),
        exposure=exposure,
    )


def extent(seed: int) -> tuple[float, float, float]:
    """Length (x), width (y) and height of a room; cameras are placed by it."""
    draw = Draw(seed, "rooms")
    return draw.number("length", 4.2, 6.5), draw.number("width", 3.6, 5.2), draw.number("height", 2.4, 2.9)


def _shell(room: Assembly, length: float, width: float, height: float, draw: Draw) -> None:
    """Floor, four walls facing inwards, skirting, a ceiling that lets light through, windows, a door."""
    cells = (round(length / _WALL_CELL), round(width / _WALL_CELL))
    room.add([S.sheet((length, width), cells)], [_floor(draw.below("floor"))])
    ceiling = X.move(X.turn(S.sheet((length, width), (12, 10)), "x", 180), (0, 0, height))
    room.add([ceiling], [Material(_WHITE, grain=0.02)], ghost=True)
    paper = _wall(draw.below("wall"))
    accent = _wall(draw.below("accent")) if draw.chance("accent", 0.5) else paper
    walls = (
        (0, width / 2, length, 180),
        (0, -width / 2, length, 0),
        (length / 2, 0, width, 90),
        (-length / 2, 0, width, 270),
    )
    for i, (x, y, long, turn) in enumerate(walls):
        wall = X.turn(S.sheet((long, height), (round(long / _WALL_CELL), round(height / _WALL_CELL))), "x", -90)
        # A sheet facing up, tipped to face +y, then turned to face the middle.
        upright = X.turn(X.move(wall, (0, 0, height / 2)), "z", turn)
        skirting = X.turn(S.box((long / 2, 0.012, 0.045), 0.006), "z", turn)
        room.add([X.move(upright, (x, y, 0))], [accent if i == 3 else paper])
        room.add([X.move(skirting, (x * 0.997, y * 0.997, 0.045))], [Material(_WHITE, gloss=0.3, mirror=0.02)])
        if i in (0, 2) or draw.chance(f"window{i}", 0.4):
            _window(room, x, y, turn, height, draw.below(f"window{i}"))
    door = X.join(
        [
            X.paint(S.box((0.42, 0.025, 1.0), 0.008, cells=4), 0),
            X.paint(X.move(S.ellipsoid((0.03, 0.05, 0.03), 14), (0.34, 0.05, 0.0)), 1),
        ]
    )
    wood = draw.pick("door", M.WOODS)
    room.add(
        [X.move(X.turn(door, "z", 270), (-length / 2 + 0.03, draw.number("door y", -0.25, 0.25) * width, 1.0))],
        [Material(wood[0], M.WOOD, wood[1], scale=0.3, gloss=0.2), Material(M.METALS[2], gloss=0.8, mirror=0.3)],
    )


def _floor(draw: Draw) -> Material:
    wood, seed = draw.pick("wood", M.WOODS), draw.texture_seed("seed")
    match draw.pick("kind", ("planks", "planks", "tile", "marble", "carpet")):
        case "planks":
            return Material(
                wood[0],
                M.PLANKS,
                wood[1],
                (0.12, 0.08, 0.05),
                scale=draw.number("board", 0.08, 0.18),
                gloss=0.3,
                sharpness=30,
                mirror=0.03,
                wear=0.2,
                seed=seed,
            )
        case "tile":
            a = draw.vary("tile", draw.pick("tile", M.GLAZES))
            return Material(
                a,
                M.TILE,
                draw.vary("tile b", a, 0.15),
                (0.6, 0.58, 0.55),
                scale=draw.number("size", 0.2, 0.5),
                p1=0.015,
                gloss=0.5,
                sharpness=60,
                mirror=0.04,
                seed=seed,
            )
        case "marble":
            return Material(
                (0.85, 0.83, 0.8),
                M.MARBLE,
                (0.6, 0.58, 0.56),
                (0.4, 0.38, 0.36),
                scale=0.6,
                gloss=0.5,
                sharpness=70,
                mirror=0.05,
                seed=seed,
            )
        case _:
            cloth = draw.vary("carpet", draw.pick("carpet", M.CLOTHS))
            return Material(
                cloth,
                M.SPECKLE,
                draw.vary("b", cloth, 0.1),
                draw.vary("c", cloth, 0.1),
                scale=0.012,
                gloss=0.0,
                grain=0.2,
                grain_scale=0.02,
                seed=seed,
            )


def _wall(draw: Draw) -> Material:
    paint, seed = (
        draw.vary(
            "paint",
            draw.pick(
                "paint",
                (
                    _WHITE,
                    (0.82, 0.8, 0.74),
                    (0.66, 0.72, 0.7),
                    (0.75, 0.66, 0.55),
                    (0.55, 0.6, 0.66),
                    (0.72, 0.55, 0.48),
                ),
            ),
            0.06,
        ),
        draw.texture_seed("seed"),
    )
    match draw.pick("kind", ("paint", "paint", "paper", "brick", "dots")):
        case "paint":
            return Material(paint, grain=0.035, grain_scale=0.15, gloss=0.02, wear=0.08, seed=seed)
        case "paper":
            return Material(
                paint,
                M.STRIPES,
                draw.vary("stripe", paint, 0.12),
                scale=draw.number("s", 0.06, 0.2),
                p1=1.0,
                p3=0.5,
                gloss=0.02,
                seed=seed,
            )
        case "brick":
            return Material(
                (0.58, 0.32, 0.24),
                M.BRICK,
                (0.45, 0.24, 0.18),
                (0.7, 0.66, 0.6),
                scale=0.075,
                p1=0.12,
                gloss=0.02,
                grain=0.15,
                seed=seed,
            )
        case _:
            return Material(
                paint, M.DOTS, draw.vary("dot", paint, 0.2), scale=draw.number("s", 0.08, 0.16), gloss=0.02, seed=seed
            )


def _window(room: Assembly, x: float, y: float, turn: float, height: float, draw: Draw) -> None:
    """Frame, bars, bright panes, a sill and curtains on a rod, against the wall at (x, y)."""
    half_w, half_h, sill = draw.number("w", 0.45, 0.8), draw.number("h", 0.5, 0.75), draw.number("sill", 0.75, 1.0)
    middle = sill + half_h
    parts = [X.paint(X.move(X.turn(S.sheet((2 * half_w, 2 * half_h), (4, 4)), "x", -90), (0, 0.012, middle)), 1)]
    for dx in (-half_w, 0.0, half_w):
        parts.append(X.paint(X.move(S.box((0.03 if dx else 0.018, 0.03, half_h), 0.006), (dx, 0.02, middle)), 0))
    for dz in (-half_h, 0.25 * half_h, half_h):
        parts.append(
            X.paint(
                X.move(
                    S.box((half_w + 0.03, 0.03, 0.03 if abs(dz) == half_h else 0.016), 0.006), (0, 0.02, middle + dz)
                ),
                0,
            )
        )
    parts.append(X.paint(X.move(S.box((half_w + 0.1, 0.09, 0.018), 0.008), (0, 0.07, sill - 0.03)), 0))
    if draw.chance("curtains", 0.7):
        top, low = middle + half_h + 0.14, draw.pick("low", (0.06, sill - 0.15))
        parts.append(
            X.paint(
                S.tube(np.array([[-half_w - 0.35, 0.1, top], [0, 0.1, top], [half_w + 0.35, 0.1, top]]), 0.012, 10), 3
            )
        )
        for side in (-1, 1):
            wide = draw.number(f"wide{side}", 0.25, 0.5)
            u, v = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 10), indexing="ij")
            fold = 0.035 * np.sin(2 * np.pi * (draw.whole(f"folds{side}", 4, 8)) * u + 0.6 * v) * (0.5 + 0.5 * v)
            px = side * (half_w + 0.3 - u * wide * (1 - 0.15 * np.sin(np.pi * v)))
            xyz = np.stack([px, 0.1 + fold, top - (top - low) * v], -1).reshape(-1, 3)
            faces = S.grid_faces(40, 10)
            uv = np.stack([u * wide * 1.6, (top - low) * v], -1).reshape(-1, 2)
            parts.append(X.paint(X.build(xyz, faces if side < 0 else faces[:, ::-1], uv=uv), 2))
    cloth = draw.vary("cloth", draw.pick("cloth", M.CLOTHS))
    curtain = Material(
        cloth,
        draw.pick("weave", (M.WEAVE, M.STRIPES)),
        draw.vary("cloth b", cloth, 0.15),
        scale=draw.number("scale", 0.01, 0.08),
        p1=1.0,
        p3=0.5,
        gloss=0.0,
    )
    pane = Material(
        (0.93, 0.96, 1.0),
        M.PAINTING,
        (0.75, 0.85, 0.97),
        (0.45, 0.55, 0.38),
        scale=1.6,
        gloss=0.9,
        sharpness=200,
        mirror=0.15,
        grain=0.0,
        seed=draw.texture_seed("view"),
    )
    whole = X.turn(X.join(parts), "z", turn)
    room.add(
        [X.move(whole, (x, y, 0))],
        [Material(_WHITE, gloss=0.3, mirror=0.02), pane, curtain, Material(M.METALS[1], gloss=0.6)],
    )


def _against_walls(
    room: Assembly, length: float, width: float, height: float, wood: tuple[Rgb, Rgb], draw: Draw
) -> None:
    """Shelves with clutter, a sideboard, pictures, a lamp in the corner, along the two long walls and the short ones."""
    for k, side in enumerate((1, -1)):
        part = draw.below(f"side{k}")
        x = part.number("x", -0.28, 0.28) * length
        if part.chance("shelf", 0.75):
            made, levels, half = shelf(part.below("shelf"), wood)
            turn = 0.0 if side > 0 else 180.0
            y = side * (width / 2 - levels[0][1] - 0.02)
            room.place(made, (x, y, 0), degrees=turn)
            for i, (z, deep) in enumerate(levels):
                level = part.below(f"level{i}")
                spot = (x + (level.number("bx", -0.3, 0.0) if side > 0 else level.number("bx", 0.0, 0.3)) * half, y, z)
                if level.chance("books", 0.7) and i < len(levels) - 1:
                    room.place(books(level.below("books"), half, 0.26), spot, degrees=turn)
                room.place(
                    things(level, "thing", 0.24),
                    (x + side * 0.6 * half, y - side * 0.2 * deep, z),
                    degrees=level.number("turn", 0, 360),
                )
        for j in range(part.whole("pictures", 0, 2)):
            _picture(
                room,
                (-x + (j - 0.5) * 0.9, side * (width / 2 - 0.015), part.number(f"z{j}", 1.4, 1.7)),
                0.0 if side > 0 else 180.0,
                part.below(f"picture{j}"),
            )
    end = draw.below("end")
    board = (0.22, end.number("half", 0.5, 0.9))
    parts, materials = table(end, wood, board, end.number("h", 0.6, 0.85))
    top = X.bounds(X.join(parts))[1][2]
    x = length / 2 - board[0] - 0.05
    room.place((parts, materials), (x, 0, 0))
    for j, y in enumerate(np.linspace(-0.7, 0.7, end.whole("count", 2, 4)) * board[1]):
        room.place(things(end, f"thing{j}", 0.4), (x, float(y), float(top)), degrees=end.number(f"turn{j}", 0, 360))
    _picture(room, (length / 2 - 0.015, 0.0, 1.6), 270.0, end.below("picture"))
    corner = floor_lamp(draw.below("lamp"))
    room.place(corner, (-0.42 * length, 0.36 * width, 0))
    plant = things(draw, "plant", 0.9)
    room.place(plant, (0.4 * length, -0.38 * width, 0), size=1.6)


def _picture(room: Assembly, at: tuple[float, float, float], turn: float, draw: Draw) -> None:
    """A framed picture on a wall that faces -y before turning."""
    half = (draw.number("w", 0.2, 0.5), draw.number("h", 0.2, 0.42))
    canvas = X.move(X.turn(S.sheet((2 * half[0], 2 * half[1]), (4, 4)), "x", 90), (0, -0.014, 0))
    frame = [X.move(S.box((half[0] + 0.03, 0.012, 0.018), 0.005), (0, -0.01, s * (half[1] + 0.012))) for s in (1, -1)]
    frame += [X.move(S.box((0.018, 0.012, half[1] + 0.02), 0.005), (s * (half[0] + 0.012), -0.01, 0)) for s in (1, -1)]
    wood = draw.pick("frame", M.WOODS)
    paint = Material(
        draw.pick("sky", M.GLAZES),
        M.PAINTING,
        draw.pick("sun", M.CAR_PAINTS),
        draw.pick("land", M.CLOTHS),
        scale=2 * half[1],
        seed=draw.texture_seed("scene"),
        gloss=0.1,
    )
    canvas = X.shift_uv(canvas, 0.0, half[1])
    whole = X.turn(X.join([X.paint(canvas, 0), *(X.paint(f, 1) for f in frame)]), "z", turn)
    room.add([X.move(whole, at)], [paint, Material(wood[0], M.WOOD, wood[1], scale=0.06, gloss=0.3)])


def _middle(room: Assembly, length: float, width: float, wood: tuple[Rgb, Rgb], draw: Draw) -> None:
    """A rug, a table with things on it, chairs around it that face it, a tub chair or a bench by the wall."""
    rug = (draw.number("rug x", 0.25, 0.36) * length, draw.number("rug y", 0.25, 0.34) * width)
    cloth = [draw.pick(f"rug {n}", M.CLOTHS) for n in "abc"]
    room.add(
        [X.move(S.sheet((2 * rug[0], 2 * rug[1]), (40, 30)), (0, 0, 0.008))],
        [
            Material(
                cloth[0],
                M.ORNAMENT,
                cloth[1],
                cloth[2],
                scale=draw.number("rug s", 0.12, 0.25),
                p1=rug[0],
                p2=rug[1],
                gloss=0.0,
                grain=0.15,
                seed=draw.texture_seed("rug"),
            )
        ],
    )
    half, tall = (draw.number("tx", 0.45, 0.8), draw.number("ty", 0.35, 0.5)), draw.pick("tall", (0.45, 0.74, 0.74))
    at = (draw.number("cx", -0.3, 0.3), draw.number("cy", -0.2, 0.2))
    parts, materials = table(draw.below("table"), wood, half, tall)
    top = float(X.bounds(X.join(parts))[1][2])
    room.place((parts, materials), (*at, 0), degrees=draw.number("skew", -15, 15))
    for j in range(draw.whole("on table", 2, 6)):
        spot = (
            at[0] + draw.number(f"x{j}", -0.65, 0.65) * min(half),
            at[1] + draw.number(f"y{j}", -0.6, 0.6) * min(half),
            top,
        )
        room.place(things(draw, f"thing{j}", 0.3), spot, degrees=draw.number(f"turn{j}", 0, 360))
    seats = draw.whole("seats", 2, 4)
    same = draw.chance("same chairs", 0.6)
    for j in range(seats):
        angle = 2 * np.pi * j / seats + draw.number("first", 0, 6)
        reach = (half[0] + 0.42, half[1] + 0.45)
        spot = (at[0] + reach[0] * np.cos(angle), at[1] + reach[1] * np.sin(angle), 0.0)
        made = chairs.seat(draw.below("chair0" if same else f"chair{j}"))
        room.place(made, spot, degrees=float(np.degrees(angle)) + 180 + draw.number(f"skew{j}", -25, 25))
    easy = chairs.seat(draw.below("easy"), kind="tub")
    room.place(easy, (-0.33 * length, -0.33 * width, 0), degrees=draw.number("easy turn", 10, 80))
    _ball_on_floor(room, draw.below("floor thing"))


def _ball_on_floor(room: Assembly, draw: Draw) -> None:
    mesh: Mesh = X.move(
        S.ellipsoid((0.11, 0.11, 0.11), 24), (draw.number("x", -1.2, 1.2), draw.number("y", -1.0, 1.0), 0.118)
    )
    room.add(
        [mesh],
        [
            Material(
                draw.pick("a", M.CAR_PAINTS),
                M.STRIPES,
                draw.pick("b", M.GLAZES),
                scale=0.12,
                p1=1.0,
                p2=0.3,
                p3=0.5,
                gloss=0.5,
                mirror=0.03,
            )
        ],
    )
