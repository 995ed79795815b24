"""Things that stand on tables and shelves: bottles, vases, mugs, teapots, lamps, boxes, fruit, shoes, plants, toys, hydrants, cans.

What ABO and CO3D hold, in kind: turned shapes, handles on one side, labels, soft and hard materials. z up, sizes in metres.
"""

from __future__ import annotations

from collections.abc import Callable

from halfseen.worlds import goods, nature, toys, vessels
from halfseen.worlds import mesh as X
from halfseen.worlds.assemble import Made
from halfseen.worlds.draw import Draw, indoor_light
from halfseen.worlds.render import Model

RADIUS = 0.75


def make(seed: int) -> Model:
    """One thing, scaled into its sphere."""
    draw = Draw(seed, "tabletop")
    parts, materials = thing(draw)
    return Model(X.into_sphere(X.join(parts), RADIUS), materials, indoor_light(draw.below("light")))


def thing(draw: Draw) -> Made:
    """Meshes and materials of one thing, standing on z = 0, in metres."""
    kind = draw.pick("kind", list(KINDS))
    parts, materials = KINDS[kind](draw.below(kind))
    return [X.on_ground(X.join(parts))], materials


KINDS: dict[str, Callable[[Draw], Made]] = {
    "bottle": vessels.round_bottle, "vase": vessels.vase, "mug": vessels.mug, "teapot": vessels.teapot, "can": vessels.can,
    "lamp": goods.lamp, "package": goods.package, "shoe": goods.shoe, "hydrant": goods.hydrant,
    "fruit": nature.fruit, "plant": nature.plant, "toy": toys.toy,
}  # fmt: skip
