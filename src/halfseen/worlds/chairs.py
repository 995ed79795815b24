"""Chairs: dining, arm-, office, folding and tub chairs, stools and benches. +x is where one looks when seated, z up, metres.

Slats, cushions, curved backs, cross bars; an arm, a lever or a pillow on one side only keeps left and right apart.
"""

from __future__ import annotations

import numpy as np

from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.chair_parts import BACK, CELLS, FRAME, METAL, PILLOW, RUBBER, SEAT, apron, back, bar, cushion, legs
from halfseen.worlds.draw import Draw, indoor_light
from halfseen.worlds.materials import Material
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.render import Model
from halfseen.worlds.upholstery import chair_materials

RADIUS = 0.75
KINDS = ("dining", "dining", "dining", "arm", "office", "stool", "bench", "folding", "tub", "bar")


def make(seed: int) -> Model:
    """One chair, scaled into its sphere."""
    draw = Draw(seed, "chairs")
    parts, materials = seat(draw)
    return Model(X.into_sphere(X.join(parts), RADIUS), materials, indoor_light(draw.below("light")))


def seat(draw: Draw, kind: str | None = None) -> tuple[list[Mesh], list[Material]]:
    """Meshes and materials of one chair in metres, standing on z = 0."""
    chosen = kind or draw.pick("kind", KINDS)
    makers = {"office": _office, "stool": _stool, "bench": _bench, "folding": _folding, "tub": _tub, "bar": _stool}
    parts = makers.get(chosen, _four_legs)(chosen, draw.below(chosen))
    return parts, chair_materials(draw.below("materials"))


def _four_legs(kind: str, draw: Draw) -> list[Mesh]:
    """Dining chairs and armchairs of wood."""
    arm = kind == "arm"
    width, depth = draw.number("width", 0.42, 0.52) + 0.1 * arm, draw.number("depth", 0.40, 0.5)
    seat, top = draw.number("seat", 0.42, 0.48), draw.number("top", 0.78, 1.1)
    out = legs(width, depth, seat, draw.below("legs"))
    out.append(X.paint(X.move(cushion(width, depth, draw.number("pad", 0.05, 0.1), draw), (0, 0, seat)), SEAT))
    out += apron(width, depth, seat, draw.below("apron"))
    out += back(width, depth, seat, top, draw.below("back"))
    if arm:
        z = seat + draw.number("arm", 0.18, 0.26)
        for sy in (1, -1):
            y = sy * (width / 2 - 0.02)
            path = np.array([[-depth / 2 + 0.0, y, z + 0.02], [0, y * 1.06, z], [depth / 2 - 0.03, y, z - 0.01]])
            out.append(X.paint(S.tube(S.curve(path.tolist(), 9), draw.number("arm r", 0.016, 0.03), 10), FRAME))
            out.append(X.paint(bar((depth / 2 - 0.06, y, seat), (depth / 2 - 0.06, y, z), 0.016, False), FRAME))
    if draw.chance("pillow", 0.15):
        pillow = S.ellipsoid((0.06, 0.17, 0.13), 20, 3)
        out.append(
            X.paint(X.move(X.turn(X.turn(pillow, "y", -15), "x", 12), (-depth / 2 + 0.09, 0.06, seat + 0.17)), PILLOW)
        )
    return out


