"""Parts of chairs: bars, cushions, legs with stretchers, backs of many kinds. Metres, z up, +x is where one looks."""

from __future__ import annotations

import numpy as np

from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.draw import Draw
from halfseen.worlds.mesh import Array, Mesh

Point = tuple[float, float, float]
FRAME, SEAT, BACK, METAL, PILLOW, RUBBER = range(6)
# Light falls differently over a seat: its cushions are cut this finely.
CELLS = 6


def bar(a: Point, b: Point, thick: float, square: bool, taper: float = 1.0) -> Mesh:
    """A leg or rail from a to b, round or square in section, thinner at b by `taper`."""
    path = np.linspace(np.array(a), np.array(b), 5)
    radius = np.linspace(thick, thick * taper, 5)
    return X.faceted(S.tube(path, 1.3 * radius, 4)) if square else S.tube(path, radius, 12)


def cushion(width: float, depth: float, height: float, draw: Draw) -> Mesh:
    """A padded seat: boxy and a little domed, or a thin board."""
    if draw.chance("board", 0.4):
        return X.grain(S.box((depth / 2, width / 2, 0.018), 0.015, cells=CELLS), "x")
    pad = S.box((depth / 2, width / 2, height / 2), 0.45 * height, cells=CELLS)
    high = X.bounds(pad)[1]
    r = np.clip(1 - (pad.xyz[:, 0] / high[0]) ** 2, 0, 1) * np.clip(1 - (pad.xyz[:, 1] / high[1]) ** 2, 0, 1)
    lift = np.zeros_like(pad.xyz)
    lift[:, 2] = 0.35 * height * r * (pad.xyz[:, 2] > 0)
    return X.bend(pad, lift)


def legs(width: float, depth: float, height: float, draw: Draw) -> list[Mesh]:
    """Four legs, splayed or straight, and the bars between them."""
    splay, square = draw.number("splay", 0, 0.09), draw.chance("square", 0.55)
    thick, taper = draw.number("thick", 0.014, 0.028), draw.number("taper", 0.55, 1.0)
    out = []
    for sx in (1, -1):
        for sy in (1, -1):
            top = (sx * (depth / 2 - 0.035), sy * (width / 2 - 0.035), height)
            foot = (top[0] + sx * splay, top[1] + sy * splay, 0.0)
            out.append(X.paint(bar(top, foot, thick, square, taper), FRAME))
    if draw.chance("stretcher", 0.5):
        z = draw.number("stretcher z", 0.12, 0.25)
        k = (height - z) / height * splay
        x, y = depth / 2 - 0.035 + k, width / 2 - 0.035 + k
        style = draw.pick("stretcher style", ("box", "H", "X"))
        pairs = {
            "box": [((x, y), (x, -y)), ((-x, y), (-x, -y)), ((x, y), (-x, y)), ((x, -y), (-x, -y))],
            "H": [((x, y), (-x, y)), ((x, -y), (-x, -y)), ((0, y), (0, -y))],
            "X": [((x, y), (-x, -y)), ((x, -y), (-x, y))],
        }[style]
        out += [X.paint(bar((*a, z), (*b, z), 0.6 * thick, square), FRAME) for a, b in pairs]
    return out


