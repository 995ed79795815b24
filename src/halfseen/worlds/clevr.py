"""CLEVR's world: cubes, balls and cylinders of two sizes, eight colours and two materials on a grey ground, 3 to 10 of them.

Shapes, sizes, colours, distances and jitter follow the published generator; z is up, units are its own.
"""

from __future__ import annotations

import numpy as np

from halfseen.worlds import mesh as X
from halfseen.worlds import shapes as S
from halfseen.worlds.assemble import Assembly
from halfseen.worlds.draw import Draw
from halfseen.worlds.light import Light
from halfseen.worlds.materials import Material, Rgb
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.render import Model

# The generator's eight colours (8-bit) and two sizes.
COLOURS: dict[str, tuple[int, int, int]] = {
    "gray": (87, 87, 87), "red": (173, 35, 35), "blue": (42, 75, 215), "green": (29, 105, 20),
    "brown": (129, 74, 25), "purple": (129, 38, 192), "cyan": (41, 208, 208), "yellow": (255, 238, 51),
}  # fmt: skip
SIZES = {"large": 0.7, "small": 0.35}
SHAPES = ("cube", "sphere", "cylinder")
# Objects stand within this square and at least this far apart; the number of objects.
_REACH, _MARGIN, _COUNT = 3.0, 0.25, (3, 10)
_TRIES = 100
_GROUND = 9.0
# Jitter of the key light's place, as the generator's.
_JITTER = 1.0


def make(seed: int) -> Model:
    """One scene."""
    draw = Draw(seed, "clevr")
    scene = Assembly()
    ground = Material((0.62, 0.62, 0.62), gloss=0.03, grain=0.04, grain_scale=0.3, seed=draw.texture_seed("ground"))
    scene.add([S.sheet((2 * _GROUND, 2 * _GROUND), (60, 60))], [ground])
    placed: list[tuple[float, float, float]] = []
    for k in range(draw.whole("count", *_COUNT)):
        part = draw.below(f"object{k}")
        radius = SIZES[part.pick("size", tuple(SIZES))]
        spot = _free_spot(placed, radius, part)
        if spot is None:
            continue
        placed.append((*spot, radius))
        shape = X.turn(_shape(part.pick("shape", SHAPES), radius), "z", part.number("turn", 0, 360))
        scene.add([X.move(shape, (*spot, 0.0))], [_material(part)])
    return scene.model(_light(draw.below("light")))


def _shape(kind: str, r: float) -> Mesh:
    if kind == "cube":
        half = r / 2**0.5
        return X.move(S.box((half, half, half), 0.06 * r, cells=4), (0, 0, half))
    if kind == "sphere":
        return X.move(S.ellipsoid((r, r, r), 40), (0, 0, r))
    edge = 0.05 * r
    return S.lathe([(0, 0), (r - edge, 0), (r, edge), (r, 2 * r - edge), (r - edge, 2 * r), (0, 2 * r)], 48)


def _material(draw: Draw) -> Material:
    r, g, b = COLOURS[draw.pick("colour", tuple(COLOURS))]
    colour: Rgb = (r / 255, g / 255, b / 255)
    if draw.chance("metal", 0.5):
        return Material(colour, gloss=1.5, sharpness=60, mirror=0.55, grain=0.0)
    return Material(colour, gloss=0.12, sharpness=12, grain=0.03, grain_scale=0.05)


def _free_spot(placed: list[tuple[float, float, float]], radius: float, draw: Draw) -> tuple[float, float] | None:
    for attempt in range(_TRIES):
        x, y = (draw.number(f"{axis}{attempt}", -_REACH, _REACH) for axis in "xy")
        if all(np.hypot(x - px, y - py) > radius + pr + _MARGIN for px, py, pr in placed):
            return x, y
    return None


def _light(draw: Draw) -> Light:
    """Key light up front with a jittered place; fill and back lights are part of the soft sky."""
    place = np.array([6.5, -5.0, 6.5]) + [draw.number(a, -_JITTER, _JITTER) for a in "xyz"]
    x, y, z = (place / np.linalg.norm(place)).tolist()
    return Light((x, y, z), (1, 1, 1), 1.0, 0.18, (0.72, 0.72, 0.74), (0.8, 0.8, 0.8), (0.5, 0.5, 0.5))