def _office(kind: str, draw: Draw) -> list[Mesh]:
    """Five-armed foot on castors, a gas spring, a shell or pads, perhaps arms; a lever on the right."""
    width, depth, seat = (
        draw.number("width", 0.46, 0.56),
        draw.number("depth", 0.44, 0.52),
        draw.number("seat", 0.44, 0.52),
    )
    top = seat + draw.number("back", 0.35, 0.75)
    out = []
    arms = draw.pick("feet", (5, 5, 4))
    for k in range(arms):
        angle = 2 * np.pi * (k + 0.2) / arms
        tip = (0.3 * np.cos(angle), 0.3 * np.sin(angle), 0.07)
        out.append(X.paint(bar((0, 0, 0.11), tip, 0.026, True, 0.6), METAL))
        out.append(X.paint(X.move(S.ellipsoid((0.03, 0.03, 0.03), 14), (tip[0], tip[1], 0.032)), RUBBER))
    out.append(X.paint(S.lathe([(0.035, 0.1), (0.035, 0.28), (0.02, 0.29), (0.02, seat - 0.03)], 18), METAL))
    out.append(X.paint(X.move(cushion(width, depth, 0.08, draw), (0, 0, seat)), SEAT))
    lever = bar((0.05, -0.1, seat - 0.06), (0.05, -width / 2 - 0.05, seat - 0.07), 0.007, False)
    out.append(X.paint(lever, RUBBER))
    n, half = 14, 0.46 * width
    y, z = np.meshgrid(np.linspace(-1, 1, n), np.linspace(0, 1, n), indexing="ij")
    bow, lean = draw.number("bow", 0.03, 0.1), draw.number("lean", 0.05, 0.15)
    shrink = 1 - draw.number("narrow", 0.0, 0.35) * z**2
    surface = np.stack(
        [
            -depth / 2 - lean * z + bow * y**2 + 0.05 * np.sin(np.pi * z),
            half * y * shrink,
            seat + 0.06 + (top - seat - 0.06) * z,
        ],
        -1,
    )
    rim = np.sqrt(np.clip(1 - y**8, 0.05, 1)) * np.sqrt(np.clip(1 - (2 * z - 1) ** 8, 0.05, 1))
    for sign in (1, -1):
        shell = surface.copy()
        shell[..., 0] += sign * 0.03 * rim
        flat = shell.reshape(-1, 3)
        faces = S.grid_faces(n, n)
        out.append(X.paint(X.build(flat, faces if sign < 0 else faces[:, ::-1], uv=flat[:, 1:]), BACK))
    out.append(
        X.paint(
            S.tube(
                np.array(
                    [
                        [-0.1, 0, seat - 0.04],
                        [-depth / 2 - 0.05, 0, seat - 0.02],
                        [-depth / 2 - 0.06 - 0.3 * lean, 0, seat + 0.2],
                    ]
                ),
                0.02,
                10,
            ),
            METAL,
        )
    )
    if draw.chance("arms", 0.6):
        for sy in (1, -1):
            yy = sy * (width / 2 + 0.03)
            loop = S.curve([(-0.1, yy * 0.8, seat - 0.02), (-0.02, yy, seat + 0.08), (-0.02, yy, seat + 0.2)], 8)
            out.append(X.paint(S.tube(loop, 0.014, 8), METAL))
            out.append(X.paint(X.move(S.box((0.12, 0.035, 0.014), 0.012), (0.02, yy, seat + 0.21)), RUBBER))
    return out


