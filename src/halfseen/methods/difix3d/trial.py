"""Whether repairs help this scene: photos are left out in turn, the rest is fitted shortly, and the left-out view is repaired."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import derive_seed
from halfseen.data import protocols
from halfseen.data.capture import Capture
from halfseen.methods.difix3d.config import Config
from halfseen.methods.difix3d.repairing import Repairer, background, known_of, validity
from halfseen.methods.photometric import fit
from halfseen.metrics.image import psnr


def gains(
    capture: Capture, to_user: Similarity, cfg: Config, seed: int, repairer: Repairer, device: torch.device
) -> Tensor | None:
    """What each strength gains [photos, strengths] in dB on photos that short fits of the others did not see; None for one photo."""
    count = min(cfg.guard.trials, len(capture))
    if len(capture) < 2 or count == 0:
        return None
    return torch.tensor(
        [
            _of_one(capture, i, to_user, cfg, seed, repairer, device)
            for i in protocols.spread(range(len(capture)), count)
        ]
    )


def trial_steps(cfg: Config) -> int:
    """Steps of a fit that leaves a photo out: a share of all steps, whatever of these is left to the base fit."""
    return max(1, round(cfg.guard.trial_share * cfg.steps))


def _of_one(
    capture: Capture,
    left_out: int,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    repairer: Repairer,
    device: torch.device,
) -> list[float]:
    """The gains on one photo."""
    others = capture.select([i for i in range(len(capture)) if i != left_out])
    short = replace(cfg.fit, steps=trial_steps(cfg))
    going = fit.begin(others, to_user, short, derive_seed(seed, f"difix3d/trial/{left_out}"), device)
    for _ in fit.steps(going, short, seed, 0):
        pass
    view = capture.views[left_out]
    assert view.camera is not None
    back = background(capture)
    with torch.no_grad():
        rendering = going.field.render(view.camera, background=back)
    made = repairer.repair(rendering, view.camera, known_of(going.field, others), back)
    truth, valid = view.image.read()[..., :3], validity(capture, left_out)
    # Measured against what the fixer was shown: what stands behind a scene is none of its merit.
    return [psnr(made.by(s), truth, valid) - psnr(made.before, truth, valid) for s in cfg.guard.strengths]
