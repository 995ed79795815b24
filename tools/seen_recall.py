"""How right the seen-map is: beside exact visibility on worlds. Fields are fitted to all views, so that their surfaces are known;
some of the views then play the captured ones, and the map is made for the others.

seen_recall.py [FIELD ...]      # hashgrid, gaussians; both without arguments; exact: the true depth alone, in seconds

Each field is fitted twice: to the photos, and to the photos and their true depth. The second is a well-fitted scene whatever stereo
makes of it: what is wrong there is the map's own fault. The third row has the true depth itself in place of a field's.
What counts as right is in halfseen/bench/seen_recall.py.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from halfseen.bench import seen_recall
from halfseen.bench.seen_recall import CLASSES, Judged, Scene
from halfseen.cameras.similarity import Similarity
from halfseen.fields import seen
from halfseen.fields.contract import BLACK
from halfseen.methods.photometric import config, fit
from halfseen.methods.photometric.geometry import Geometry

# (family, layout, views, those that play the captured ones): few, so that all classes are there.
SCENES = (
    ("rooms", "walk-a", 30, (0, 8, 16, 24)),
    ("tabletop", "orbit", 24, (0, 3, 6, 9, 12)),
    ("chairs", "orbit", 24, (0, 2, 4, 6, 8, 10)),
)
STEPS = 900


def main() -> None:
    """Print one row for each scene, field and what it was fitted to."""
    heads = (*(f"recall {c} (share)" for c in CLASSES), "median depth error")
    print("| scene | surfaces from | " + " | ".join(heads) + " |\n|---" + "|---" * (1 + len(heads)) + "|")
    for name, layout, views, inputs in SCENES:
        scene = seen_recall.scene(name, layout, views, inputs)
        cells = {"true depth": _exact(scene)}
        for kind in [k for k in sys.argv[1:] or ("hashgrid", "gaussians") if k != "exact"]:
            for what, known in (("photos", False), ("photos and true depth", True)):
                cells[f"{kind}, {what}"] = _fitted(scene, kind, known=known)
        for words, judged in cells.items():
            print(f"| {name}, {layout}, {len(inputs)} of {views} | {words} | {_row(judged)} |", flush=True)


def _exact(scene: Scene) -> Judged:
    """The map with true depth in place of a field's."""
    witness, shown = seen_recall.exact(scene)
    return seen_recall.judge(scene, seen_recall.maps(scene, witness, shown), shown)


def _fitted(scene: Scene, kind: str, *, known: bool) -> Judged:
    """The map of a field that is fitted to all views."""
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
        shown = [going.field.render(seen_recall.camera(scene, i), background=BLACK) for i in scene.held]
    witness = seen.witness(going.field, scene.boxed.select(scene.inputs).cameras())
    return seen_recall.judge(scene, seen_recall.maps(scene, witness, shown), shown)


def _row(judged: Judged) -> str:
    """Recall and share of each class, and the median relative error of depth."""
    cells = [f"{recall:.3f} ({share:.2f})" for recall, share in judged.recalls.values()]
    return " | ".join([*cells, f"{100 * judged.depth_error:.2f} %"])


if __name__ == "__main__":
    main()