def _stool(kind: str, draw: Draw) -> list[Mesh]:
    """Stools and bar stools: round or square seats on three or four legs or on one foot; bar stools may have a low back."""
    high = kind == "bar"
    seat, radius = (
        draw.number("seat", 0.62, 0.8) if high else draw.number("seat", 0.4, 0.5),
        draw.number("radius", 0.15, 0.2),
    )
    out = []
    if draw.chance("round", 0.65):
        edge = draw.number("edge", 0.02, 0.05)
        top = S.lathe(
            [(0, -edge), (0.92 * radius, -edge), (radius, 0), (0.93 * radius, edge), (0, edge * 1.15)], 36, smooth=1
        )
    else:
        top = cushion(2 * radius, 1.7 * radius, 0.06, draw)
    out.append(X.paint(X.move(top, (0, 0, seat)), SEAT))
    if draw.chance("one foot", 0.3):
        foot = S.lathe([(0, 0), (0.2, 0), (0.21, 0.015), (0.05, 0.045), (0.028, 0.08), (0.026, seat)], 32, smooth=1)
        out.append(X.paint(foot, METAL))
        if high:
            ring = 2 * np.pi * np.arange(25) / 24
            out.append(
                X.paint(
                    S.tube(np.stack([0.15 * np.cos(ring), 0.15 * np.sin(ring), np.full(25, 0.26)], -1), 0.009, 8), METAL
                )
            )
            out.append(X.paint(bar((0, 0, 0.26), (0.15, 0, 0.26), 0.008, False), METAL))
    else:
        count, splay = draw.pick("legs", (3, 4, 4)), draw.number("splay", 0.02, 0.12)
        material = FRAME if draw.chance("wood", 0.7) else METAL
        for k in range(count):
            angle = 2 * np.pi * (k + 0.5) / count
            c, s = np.cos(angle), np.sin(angle)
            out.append(
                X.paint(
                    bar(
                        (0.75 * radius * c, 0.75 * radius * s, seat),
                        ((0.75 * radius + splay) * c, (0.75 * radius + splay) * s, 0),
                        draw.number("thick", 0.013, 0.022),
                        draw.chance("sq", 0.4),
                    ),
                    material,
                )
            )
        z = draw.number("ring", 0.3, 0.5) * seat
        reach = 0.75 * radius + splay * (1 - z / seat)
        for k in range(count):
            a, b = (2 * np.pi * (k + 0.5 + i) / count for i in (0, 1))
            out.append(
                X.paint(
                    bar(
                        (reach * np.cos(a), reach * np.sin(a), z),
                        (reach * np.cos(b), reach * np.sin(b), z),
                        0.009,
                        False,
                    ),
                    material,
                )
            )
    if high and draw.chance("back", 0.5):
        out += back(2 * radius, 2 * radius, seat, seat + draw.number("back h", 0.2, 0.35), draw.below("back"))
    return out


def _bench(kind: str, draw: Draw) -> list[Mesh]:
    """A bench for two or three: planks or a cushion, with or without a back."""
    width, depth, seat = (
        draw.number("width", 0.9, 1.4),
        draw.number("depth", 0.34, 0.45),
        draw.number("seat", 0.4, 0.46),
    )
    out = []
    if draw.chance("planks", 0.6):
        count = draw.whole("count", 3, 5)
        board = depth / count
        for k in range(count):
            x = -depth / 2 + (k + 0.5) * board
            out.append(
                X.paint(
                    X.move(X.grain(S.box((0.44 * board, width / 2, 0.016), 0.006, cells=4), "y"), (x, 0, seat)), FRAME
                )
            )
    else:
        out.append(X.paint(X.move(cushion(width, depth, 0.09, draw), (0, 0, seat)), SEAT))
    if draw.chance("cheeks", 0.4):
        for sy in (1, -1):
            out.append(
                X.paint(
                    X.move(
                        S.box((0.45 * depth, 0.02, seat / 2 - 0.01), 0.008, cells=3), (0, sy * 0.42 * width, seat / 2)
                    ),
                    FRAME,
                )
            )
        out.append(X.paint(X.move(S.box((0.015, 0.42 * width, 0.04), 0.005), (0, 0, 0.5 * seat)), FRAME))
    else:
        out += legs(width, depth, seat, draw.below("legs"))
    if draw.chance("back", 0.55):
        out += back(width, depth, seat, seat + draw.number("back h", 0.3, 0.45), draw.below("back"))
        if draw.chance("one arm", 0.3):
            y = width / 2 - 0.04
            out.append(X.paint(X.move(S.box((0.45 * depth, 0.025, 0.015), 0.008), (0, y, seat + 0.2)), FRAME))
            out.append(X.paint(bar((0.35 * depth, y, seat), (0.35 * depth, y, seat + 0.2), 0.014, True), FRAME))
    return out


