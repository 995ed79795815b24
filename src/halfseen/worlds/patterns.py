"""The patterns of materials, compiled: (place on the surface, material row) -> how much of colours a, b, c.

Each returns weights (wb, wc) of colours b and c over a, and a brightness factor. `p` is the place in the part's frame, (u, v) a
pair of coordinates along the surface, all in world units.
"""

from __future__ import annotations

import numpy as np

from halfseen.common.jit import kernel
from halfseen.worlds import materials as M
from halfseen.worlds.noise import fractal, hashed, value

_TAU = 2 * np.pi


@kernel(inline=True)
def _step(edge: float, width: float, x: float) -> float:
    """Smooth step from 0 to 1 around `edge`."""
    t = min(max((x - edge) / width + 0.5, 0.0), 1.0)
    return t * t * (3 - 2 * t)


@kernel()
def wood(x, y, z, s, seed):  # type: ignore[no-untyped-def]
    """Rings around the part's long axis, wandering, with fine fibres along it."""
    wx = x + 0.6 * s * (value(x / s * 0.6, y / s * 0.6, z / s * 0.15, seed) - 0.5)
    wy = y + 0.6 * s * (value(x / s * 0.6 + 9.1, y / s * 0.6, z / s * 0.15, seed + 1) - 0.5)
    ring = np.sqrt((wx + 1.3 * s) ** 2 + (wy + 0.7 * s) ** 2) / (0.35 * s)
    saw = ring - np.floor(ring)
    fibre = value(x / s * 14, y / s * 14, z / s * 0.9, seed + 2)
    return min(1.0, 0.75 * saw * saw + 0.4 * fibre * fibre), 0.0, 0.9 + 0.2 * fibre


@kernel()
def weave(u, v, s):  # type: ignore[no-untyped-def]
    """Warp and weft: threads over and under."""
    a, b = u / s, v / s
    over = (np.floor(a) + np.floor(b)) % 2
    along, across = (a, b) if over else (b, a)
    round_ = np.sin(np.pi * (across - np.floor(across)))
    twist = 0.5 + 0.5 * np.sin(_TAU * (along * 3 + across))
    return over, 0.0, 0.62 + 0.38 * round_ + 0.05 * twist


@kernel()
def brick(u, v, s, p1, seed):  # type: ignore[no-untyped-def]
    """Courses of bricks, each with its own shade; p1 is the joint's width as a share of a course."""
    row = np.floor(v / s)
    shift = 0.5 * (int(row) % 2)
    a = u / (2.1 * s) + shift
    column = np.floor(a)
    fu, fv = a - column, v / s - row
    joint = max(_step(1 - p1 / 2, 0.04, fu), 1 - _step(p1 / 2, 0.04, fu))
    joint = max(joint, _step(1 - p1, 0.06, fv), 1 - _step(p1, 0.06, fv))
    shade = hashed(int(column), int(row), 0, seed)
    rough = value(u / s * 6, v / s * 6, 0.5, seed + 3)
    return (1 - joint) * shade, joint, (0.86 + 0.28 * rough) * (1 - 0.12 * joint)


@kernel()
def tile(u, v, s, p1, seed):  # type: ignore[no-untyped-def]
    """Square tiles with grout; p1 is the grout's share. Shades differ a little."""
    i, j = np.floor(u / s), np.floor(v / s)
    fu, fv = u / s - i, v / s - j
    edge = min(fu, 1 - fu, fv, 1 - fv)
    grout = 1 - _step(p1, 0.02, edge)
    shade = hashed(int(i), int(j), 7, seed)
    return 0.35 * shade * (1 - grout), grout, 1.0 - 0.1 * shade


@kernel()
def planks(u, v, s, seed):  # type: ignore[no-untyped-def]
    """Floor boards of width s, staggered, each cut from its own piece of wood."""
    column = np.floor(u / s)
    offset = 5 * s * hashed(int(column), 3, 0, seed)
    row = np.floor((v + offset) / (7 * s))
    fu, fv = u / s - column, (v + offset) / (7 * s) - row
    gap = max(1 - _step(0.03, 0.03, min(fu, 1 - fu)), 1 - _step(0.004, 0.004, min(fv, 1 - fv)))
    shade = hashed(int(column), int(row), 1, seed)
    wb, _, light = wood(u + 3 * shade, 0.4 * s * shade, v, 0.5 * s, seed + int(97 * shade))
    return 0.6 * wb + 0.4 * shade, gap, light * (0.85 + 0.25 * shade)


