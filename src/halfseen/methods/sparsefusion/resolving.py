"""How settings of SparseFusion are completed, and what a reconstruction will cost."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import torch

from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.data.capture import Capture
from halfseen.methods.contract import Estimate, OnCompile, Reconstruct
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric import cost, warming
from halfseen.methods.sparsefusion import networks, predicting, view_prior
from halfseen.methods.sparsefusion.config import Config
from halfseen.methods.sparsefusion.networks import EFT, RIVAL

# Mean looks of the released code's schedule for a view: a time anywhere, a hundred steps a unit, at most fifty, and one more.
_FRESH_LOOKS = 38.3
# A view costs its looks, and rendering, encoding and decoding as much as so many.
_BESIDE = 4.0


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture and the prior."""
    if cfg.way == "pixelnerf":
        _check_predicted(kind)
        _, trained = networks.stored(cfg.prior, RIVAL)
        return replace(cfg, projection=predicting.field_config(trained, len(capture)), prior_size=trained.size)
    fitted = photometric.resolve(replace(cfg.fit, steps=cfg.steps), capture, kind)
    return replace(cfg, fit=fitted, prior_size=networks.stored(cfg.prior, EFT)[1].size)


def _check_predicted(kind: str) -> None:
    """What is predicted is no other kind of field."""
    if kind != "hashgrid":
        raise UserError(
            "the variant pixelnerf predicts features on the photos, and nothing is fitted to it",
            got=f"field {kind}",
            accepted="no --field",
            do="Leave out --field, or change --variant.",
        )


def warm_up(cfg: Config, capture: Capture, device: torch.device, on_compile: OnCompile, *, fresh: bool = True) -> None:
    """Compile what the fit calls; what is predicted calls no kernels."""
    if cfg.way != "pixelnerf":
        warming.warm_up(lambda c: c.fit, cfg, capture, device, on_compile, fresh=fresh)


def with_prior(cfg: Config, role: str, name: str, weight: float | None) -> Config:
    """The config with another prior; a weight is that of imagined views."""
    del role
    imagining = cfg.imagining if weight is None else replace(cfg.imagining, weight=weight)
    return replace(cfg, prior=name, imagining=imagining)


def notes_of(cfg: Config) -> tuple[str, ...]:
    """At which sizes the prior and the photos work, and where views are imagined."""
    size = f"{cfg.prior_size} x {cfg.prior_size} px"
    if cfg.way == "pixelnerf":
        return (f"the prior works at {size}, and so does all of the result",)
    views = (
        f"{len(cfg.targets)} given cameras"
        if cfg.targets
        else "an orbit fitted to the photos; no held-out camera is used"
    )
    if cfg.way != "distilled":
        return (f"what is shown comes from the prior, which works at {size}",)
    return (f"the prior works at {size}, the photos at the work size", f"views are imagined from {views}")


def looks(cfg: Config) -> float:
    """How often the denoiser will be asked of one view."""
    how = cfg.imagining
    if cfg.way != "distilled":
        return 0.0
    if how.schedule == "fresh":
        return _FRESH_LOOKS * (cfg.imagined - cfg.begun)
    return float(how.rounds * (len(cfg.targets) or how.views) * how.looks)


def estimate(
    reconstruct: Reconstruct, capture: Capture, to_user: Similarity, cfg: Config, device: torch.device
) -> Estimate:
    """What the fit costs, and every look of the denoiser as much as one that is timed here."""
    if cfg.way == "pixelnerf":
        return cost.once(reconstruct, capture, to_user, cfg, device)
    alone = replace(cfg, bootstrap=1.0, refine=0.0)
    found = cost.estimate(
        partial(reconstruct),
        lambda c: c.fit,
        lambda c, fitted: replace(c, fit=fitted, steps=fitted.steps),
        capture,
        to_user,
        alone,
        device,
    )
    asked = looks(cfg)
    if not asked:
        return found
    views = len(cfg.targets) or cfg.imagining.views
    each = _seconds_of_a_look(cfg, device)
    imagined = each * (asked + _BESIDE * asked / max(1, cfg.imagining.looks))
    told = each * _BESIDE * views
    # Rounds are as many whatever the steps are; fresh views are imagined at every step.
    fixed = told + (imagined if cfg.imagining.schedule == "rounds" else 0.0)
    return replace(found, seconds=found.seconds + imagined + told, before=found.before + fixed)


def _seconds_of_a_look(cfg: Config, device: torch.device) -> float:
    prior = view_prior.load(cfg.prior, device, cfg.imagining.guidance)
    side, channels = prior.side, prior.config.vldm.told
    told = torch.zeros(1, channels, side, side, device=device)
    times = []
    for step in range(2):
        began = time.perf_counter()
        rng = view_prior.fresh(0, "estimate", step)
        view_prior.imagined(prior, cfg.prior, told, None, (cfg.imagining.first, cfg.imagining.looks), "ddim", rng)
        times.append((time.perf_counter() - began) / cfg.imagining.looks)
    return times[-1]
