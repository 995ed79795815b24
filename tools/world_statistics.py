"""Statistics of worlds beside real pictures: gradients, colours, depth edges, and how far members of a family are apart.

world_statistics.py CAPTURES      # beside a folder with redkitchen_rgbd/ and meshes_cc0_*/, which are measured only
world_statistics.py cars rooms    # diversity of families; of all, without arguments
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.data import formats
from halfseen.data.capture import Capture, View
from halfseen.data.load import load
from halfseen.images import resize
from halfseen.worlds import families, layouts, sample, seeds, user_meshes
from halfseen.worlds.render import prepare, render

SIZE = (128, 96)
OBJECT_SIZE, SCENE_SIZE = (96, 96), (64, 48)
# Views of walks and drives, and the one that members are compared in.
VIEWS, VIEW = 6, 4
ROOMS, MESHES, MEMBERS = 12, 60, 1000
# A depth edge is a step of more than this share of the depth between neighbouring pixels.
EDGE = 0.05
# Side of the pictures that members are compared at, after cutting to the object and scaling it to fill them.
COMPARED = 32
HISTOGRAM = 32
COLOUR_BINS = 8
MAX_GRADIENT = 0.5


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    known = [f.name for f in families.FAMILIES]
    folders, chosen = ([a for a in sys.argv[1:] if (a in known) == wanted] for wanted in (False, True))
    for captures in map(Path, folders):
        _rooms(captures / "redkitchen_rgbd")
        _objects(captures)
    if chosen or not folders:
        _diversity(chosen or known)


def _rooms(folder: Path) -> None:
    real = load(formats.read([folder]), SIZE[0])
    photos = [v.image.read() for v in real.views]
    real_depth = [torch.from_numpy(v.depth.read()) for v in real.views if v.depth is not None]
    family = families.by_name("rooms")
    made = [sample.capture(family, seeds.seed_of("validation", i), views=3, size=SIZE) for i in range(ROOMS)]
    pictures = [v.image.read() for c in made for v in c.views]
    depths = [torch.from_numpy(v.depth.read()) for c in made for v in c.views if v.depth is not None]
    print("\n| statistic | redkitchen | rooms |\n|---|---|---|")
    _row("mean absolute gradient", _gradient(photos), _gradient(pictures))
    _row("share of flat pixels (gradient < 0.01)", _flat(photos), _flat(pictures))
    _row("mean brightness", _mean(photos), _mean(pictures))
    _row("contrast (standard deviation)", _contrast(photos), _contrast(pictures))
    _row("saturation", _saturation(photos), _saturation(pictures))
    _row("depth edges (share of pixel pairs)", _depth_edges(real_depth), _depth_edges(depths))
    _row(
        "median depth (m)",
        *(float(np.median(np.concatenate([d[d > 0].numpy() for d in g]))) for g in (real_depth, depths)),
    )
    halves = (photos[::2], photos[1::2])
    for what, histogram in (("gradient", _gradient_histogram), ("colour", _colour_histogram)):
        ours, within = (_variation(histogram(a), histogram(b)) for a, b in ((photos, pictures), halves))
        print(
            f"\n{what} histograms: rooms differ from redkitchen by {ours:.3f}, its even photos from its odd ones by {within:.3f}"
        )


def _objects(captures: Path) -> None:
    files = [p for f in sorted(captures.glob("meshes_*")) for p in user_meshes.find(f)]
    files = files[:: max(1, len(files) // MESHES)][:MESHES]
    real: list[Capture] = []
    for path in files:
        capture = sample.shoot_model(user_meshes.load(path).model, "hemisphere", 1, OBJECT_SIZE, len(real)).capture
        real.append(capture)
    print("\n| statistic | CC0 and CC-BY meshes | " + " | ".join(n for n in ("cars", "chairs", "tabletop")) + " |")
    print("|---|" + "---|" * 4)
    groups = [real]
    for name in ("cars", "chairs", "tabletop"):
        family = families.by_name(name)
        groups.append(
            [
                sample.capture(family, seeds.seed_of("validation", i), layout="hemisphere", views=1, size=OBJECT_SIZE)
                for i in range(MESHES)
            ]
        )
    for label, measure in (
        ("mean absolute gradient on the object", _object_gradient),
        ("depth edges on the object", _object_edges),
        ("saturation on the object", _object_saturation),
    ):
        print(f"| {label} | " + " | ".join(f"{measure(g):.4f}" for g in groups) + " |")


def _diversity(names: list[str]) -> None:
    print("\n| family | members | smallest distance | 1st percentile | median nearest |\n|---|---|---|---|---|")
    for name in names:
        family = families.by_name(name)
        vectors = [_seen_alike(family, seeds.seed_of("validation", i)) for i in range(MEMBERS)]
        stack = torch.stack(vectors)
        distance = torch.cdist(stack, stack) / stack.shape[1] ** 0.5
        distance.fill_diagonal_(torch.inf)
        nearest = distance.min(1).values
        print(
            f"| {name} | {MEMBERS} | {float(nearest.min()):.4f} | {float(nearest.quantile(0.01)):.4f} | {float(nearest.median()):.4f} |",
            flush=True,
        )


def _seen_alike(family: families.Family, seed: int) -> Tensor:
    """One normalised picture of a member; all members of a family are seen from the same place of the same layout."""
    alone = family.background == "white"
    layout = layouts.LAYOUTS["hemisphere" if alone else family.layout]
    size = OBJECT_SIZE if alone else SCENE_SIZE
    camera = layout(family.stage(seed), 1, size, 0)[0] if alone else layout(family.stage(seed), VIEWS, size, 0)[VIEW]
    picture = render(prepare(family.make(seed)), camera, family.background, supersample=1)
    return _normalised(picture.rgb) if alone else resize.resize(picture.rgb, COMPARED, COMPARED).reshape(-1)


def _normalised(rgb: Tensor) -> Tensor:
    """The object cut out, scaled to fill a small square, as one vector; so that neither place nor size counts."""
    mask = (rgb < 0.999).any(-1)
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    cut = rgb[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    return resize.resize(cut, COMPARED, COMPARED).reshape(-1)


def _grads(pictures: list[Tensor]) -> NDArray[np.float32]:
    out = []
    for p in pictures:
        grey = p.mean(-1)
        out.append(
            ((grey[:-1, 1:] - grey[:-1, :-1]).abs() + (grey[1:, :-1] - grey[:-1, :-1]).abs()).reshape(-1).numpy()
        )
    return np.concatenate(out)


def _gradient(pictures: list[Tensor]) -> float:
    return float(_grads(pictures).mean())


def _flat(pictures: list[Tensor]) -> float:
    return float((_grads(pictures) < 0.01).mean())


def _gradient_histogram(pictures: list[Tensor]) -> NDArray[np.int64]:
    return np.histogram(_grads(pictures), HISTOGRAM, (0, MAX_GRADIENT))[0]


def _colour_histogram(pictures: list[Tensor]) -> NDArray[np.int64]:
    """Joint histogram of red, green and blue."""
    pixels = torch.cat([p.reshape(-1, 3) for p in pictures]).numpy()
    return np.histogramdd(pixels, COLOUR_BINS, [(0, 1)] * 3)[0].astype(np.int64).reshape(-1)


def _variation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Total variation: 0 where two histograms are equal, 1 where they are disjoint."""
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def _mean(pictures: list[Tensor]) -> float:
    return float(torch.stack([p.mean() for p in pictures]).mean())


