"""Cars: sedans, hatchbacks, estates, vans, pick-ups, sports cars, off-roaders, buses. +x is forward, z up, sizes in metres.

A car is a hull (a loft along x), a cabin (rings stacked upwards, so that glass and pillars are columns of the grid), wheels, lamps
and what owners add. One side differs from the other, and the back is not the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfseen.worlds import materials as M
from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.draw import Draw, daylight
from halfseen.worlds.materials import Material
from halfseen.worlds.mesh import Array, Mesh
from halfseen.worlds.render import Model

PAINT, GLASS, TYRE, RIM, DARK, LAMP, TAIL, CHROME, PLATE, TRIM, STICKER, WELL = range(12)
# Radius of the sphere that a car is scaled into (SRN's cars are of this size).
RADIUS = 0.5
# Corners of a wheel.
_ROUND = 30


@dataclass(frozen=True)
class Body:
    """Proportions in metres. Heights are above the ground; hood, trunk are lengths from the ends."""

    length: float
    width: float
    roof: float
    belt: float
    deck_front: float
    deck_back: float
    hood: float
    trunk: float
    slant_front: float
    slant_back: float
    wheel: float
    clearance: float
    boxy: float  # power of the sections: 2 is round, 8 is a box
    nose: float  # rounding of the ends in metres


def _body(draw: Draw, **ranges: tuple[float, float]) -> Body:
    return Body(**{name: draw.number(name, *span) for name, span in ranges.items()})


# Ranges of each kind of car, and how often it comes.
KINDS: dict[str, tuple[float, dict[str, tuple[float, float]]]] = {
    "sedan": (0.22, {"length": (4.3, 5.0), "width": (1.72, 1.9), "roof": (1.38, 1.5), "belt": (0.88, 0.98), "deck_front": (0.78, 0.9), "deck_back": (0.9, 1.0), "hood": (1.15, 1.4), "trunk": (0.65, 0.95), "slant_front": (0.7, 0.95), "slant_back": (0.5, 0.9), "wheel": (0.31, 0.36), "clearance": (0.17, 0.22), "boxy": (3.2, 5.0), "nose": (0.25, 0.6)}),
    "hatchback": (0.18, {"length": (3.6, 4.2), "width": (1.62, 1.8), "roof": (1.42, 1.58), "belt": (0.9, 1.0), "deck_front": (0.82, 0.94), "deck_back": (0.92, 1.0), "hood": (0.8, 1.1), "trunk": (0.05, 0.15), "slant_front": (0.55, 0.85), "slant_back": (0.25, 0.6), "wheel": (0.29, 0.34), "clearance": (0.16, 0.22), "boxy": (3.0, 4.5), "nose": (0.25, 0.5)}),
    "estate": (0.12, {"length": (4.4, 4.9), "width": (1.72, 1.88), "roof": (1.42, 1.55), "belt": (0.9, 1.0), "deck_front": (0.8, 0.92), "deck_back": (0.92, 1.0), "hood": (1.0, 1.3), "trunk": (0.05, 0.12), "slant_front": (0.65, 0.9), "slant_back": (0.15, 0.4), "wheel": (0.31, 0.35), "clearance": (0.17, 0.22), "boxy": (3.5, 5.0), "nose": (0.25, 0.5)}),
    "offroad": (0.13, {"length": (4.0, 4.8), "width": (1.75, 2.0), "roof": (1.7, 1.95), "belt": (1.08, 1.22), "deck_front": (1.0, 1.16), "deck_back": (1.1, 1.2), "hood": (0.95, 1.3), "trunk": (0.04, 0.1), "slant_front": (0.2, 0.5), "slant_back": (0.08, 0.25), "wheel": (0.37, 0.44), "clearance": (0.24, 0.34), "boxy": (5.0, 8.0), "nose": (0.12, 0.3)}),
    "sports": (0.12, {"length": (4.1, 4.7), "width": (1.8, 1.98), "roof": (1.14, 1.28), "belt": (0.76, 0.86), "deck_front": (0.62, 0.76), "deck_back": (0.8, 0.92), "hood": (1.1, 1.6), "trunk": (0.4, 0.8), "slant_front": (0.9, 1.2), "slant_back": (0.9, 1.3), "wheel": (0.32, 0.36), "clearance": (0.11, 0.15), "boxy": (2.4, 3.4), "nose": (0.5, 0.9)}),
    "van": (0.1, {"length": (4.5, 5.3), "width": (1.85, 2.05), "roof": (1.9, 2.3), "belt": (1.15, 1.3), "deck_front": (0.95, 1.12), "deck_back": (1.15, 1.3), "hood": (0.45, 0.75), "trunk": (0.03, 0.06), "slant_front": (0.5, 0.8), "slant_back": (0.03, 0.12), "wheel": (0.32, 0.37), "clearance": (0.18, 0.25), "boxy": (6.0, 9.0), "nose": (0.15, 0.35)}),
    "pickup": (0.08, {"length": (4.9, 5.6), "width": (1.85, 2.05), "roof": (1.7, 1.9), "belt": (1.08, 1.2), "deck_front": (1.0, 1.12), "deck_back": (1.0, 1.1), "hood": (1.15, 1.4), "trunk": (1.6, 2.1), "slant_front": (0.45, 0.7), "slant_back": (0.05, 0.2), "wheel": (0.38, 0.44), "clearance": (0.25, 0.34), "boxy": (5.0, 8.0), "nose": (0.15, 0.3)}),
    "bus": (0.05, {"length": (6.5, 8.5), "width": (2.2, 2.4), "roof": (2.6, 3.0), "belt": (1.3, 1.5), "deck_front": (1.25, 1.4), "deck_back": (1.3, 1.5), "hood": (0.08, 0.2), "trunk": (0.03, 0.06), "slant_front": (0.1, 0.3), "slant_back": (0.03, 0.08), "wheel": (0.42, 0.48), "clearance": (0.28, 0.35), "boxy": (8.0, 12.0), "nose": (0.12, 0.25)}),
}  # fmt: skip


def make(seed: int) -> Model:
    """One car, scaled into its sphere."""
    draw = Draw(seed, "cars")
    parts, materials = vehicle(draw)
    return Model(X.into_sphere(X.join(parts), RADIUS), materials, daylight(draw.below("light")))


def vehicle(draw: Draw) -> tuple[list[Mesh], list[Material]]:
    """Meshes and materials of one car in metres, standing on z = 0."""
    kind = draw.pick("kind", list(KINDS), [weight for weight, _ in KINDS.values()])
    body = _body(draw.below("body"), **KINDS[kind][1])
    parts = [_hull(body), *_cabin(body, kind, draw.below("cabin")), *_wheels(body, draw.below("wheels"))]
    parts += (
        _face(body, draw.below("face")) + _sides(body, draw.below("sides")) + _extras(body, kind, draw.below("extras"))
    )
    if kind == "pickup":
        parts += _bed(body)
    return parts, _materials(body, draw.below("materials"))


def _width_at(body: Body, x: Array) -> Array:
    """Half width of the hull along x: full in the middle, rounded at the ends."""
    end = np.clip((np.abs(x) - (body.length / 2 - body.nose)) / body.nose, 0, 1)
    return body.width / 2 * (0.97 - 0.03 * np.abs(x) / (body.length / 2) - 0.22 * end**2)


def _deck_at(body: Body, x: Array) -> Array:
    """Height of the hull's top along x: hood, belt line under the cabin, trunk; low at both ends."""
    half = body.length / 2
    keys = [
        (-half, 0.80 * body.deck_back), (-half + 0.06, 0.96 * body.deck_back), (-half + max(body.trunk, 0.12), body.deck_back),
        (-half + max(body.trunk, 0.12) + 0.3, body.belt), (half - body.hood - 0.1, body.belt), (half - body.hood + 0.15, body.deck_front + 0.03),
        (half - 0.35, body.deck_front - 0.05), (half - 0.06, 0.84 * body.deck_front), (half, 0.66 * body.deck_front),
    ]  # fmt: skip
    xs, zs = np.array(keys).T
    order = np.argsort(xs)
    return np.interp(x, xs[order], zs[order])


