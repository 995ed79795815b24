"""What is asked of a reconstruction: the method, its variant, field, sizes and settings, checked and made into a config."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.data.capture import Capture, Split
from halfseen.methods.contract import Method
from halfseen.methods.diffusionerf.algorithm import METHOD as DIFFUSIONERF
from halfseen.methods.difix3d.algorithm import METHOD as DIFIX3D
from halfseen.methods.nerfdiff.algorithm import METHOD as NERFDIFF
from halfseen.methods.plain.algorithm import METHOD as PLAIN
from halfseen.methods.sparsefusion.algorithm import METHOD as SPARSEFUSION

METHODS: tuple[Method, ...] = (PLAIN, DIFFUSIONERF, DIFIX3D, NERFDIFF, SPARSEFUSION)
AUTO = "auto"
DEFAULT_MAX_SIZE = 256
# Smallest work size and number of steps that make sense; SSIM's window has 11 pixels.
LEAST_SIZE, LEAST_STEPS = 16, 1


@dataclass(frozen=True)
class Request:
    """What a reconstruction was asked to do; a resumed run must ask for the same."""

    method: str
    variant: str
    field: str
    max_size: int
    seed: int
    split: str
    view_ids: tuple[int, ...]
    steps: int | None
    settings: tuple[str, ...]
    priors: tuple[str, ...] = ()
    profile: str = "small"


def device_named(name: str) -> torch.device:
    """auto, cpu, cuda or mps."""
    if name == "auto":
        # On a GPU the loops over rays still run as their slow twins; the compiled ones on the CPU are faster.
        return torch.device("cpu")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(name, False):
        accepted = ", ".join(k for k, v in present.items() if v)
        raise UserError(
            "the device is not available", got=quote(name), accepted=f"auto, {accepted}", do="Choose one of these."
        )
    return torch.device(name)


def default_out(name: str, method: str, capture: Capture) -> Path:
    """Where a run lies if nobody says: by the capture's name (a single photo's own), and by the method as it was named."""
    if len(capture) == 1 and not capture.posed:
        name = Path(capture.views[0].name).stem
    return Path("runs") / f"{name}-{method}"


def method_for(name: str, capture: Capture) -> Method:
    """A method by its name for a capture; of auto what is known before cameras are: one photo without a camera can only be of an object."""
    alone = len(capture) == 1 and not capture.posed
    return method_named((NERFDIFF if alone else PLAIN).name if name == AUTO else name)


def method_named(name: str) -> Method:
    """A method by its name."""
    for entry in METHODS:
        if entry.name == name:
            return entry
    raise UserError(
        "the method is not known",
        got=quote(name),
        accepted=f"{AUTO}, " + ", ".join(m.name for m in METHODS),
        do="Choose one of these.",
    )


def request_of(
    method: Method,
    variant: str | None,
    field: str | None,
    split: Split,
    max_size: int | None,
    seed: int,
    steps: int | None,
    settings: tuple[str, ...],
    priors: tuple[str, ...] = (),
    profile: str = "small",
) -> Request:
    """The request, once its names are known and its numbers make sense."""
    profiles = tuple(method.profiles)
    variants = tuple(method.profiles.get(profile, ()))
    asked = (("profile", profile, profiles), ("variant", variant, variants), ("field", field, method.fields))
    for what, value, accepted in asked:
        if value is not None and value not in accepted:
            raise no_such(method, what, value, accepted)
    if max_size is None:
        max_size = (method.paper_size if profile == "paper" else None) or DEFAULT_MAX_SIZE
    for what, number, least in (("max-size", max_size, LEAST_SIZE), ("steps", steps, LEAST_STEPS)):
        if number is not None and number < least:
            raise UserError(f"--{what} is too small", got=str(number), accepted=f"{least} or more", do="Change it.")
    return Request(
        method.name,
        variant or variants[0],
        field or method.fields[0],
        max_size,
        seed,
        split.name,
        split.train,
        steps,
        settings,
        priors,
        profile,
    )


def no_such(method: Method, what: str, value: str, accepted: tuple[str, ...]) -> UserError:
    """A variant, field or profile that a method has not; who has it is named."""
    others = [m.name for m in METHODS if what == "variant" and value in m.variants]
    return UserError(
        f"method {method.name} has no such {what}",
        got=quote(value),
        accepted=", ".join(accepted),
        do=f"Change --{what}" + (f", or write --method {others[0]}, which has it." if others else "."),
    )


def method_config(method: Method, request: Request, capture: Capture) -> Any:
    """The method's config: its variant, with the priors, settings and steps that were asked for, completed by the capture."""
    if any(s.split("=")[0] == "kind" for s in request.settings):
        raise UserError(
            "the kind of field is no setting",
            got="--set kind=...",
            accepted=", ".join(method.fields),
            do="Use --field.",
        )
    cfg = method.profiles[request.profile][request.variant]
    for text in request.priors:
        cfg = _with_prior(method, cfg, text)
    cfg = configs.apply_overrides(cfg, request.settings)
    if request.steps is not None:
        cfg = replace(cfg, steps=request.steps)
    return method.resolve(cfg, capture, request.field)


def _with_prior(method: Method, cfg: Any, text: str) -> Any:
    """The config with ROLE=NAME_OR_PATH[:WEIGHT] in it."""
    role, equals, name = text.partition("=")
    if not equals or not name or role not in method.roles:
        raise UserError(
            f"method {method.name} has no such prior",
            got=quote(text),
            accepted=", ".join(f"{r}=NAME_OR_PATH[:WEIGHT]" for r in method.roles) or "no --prior: it uses none",
            do="Correct --prior.",
        )
    head, _, tail = name.rpartition(":")
    try:
        return method.with_prior(cfg, role, head, float(tail)) if head else method.with_prior(cfg, role, name, None)
    except ValueError:
        return method.with_prior(cfg, role, name, None)
