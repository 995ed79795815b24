"""Objects from CO3D instead of worlds (section 5.3 of the specification): sequences of a category, or of all categories of a root.

Every photo is cut to a window around its object that is larger than any crop of it, so that sequences of all sizes come in one size; where
the window reaches beyond the photo, that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import generator
from halfseen.data import co3d
from halfseen.data.capture import Capture, View
from halfseen.methods.sparsefusion import cropped
from halfseen.worlds.objects import Made

# Sequences with no more frames than this are left out (released code).
_FEW = 10
# Set lists that say which sequences are trained on and which are held out: (subset, set) of each purpose. Without them every so-manieth
# of all sequences is held out.
_SETS = {"train": ("fewview_train", "train"), "held-out": ("fewview_dev", "test")}
_EVERY = 10
# Of a pixel, what counts as known at least.
_KNOWN = 1e-3


@dataclass(frozen=True)
class Sequences:
    """Which sequences, and how they are cut: so many views of each, `size` pixels of a side, windows so much larger than a crop."""

    path: str
    size: int
    views: int
    larger: float
    purpose: str = "train"  # or held-out


def of_sequence(order: Sequences, number: int) -> Made:
    """One sequence, over and over, and some of its views (this runs in workers)."""
    listed = _listed(order.path, order.purpose)
    folder, name = listed[number % len(listed)]
    capture = co3d.read_sequence(co3d.annotated(folder), name)
    rng = generator(0, "sparsefusion/views", number)
    chosen = torch.randperm(len(capture), generator=rng)[: order.views].tolist()
    # Short sequences show some views twice.
    chosen = (chosen * order.views)[: order.views]
    return _cut(capture, chosen, order)


def _cut(capture: Capture, chosen: list[int], order: Sequences) -> Made:
    parts = [_window(capture.views[i], order) for i in chosen]
    rgb, mask, known, lens = (torch.cat([p[k] for p in parts]) for k in range(4))
    over_white = rgb * mask + 1 - mask
    c2w = capture.select(chosen).cameras().c2w.double().numpy()
    return Made(
        _bytes(over_white).transpose(0, 2, 3, 1),
        _bytes(mask)[:, 0],
        c2w,
        (lens * order.size).double().numpy(),
        on_white=True,
        known=_bytes(known)[:, 0],
    )


def _window(view: View, order: Sequences) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(colours, mask, what the photo holds, lens in windows' sides) of the window around the object of a view."""
    assert view.mask is not None
    assert view.camera is not None
    rgb = view.image.read()[..., :3].movedim(-1, 0)[None]
    mask = view.mask.read_grey()[None, None]
    crop = cropped.around(mask)
    crop = replace(crop, side=crop.side * order.larger)
    shown, covered, known = (cropped.cut(t, crop, order.size) for t in (rgb, mask, torch.ones_like(mask)))
    # What is averaged with what lies beyond the photo keeps its colour.
    return shown / known.clamp_min(_KNOWN), covered, known, cropped.lenses(view.camera, crop)


def _bytes(values: Tensor) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    return found


@lru_cache(8)
def _listed(path: str, purpose: str) -> list[tuple[Path, str]]:
    """(category folder, sequence) of all sequences of a purpose."""
    folders = sorted(p.parent for p in Path(path).rglob(co3d.FRAMES))
    named = [(folder, name) for folder in folders if _has_lists(folder) for name in _of_lists(folder, purpose)]
    rest = [(folder, name) for folder in folders if not _has_lists(folder) for name in _long(folder)]
    held = set(rest[_EVERY - 1 :: _EVERY])
    found = named + [item for item in rest if (item in held) == (purpose != "train")]
    if not found:
        raise UserError(
            f"{quote(path)} holds no sequences that can be learned from",
            got=f"{len(folders)} categories of CO3D",
            accepted=f"categories with sequences of more than {_FEW} frames that are for this purpose",
            do="Name the folder that holds frame_annotations.jgz, or the one above.",
        )
    return found


def _long(folder: Path) -> list[str]:
    category = co3d.annotated(folder)
    return [name for name in co3d.sequences(category) if len(category.frames[name]) > _FEW]


def _has_lists(folder: Path) -> bool:
    return all((folder / co3d.SETS / f"set_lists_{subset}.json").is_file() for subset, _ in _SETS.values())


def _of_lists(folder: Path, purpose: str) -> list[str]:
    subset, part = _SETS[purpose]
    named = {sequence for sequence, _, _ in co3d.set_list(folder, subset).get(part, [])}
    return [name for name in _long(folder) if name in named]
