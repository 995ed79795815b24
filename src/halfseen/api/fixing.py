"""Repair pictures of which nothing but the pixels is known, each beside the photos that look most like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from halfseen.api.requests import device_named
from halfseen.common.errors import UserError, quote
from halfseen.images import io, resize
from halfseen.methods.difix3d import inputs
from halfseen.methods.difix3d.fixers import load_fixer

# What `halfseen render` calls its folder of pictures.
_RENDERED = "rgb"
# Longer side at which pictures are compared to find references, and the side of the grid of their colours.
_COMPARED = 32


@dataclass(frozen=True)
class Fixed:
    """One repaired picture."""

    name: str
    rgb: Tensor  # [H, W, 3]
    references: tuple[str, ...]
    changed: float  # mean absolute difference to the picture, in [0, 1]
    error: float | None  # what the fixer expects to be wrong still, in [0, 1]


def fix(
    source: str | Path,
    references: str | Path | None = None,
    *,
    prior: str = "fixer",
    count: int = 1,
    device: str = "auto",
) -> Iterator[Fixed]:
    """Repair a picture, or all of a folder, each beside the `count` references that look most like it."""
    fixer = load_fixer(prior, device_named(device))
    # Photos may be many and large: only how they look stays in memory.
    known = [] if references is None else pictures(Path(references))
    looks = [_look(io.read(p)[..., :3]) for p in known]
    for path in pictures(Path(source)):
        rgb = io.read(path)[..., :3]
        near = nearest(_look(rgb), looks)[:count]
        made = fixer(inputs.bare(rgb.movedim(-1, 0)), [io.read(known[i])[..., :3].movedim(-1, 0) for i in near])
        out = made.rgb.movedim(0, -1)
        error = None if made.error is None else float(made.error.mean())
        yield Fixed(path.stem, out, tuple(known[i].name for i in near), float((out - rgb).abs().mean()), error)


def pictures(path: Path) -> list[Path]:
    """The picture itself, those of a folder, or those in the folder rgb/ of what `halfseen render` wrote."""
    if path.is_file():
        return [path]
    folder = path / _RENDERED if (path / _RENDERED).is_dir() else path
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in io.PHOTO_SUFFIXES) if folder.is_dir() else []
    if not found:
        raise UserError(
            f"{quote(str(path))} holds no pictures",
            got="no such file or folder" if not path.exists() else "other files",
            accepted="a picture, or a folder of pictures: " + ", ".join(sorted(io.PHOTO_SUFFIXES)),
            do="Check the path.",
        )
    stems = [p.stem for p in found]
    twice = sorted({s for s in stems if stems.count(s) > 1})
    if twice:
        raise UserError(
            "two pictures would be written to one file",
            got=quote(twice[0]),
            accepted="pictures whose names differ before the dot",
            do="Rename one.",
        )
    return found


def nearest(look: Tensor, others: Sequence[Tensor]) -> list[int]:
    """Which of the others look most like a picture, best first: by the correlation of their small versions."""
    return sorted(range(len(others)), key=lambda i: -float((look * others[i]).sum()))


def _look(rgb: Tensor) -> Tensor:
    """A picture [H, W, 3] as a small one without its mean and its contrast, so that exposure does not count."""
    small = resize.resize(rgb, _COMPARED, _COMPARED)
    small = small - small.mean((0, 1))
    return small / small.norm().clamp_min(torch.finfo(small.dtype).tiny)
