"""How right the seen-map is: beside exact visibility on worlds. Fields are fitted to all views, so that their surfaces are known;
some of the views then play the captured ones, and the map is made for the others.

seen_recall.py [FIELD ...]      # hashgrid, gaussians; both without arguments

A pixel counts where the true surface and the field's own opacity both show something. Recall of a class is the share of its true
pixels that the map gives that class.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture
from halfseen.fields import seen
from halfseen.methods.plain.algorithm import METHOD
from halfseen.worlds import families, sample, seeds

# (family, layout, views, those that play the captured ones): few, so that all classes are there.
SCENES = (
    ("rooms", "walk-a", 30, (0, 8, 16, 24)),
    ("tabletop", "orbit", 24, (0, 3, 6, 9, 12)),
    ("chairs", "orbit", 24, (0, 2, 4, 6, 8, 10)),
)
SIZE, STEPS, MEMBER = (160, 120), 700, 3
CLASSES = {"none": (0, seen.INVENTED), "one": (1, seen.ONE_VIEW), "two or more": (2, seen.TWO_VIEWS)}


def main() -> None:
    """Print one row for each scene and field."""
    print(
        "| scene | field | "
        + " | ".join(f"recall {c} (share)" for c in CLASSES)
        + " |\n|---"
        + "|---" * (1 + len(CLASSES))
        + "|"
    )
    for name, layout, views, inputs in SCENES:
        shot = sample.shoot(
            families.by_name(name), seeds.seed_of("validation", MEMBER), layout=layout, views=views, size=SIZE
        )
        held = [i for i in range(views) if i not in inputs]
        cameras = shot.cameras
        witnesses = replace(
            cameras,
            c2w=cameras.c2w[list(inputs)],
            intrinsics=cameras.intrinsics[list(inputs)],
            sizes=cameras.sizes[list(inputs)],
        )
        targets = replace(
            cameras, c2w=cameras.c2w[held], intrinsics=cameras.intrinsics[held], sizes=cameras.sizes[held]
        )
        truth = sample.seen_by(shot.world, targets, witnesses)
        for kind in sys.argv[1:] or ("hashgrid", "gaussians"):
            found = _maps(shot.capture, inputs, held, kind)
            cells = []
            for count, value in CLASSES.values():
                right = total = everything = 0
                for true, (map_, depth) in zip(truth, found, strict=True):
                    shown = (depth > 0) & (map_ != seen.NOTHING)
                    wanted = shown & (true.clamp(max=2) == count)
                    right += int((wanted & (map_ == value)).sum())
                    total += int(wanted.sum())
                    everything += int(shown.sum())
                cells.append(f"{right / max(total, 1):.3f} ({total / max(everything, 1):.2f})")
            print(f"| {name}, {layout}, {len(inputs)} of {views} | {kind} | " + " | ".join(cells) + " |", flush=True)


def _maps(
    capture: Capture, inputs: tuple[int, ...], held: list[int], kind: str
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(seen-map, true depth) of each held-out view, from a fit to all."""
    loaded = loading.load(capture, max(SIZE))
    frame = normalise.measure(loaded)
    boxed = normalise.move(loaded, frame.to_box)
    cfg = METHOD.resolve(replace(METHOD.variants["classic"], steps=STEPS), boxed, kind)
    for snapshot in METHOD.reconstruct(boxed, frame.to_box.inverse(), cfg, 0, device=torch.device("cpu")):
        field = snapshot.field
    witness = seen.witness(field, boxed.select(inputs).cameras())
    out = []
    for i in held:
        view = capture.views[i]
        assert view.camera is not None
        assert view.depth is not None
        camera = frame.to_box.cameras(view.camera)
        with torch.no_grad():
            picture = field.render(camera, background=(1.0, 1.0, 1.0))
        out.append((seen.seen_map(witness, picture, camera), torch.from_numpy(view.depth.read())))
    return out


if __name__ == "__main__":
    main()
