"""How right the seen-map is: beside exact visibility on worlds. Fields are fitted to all views, so that their surfaces are known;
some of the views then play the captured ones, and the map is made for the others.

seen_recall.py [FIELD ...]      # hashgrid, gaussians; both without arguments; exact: the true depth alone, in seconds

Each field is fitted twice: to the photos, and to the photos and their true depth. The second is a well-fitted scene whatever stereo
makes of it: what is wrong there is the map's own fault. The third row has the true depth itself in place of a field's.

A pixel counts where the true surface and the field's own opacity both show something. Recall of a class is the share of its true
pixels that the map gives that class.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture
from halfseen.fields import seen
from halfseen.fields.contract import Rendering
from halfseen.fields.seen import Witness
from halfseen.methods.photometric import config, fit
from halfseen.methods.photometric.geometry import Geometry
from halfseen.worlds import families, sample, seeds

# (family, layout, views, those that play the captured ones): few, so that all classes are there.
SCENES = (
    ("rooms", "walk-a", 30, (0, 8, 16, 24)),
    ("tabletop", "orbit", 24, (0, 3, 6, 9, 12)),
    ("chairs", "orbit", 24, (0, 2, 4, 6, 8, 10)),
)
SIZE, STEPS, MEMBER = (160, 120), 900, 3
CLASSES = {"none": (0, seen.INVENTED), "one": (1, seen.ONE_VIEW), "two or more": (2, seen.TWO_VIEWS)}
BLACK = (0.0, 0.0, 0.0)
_OPAQUE = 0.5


@dataclass(frozen=True)
class Scene:
    """A capture in the box frame, its true z-depths there, and how many of the inputs truly see each pixel of the others."""

    boxed: Capture
    depths: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    held: tuple[int, ...]
    truth: tuple[Tensor, ...]


def main() -> None:
    """Print one row for each scene, field and what it was fitted to."""
    heads = (*(f"recall {c} (share)" for c in CLASSES), "median depth error")
    print("| scene | surfaces from | " + " | ".join(heads) + " |\n|---" + "|---" * (1 + len(heads)) + "|")
    for name, layout, views, inputs in SCENES:
        scene = _scene(name, layout, views, inputs)
        cells = {"true depth": _exact(scene)}
        for kind in [k for k in sys.argv[1:] or ("hashgrid", "gaussians") if k != "exact"]:
            for what, known in (("photos", False), ("photos and true depth", True)):
                cells[f"{kind}, {what}"] = _fitted(scene, kind, known=known)
        for words, shown in cells.items():
            print(f"| {name}, {layout}, {len(inputs)} of {views} | {words} | {_row(scene, *shown)} |", flush=True)


def _scene(name: str, layout: str, views: int, inputs: tuple[int, ...]) -> Scene:
    seed = seeds.seed_of("validation", MEMBER)
    shot = sample.shoot(families.by_name(name), seed, layout=layout, views=views, size=SIZE)
    held = tuple(i for i in range(views) if i not in inputs)
    truth = sample.seen_by(shot.world, shot.cameras[list(held)], shot.cameras[list(inputs)])
    loaded = loading.load(shot.capture, max(SIZE))
    frame = normalise.measure(loaded)
    scale = float(frame.to_box.scale)
    depths = tuple(torch.as_tensor(v.depth.read()).float() * scale for v in shot.capture.views if v.depth is not None)
    return Scene(normalise.move(loaded, frame.to_box), depths, inputs, held, tuple(truth))


def _fitted(scene: Scene, kind: str, *, known: bool) -> tuple[Witness, list[Rendering]]:
    """Depth of a field at the inputs, and its renderings of the others."""
    cfg = config.resolve(replace(config.CLASSIC, steps=STEPS, full_until=0), scene.boxed, kind)
    if known:
        cfg = replace(cfg, depth=1.0, depth_end=1.0, pictures=replace(cfg.pictures, depth=1.0))
    going = fit.begin(scene.boxed, Similarity.identity(), cfg, 0, torch.device("cpu"))
    if known:
        flat = torch.cat([d.reshape(-1) for d in scene.depths])
        going.known = Geometry(flat, (flat > 0).float(), torch.zeros(len(scene.depths)))
    for step in range(1, STEPS + 1):
        fit.advance(going, cfg, fit.terms(going, cfg, 0, step), step)
    with torch.no_grad():
        shown = [going.field.render(_camera(scene.boxed, i), background=BLACK) for i in scene.held]
    return seen.witness(going.field, scene.boxed.select(scene.inputs).cameras()), shown


def _exact(scene: Scene) -> tuple[Witness, list[Rendering]]:
    """The true depths as a field would show them."""
    shown = []
    for i in scene.held:
        depth = scene.depths[i]
        shown.append(Rendering(torch.zeros(*depth.shape, 3), depth, (depth > 0).float(), depth))
    return Witness(scene.boxed.select(scene.inputs).cameras(), tuple(scene.depths[i] for i in scene.inputs)), shown


def _row(scene: Scene, witness: Witness, shown: Sequence[Rendering]) -> str:
    """Recall and share of each class, and the median relative error of depth."""
    maps, true, errors = [], [], []
    for i, rendering, truth in zip(scene.held, shown, scene.truth, strict=True):
        found = seen.seen_map(witness, rendering, _camera(scene.boxed, i))
        depth = scene.depths[i]
        counts = (depth > 0) & (rendering.alpha >= _OPAQUE)
        maps.append(found[counts])
        true.append(truth[counts].clamp(max=2))
        errors.append((rendering.depth[counts] / depth[counts] - 1).abs())
    found, wanted = torch.cat(maps), torch.cat(true)
    cells = []
    for count, value in CLASSES.values():
        chosen = wanted == count
        cells.append(f"{float((found[chosen] == value).float().mean()):.3f} ({float(chosen.float().mean()):.2f})")
    return " | ".join([*cells, f"{100 * float(torch.cat(errors).median()):.2f} %"])


def _camera(boxed: Capture, view: int) -> Cameras:
    camera = boxed.views[view].camera
    assert camera is not None
    return camera


if __name__ == "__main__":
    main()