def _hull(body: Body) -> Mesh:
    half = body.length / 2
    ends = half - 0.5 * body.nose * (1 - np.cos(np.linspace(0, np.pi / 2, 6)))
    x = np.concatenate([-ends[::-1][::-1], np.linspace(-half + body.nose, half - body.nose, 34)[1:-1], ends[::-1]])
    x = np.unique(np.concatenate([-ends, x, ends]))
    deck, width = _deck_at(body, x), _width_at(body, x)
    # The belly rises towards the bumpers.
    floor = body.clearance + 0.12 * np.clip((np.abs(x) - half + 0.5) / 0.5, 0, 1) ** 2
    rings = []
    for xi, d, w, f in zip(x, deck, width, floor, strict=True):
        ring = S.rounded_section(float(w), float(f), float(d), 36, body.boxy)
        # Flanks lean in towards the top.
        lean = 1 - 0.06 * np.clip((ring[:, 1] - 0.55 * d) / (0.45 * d), 0, 1)
        rings.append(np.column_stack([np.full(36, xi), ring[:, 0] * lean, ring[:, 1]]))
    return X.paint(S.loft(np.asarray(rings)), PAINT)


def _rounded_ring(front: float, back: float, half_width: float, corner: float, per_side: int) -> Array:
    """Counter-clockwise ring [8 * per_side, 2] in (x, y): four flat sides and four corners, `per_side` points each."""
    cx, cy = (front - corner, half_width - corner)
    points = []
    quarter = np.linspace(0, np.pi / 2, per_side, endpoint=False)
    centres = ((cx, cy, 0), (back + corner, cy, 1), (back + corner, -cy, 2), (cx, -cy, 3))
    for i, (x, y, k) in enumerate(centres):
        angle = quarter + k * np.pi / 2
        arc = np.stack([x + corner * np.cos(angle), y + corner * np.sin(angle)], -1)
        nx, ny, nk = centres[(i + 1) % 4]
        start = np.array([x + corner * np.cos((k + 1) * np.pi / 2), y + corner * np.sin((k + 1) * np.pi / 2)])
        stop = np.array([nx + corner * np.cos(nk * np.pi / 2), ny + corner * np.sin(nk * np.pi / 2)])
        points += [arc, start + np.linspace(0, 1, per_side, endpoint=False)[:, None] * (stop - start)]
    return np.concatenate(points)


