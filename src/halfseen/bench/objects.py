"""Objects that claims from one or a few photos stand on: worlds of claims seeds, and meshes of others where they are at hand."""

from __future__ import annotations

from pathlib import Path

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError, quote
from halfseen.common.rng import derive_seed
from halfseen.data import normalise, protocols
from halfseen.data.capture import Capture, Split
from halfseen.worlds import families, sample, seeds, user_meshes

# Of claims from one photo; those from a few are of things on white alone.
FAMILIES = ("cars", "chairs", "tabletop", "clevr")
ON_WHITE = FAMILIES[:3]
# Members of each family, and meshes of each folder, by tier.
_EACH = {"quick": 2, "full": 25}
# Folders of meshes among real captures, and what of them is an object of a kind that was learned.
_MESHES = {"meshes_cc0_kenney": ("chair", "sedan", "hatchback"), "meshes_cc0_kaykit": ("chair", "armchair")}
_OBJECT, _MESH = "object", "mesh"
# Objects of ablations: the first of each family of things on white.
ABLATED = tuple(f"{_OBJECT}-{f}-0" for f in ON_WHITE)


def names(captures: Path | None, tier: str, kept: tuple[str, ...] = FAMILIES) -> tuple[str, ...]:
    """Names of the objects at hand of some families."""
    made = tuple(f"{_OBJECT}-{family}-{i}" for i in range(_EACH[tier]) for family in kept)
    if captures is None:
        return made
    found = (f"{_MESH}-{folder}-{p.stem}" for folder in _MESHES for p in _of_folder(captures, folder)[: _EACH[tier]])
    return (*made, *found)


def on_white(captures: Path | None, tier: str) -> tuple[str, ...]:
    """Names of the objects that stand alone on white."""
    return names(captures, tier, ON_WHITE)


def known(scene: str) -> bool:
    """Whether a scene is one of these objects."""
    return scene.split("-")[0] in (_OBJECT, _MESH)


def spiral(scene: str, captures: Path | None, views: int, size: int) -> tuple[Capture, Split]:
    """SRN's protocol: an object's 251 views, and which of them is the photo."""
    return _around(scene, captures, "srn-test", protocols.SRN_VIEWS, size), protocols.srn(views)


def orbit(scene: str, captures: Path | None, views: int, size: int) -> tuple[Capture, Split]:
    """SparseFusion's protocol: 32 views of an orbit around an object, and which of them are the photos."""
    split = protocols.co3d(views, derive_seed(0, scene))
    return _around(scene, captures, "orbit", protocols.CO3D_VIEWS, size), split


def _around(scene: str, captures: Path | None, layout: str, views: int, size: int) -> Capture:
    """An object's views; the origin is what cameras look at."""
    kind, where, what = scene.split("-", 2)
    if kind == _OBJECT:
        family, seed = families.by_name(where), seeds.seed_of("claims", int(what))
        made = sample.capture(family, seed, layout=layout, views=views, size=(size, size))
        focus = -torch.tensor(family.stage(seed).focus, dtype=torch.float64)
        return normalise.move(made, Similarity(1.0, torch.eye(3, dtype=torch.float64), focus))
    found = [] if captures is None else [p for p in _of_folder(captures, where) if p.stem == what]
    if not found:
        raise UserError(
            "the mesh of a claim is not there", got=quote(scene), accepted="a folder of --captures", do="Name it."
        )
    return sample.shoot_model(user_meshes.load(found[0]).model, layout, views, (size, size), 0).capture


def _of_folder(captures: Path, folder: str) -> list[Path]:
    """Meshes of a folder that are of a kind that was learned, sorted."""
    words = _MESHES[folder]
    return [p for p in user_meshes.loose(captures / folder) if any(w in p.stem.lower() for w in words)]
