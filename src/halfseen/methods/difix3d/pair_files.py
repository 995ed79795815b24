"""Pairs on disk, in the published layout: {"train": {ID: {"image", "target_image", "ref_image", "prompt"}}, "test": {...}}.

Paths are relative to the file. Keys of ours come on top, which its other readers leave unread: "shown" (a safetensors file of what
the small fixer sees), "strategy", "field", "severity" (share of the schedule) and "psnr" (dB of image against target_image).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.common.files import inside, new_folder
from halfseen.common.jsonfile import read_json, write_json
from halfseen.images import io, resize
from halfseen.methods.difix3d import inputs
from halfseen.methods.difix3d.pairs import Pair, as_bytes, packed

PROMPT, FILE = "remove degradation", "pairs.json"
PARTS = ("train", "test")
_SHOWN = "shown"


@dataclass(frozen=True)
class Row:
    """One pair and what is known of it."""

    name: str
    pair: Pair
    facts: Mapping[str, Any]


def write(folder: Path, rows: Sequence[Row], part: str) -> None:
    """Write the pairs of one job, which are for a part, as a new folder with its own list."""
    with new_folder(folder) as partial:
        write_json(partial / FILE, {part: {row.name: _written(row, partial) for row in rows}})


def _written(row: Row, folder: Path) -> dict[str, Any]:
    pictures = {"image": row.pair.shown[:3], "target_image": row.pair.target}
    pictures |= {"ref_image": row.pair.references[0]} if len(row.pair.references) else {}
    entry: dict[str, Any] = {}
    for key, picture in pictures.items():
        entry[key] = f"{row.name}-{key}.png"
        io.write_png(folder / entry[key], picture.movedim(0, -1).float() / 255)
    save_file({_SHOWN: row.pair.shown.contiguous()}, str(folder / f"{row.name}.safetensors"))
    return {**entry, "prompt": PROMPT, _SHOWN: f"{row.name}.safetensors", **row.facts}


def merge(out: Path, jobs: Sequence[str]) -> dict[str, int]:
    """Write the list of all pairs of a folder's jobs; their numbers by part (train, test)."""
    document: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for job in sorted(jobs):
        for part, rows in read_json(out / job / FILE).items():
            for name, entry in rows.items():
                paths = {k: f"{job}/{entry[k]}" for k in ("image", "target_image", "ref_image", _SHOWN) if k in entry}
                document[part][f"{job}-{name}"] = {**entry, **paths}
    write_json(out / FILE, document)
    return {part: len(rows) for part, rows in document.items()}


@dataclass(frozen=True)
class Listed:
    """One pair of a list, not yet read."""

    name: str
    folder: Path
    entry: Mapping[str, Any]


def listed(path: Path, part: str) -> list[Listed]:
    """The pairs of one part of a list: its file, or the folder that it lies in."""
    file = path / FILE if path.is_dir() else path
    document = read_json(file)
    if not isinstance(document, dict) or not isinstance(document.get(part), dict):
        raise UserError(
            f"{quote(str(file))} is no list of pairs",
            got="no object called " + quote(part),
            accepted='{"train": {ID: {"image": ..., "target_image": ..., "ref_image": ...}}, "test": {...}}',
            do="Make one with 'halfseen prior pairs'.",
        )
    out = []
    for name, entry in document[part].items():
        if not isinstance(entry, dict) or not all(isinstance(entry.get(k), str) for k in ("image", "target_image")):
            raise UserError(
                f"pair {quote(name)} in {quote(str(file))} is not whole",
                got=", ".join(entry) if isinstance(entry, dict) else "no object",
                accepted="image and target_image, and ref_image where there is one",
                do="Correct the list.",
            )
        out.append(Listed(name, file.parent, entry))
    return out


def read(item: Listed, size: tuple[int, int] | None = None) -> Pair:
    """One pair; its reference at another size (width, height). What other programs made is known by its picture alone."""
    image, target = (_picture(item, k) for k in ("image", "target_image"))
    if image.shape != target.shape:
        raise UserError(
            f"pair {quote(item.name)} does not fit together",
            got=f"{image.shape[2]} x {image.shape[1]} and {target.shape[2]} x {target.shape[1]} pixels",
            accepted="image and target_image of one size",
            do="Correct the pictures.",
        )
    shown = packed(inputs.bare(image)) if _SHOWN not in item.entry else _stored(item)
    references = torch.zeros(0, *image.shape)
    if "ref_image" in item.entry:
        reference = _picture(item, "ref_image").movedim(0, -1)
        width, height = size or (reference.shape[1], reference.shape[0])
        references = resize.resize(reference, width, height).movedim(-1, 0)[None]
    return Pair(shown, as_bytes(target), as_bytes(references))


def image(item: Listed) -> Tensor:
    """The rendering of a pair [3, H, W] in bytes."""
    return as_bytes(_picture(item, "image"))


def _picture(item: Listed, key: str) -> Tensor:
    """Colours [3, H, W]. Lists of others may name files anywhere; ours stay in their folder."""
    named = Path(str(item.entry[key]))
    path = named if named.is_absolute() else inside(item.folder, str(named), what=f"{key} of pair {item.name}")
    return io.read(path)[..., :3].movedim(-1, 0)


def _stored(item: Listed) -> Tensor:
    path = inside(item.folder, str(item.entry[_SHOWN]), what=f"{_SHOWN} of pair {item.name}")
    try:
        shown = load_file(str(path))[_SHOWN]
    except (SafetensorError, OSError, KeyError) as error:
        raise UserError(
            f"{quote(str(path))} cannot be read",
            got=str(error),
            accepted="a whole safetensors file as 'halfseen prior pairs' writes it",
            do="Make the pairs again.",
        ) from error
    return shown