@kernel()
def marble(x, y, z, s, seed):  # type: ignore[no-untyped-def]
    """Veins where bent planes of noise pass through a level."""
    n = fractal(x / s, y / s, z / s, seed, 4)
    vein = abs(np.sin(3.1 * (x + 0.7 * y + 0.4 * z) / s + 9 * n))
    thin = (1 - vein) ** 6
    return 0.5 * fractal(x / s * 2, y / s * 2, z / s * 2, seed + 5, 3), thin, 1.0


@kernel()
def label(u, v, s, p1, p2, seed):  # type: ignore[no-untyped-def]
    """Lines of marks like text, words of uneven length; a coloured bar on top and a block like a picture.

    s is the height of a line, p1 the label's height from v = 0, p2 its width from u = 0.
    """
    if v < 0 or v > p1 or u < 0 or u > p2:
        return 0.0, 0.0, 1.0
    if v > 0.8 * p1:
        return 0.0, 1.0, 1.0
    if u > 0.62 * p2 and v < 0.55 * p1:
        blob = fractal(u / s * 0.6, v / s * 0.6, 0.0, seed + 11, 2)
        return _step(0.5, 0.08, blob), 1 - _step(0.5, 0.08, blob), 1.0
    row = np.floor(v / s)
    fv = v / s - row
    column = np.floor(u / (0.42 * s))
    fu = u / (0.42 * s) - column
    gap = hashed(int(column), int(row), 2, seed) < 0.2
    big = hashed(int(row), 5, 0, seed) < 0.3
    glyph = hashed(int(np.floor(fu * 4)), int(np.floor(fv * 5)) + 7 * int(row), int(column), seed)
    ink = 0.15 < fu < 0.85 and 0.2 < fv < (0.92 if big else 0.75) and glyph < 0.62 and not gap
    return 1.0 if ink else 0.0, 0.0, 1.0


@kernel()
def veins(u, v, s, seed):  # type: ignore[no-untyped-def]
    """A leaf: middle rib along v, side ribs, and a mottled blade."""
    rib = np.exp(-((u / (0.06 * s)) ** 2))
    side = abs(np.sin(np.pi * (v / (0.3 * s) + abs(u) / (0.5 * s))))
    side = (1 - side) ** 5 * 0.7
    return 0.5 * fractal(u / s * 5, v / s * 5, 0.2, seed, 3), max(rib, side), 1.0


@kernel()
def ornament(u, v, s, p1, p2, seed):  # type: ignore[no-untyped-def]
    """A rug: borders along the rim of p1 x p2 (half sizes), medallions inside, pile."""
    edge = min(p1 - abs(u), p2 - abs(v))
    pile = 0.85 + 0.3 * value(u / s * 9, v / s * 9, 0.1, seed)
    if edge < 0.9 * s:
        band = np.floor(edge / (0.3 * s))
        tooth = np.sin(_TAU * (u + v) / (0.5 * s)) > 0
        return 1.0 if band == 1 and tooth else 0.0, 1.0 if band != 1 else 0.0, pile
    a, b = abs(u / (1.7 * s) - np.round(u / (1.7 * s))), abs(v / (1.7 * s) - np.round(v / (1.7 * s)))
    star = (a + b) < 0.42 + 0.06 * np.cos(8 * np.arctan2(b, a + 1e-6))
    ring = abs(np.sqrt(a * a + b * b) - 0.24) < 0.05
    return 1.0 if star else 0.0, 1.0 if ring else 0.0, pile


@kernel()
def painting(u, v, s, seed):  # type: ignore[no-untyped-def]
    """A picture on a wall: sky, hills at two distances, a sun, brush strokes."""
    x, y = u / s, v / s
    hill = 0.35 + 0.3 * fractal(x * 1.5, 0.0, 1.0, seed, 3)
    near = 0.1 + 0.3 * fractal(x * 2.3 + 5, 0.0, 2.0, seed + 3, 3)
    stroke = 0.85 + 0.3 * value(x * 30, y * 6, 0.0, seed + 4)
    sx, sy = hashed(1, 2, 3, seed) - 0.5, 0.75 + 0.2 * hashed(4, 5, 6, seed)
    if y < near:
        return 0.0, 1.0, stroke
    if y < hill:
        return 0.75, 0.25, stroke
    sun = (x - sx) ** 2 + (y - sy) ** 2 < 0.012
    return 1.0 if sun else 0.25 * y, 0.0, stroke * (1.25 if sun else 1.0)


