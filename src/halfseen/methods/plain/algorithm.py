"""Plain: a field fitted to the photos by gradient descent on the photometric error. Nothing is learned beforehand.

    basic     colours, a little distortion, opacity against masks
    classic   + coarse levels first, depth from plane-sweep stereo (decaying), nothing in front of cameras, opaque scenes

`classic` is the strongest rival of every prior: what few photos say by geometry alone.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.data.capture import Capture
from halfseen.fields import kinds
from halfseen.methods.contract import Method
from halfseen.methods.photometric import config, cost, fit, warming
from halfseen.methods.photometric.config import Config
from halfseen.methods.plain.config import VARIANTS
from halfseen.runs.snapshot import Knobs, Snapshot, State


def reconstruct(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """Fit a field to a loaded capture in the box frame, with a resolved config. `state` is (step, tensors) of an earlier snapshot."""
    start, tensors = state or (0, None)
    going = fit.begin(capture, to_user, cfg, seed, device, tensors)
    yield from fit.steps(going, cfg, seed, start)


METHOD = Method(
    name="plain",
    variants=VARIANTS,
    fields=kinds.FITTED,
    config=Config,
    resolve=config.resolve,
    field_config=config.field_config,
    estimate=partial(cost.estimate, reconstruct, lambda cfg: cfg, lambda _, fitted: fitted),
    reconstruct=reconstruct,
    warm_up=partial(warming.warm_up, lambda cfg: cfg),
)