def _cabin(body: Body, kind: str, draw: Draw) -> list[Mesh]:
    """Glass house: rings from the belt to the roof; flat sides are glass, corners and posts are painted."""
    half, n = body.length / 2, 8
    front, back = half - body.hood + 0.12, -half + body.trunk + 0.03
    if kind == "pickup":
        back = max(back, front - body.slant_front - draw.number("cab", 1.5, 2.2))
    rows = np.array([0.0, 0.08, 0.16, 0.86, 0.93, 0.98, 1.0])
    inset = np.array([0, 0, 0.02, 0.14, 0.17, 0.24, 0.34]) * (0.55 if kind in ("van", "bus", "offroad") else 1.0)
    rise = body.roof - body.belt + 0.03
    rings = []
    for row, i in zip(rows, inset, strict=True):
        lean = min(row / 0.93, 1.0)
        ring = _rounded_ring(
            front - lean * body.slant_front - 0.4 * i,
            back + lean * body.slant_back + 0.4 * i,
            body.width / 2 * 0.93 - i,
            0.09,
            n,
        )
        rings.append(np.column_stack([ring, np.full(len(ring), body.belt - 0.03 + row * rise)]))
    skin = S.loft(np.asarray(rings), caps=False)
    columns, post = 8 * n, draw.whole("post", 2, 5)
    panels = kind == "van" and draw.chance("panel van", 0.6)
    material = np.full((len(rows) - 1, columns), PAINT, np.int32)
    for column in range(columns):
        part, at = divmod(column, n)
        # Parts alternate corner, flat; flats are left side, back, right side, front.
        glass = part % 2 == 1 and not (
            part in (1, 5) and (at == post or (kind in ("bus", "van", "estate") and at in (1, 6)))
        )
        if panels and (part in (3,) or (part in (1, 5) and (at > 2 if part == 1 else at < n - 3))):
            glass = False
        if glass:
            material[2, column] = GLASS
    top = S.loft(
        np.asarray(
            [
                rings[-1],
                np.column_stack([rings[-1][:, :2] * 0.5 + 0.5 * rings[-1][:, :2].mean(0), rings[-1][:, 2] + 0.012]),
                np.column_stack([rings[-1][:, :2] * 0.02 + 0.98 * rings[-1][:, :2].mean(0), rings[-1][:, 2] + 0.015]),
            ]
        ),
        caps=False,
    )
    return [_painted(skin, material), X.paint(top, PAINT)]


