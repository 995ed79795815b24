"""How settings of NerfDiff are completed: by the capture, by the kind of field that is asked for, and by what the prior predicts."""

from __future__ import annotations

from dataclasses import replace

from halfseen.common.errors import UserError
from halfseen.data.capture import Capture
from halfseen.fields import kinds, projection
from halfseen.methods.nerfdiff import object_prior
from halfseen.methods.nerfdiff.config import Config
from halfseen.methods.photometric import config as photometric


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture and the prior."""
    trained = object_prior.described(cfg.prior)
    cfg = replace(cfg, prior_size=trained.size)
    # What is only predicted is shown as it is.
    side = cfg.side if cfg.fits else trained.size
    found = object_prior.field_config(trained, side, cfg.lr_planes, cfg.lr_network)
    if isinstance(found, projection.Config):
        _check_predicted(cfg, kind, "features on the photo")
        return replace(cfg, projection=found)
    if not cfg.fits:
        _check_predicted(cfg, kind, "a triplane")
    elif kind != "triplane" and cfg.refined == 0:
        raise UserError(
            f"a field of kind {kind} begins with the refinement",
            got=f"refine={cfg.refine:g} of {cfg.steps} steps",
            accepted="a share that gives it steps, such as 0.2",
            do="Change --set refine or --steps.",
        )
    fitted = photometric.resolve(replace(cfg.fit, steps=max(1, cfg.refined)), capture, kind)
    return replace(cfg, fit=replace(fitted, triplane=found))


def _check_predicted(cfg: Config, kind: str, what: str) -> None:
    """What is only predicted is no other kind of field."""
    if kind != "triplane" or cfg.fits:
        raise UserError(
            f"{'this prior' if cfg.fits else 'this variant'} predicts {what}, and nothing is fitted to it",
            got=f"way {cfg.way}, field {kind}",
            accepted="a variant that is fitted (ngd, sample-then-fit, sds) with a prior that predicts triplanes",
            do="Leave out --field, or change --variant or --prior.",
        )


def field_config(cfg: Config) -> kinds.Config:
    """The settings of the field that is there in the end."""
    return cfg.projection if cfg.projection is not None else photometric.field_config(cfg.fit)


def notes_of(cfg: Config) -> tuple[str, ...]:
    """At which sizes the prior and the photo work."""
    size = f"{cfg.prior_size} x {cfg.prior_size} px"
    steps: tuple[str, ...] = ()
    if cfg.fits and cfg.steps_in_all != cfg.steps:
        steps = (
            f"{cfg.steps} steps become {cfg.steps_in_all}: {cfg.each} at each of {cfg.guidance.times} times, and {cfg.refined} more",
        )
    if cfg.refined:
        return (
            f"the prior works at {size}; in the last {cfg.refined} steps the photo refines the result at the work size",
            *steps,
        )
    return (f"the prior works at {size}, and so does all of the result", *steps)


def with_prior(cfg: Config, role: str, name: str, weight: float | None) -> Config:
    """The config with another prior; a weight is the blend of the guidance."""
    del role
    if weight is not None and (cfg.way != "ngd" or cfg.guidance.gamma is not None):
        raise UserError(
            "the prior's weight is the blend of the guidance, which this reconstruction has none of",
            got=f"weight {weight:g}, way {cfg.way}" + ("" if cfg.guidance.gamma is None else ", guidance.gamma"),
            accepted="a weight with the variant ngd, blended by guidance.blend",
            do=f"Write --prior object={name}.",
        )
    guidance = cfg.guidance if weight is None else replace(cfg.guidance, blend=weight)
    return replace(cfg, prior=name, guidance=guidance)
