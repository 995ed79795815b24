"""What a fit will cost: a few steps are timed, and the memory of its parts is added up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common import threads
from halfseen.data.capture import Capture
from halfseen.fields import kinds
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.contract import Estimate, Reconstruct
from halfseen.methods.photometric.config import Config

# A fit of so few steps is made whole, and its last ones are timed: the first ones compile and are odd.
_TRIAL, _TIMED = 24, 12
# The mean step of a fit of fern against these: of rays (whose number follows their cost), and of Gaussians, which become more.
_LATER, _GROWN = 1.0, 1.6
# Floats for each Gaussian besides its parameters: where it falls, its pairs with tiles and their gradients.
_PER_GAUSSIAN = 150
# Seconds of stereo for each pixel and source view: 1.2e-6 to 1.9e-6 on fern and fox with 3 to 43 views, on two cores.
_STEREO = 1.8e-6
# Bytes of a float; floats kept for each pixel; copies of a parameter (value, gradient, two moments, one in a checkpoint).
_FLOAT, _PER_PIXEL, _COPIES = 4, 13, 5
# Bytes of a whole picture of a field that is sampled along rays, some rays at a time: measured on fern after 60 steps.
_MIB = 1 << 20
_SHOWING = 110 * _MIB
# Of what it holds, the program comes to hold more than a short trial shows.
MARGIN = 1.2
# Floats that a sample with a gradient keeps, and candidates without one for each of these (their features and places).
_PER_SAMPLE, _CANDIDATES = 130, 6


def estimate(
    reconstruct: Reconstruct,
    part: Callable[[Any], Config],
    whole: Callable[[Any, Config], Any],
    capture: Capture,
    to_user: Similarity,
    settings: Any,
    device: torch.device,
) -> Estimate:
    """Seconds and the most bytes, from a throwaway fit of few steps without its stereo.

    `part` finds the fit's settings in the method's, and `whole` puts changed ones back.
    """
    cfg, held = part(settings), threads.memory_mib() or 0.0
    quick = replace(cfg.pictures, depth=0.0, seeds="random")
    trial = replace(cfg, near=0.0, depth=0.0, pictures=quick, steps=_TRIAL)
    run = reconstruct(capture, to_user, whole(settings, trial), 0, device=device)
    for _ in range(_TRIAL - _TIMED):
        snapshot = next(run)
    start = time.perf_counter()
    for snapshot in run:  # noqa: B007 -- the last one is looked at
        pass
    assert isinstance(snapshot.field, kinds.AnyField)
    pixels = sum(v.image.width * v.image.height for v in capture.views)
    before = _STEREO * pixels * min(cfg.stereo.sources, len(capture) - 1) if cfg.geometry else 0.0
    later = _GROWN if isinstance(snapshot.field, Gaussians) else _LATER
    seconds = before + later * cfg.steps * (time.perf_counter() - start) / _TIMED
    # What the trial came to, this process has come to.
    peak = max(threads.peak_memory_mib() or 0.0, held + _parts(snapshot.field, pixels, cfg) / _MIB)
    return Estimate(seconds, round(peak * _MIB), round(held * _MIB), before)


def once(
    reconstruct: Reconstruct, capture: Capture, to_user: Similarity, settings: Any, device: torch.device
) -> Estimate:
    """What a field costs that is predicted and not fitted: it is done once."""
    held, began = threads.memory_mib() or 0.0, time.perf_counter()
    for _ in reconstruct(capture, to_user, settings, 0, device=device):
        pass
    return Estimate(time.perf_counter() - began, round(MARGIN * held * _MIB), round(held * _MIB))


def _parts(field: kinds.AnyField, pixels: int, cfg: Config) -> int:
    """Bytes of what a fit keeps and of its largest passing tensors."""
    parameters = sum(g["params"][0].numel() for g in field.parameter_groups())
    if isinstance(field, Gaussians):
        each = parameters / len(field)
        return _FLOAT * (pixels * _PER_PIXEL + round(cfg.gaussians.most * (each * _COPIES + _PER_GAUSSIAN)))
    looked_at = _PER_SAMPLE + _CANDIDATES * _PER_SAMPLE // 4
    return _FLOAT * (pixels * _PER_PIXEL + parameters * _COPIES + cfg.work * looked_at) + _SHOWING