def back(width: float, depth: float, seat: float, top: float, draw: Draw) -> list[Mesh]:
    """Uprights and what lies between them: slats, spindles, a panel, a pad, rungs; curved or straight, leaning."""
    lean, curve = draw.number("lean", 0.04, 0.16), draw.number("curve", 0.0, 0.07)
    style = draw.pick("style", ("slats", "spindles", "panel", "pad", "rungs", "cross", "oval"))
    thick, square = draw.number("post", 0.014, 0.024), draw.chance("square", 0.5)
    x0, half = -depth / 2 + 0.035, width / 2 - 0.035
    out = []
    for sy in (1, -1):
        out.append(
            X.paint(
                bar(
                    (x0, sy * half, seat - 0.03),
                    (x0 - lean, sy * half * draw.number("flare", 0.85, 1.08), top),
                    thick,
                    square,
                    0.8,
                ),
                FRAME,
            )
        )

    def at(y: Array, z: Array | float) -> Array:
        """Points of the back's surface: it leans with height and bows backwards in the middle."""
        y = np.asarray(y, float)
        share = (np.asarray(z, float) - seat) / (top - seat)
        return np.stack(
            np.broadcast_arrays(x0 - lean * share - curve * (1 - (y / half) ** 2), y, np.asarray(z, float)), -1
        )

    def rail(z: float, height: float) -> Mesh:
        """A cross piece that follows the bow."""
        y = np.linspace(-half, half, 9)
        section = np.array([[-0.011, -height / 2], [0.011, -height / 2], [0.011, height / 2], [-0.011, height / 2]])
        rings = at(y, z)[:, None] + np.stack([section[:, 0], np.zeros(4), section[:, 1]], -1)[None]
        return X.faceted(S.loft(rings))

    if style in ("slats", "spindles"):
        out.append(X.paint(rail(top - 0.04, draw.number("crest", 0.05, 0.11)), FRAME))
        out.append(X.paint(rail(seat + 0.12, 0.035), FRAME))
        count = draw.whole("count", 3, 9) if style == "spindles" else draw.whole("count", 2, 5)
        wide = 0.007 if style == "spindles" else 0.5 * half / count
        for y in np.linspace(-half, half, count + 2)[1:-1]:
            low, high = at(y, seat + 0.12), at(y, top - 0.05)
            if style == "spindles":
                out.append(X.paint(S.tube(np.linspace(low, high, 4), 0.008, 8), FRAME))
            else:
                board = S.box((0.008, wide, float(high[2] - low[2]) / 2), 0.004)
                tilt = float(np.degrees(np.arctan2(low[0] - high[0], high[2] - low[2])))
                out.append(X.paint(X.move(X.turn(board, "y", -tilt), (low + high) / 2), FRAME))
    elif style == "rungs":
        count = draw.whole("count", 2, 5)
        for z in np.linspace(seat + 0.16, top - 0.04, count):
            out.append(
                X.paint(
                    rail(float(z), draw.number("rung", 0.03, 0.08)), BACK if draw.chance("rung paint", 0.3) else FRAME
                )
            )
    elif style == "cross":
        out.append(X.paint(rail(top - 0.04, 0.07), FRAME))
        for s in (1, -1):
            path = at(np.linspace(-s * half, s * half, 7), np.linspace(seat + 0.1, top - 0.06, 7))
            out.append(X.paint(S.tube(path, 0.011, 8), FRAME))
    else:
        low_z, high_z = seat + (0.14 if style != "panel" else 0.04), top - 0.01
        n = 12
        across, upward = np.meshgrid(np.linspace(-1, 1, n), np.linspace(0, 1, n), indexing="ij")
        if style == "oval":
            across = across * np.sqrt(np.clip(1 - (2 * upward - 1) ** 2, 0.02, 1))
        face = at(0.97 * half * across, low_z + (high_z - low_z) * upward)
        thickness = 0.012 if style == "panel" else draw.number("pad", 0.025, 0.05)
        bulge = (
            thickness
            * np.sqrt(np.clip(1 - np.linspace(-1, 1, n)[:, None] ** 6, 0.1, 1))
            * np.sqrt(np.clip(1 - np.linspace(-1, 1, n)[None] ** 6, 0.1, 1))
        )
        for sign in (1, -1):
            shell = face.copy()
            shell[..., 0] += sign * bulge
            flat = shell.reshape(-1, 3)
            faces = S.grid_faces(n, n)
            out.append(X.paint(X.build(flat, faces if sign < 0 else faces[:, ::-1], uv=flat[:, 1:]), BACK))
    return out


def apron(width: float, depth: float, seat: float, draw: Draw) -> list[Mesh]:
    """Boards under the seat."""
    if draw.chance("none", 0.4):
        return []
    high = draw.number("high", 0.02, 0.04)
    z = seat - high - 0.01
    sides = [((0.01, width / 2 - 0.05, high), (sx * (depth / 2 - 0.035), 0.0, z)) for sx in (1, -1)]
    sides += [((depth / 2 - 0.05, 0.01, high), (0.0, sy * (width / 2 - 0.035), z)) for sy in (1, -1)]
    return [X.paint(X.move(S.box(half, 0.004), at), FRAME) for half, at in sides]
