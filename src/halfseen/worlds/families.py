"""The table of families: how to make a member, where cameras may stand, and which background and layout it is shown with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halfseen.common.errors import UserError, quote
from halfseen.worlds import cars, chairs, clevr, outdoor, rooms, tabletop
from halfseen.worlds.layouts import SRN_FOCAL, Stage
from halfseen.worlds.render import Background, Model


@dataclass(frozen=True)
class Family:
    """One family of worlds."""

    name: str
    make: Callable[[int], Model]
    stage: Callable[[int], Stage]
    background: Background
    layout: str  # the default one
    describe: str


def _car(seed: int) -> Stage:
    return Stage((0.0, 0.0, 0.0), 1.3, SRN_FOCAL)


def _chair(seed: int) -> Stage:
    return Stage((0.0, 0.0, 0.0), 2.0, SRN_FOCAL)


def _room(seed: int) -> Stage:
    length, width, _ = rooms.extent(seed)
    return Stage((0.0, 0.0, 0.8), 0.4 * min(length, width), 0.72, (length / 2, width / 2, 1.2), 1.45)


def _street(seed: int) -> Stage:
    return Stage((0.0, 0.0, 1.6), 8.0, 0.8, (outdoor.LENGTH / 2, 3.2, 2.0), 1.6)


def _tabletop(seed: int) -> Stage:
    return Stage((0.0, 0.0, 0.0), 2.0, SRN_FOCAL)


def _clevr(seed: int) -> Stage:
    # The generator's camera: about 11 units away at this focal length (35 mm on a 32 mm sensor).
    return Stage((0.0, 0.0, 0.3), 11.0, 35.0 / 32.0)


# Distances as SRN has them: cars at 1.3 with radius 0.5, chairs at 2.0 with radius 0.75.
FAMILIES: tuple[Family, ...] = (
    Family("cars", cars.make, _car, "white", "sphere", "sedans, vans, pick-ups, sports cars, buses"),
    Family("chairs", chairs.make, _chair, "white", "sphere", "dining, office, folding, tub chairs, stools, benches"),
    Family(
        "tabletop",
        tabletop.make,
        _tabletop,
        "white",
        "hemisphere",
        "bottles, mugs, lamps, boxes, fruit, shoes, plants, toys",
    ),
    Family("clevr", clevr.make, _clevr, "environment", "orbit", "CLEVR's shapes on a ground"),
    Family("rooms", rooms.make, _room, "environment", "walk-a", "furnished rooms"),
    Family("outdoor", outdoor.make, _street, "environment", "drive", "a street with houses, trees and cars"),
)


def by_name(name: str) -> Family:
    """A family by its name."""
    for family in FAMILIES:
        if family.name == name:
            return family
    raise UserError(
        "the family of worlds is not known",
        got=quote(name),
        accepted=", ".join(f.name for f in FAMILIES),
        do="Choose one of these.",
    )
