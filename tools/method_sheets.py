"""Draw docs/pictures/nerfdiff.jpg: objects of the claims from one photo, what is predicted, what is distilled, and the truth."""

from __future__ import annotations

import sys
import tempfile
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
# One row of the sheet each.
SHOWN = {"nerfdiff": tuple(f"object-{family}-0" for family in objects.FAMILIES)}
# What is drawn between the photo and the truth.
VARIANTS = {"nerfdiff": ("feedforward", "ngd")}
# Views of the spiral that are drawn: from the side, and from behind.
LOOKS = (80, 101)
SIZE = 128
QUALITY = 88


def main() -> None:
    """Draw the sheets named on the command line, or all."""
    for method in sys.argv[1:] or SHOWN:
        rows = [_row(method, *objects.spiral(scene, None, 1, SIZE)) for scene in SHOWN[method]]
        path = FOLDER / f"{method}.jpg"
        Image.fromarray(to_bytes(torch.cat(rows, 0))).save(path, quality=QUALITY)
        print(path.relative_to(ROOT), flush=True)


def _row(method: str, capture: Capture, split: Split) -> torch.Tensor:
    """The photo, then from each place what every variant shows and the truth."""
    photo = capture.select(split.train)
    targets = capture.select(LOOKS)
    shown = [_shown(photo, targets, method, variant) for variant in VARIANTS[method]]
    truth = [_on_white(v.image.read()) for v in targets.views]
    tiles = [_on_white(photo.views[0].image.read())]
    for pictures in zip(*shown, truth, strict=True):
        tiles += pictures
    return torch.cat(tiles, 1)


def _shown(photo: Capture, targets: Capture, method: str, variant: str) -> list[torch.Tensor]:
    with tempfile.TemporaryDirectory() as out:
        run = hs.reconstruct(photo, out=Path(out) / "run", method=method, variant=variant, max_size=SIZE)
        return [frame.rgb for frame in hs.render(run, targets.cameras())]


def _on_white(picture: torch.Tensor) -> torch.Tensor:
    rgb, alpha = picture[..., :3], picture[..., 3:].mean(-1)
    return color.over(rgb, alpha, color.WHITE) if picture.shape[-1] > len(color.WHITE) else rgb


if __name__ == "__main__":
    main()