def _painted(skin: Mesh, material: NDArray[np.int32]) -> Mesh:
    """Give each quad of a lofted grid its material (the grid's two triangle lists follow one another)."""
    flat = material.reshape(-1).astype(np.int32)
    return Mesh(skin.xyz, skin.faces, skin.normal, skin.tex, skin.uv, np.concatenate([flat, flat]))


def _wheels(body: Body, draw: Draw) -> list[Mesh]:
    """Tyres with spoked rims, in dark wells, on both axles."""
    r, width = body.wheel, draw.number("tyre", 0.19, 0.25)
    hub = r * draw.number("hub", 0.6, 0.74)
    tyre = S.lathe(
        [
            (hub, -width / 2),
            (0.92 * r, -width / 2),
            (r, -0.32 * width),
            (r, 0.32 * width),
            (0.92 * r, width / 2),
            (hub, width / 2),
        ],
        _ROUND,
        smooth=1,
    )
    rim = S.lathe(
        [(0, -0.38 * width), (0.25 * hub, -0.40 * width), (0.9 * hub, -0.30 * width), (1.02 * hub, -0.46 * width)],
        _ROUND,
    )
    rim = X.mirror(X.move(rim, (0, 0, 0)), 2)
    well = S.lathe([(0, 0), (1.17 * r, 0), (1.17 * r, 0.02), (0, 0.02)], _ROUND)
    axle_front = body.length / 2 - draw.number("overhang", 0.72, 0.9) * min(1.0, body.length / 4.5)
    axle_back = -body.length / 2 + draw.number("tail", 0.7, 0.95) * min(1.3, body.length / 4.5)
    out = []
    for x in (axle_front, axle_back):
        half = float(_width_at(body, np.array([x]))[0])
        for side in (1, -1):
            upright = [X.turn(X.paint(p, m), "x", -90.0 * side) for p, m in ((tyre, TYRE), (rim, RIM), (well, WELL))]
            out += [X.move(p, (x, side * (half - width / 2 + 0.03), r)) for p in upright[:2]]
            out.append(X.move(upright[2], (x, side * (half - 0.035), r + 0.02)))
    return out


def _face(body: Body, draw: Draw) -> list[Mesh]:
    """Lamps, grille, bumpers and plates at both ends."""
    half, out = body.length / 2, []
    lamp = (0.07, draw.number("lamp w", 0.1, 0.22), draw.number("lamp h", 0.05, 0.1))
    y = 0.62 * body.width / 2
    z = 0.66 * body.deck_front
    round_lamps = draw.chance("round", 0.3)
    for side in (1, -1):
        shape = S.ellipsoid((0.08, 0.11, 0.11), 20) if round_lamps else S.ellipsoid(lamp, 16, 4)
        out.append(X.paint(X.move(shape, (half - 0.16 * body.nose - 0.05, side * y, z)), LAMP))
        tail = S.ellipsoid((0.05, draw.number("tail w", 0.06, 0.16), draw.number("tail h", 0.07, 0.2)), 16, 5)
        out.append(
            X.paint(
                X.move(tail, (-half + 0.03 + 0.1 * body.nose, side * 0.66 * body.width / 2, 0.74 * body.deck_back)),
                TAIL,
            )
        )
    grille = S.box((0.03, draw.number("grille w", 0.25, 0.5), draw.number("grille h", 0.05, 0.13)), 0.02, steps=1)
    out.append(X.paint(X.move(grille, (half - 0.01, 0, 0.52 * body.deck_front)), DARK))
    bumper = TRIM if draw.chance("bumper", 0.5) else PAINT
    for sign, x in ((1, half - 0.06), (-1, -half + 0.05)):
        bar = S.box((0.1, 0.40 * body.width, 0.085), 0.06, steps=2)
        out.append(X.paint(X.move(bar, (x, 0, body.clearance + 0.2)), bumper))
        plate = X.turn(X.turn(S.sheet((0.46, 0.11), (2, 2)), "x", 90), "z", 90 * sign)
        out.append(X.paint(X.move(plate, (x + sign * 0.108, 0, body.clearance + 0.22)), PLATE))
    return out


