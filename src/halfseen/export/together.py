"""Numbers of all measured views together: distances of sets, the surface, agreement of neighbours. Slower than those of a view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from halfseen.export.measured import Measured
from halfseen.metrics import distribution, inception, sets, surfaces


@dataclass(frozen=True)
class Together:
    """Numbers, what they are, and sentences on what could not be measured."""

    numbers: dict[str, float]
    definitions: dict[str, str]
    absent: tuple[str, ...]


def together(found: Measured, features: Path | None = None, photos: Sequence[Tensor] = ()) -> Together:
    """Measure all views together. `features` are weights of Inception for FID and KID; SWD's floor is that of `photos`, if given."""
    pairs = sets.known_pairs(found.pairs)
    numbers: dict[str, float] = {}
    definitions: dict[str, str] = {}
    absent: list[str] = []
    if sets.large_enough(pairs):
        numbers |= sets.distances(pairs, photos)
        definitions |= sets.DEFINITIONS
    else:
        sides = f"sides of {distribution.PATCH} pixels"
        absent.append(f"SWD: needs {sets.LEAST_PICTURES} or more pictures with {sides}")
    if features is None:
        absent.append("FID and KID: no weights given (--inception FILE)")
    else:
        network = inception.load(features)
        a, b = (inception.features(network, p) for p in ([p.rendered for p in pairs], [p.truth for p in pairs]))
        numbers |= {"fid": distribution.fid(a, b), "kid": distribution.kid(a, b)}
    for name, more, definition, why in (
        ("chamfer", surfaces.chamfer(found.surfaces), surfaces.CHAMFER_DEFINITION, "no view has true depth"),
        (
            "reprojection",
            surfaces.agreement(found.surfaces),
            surfaces.REPROJECTION_DEFINITION,
            "no two measured views overlap",
        ),
    ):
        numbers |= more
        if more:
            definitions[name] = definition
        else:
            absent.append(f"{name}: {why}")
    return Together(numbers, definitions, tuple(absent))
