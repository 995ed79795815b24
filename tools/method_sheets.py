"""Draw docs/pictures/nerfdiff.jpg and sparsefusion.jpg: objects of the claims from one photo or two, what is predicted, what is distilled, and the truth."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image

import halfseen as hs
from halfseen.bench import objects
from halfseen.data.capture import Capture, Split
from halfseen.images import color
from halfseen.images.io import to_bytes

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
SIZE = 128
QUALITY = 88


@dataclass(frozen=True)
class Sheet:
    """What a method is shown by."""

    families: tuple[str, ...]  # a row each
    variants: tuple[str, ...]  # drawn between the photos and the truth
    views: Callable[[str], tuple[Capture, Split]]  # of a scene
    looks: tuple[int, ...]  # views that are drawn


# From the side, and from behind.
SHEETS = {
    "nerfdiff": Sheet(
        objects.FAMILIES, ("feedforward", "ngd"), partial(objects.spiral, captures=None, views=1, size=SIZE), (80, 101)
    ),
    "sparsefusion": Sheet(
        objects.ON_WHITE, ("eft", "distilled"), partial(objects.orbit, captures=None, views=2, size=SIZE), (3, 10, 26)
    ),
}


def main() -> None:
    """Draw the sheets named on the command line, or all."""
    for method in sys.argv[1:] or SHEETS:
        sheet = SHEETS[method]
        rows = [_row(method, sheet, *sheet.views(f"object-{family}-0")) for family in sheet.families]
        path = FOLDER / f"{method}.jpg"
        Image.fromarray(to_bytes(torch.cat(rows, 0))).save(path, quality=QUALITY)
        print(path.relative_to(ROOT), flush=True)


def _row(method: str, sheet: Sheet, capture: Capture, split: Split) -> torch.Tensor:
    """The photos, then from each place what every variant shows and the truth."""
    photos = capture.select(split.train)
    targets = capture.select(sheet.looks)
    shown = [_shown(photos, targets, method, variant) for variant in sheet.variants]
    truth = [_on_white(v.image.read()) for v in targets.views]
    tiles = [_on_white(v.image.read()) for v in photos.views]
    for pictures in zip(*shown, truth, strict=True):
        tiles += pictures
    return torch.cat(tiles, 1)


def _shown(photos: Capture, targets: Capture, method: str, variant: str) -> list[torch.Tensor]:
    with tempfile.TemporaryDirectory() as out:
        run = hs.reconstruct(photos, out=Path(out) / "run", method=method, variant=variant, max_size=SIZE)
        return [frame.rgb for frame in hs.render(run, targets.cameras())]


def _on_white(picture: torch.Tensor) -> torch.Tensor:
    rgb, alpha = picture[..., :3], picture[..., 3:].mean(-1)
    return color.over(rgb, alpha, color.WHITE) if picture.shape[-1] > len(color.WHITE) else rgb


if __name__ == "__main__":
    main()