def _sides(body: Body, draw: Draw) -> list[Mesh]:
    """Mirrors, handles, sills, door gaps; a filler cap on one side and a sticker on the other."""
    out = []
    front = body.length / 2 - body.hood - 0.35
    for side in (1, -1):
        mirror = S.ellipsoid((0.06, 0.1, 0.07), 14, 3)
        out.append(X.paint(X.move(mirror, (front + 0.1, side * (body.width / 2 + 0.06), body.belt + 0.06)), PAINT))
        sill = S.box((0.27 * body.length, 0.02, 0.05), 0.02, steps=1)
        out.append(X.paint(X.move(sill, (0, side * 0.485 * body.width, body.clearance + 0.08)), TRIM))
        for x in (front - 0.1, front - 1.05, front - 1.9):
            gap = S.box((0.006, 0.012, 0.3 * (body.belt - body.clearance)), 0.0)
            flank = float(_width_at(body, np.array([x]))[0]) * 0.985
            out.append(
                X.paint(X.move(gap, (x, side * flank, body.clearance + 0.55 * (body.belt - body.clearance))), DARK)
            )
        handle = S.box((0.08, 0.02, 0.014), 0.01, steps=1)
        out.append(X.paint(X.move(handle, (front - 0.85, side * (0.475 * body.width), 0.86 * body.belt)), CHROME))
    cap = X.turn(S.lathe([(0, 0), (0.08, 0), (0.075, 0.012), (0, 0.014)], 20), "x", -90)
    out.append(X.paint(X.move(cap, (-0.3 * body.length, 0.47 * body.width, 0.8 * body.belt)), TRIM))
    if draw.chance("sticker", 0.4):
        sign = X.turn(S.sheet((0.7, 0.34), (4, 4)), "x", 90)
        out.append(X.paint(X.move(sign, (front - 0.7, -0.494 * body.width, 0.62 * body.belt)), STICKER))
    return out


def _extras(body: Body, kind: str, draw: Draw) -> list[Mesh]:
    """Spoilers, roof racks, lights on the roof, exhausts, spare wheels."""
    half, out = body.length / 2, []
    pipe = X.turn(S.lathe([(0.03, 0), (0.035, 0.02), (0.035, 0.2), (0, 0.2)], 12), "y", -90)
    out.append(X.paint(X.move(pipe, (-half + 0.14, -0.28 * body.width, body.clearance + 0.06)), CHROME))
    if (kind == "sports" and draw.chance("wing", 0.6)) or (kind == "sedan" and draw.chance("lip", 0.2)):
        wing = S.box((0.13, 0.42 * body.width, 0.015), 0.012, steps=1)
        height = body.deck_back + draw.number("wing height", 0.12, 0.26)
        out.append(X.paint(X.move(X.turn(wing, "y", 8), (-half + 0.2, 0, height)), PAINT))
        for y in (-0.28, 0.28):
            leg = S.box((0.05, 0.015, (height - body.deck_back) / 2 + 0.03), 0.01, steps=1)
            out.append(X.paint(X.move(leg, (-half + 0.22, y * body.width, (height + body.deck_back) / 2)), DARK))
    if kind in ("estate", "offroad", "van") and draw.chance("rack", 0.5):
        for y in (-0.33, 0.33):
            rail = S.tube(
                np.array(
                    [
                        [-0.25 * body.length, 0, 0.03],
                        [-0.2 * body.length, 0, 0.08],
                        [0.08 * body.length, 0, 0.08],
                        [0.11 * body.length, 0, 0.03],
                    ]
                ),
                0.02,
                8,
            )
            out.append(X.paint(X.move(rail, (0, y * body.width, body.roof)), TRIM))
    if draw.chance("roof sign", 0.1):
        box = S.box((0.12, 0.2, 0.07), 0.04)
        out.append(X.paint(X.move(box, (-0.05, 0, body.roof + 0.07)), LAMP if draw.chance("lit", 0.5) else STICKER))
    if kind == "offroad" and draw.chance("spare", 0.5):
        spare = X.turn(
            S.lathe(
                [(0, 0), (0.8 * body.wheel, 0), (0.95 * body.wheel, 0.06), (0.95 * body.wheel, 0.14), (0, 0.16)],
                28,
                smooth=1,
            ),
            "y",
            -90,
        )
        out.append(X.paint(X.move(spare, (-half + 0.04, 0.1, 0.82 * body.belt)), TYRE))
    return out


