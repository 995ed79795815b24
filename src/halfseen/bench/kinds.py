"""Kinds of claims: which scenes they stand on, how many photos there are, and what a tier computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from halfseen.bench import objects, scenes
from halfseen.data.capture import Capture, Split

Tier = Literal["quick", "full"]


@dataclass(frozen=True)
class Settings:
    """What a tier computes."""

    views: tuple[int, ...]
    seeds: tuple[int, ...]
    size: int  # longer side
    steps: int
    every: int  # of the targets,
    least: int = 3  # as long as so many remain


@dataclass(frozen=True)
class Kind:
    """Claims that stand on the same scenes."""

    claim: str
    ablations: str
    tiers: dict[Tier, Settings]
    names: Callable[[Path | None, str], tuple[str, ...]]  # of captures at hand and a tier
    ablated: tuple[str, ...]
    capture: Callable[[str, Path | None, int, int], tuple[Capture, Split]]  # of a scene, captures, photos and a size


SCENES = Kind(
    "few-views",
    "ablations",
    {"quick": Settings((3,), (0,), 128, 500, 10), "full": Settings((3, 6, 9), (0, 1, 2), 256, 1500, 1)},
    scenes.names,
    scenes.ABLATED,
    scenes.capture,
)
# SRN's protocol, 64 x 64: the photo is view 64 of the spiral; quick looks at every tenth of the other 250.
ONE_PHOTO = Kind(
    "one-photo",
    "one-photo ablations",
    {"quick": Settings((1,), (0,), 64, 600, 10), "full": Settings((1,), (0, 1, 2), 64, 600, 1)},
    objects.names,
    objects.ABLATED,
    objects.spiral,
)
# Photos are the first of 32 views of an orbit in an order of their own; quick looks at every third of the others.
FEW_PHOTOS = Kind(
    "few-photos",
    "few-photos ablations",
    {"quick": Settings((2,), (0,), 96, 600, 3), "full": Settings((2, 3, 6), (0, 1, 2), 96, 600, 1)},
    objects.on_white,
    objects.ABLATED[:2],
    objects.orbit,
)
# Of methods with objects of their own.
_OF = {"nerfdiff": ONE_PHOTO, "sparsefusion": FEW_PHOTOS}


def of_method(method: str) -> Kind:
    """What a method's claims stand on."""
    return _OF.get(method, SCENES)


def of_claim(claim: str) -> Kind:
    """The kind of a claim's name."""
    return {name: k for k in (SCENES, ONE_PHOTO, FEW_PHOTOS) for name in (k.claim, k.ablations)}[claim]