def _folding(kind: str, draw: Draw) -> list[Mesh]:
    """Two crossed frames of tube or wood; seat and back are slats, cloth or sheet."""
    width, seat, top = draw.number("width", 0.4, 0.48), draw.number("seat", 0.42, 0.46), draw.number("top", 0.76, 0.9)
    thick, material = draw.number("thick", 0.009, 0.014), draw.pick("material", (METAL, FRAME, METAL))
    half, out = width / 2, []
    for sy in (1, -1):
        out.append(X.paint(bar((0.26, sy * half, 0), (-0.24, sy * half, top), thick, material == FRAME), material))
        out.append(
            X.paint(bar((-0.26, sy * 0.9 * half, 0), (0.19, sy * 0.9 * half, seat), thick, material == FRAME), material)
        )
    for x, z, y in (
        (0.24, 0.03, half),
        (-0.24, 0.04, 0.9 * half),
        (0.19, seat - 0.01, 0.9 * half),
        (-0.235, top - 0.01, half),
    ):
        out.append(X.paint(bar((x, y, z), (x, -y, z), 0.8 * thick, False), material))
    count = draw.whole("slats", 4, 7)
    if draw.chance("slatted", 0.5):
        for k in range(count):
            x = -0.16 + 0.36 * k / (count - 1)
            out.append(X.paint(X.move(S.box((0.13 / count, half, 0.008), 0.004), (x, 0, seat)), SEAT))
    else:
        out.append(X.paint(X.move(S.box((0.19, half, 0.009), 0.008, cells=5), (0.01, 0, seat)), SEAT))
    for z in (top - 0.06, top - 0.15)[: draw.whole("back slats", 1, 2)]:
        x = 0.26 - 0.5 * z / top
        out.append(X.paint(X.move(X.turn(S.box((0.007, half, 0.035), 0.005, cells=3), "y", -30), (x, 0, z)), BACK))
    return out


def _tub(kind: str, draw: Draw) -> list[Mesh]:
    """An upholstered tub or shell: a wall around the seat that is high behind and low in front."""
    width, depth, seat = (
        draw.number("width", 0.55, 0.75),
        draw.number("depth", 0.55, 0.7),
        draw.number("seat", 0.36, 0.44),
    )
    top, arm = draw.number("top", 0.72, 1.0), draw.number("arm", 0.5, 0.66)
    n, rows, thick = 28, 10, draw.number("wall", 0.04, 0.09)
    angle = np.linspace(np.radians(50), np.radians(310), n)
    power = draw.number("power", 2.2, 4.5)
    rx, ry = depth / 2, width / 2
    cx = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power)
    cy = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power)
    behind = np.clip(0.5 - 0.5 * np.cos(angle), 0, 1) ** draw.number("slope", 1.0, 3.0)
    height = arm + (top - arm) * behind
    low, flare = seat - 0.16, draw.number("flare", 0.0, 0.12)
    section = np.linspace(0, 2 * np.pi, rows, endpoint=False)
    rings = []
    for i in range(n):
        out_ = np.cos(section) * thick / 2
        z = (low + height[i]) / 2 + np.sign(np.sin(section)) * np.abs(np.sin(section)) ** 0.6 * (height[i] - low) / 2
        lean = 1 + flare * (z - low) / (top - low)
        rings.append(
            np.column_stack(
                [(cx[i] * rx * lean + out_ * np.cos(angle[i])), (cy[i] * ry * lean + out_ * np.sin(angle[i])), z]
            )
        )
    parts = [X.paint(S.loft(np.asarray(rings)[:, ::-1]), BACK)]
    pad = S.box((0.46 * depth, 0.44 * width, 0.07), 0.05, cells=CELLS)
    parts.append(X.paint(X.move(pad, (0.02, 0, seat - 0.03)), SEAT))
    parts += legs(0.75 * width, 0.75 * depth, low + 0.05, draw.below("legs"))
    if draw.chance("pillow", 0.4):
        pillow = S.ellipsoid((0.06, 0.18, 0.14), 20, 3)
        parts.append(X.paint(X.move(X.turn(pillow, "y", -20), (-0.22 * depth, 0.05, seat + 0.17)), PILLOW))
    return parts
