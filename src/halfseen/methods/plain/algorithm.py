"""Plain: a field fitted to the photos by gradient descent on the photometric error. Nothing is learned beforehand.

    basic     colours, a little distortion, opacity against masks
    classic   + coarse levels first, depth from plane-sweep stereo (decaying), nothing in front of cameras, opaque scenes

`classic` is the strongest rival of every prior: what few photos say by geometry alone.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import pixels
from halfseen.data.capture import Capture
from halfseen.fields import kinds
from halfseen.fields.contract import Field
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.fields.gaussians import Gaussians
from halfseen.fields.optimiser import Adam
from halfseen.images import color, resize
from halfseen.methods.contract import Method
from halfseen.methods.plain import geometry, pictures, rays
from halfseen.methods.plain.config import VARIANTS, Config
from halfseen.methods.plain.cost import estimate
from halfseen.methods.plain.geometry import Geometry
from halfseen.runs.snapshot import Knobs, Snapshot, State

PHASE = "fit"
# Longer side of preview pictures.
_PANEL_SIZE = 160


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture: an object fills the box alone, a scene all of space; many photos need less geometry."""
    bounded = capture.mask_role == "object"
    cfg = _for_views(cfg, len(capture))
    grid, planes = cfg.hashgrid, cfg.triplane
    grid = grid if grid.bounded is not None else replace(grid, bounded=bounded)
    planes = planes if planes.bounded is not None else replace(planes, bounded=bounded)
    settings: dict[str, Any] = {"hashgrid": grid, "triplane": planes, "kind": kind}
    return replace(cfg, **settings)


def _for_views(cfg: Config, views: int) -> Config:
    """The settings for a number of views, as `Config.full_until` says. What is resolved once stays as it is."""
    share = min(1.0, cfg.full_until / views) if cfg.full_until else 1.0
    return replace(
        cfg,
        distortion=cfg.distortion * share**2,
        opacity=cfg.opacity * share,
        near=cfg.near * share,
        depth=cfg.depth * share,
        full_until=0,
        pictures=replace(cfg.pictures, opacity=cfg.pictures.opacity * share, depth=cfg.pictures.depth * share),
        hashgrid=replace(cfg.hashgrid, coarse_to_fine=cfg.hashgrid.coarse_to_fine * share**2),
    )


def field_config(cfg: Config) -> kinds.Config:
    """The settings of the field that is fitted."""
    if cfg.kind == "gaussians":
        return cfg.gaussians
    return cfg.hashgrid if cfg.kind == "hashgrid" else cfg.triplane


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
    start, tensors = state or (0, {})
    photos = pixels.of(capture, device)
    known = _geometry(capture, tensors.get("geometry"), cfg, device)
    if tensors:
        field = kinds.restore(tensors["field"], to_user, field_config(cfg), device, photos.cameras)
    else:
        begin = _seeds(capture, known, cfg, seed) if cfg.kind == "gaussians" else None
        field = kinds.create(to_user, field_config(cfg), seed, device, photos.cameras, begin)
    optimiser = Adam(field.parameter_groups(), tensors.get("optimizer"))
    per_ray = float(tensors["loop"]["per_ray"]) if tensors else rays.FIRST_PER_RAY
    for step in range(start + 1, cfg.steps + 1):
        progress, rng = step / cfg.steps, generator(seed, "plain", step)
        if isinstance(field, Gaussians):
            view = pictures.order(len(capture), step, generator(seed, "plain/order", (step - 1) // len(capture)))
            terms = pictures.terms(field, capture, known, cfg, view, progress, rng)
        else:
            terms, per_ray = rays.terms(field, photos, known, capture, cfg, per_ray, progress, rng)
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step(cfg.lr_end**progress)
        origin = field.after_step(step, {"progress": torch.tensor(progress)})
        if origin is not None:
            optimiser.rearrange(field.parameter_groups(), origin)
        values = {k: v.item() for k, v in terms.items()}
        state_now, panels = partial(_state, field, optimiser, known, per_ray), partial(_panels, field, capture)
        snapshot = Snapshot(step, cfg.steps, PHASE, field, values, state_now, panels)
        knobs = yield snapshot
        while knobs is not None and knobs.paused:
            knobs = yield snapshot


def _geometry(capture: Capture, stored: dict[str, Tensor] | None, cfg: Config, device: torch.device) -> Geometry | None:
    """What stereo knows, if the fit wants to know; Gaussians that begin at known points and heed no depth do not."""
    if not cfg.geometry:
        return None
    return (
        geometry.restored(stored, device) if stored else geometry.measure(capture, cfg.stereo, cfg.near_share, device)
    )


def _seeds(capture: Capture, known: Geometry | None, cfg: Config, seed: int) -> Seeds | None:
    return geometry.seeds(capture, known, cfg.pictures.seeds, cfg.gaussians.start, generator(seed, "plain/seeds"))


def _state(field: Field, optimiser: Adam, known: Geometry | None, per_ray: float) -> State:
    state = {
        "field": field.state(),
        "optimizer": optimiser.state(),
        "loop": {"per_ray": torch.tensor(per_ray, dtype=torch.float64)},
    }
    if known is not None:
        state["geometry"] = known.to_plain()
    return state


def _panels(field: Field, capture: Capture) -> dict[str, Tensor]:
    """The first photo, small, beside its rendering."""
    view = capture.views[0]
    assert view.camera is not None
    size = resize.fit(view.image.width, view.image.height, _PANEL_SIZE)
    with torch.no_grad():
        rgb = field.render(view.camera.resized(*size), background=capture.background or color.WHITE).rgb.cpu()
    return {"photo-render": torch.cat([resize.resize(view.image.read()[..., :3], *size), rgb], 1)}


METHOD = Method(
    name="plain",
    variants=VARIANTS,
    fields=tuple(kinds.CONFIGS),
    config=Config,
    resolve=resolve,
    field_config=field_config,
    estimate=partial(estimate, reconstruct),
    reconstruct=reconstruct,
)