@kernel()
def facade(u, v, s, p1, p2, seed):  # type: ignore[no-untyped-def]
    """Windows in storeys of height s: frame (c), glass (b) with curtains and reflections, wall (a) of plaster."""
    column, storey = np.floor(u / (p1 * s)), np.floor(v / s)
    fu, fv = u / (p1 * s) - column, v / s - storey
    rough = 0.9 + 0.2 * fractal(u / s * 4, v / s * 4, 0.0, seed, 3)
    x, y = abs(fu - 0.5) * 2, abs(fv - 0.52) * 2
    if storey < 0 or x > 0.62 or y > p2:
        ledge = 1.0 if abs(fv - 0.03) < 0.03 else 0.0
        return 0.0, 0.5 * ledge, rough
    if x > 0.54 or y > p2 - 0.09 or abs(fu - 0.5) < 0.02:
        return 0.0, 1.0, 1.0
    curtain = hashed(int(column), int(storey), 3, seed)
    drawn = fv - 0.52 > 0.35 * (1 - 2 * curtain)
    return (0.55, 0.35, 1.0) if drawn and curtain > 0.4 else (1.0, 0.0, 0.75 + 0.6 * fv)


@kernel()
def fruit(x, y, z, s, p1, seed):  # type: ignore[no-untyped-def]
    """Blush (b) growing towards one side, and small light dots (c)."""
    blush = _step(
        0.5, 0.6, 0.5 + 0.7 * (x + 0.4 * z) / s + 0.5 * (fractal(x / s * 3, y / s * 3, z / s * 8, seed, 3) - 0.5)
    )
    spot = value(x / s * 26, y / s * 26, z / s * 26, seed + 3)
    return blush, p1 * _step(0.8, 0.08, spot), 1.0


@kernel()
def evaluate(row, x, y, z, u, v):  # type: ignore[no-untyped-def]
    """Weights of colours b and c and a brightness, for a material row at a place."""
    kind, s, seed = int(row[M.KIND]), row[M.SCALE], int(row[M.SEED])
    p1, p2, p3 = row[M.P1], row[M.P2], row[M.P3]
    if kind == M.WOOD:
        return wood(x, y, z, s, seed)
    if kind == M.WEAVE:
        return weave(u, v, s)
    if kind == M.BRICK:
        return brick(u, v, s, p1, seed)
    if kind == M.TILE:
        return tile(u, v, s, p1, seed)
    if kind == M.MARBLE:
        return marble(x, y, z, s, seed)
    if kind == M.STRIPES:
        # p1, p2 turn the direction in the surface, p3 is the share of the stripe.
        at = (u * p1 + v * p2) / s
        return (1.0 if at - np.floor(at) < p3 else 0.0), 0.0, 1.0
    if kind == M.CHECKS:
        return (np.floor(u / s) + np.floor(v / s)) % 2, 0.0, 1.0
    if kind == M.DOTS:
        i, j = np.floor(u / s), np.floor(v / s)
        near = (u / s - i - 0.5) ** 2 + (v / s - j - 0.5) ** 2
        return (1.0 if near < 0.09 else 0.0), 0.0, 1.0
    if kind == M.LABEL:
        return label(u - p3, v, s, p1, p2, seed)
    if kind == M.TWO_TONE:
        # Colour b below the height p1 in the part's frame, a pin stripe of colour c of half width p2 at it.
        line = 1.0 if abs(z - p1) < p2 else 0.0
        return (1.0 if z < p1 else 0.0), line, 1.0
    if kind == M.SPECKLE:
        fine = value(x / s, y / s, z / s, seed)
        coarse = fractal(x / s * 0.4, y / s * 0.4, z / s * 0.4, seed + 2, 2)
        return _step(0.62, 0.1, fine), _step(0.66, 0.08, coarse) * 0.8, 1.0
    if kind == M.VEINS:
        return veins(u, v, s, seed)
    if kind == M.PLANKS:
        return planks(u, v, s, seed)
    if kind == M.ORNAMENT:
        return ornament(u, v, s, p1, p2, seed)
    if kind == M.PAINTING:
        return painting(u, v, s, seed)
    if kind == M.FRUIT:
        return fruit(x, y, z, s, p1, seed)
    if kind == M.FACADE:
        return facade(u, v, s, p1, p2, seed)
    if kind == M.RADIAL:
        # Spokes around z: p1 of them, open outside the radius s and inside p2.
        radius, angle = np.sqrt(x * x + y * y), np.arctan2(y, x)
        spoke = np.cos(p1 * angle) > p3
        return (0.0 if spoke or radius > s or radius < p2 else 1.0), (1.0 if radius > s else 0.0), 1.0
    if kind == M.KNIT:
        a, b = u / s, v / s
        stitch = abs(np.sin(np.pi * (a + 0.35 * abs(np.sin(np.pi * b)))))
        return 0.5 * (np.floor(b / 6) % 2), 0.0, 0.6 + 0.4 * stitch
    return 0.0, 0.0, 1.0