def _contrast(pictures: list[Tensor]) -> float:
    return float(torch.stack([p.mean(-1).std() for p in pictures]).mean())


def _saturation(pictures: list[Tensor]) -> float:
    return float(torch.stack([(p.amax(-1) - p.amin(-1)).mean() for p in pictures]).mean())


def _depth_edges(depths: list[Tensor]) -> float:
    shares = []
    for d in depths:
        a, b = d[:, 1:], d[:, :-1]
        known = (a > 0) & (b > 0)
        step = (a - b).abs() > EDGE * torch.minimum(a, b)
        shares.append(float((step & known).sum() / known.sum().clamp_min(1)))
    return float(np.mean(shares))


def _object_gradient(captures: list[Capture]) -> float:
    values = []
    for c in captures:
        view = c.views[0]
        grey, mask = view.image.read().mean(-1), _mask(view) > 0.99
        both = mask[:, 1:] & mask[:, :-1]
        values.append(float((grey[:, 1:] - grey[:, :-1]).abs()[both].mean()) if bool(both.any()) else 0.0)
    return float(np.mean(values))


def _object_edges(captures: list[Capture]) -> float:
    return _depth_edges([_depth(c.views[0]) for c in captures])


def _object_saturation(captures: list[Capture]) -> float:
    values = []
    for c in captures:
        rgb, mask = c.views[0].image.read(), _mask(c.views[0]) > 0.99
        values.append(float((rgb.amax(-1) - rgb.amin(-1))[mask].mean()) if bool(mask.any()) else 0.0)
    return float(np.mean(values))


def _mask(view: View) -> Tensor:
    assert view.mask is not None
    return view.mask.read_grey()


def _depth(view: View) -> Tensor:
    assert view.depth is not None
    return torch.from_numpy(view.depth.read())


def _row(name: str, real: float, made: float) -> None:
    print(f"| {name} | {real:.4f} | {made:.4f} |")


if __name__ == "__main__":
    main()
