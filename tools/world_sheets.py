"""Draw docs/pictures/world-FAMILY.jpg: 64 members of every family, the first seeds of the validation range, one view each."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from PIL import Image

from halfseen.images.io import to_bytes
from halfseen.worlds import families, sample, seeds
from halfseen.worlds.render import prepare, render

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
MEMBERS, ACROSS = 64, 8
# Layout that shows a member best, and the size of its picture.
SHOWN = {
    "cars": "hemisphere",
    "chairs": "hemisphere",
    "tabletop": "hemisphere",
    "clevr": "orbit",
    "rooms": "walk-a",
    "outdoor": "drive",
}
SQUARE, WIDE = (128, 128), (160, 120)
# The view that is shown: walks and drives begin at a wall or between two cars.
VIEW, VIEWS = 4, 6
QUALITY = 82


def main() -> None:
    """Draw the families named on the command line, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for family in families.FAMILIES:
        if sys.argv[1:] and family.name not in sys.argv[1:]:
            continue
        size = SQUARE if family.background == "white" else WIDE
        tiles = [_tile(family, seeds.seed_of("validation", i), size) for i in range(MEMBERS)]
        rows = [torch.cat(tiles[r : r + ACROSS], 1) for r in range(0, MEMBERS, ACROSS)]
        path = FOLDER / f"world-{family.name}.jpg"
        Image.fromarray(to_bytes(torch.cat(rows, 0))).save(path, quality=QUALITY)
        print(path.relative_to(ROOT), flush=True)


def _tile(family: families.Family, seed: int, size: tuple[int, int]) -> torch.Tensor:
    world = prepare(family.make(seed))
    cameras = sample.cameras_for(family, seed, SHOWN[family.name], VIEWS, size, world)
    return render(world, cameras[VIEW], family.background, supersample=3).rgb


if __name__ == "__main__":
    main()
