"""What a reconstruction will cost, and what has to be compiled before it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common import threads
from halfseen.data.capture import Capture
from halfseen.methods.contract import Estimate, OnCompile, Reconstruct
from halfseen.methods.nerfdiff.config import Config
from halfseen.methods.photometric import cost, fit, warming

# Times, and steps of each, of the throwaway distillation that is timed; of the steps of a time the first is left out. Its views are few:
# what views cost is as many times more as there are.
_TIMES, _EACH, _VIEWS = 2, 3, 4
_MIB = 1 << 20


def estimate(
    reconstruct: Reconstruct, capture: Capture, to_user: Similarity, cfg: Config, device: torch.device
) -> Estimate:
    """Seconds and bytes, from a throwaway distillation of a few steps and one of the refinement."""
    held = threads.memory_mib() or 0.0
    if not cfg.fits:
        return cost.once(reconstruct, capture, to_user, cfg, device)
    fixed, step = _distilling(reconstruct, capture, to_user, cfg, device)
    found = _refining(capture, to_user, cfg, device) if cfg.refined else Estimate(0.0, 0, 0)
    seconds = fixed + cfg.distilled * step + found.seconds
    peak = max(threads.peak_memory_mib() or 0.0, cost.MARGIN * held, found.peak / _MIB)
    return Estimate(seconds, round(peak * _MIB), round(held * _MIB), fixed + found.before)


def _distilling(
    reconstruct: Reconstruct, capture: Capture, to_user: Similarity, cfg: Config, device: torch.device
) -> tuple[float, float]:
    """(seconds of the prediction, and of looks and renderings of all views, which are as many whatever the steps; seconds of a step)."""
    guidance = replace(cfg.guidance, times=_TIMES, views=min(_VIEWS, cfg.guidance.views))
    more = cfg.guidance.views / guidance.views
    # Looks are timed where they stand apart: in Algorithm 1. Score distillation looks at every step.
    every = cfg.way == "sds"
    trial = replace(cfg, way="sds" if every else "ngd", guidance=guidance, steps=_TIMES * _EACH, refine=0.0)
    began = time.perf_counter()
    for _ in reconstruct(capture, to_user, replace(trial, way="none"), 0, device=device):
        pass
    once = time.perf_counter() - began
    began = time.perf_counter()
    marks = []
    for _ in reconstruct(capture, to_user, trial, 0, device=device):
        marks.append(time.perf_counter())
    # The first step waits for the first renderings and the denoiser; the first of a later time for what ends one and begins the next.
    step = (marks[_EACH - 1] - marks[0]) / (_EACH - 1)
    each_time = max(0.0, marks[_EACH] - marks[_EACH - 1] - step)
    times = 0 if every else cfg.guidance.times
    return once + more * (max(0.0, marks[0] - began - once - step) + times * each_time), step


def _refining(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> Estimate:
    """What the refinement costs: a fit to the photo, and beside it the share of work on renderings."""
    alone = cost.estimate(fit.alone, lambda part: part, lambda _, part: part, capture, to_user, cfg.fit, device)
    return replace(alone, seconds=alone.before + (alone.seconds - alone.before) / (1 - cfg.share))


def warm_up(cfg: Config, capture: Capture, device: torch.device, on_compile: OnCompile, *, fresh: bool = True) -> None:
    """Compile what the refinement calls; the distillation's own kernels are few."""
    if cfg.refined:
        warming.warm_up(_part, cfg, capture, device, on_compile, fresh=fresh)


def _part(cfg: Any) -> Any:
    return cfg.fit
