"""Scenes that claims from three photos and more stand on: worlds of claims seeds, and real captures where they are at hand."""

from __future__ import annotations

from pathlib import Path

from halfseen.common.errors import UserError, quote
from halfseen.data import formats, protocols
from halfseen.data.capture import Capture, Split
from halfseen.worlds import families, sample, seeds

# World scenes by name: family, number of the claims seed, layout and size; of each, this many views.
WORLDS: dict[str, tuple[str, int, str, tuple[int, int]]] = {
    "room-0": ("rooms", 0, "forward", (128, 96)),
    "room-1": ("rooms", 1, "forward", (128, 96)),
    "street-0": ("outdoor", 0, "drive", (128, 96)),
    "car-0": ("cars", 0, "hemisphere", (128, 128)),
    "chair-0": ("chairs", 0, "hemisphere", (128, 128)),
    "table-0": ("tabletop", 0, "hemisphere", (128, 128)),
}
WORLD_VIEWS = 20
# Real captures by the name of their folder; of these, whose protocol is LLFF's though their format does not say so.
REAL, LLFF = ("llff_fern", "fox", "banana", "dtu_scan65"), ("llff_fern",)
# Scenes of ablations: one of each sort.
ABLATED = ("room-0", "chair-0", "llff_fern")


def names(captures: Path | None, tier: str) -> tuple[str, ...]:
    """Names of the scenes at hand, the same for all tiers."""
    del tier
    return *WORLDS, *(n for n in REAL if captures is not None and (captures / n).is_dir())


def capture(scene: str, captures: Path | None, views: int, size: int) -> tuple[Capture, Split]:
    """A scene at its own size, and which of its views are the inputs."""
    del size
    if scene in WORLDS:
        family, number, layout, shape = WORLDS[scene]
        seed = seeds.seed_of("claims", number)
        made = sample.capture(families.by_name(family), seed, layout=layout, views=WORLD_VIEWS, size=shape)
        return made, protocols.even(views, WORLD_VIEWS)
    if captures is None or not (captures / scene).is_dir():
        raise UserError(
            "the scene of a claim is not there", got=quote(scene), accepted="a folder of --captures", do="Name it."
        )
    found = formats.read([captures / scene])
    if scene in LLFF:
        return found, protocols.llff(views, len(found))
    return found, protocols.choose(found, views, None)
