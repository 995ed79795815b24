"""How right the seen map is: beside exact visibility on worlds, where some views play the captured ones and the map is made for others.

A pixel counts where the true surface and the field's own opacity both show something. Recall of a class is the share of its true
pixels that the map gives that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture
from halfseen.fields import seen
from halfseen.fields.contract import Rendering
from halfseen.fields.seen import Witness
from halfseen.worlds import families, sample, seeds

# Pixels of the pictures, and the member of each family: of the validation seeds, which nothing is trained on.
SIZE, MEMBER = (160, 120), 3
# What photos saw: how many of them, and the value in a seen map.
CLASSES = {"none": (0, seen.INVENTED), "one": (1, seen.ONE_VIEW), "two or more": (2, seen.TWO_VIEWS)}
# A rendered pixel counts from this opacity on.
_OPAQUE = 0.5


@dataclass(frozen=True)
class Scene:
    """A capture in the box frame, its true z-depths there, and how many of the inputs truly see each pixel of the others."""

    boxed: Capture
    depths: tuple[Tensor, ...]  # [H, W] of all views
    inputs: tuple[int, ...]
    held: tuple[int, ...]
    truth: tuple[Tensor, ...]  # [H, W] of the held views


@dataclass(frozen=True)
class Judged:
    """What a map is worth: by class (recall, share of all pixels), and the median relative error of depth."""

    recalls: dict[str, tuple[float, float]]
    depth_error: float


def scene(name: str, layout: str, views: int, inputs: tuple[int, ...]) -> Scene:
    """Photograph a family's member; all views but the inputs are held."""
    seed = seeds.seed_of("validation", MEMBER)
    shot = sample.shoot(families.by_name(name), seed, layout=layout, views=views, size=SIZE)
    held = tuple(i for i in range(views) if i not in inputs)
    truth = sample.seen_by(shot.world, shot.cameras[list(held)], shot.cameras[list(inputs)])
    loaded = loading.load(shot.capture, max(SIZE))
    frame = normalise.measure(loaded)
    scale = float(frame.to_box.scale)
    depths = tuple(torch.as_tensor(v.depth.read()).float() * scale for v in shot.capture.views if v.depth is not None)
    return Scene(normalise.move(loaded, frame.to_box), depths, inputs, held, tuple(truth))


def exact(made: Scene) -> tuple[Witness, list[Rendering]]:
    """The true depths at the inputs and at the held views, as a perfect field would show them."""
    shown = []
    for i in made.held:
        depth = made.depths[i]
        shown.append(Rendering(torch.zeros(*depth.shape, 3), depth, (depth > 0).float(), depth))
    return Witness(made.boxed.select(made.inputs).cameras(), tuple(made.depths[i] for i in made.inputs)), shown


def maps(made: Scene, witness: Witness, shown: Sequence[Rendering]) -> list[Tensor]:
    """The seen maps [H, W] of a field's renderings of the held views."""
    return [seen.seen_map(witness, picture, camera(made, i)) for i, picture in zip(made.held, shown, strict=True)]


def judge(made: Scene, found: Sequence[Tensor], shown: Sequence[Rendering]) -> Judged:
    """Maps [H, W] of the held views beside the truth."""
    given, true, errors = [], [], []
    for i, map_, picture, truth in zip(made.held, found, shown, made.truth, strict=True):
        depth = made.depths[i]
        counts = (depth > 0) & (picture.alpha >= _OPAQUE)
        given.append(map_[counts])
        true.append(truth[counts].clamp(max=2))
        errors.append((picture.depth[counts] / depth[counts] - 1).abs())
    values, wanted = torch.cat(given), torch.cat(true)
    recalls = {}
    for name, (count, value) in CLASSES.items():
        chosen = wanted == count
        recalls[name] = (float((values[chosen] == value).float().mean()), float(chosen.float().mean()))
    return Judged(recalls, float(torch.cat(errors).median()))


def camera(made: Scene, view: int) -> Cameras:
    """The camera of one view in the box frame."""
    found = made.boxed.views[view].camera
    assert found is not None
    return found
