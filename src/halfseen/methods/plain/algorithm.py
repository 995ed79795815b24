"""Plain: a field fitted to the photos by gradient descent on the photometric error. Nothing is learned beforehand.

    basic     colours, a little distortion, opacity against masks
    classic   + coarse levels first, depth from plane-sweep stereo (decaying), nothing in front of cameras, opaque scenes

`classic` is the strongest rival of every prior: what few photos say by geometry alone.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import pixels
from halfseen.data.capture import Capture
from halfseen.data.pixels import Pixels
from halfseen.fields import hashgrid, kinds, triplane
from halfseen.fields.contract import Field, Rendering
from halfseen.fields.optimiser import Adam
from halfseen.images import color, resize
from halfseen.methods.contract import Method
from halfseen.methods.plain import losses
from halfseen.methods.plain.config import VARIANTS, Config
from halfseen.methods.plain.cost import estimate
from halfseen.poses import stereo
from halfseen.runs.snapshot import Knobs, Snapshot, State

PHASE = "fit"
# Longer side of preview pictures.
_PANEL_SIZE = 160
# Samples of a ray before any was rendered, and how much the newest step counts in the running mean.
_FIRST_PER_RAY, _PACE = 100.0, 0.1
# Of a view's known depths, the share that may be nearer than its nearest surface: mismatches.
_NEAREST = 0.02


@dataclass(frozen=True)
class _Geometry:
    """What stereo knows of each pixel (box units); zeros where it knows nothing."""

    depth: Tensor  # [P] z-depth
    confidence: Tensor  # [P]
    nearest: Tensor  # [P] distance along the ray before which there is nothing


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture: an object fills the box alone, a scene fills all of space."""
    bounded = capture.mask_role == "object"
    grid, planes = cfg.hashgrid, cfg.triplane
    grid = grid if grid.bounded is not None else replace(grid, bounded=bounded)
    planes = planes if planes.bounded is not None else replace(planes, bounded=bounded)
    return replace(cfg, kind="triplane" if kind == "triplane" else "hashgrid", hashgrid=grid, triplane=planes)


def field_config(cfg: Config) -> hashgrid.Config | triplane.Config:
    """The settings of the field that is fitted."""
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
    if tensors:
        field = kinds.restore(tensors["field"], to_user, field_config(cfg), device)
    else:
        field = kinds.create(to_user, field_config(cfg), seed, device, photos.cameras)
    optimiser = Adam(field.parameter_groups(), tensors.get("optimizer"))
    geometry = _geometry(capture, photos, tensors.get("geometry"), cfg) if cfg.geometry else None
    per_ray = float(tensors["loop"]["per_ray"]) if tensors else _FIRST_PER_RAY
    for step in range(start + 1, cfg.steps + 1):
        progress = step / cfg.steps
        rays = int(min(max(cfg.samples / per_ray, cfg.least_rays), cfg.most_rays))
        terms, used = _terms(field, photos, geometry, capture, cfg, rays, progress, generator(seed, "plain", step))
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step(cfg.lr_end**progress)
        field.after_step(step, {"progress": torch.tensor(progress)})
        per_ray = (1 - _PACE) * per_ray + _PACE * max(1.0, used / rays)
        values = {k: v.item() for k, v in terms.items()}
        state_now, panels = partial(_state, field, optimiser, geometry, per_ray), partial(_panels, field, capture)
        snapshot = Snapshot(step, cfg.steps, PHASE, field, values, state_now, panels)
        knobs = yield snapshot
        while knobs is not None and knobs.paused:
            knobs = yield snapshot


def _terms(
    field: Field,
    photos: Pixels,
    geometry: _Geometry | None,
    capture: Capture,
    cfg: Config,
    rays: int,
    progress: float,
    rng: torch.Generator,
) -> tuple[dict[str, Tensor], int]:
    """The weighted terms of one step on random pixels, and the number of samples that it took."""
    pick = torch.randint(len(photos), (rays,), generator=rng).to(photos.rgb.device)
    # Without a known background, a random one for each ray makes transparency costly, so real scenes become opaque.
    alone = capture.mask_role == "object"
    known = capture.background if alone else None
    back = known if known is not None else torch.rand(rays, 3, generator=rng).to(photos.rgb)
    rendering = field.render(
        photos.cameras, pixels=(photos.views[pick], photos.xy[pick]), background=back, generator=rng
    )
    assert rendering.samples is not None
    terms = {"rgb": losses.photometric(rendering, photos.rgb[pick])}
    if alone and cfg.mask:
        terms["mask"] = cfg.mask * losses.mask(rendering, photos.mask[pick])
    if cfg.distortion:
        ramp = min(1.0, progress / max(cfg.distortion_from, torch.finfo(torch.float32).tiny))
        terms["distortion"] = cfg.distortion * ramp * losses.distortion(rendering)
    if cfg.opacity and not alone:
        terms["opacity"] = cfg.opacity * losses.opacity(rendering)
    if geometry is not None:
        terms |= _geometric(rendering, geometry, pick, cfg, progress)
    return terms, len(rendering.samples.weights)


def _geometric(
    rendering: Rendering, geometry: _Geometry, pick: Tensor, cfg: Config, progress: float
) -> dict[str, Tensor]:
    """Terms that stereo's depth gives: agreement that decays, and nothing in front of cameras."""
    terms = {}
    if cfg.near:
        terms["near"] = cfg.near * losses.near(rendering, geometry.nearest[pick])
    if cfg.depth:
        weight = cfg.depth * cfg.depth_end**progress
        terms["depth"] = weight * losses.depth(rendering, geometry.depth[pick], geometry.confidence[pick])
    return terms


def _geometry(capture: Capture, photos: Pixels, stored: dict[str, Tensor] | None, cfg: Config) -> _Geometry:
    """Depth from plane-sweep stereo over the inputs, or as an earlier start of this run found it."""
    if stored:
        return _Geometry(*(stored[k].to(photos.rgb) for k in ("depth", "confidence", "nearest")))
    if len(capture) < 2:
        nothing = torch.zeros_like(photos.mask)
        return _Geometry(nothing, nothing, nothing)
    masks = [v.mask.read_grey() if v.mask is not None else None for v in capture.views]
    images = [v.image.read()[..., :3] for v in capture.views]
    maps = stereo.depths(images, capture.cameras(), cfg.stereo, masks=masks)
    known = [m.depth[m.depth > 0] for m in maps]
    # A view of which stereo knows nothing is not told where nothing is.
    limits = [cfg.near_share * float(k.quantile(_NEAREST)) if len(k) else 0.0 for k in known]
    nearest = photos.rgb.new_tensor(limits)[photos.views]
    return _Geometry(photos.spread([m.depth for m in maps]), photos.spread([m.confidence for m in maps]), nearest)


def _state(field: Field, optimiser: Adam, geometry: _Geometry | None, per_ray: float) -> State:
    state = {
        "field": field.state(),
        "optimizer": optimiser.state(),
        "loop": {"per_ray": torch.tensor(per_ray, dtype=torch.float64)},
    }
    if geometry is not None:
        state["geometry"] = {k: getattr(geometry, k) for k in ("depth", "confidence", "nearest")}
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
