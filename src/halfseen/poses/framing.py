"""The box of a capture whose files say nothing of depth: stereo measures how far away the scene is."""

from __future__ import annotations

import torch

from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture
from halfseen.data.normalise import Frame
from halfseen.poses import stereo

# Longer side of the pictures that are looked at: a median needs no detail.
_SIZE = 160
# The sweep reaches from a fifth of the guessed distance to infinity; a guess that was far off is swept again from what was found.
_ROUNDS, _SETTLED = 3, 1.25
# Fewer pixels than this with a depth say nothing.
_LEAST_FOUND = 200


def measure(capture: Capture) -> Frame:
    """`data.normalise.measure` of a loaded capture; where no file states a scene's depth, stereo's median depth stands in for it.

    An object that is alone in its photos is where the cameras look, and needs none.
    """
    frame = normalise.measure(capture)
    if not sweeps(capture):
        return frame
    small = loading.load(capture, _SIZE)
    for _ in range(_ROUNDS):
        depth = _median_depth(normalise.move(small, frame.to_box))
        if depth is None:
            return frame
        before, frame = frame, normalise.measure(capture, depth / frame.to_box.scale)
        change = frame.distance / before.distance
        if max(change, 1 / change) <= _SETTLED:
            break
    return frame


def sweeps(capture: Capture) -> bool:
    """Whether stereo is needed to measure it."""
    return len(capture) > 1 and capture.mask_role != "object" and normalise.known_depth(capture) is None


def _median_depth(boxed: Capture) -> float | None:
    """Median z-depth (box units) of what two views agree on."""
    images = [v.image.read()[..., :3] for v in boxed.views]
    masks = [None if v.mask is None else v.mask.read_grey() for v in boxed.views]
    depth = torch.cat([m.depth[m.depth > 0] for m in stereo.depths(images, boxed.cameras(), masks=masks)])
    return float(depth.median()) if len(depth) >= _LEAST_FOUND else None