def _bed(body: Body) -> list[Mesh]:
    """A pick-up's load bed: walls around a dark floor."""
    half = body.length / 2
    middle, length = -half + 0.5 * body.trunk + 0.05, body.trunk - 0.1
    walls = [
        X.move(S.box((length / 2, 0.04, 0.11), 0.02), (middle, y * (body.width / 2 - 0.1), body.deck_back + 0.07))
        for y in (-1, 1)
    ]
    walls.append(
        X.move(S.box((0.035, body.width / 2 - 0.1, 0.11), 0.02), (middle - length / 2, 0, body.deck_back + 0.07))
    )
    floor = X.move(S.sheet((length, body.width - 0.25), (8, 6)), (middle, 0, body.deck_back + 0.012))
    return [*(X.paint(w, PAINT) for w in walls), X.paint(floor, DARK)]


def _materials(body: Body, draw: Draw) -> list[Material]:
    paint = draw.vary("paint", draw.pick("paint", M.CAR_PAINTS), 0.06)
    metal = {
        "gloss": draw.number("gloss", 0.4, 0.9),
        "sharpness": draw.number("shine", 60, 160),
        "mirror": 0.07,
        "grain": 0.02,
        "wear": draw.number("wear", 0, 0.25),
    }
    second = draw.pick("second", M.CAR_PAINTS)
    two_tone = draw.chance("two tone", 0.25)
    first = Material(
        paint,
        M.TWO_TONE if two_tone else M.PLAIN,
        second,
        draw.pick("line", M.CAR_PAINTS),
        p1=draw.number("split", 0.5, 0.95) * body.belt if two_tone else 0.0,
        p2=0.02,
        seed=draw.texture_seed("s"),
        **metal,
    )
    glass = draw.number("glass", 0.03, 0.14)
    rim = draw.pick("rim", M.METALS)
    return [
        first,
        Material((glass, glass * 1.05, glass * 1.15), gloss=0.9, sharpness=200, mirror=0.16, grain=0.0),
        Material((0.07, 0.07, 0.075), kind=M.STRIPES, b=(0.05, 0.05, 0.05), scale=0.03, p1=1.0, p2=0.3, p3=0.4, gloss=0.06),
        Material(rim, kind=M.RADIAL, b=(0.03, 0.03, 0.03), c=rim, scale=body.wheel * 0.6, p1=float(draw.whole("spokes", 5, 12)), p2=0.2 * body.wheel, p3=draw.number("open", -0.3, 0.6), gloss=0.5, sharpness=50, mirror=0.08),
        Material((0.04, 0.04, 0.045), kind=M.STRIPES, b=(0.16, 0.16, 0.17), scale=0.05, p1=0.0, p2=1.0, p3=0.3),
        Material((0.93, 0.92, 0.85), gloss=0.9, sharpness=120, mirror=0.2),
        Material((0.62, 0.05, 0.05), gloss=0.8, sharpness=100, mirror=0.08),
        Material((0.72, 0.72, 0.74), gloss=0.9, sharpness=80, mirror=0.35),
        Material((0.92, 0.92, 0.86), kind=M.LABEL, b=(0.08, 0.08, 0.1), c=(0.2, 0.3, 0.6), scale=0.1, p1=0.13, p2=1.2, p3=-0.22, seed=draw.texture_seed("plate")),
        Material((0.1, 0.1, 0.105), gloss=0.15, grain=0.1),
        Material(draw.pick("sticker a", M.CLOTHS), kind=M.LABEL, b=(0.95, 0.95, 0.92), c=draw.pick("sticker c", M.CAR_PAINTS), scale=0.06, p1=0.17, p2=0.7, p3=-0.35, seed=draw.texture_seed("sticker")),
        Material((0.015, 0.015, 0.017), gloss=0.0),
    ]  # fmt: skip
