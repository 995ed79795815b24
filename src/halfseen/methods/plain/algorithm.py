"""Plain: a field fitted to the photos by gradient descent on the photometric error, with a little smoothness.

Nothing is learned beforehand, so nothing can be invented except by smoothness: what no photo saw stays grey or empty.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import pixel_centres
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import load
from halfseen.data.capture import Capture
from halfseen.fields import voxels
from halfseen.images import color, resize
from halfseen.methods.contract import Estimate, Method
from halfseen.methods.plain.config import Config
from halfseen.runs.snapshot import Knobs, Snapshot, State

PHASE = "fit"
# For the estimate of memory: bytes of a float; grid channels; copies of the grid (value, gradient, two moments, one spare);
# floats kept for each pixel and for each ray sample (forward and backward).
_FLOAT, _CHANNELS, _COPIES, _FLOATS_PER_PIXEL, _FLOATS_PER_SAMPLE = 4, 4, 5, 9, 60
_TIMED_STEPS = 3
# Mask values above this count as valid photo.
_VALID = 0.5
# Half width of the space in which density is smoothed: the box and as much around it.
_EXTENT = 2.0
# Adam's divisor floor: gradients of voxels that few rays meet are tiny, and must still move them.
_ADAM_EPS = 1e-12
# Longer side of preview pictures.
_PANEL_SIZE = 160


@dataclass(frozen=True)
class _Photos:
    """All pixels of the capture in one list, and where each came from."""

    rgb: Tensor  # [P, 3]
    mask: Tensor  # [P] object or validity
    views: Tensor  # [P]
    xy: Tensor  # [P, 2] pixel centres
    cameras: Cameras


def resolve(cfg: Config, capture: Capture) -> Config:
    """Fill in what depends on the capture: an object fills the box alone, a scene fills all of space."""
    if cfg.grid.bounded is not None:
        return cfg
    return replace(cfg, grid=replace(cfg.grid, bounded=capture.mask_role == "object"))


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
    photos = _photos(capture, device)
    if tensors:
        field = voxels.restore(tensors["field"], to_user, cfg.grid, device)
    else:
        field = voxels.create(to_user, cfg.grid, seed, device)
    optimizer = _optimizer(field, tensors.get("optimizer"))
    for step in range(start + 1, cfg.steps + 1):
        _set_rates(optimizer, field, cfg, step)
        losses = _losses(field, photos, capture, cfg, generator(seed, "plain", step))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        if field.after_step(step, {}):
            optimizer = _optimizer(field, None)
        values = {k: v.item() for k, v in losses.items()}
        state_now, panels = partial(_state, field, optimizer), partial(_panels, field, capture)
        snapshot = Snapshot(step, cfg.steps, PHASE, field, values, state_now, panels)
        knobs = yield snapshot
        while knobs is not None and knobs.paused:
            knobs = yield snapshot


def _state(field: voxels.Voxels, optimizer: torch.optim.Adam) -> State:
    return {"field": field.state(), "optimizer": _optimizer_state(optimizer)}


def _panels(field: voxels.Voxels, capture: Capture) -> dict[str, Tensor]:
    """The first photo, small, beside its rendering."""
    view = capture.views[0]
    assert view.camera is not None
    size = resize.fit(view.image.width, view.image.height, _PANEL_SIZE)
    with torch.no_grad():
        rgb = field.render(view.camera.resized(*size), background=capture.background or color.WHITE).rgb.cpu()
    return {"photo-render": torch.cat([resize.resize(view.image.read()[..., :3], *size), rgb], 1)}


def _photos(capture: Capture, device: torch.device) -> _Photos:
    """Pixels with their positions; validity masks drop pixels here, object masks stay for the opacity loss."""
    views = [torch.full((v.image.width * v.image.height,), i) for i, v in enumerate(capture.views)]
    xy = [pixel_centres(v.image.width, v.image.height) for v in capture.views]
    rgb, mask = load.stack_rgb(capture), load.stack_masks(capture)
    keep = torch.ones_like(mask, dtype=torch.bool) if capture.mask_role != "valid" else mask > _VALID
    rgb, mask, view, at = (t[keep].to(device) for t in (rgb, mask, torch.cat(views), torch.cat(xy)))
    return _Photos(rgb, mask, view, at, capture.cameras().to(torch.float32).to(device))


def _losses(
    field: voxels.Voxels, photos: _Photos, capture: Capture, cfg: Config, rng: torch.Generator
) -> dict[str, Tensor]:
    pick = torch.randint(len(photos.rgb), (cfg.rays,), generator=rng).to(photos.rgb.device)
    # Without a known background, a random one for each ray makes transparency costly, so real scenes become opaque.
    back: Tensor | tuple[float, float, float]
    back = (
        capture.background
        if capture.mask_role == "object" and capture.background
        else torch.rand(cfg.rays, 3, generator=rng).to(photos.rgb)
    )
    rendering = field.render(
        photos.cameras, pixels=(photos.views[pick], photos.xy[pick]), background=back, generator=rng
    )
    losses = {"rgb": ((rendering.rgb - photos.rgb[pick]) ** 2).mean()}
    if capture.mask_role == "object":
        losses["mask"] = cfg.mask * ((rendering.alpha - photos.mask[pick]) ** 2).mean()
    losses["smooth"] = cfg.smooth * _smoothness(field, cfg, rng)
    return losses


def _smoothness(field: voxels.Voxels, cfg: Config, rng: torch.Generator) -> Tensor:
    """Mean absolute difference of log density between neighbouring random points of the box and its surroundings."""
    points = (torch.rand(cfg.smooth_pairs, 3, generator=rng) * 2 * _EXTENT - _EXTENT).to(field.density)
    offset = (torch.randn(cfg.smooth_pairs, 3, generator=rng) * cfg.smooth_distance).to(field.density)
    a, b = field.query(points)[0], field.query(points + offset)[0]
    return (torch.log1p(a) - torch.log1p(b)).abs().mean()


def _optimizer(field: voxels.Voxels, state: dict[str, Tensor] | None) -> torch.optim.Adam:
    optimizer = torch.optim.Adam(field.parameter_groups(), eps=_ADAM_EPS)
    for i, group in enumerate(optimizer.param_groups):
        if state:
            (parameter,) = group["params"]
            names = ("step", "exp_avg", "exp_avg_sq")
            optimizer.state[parameter] = {
                n: state[f"{i}.{n}"].to("cpu" if n == "step" else parameter.device).clone() for n in names
            }
    return optimizer


def _optimizer_state(optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's moments as plain tensors; empty right after the field was replaced."""
    out = {}
    for i, group in enumerate(optimizer.param_groups):
        for name, value in optimizer.state.get(group["params"][0], {}).items():
            out[f"{i}.{name}"] = value
    return out


def _set_rates(optimizer: torch.optim.Adam, field: voxels.Voxels, cfg: Config, step: int) -> None:
    """Exponential decay from the field's own rates to `lr_end` of them."""
    factor = cfg.lr_end ** (step / cfg.steps)
    for group, fresh in zip(optimizer.param_groups, field.parameter_groups(), strict=True):
        group["lr"] = fresh["lr"] * factor


def estimate(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> Estimate:
    """Time a few steps at the first and at the final resolution on a throwaway field, and add up the memory."""
    first = _seconds_per_step(capture, to_user, replace(cfg, grid=replace(cfg.grid, grow_at=())), device)
    full = replace(cfg.grid, start_resolution=cfg.grid.resolution, grow_at=())
    last = _seconds_per_step(capture, to_user, replace(cfg, grid=full), device)
    late = 1 - (max(cfg.grid.grow_at, default=0) / cfg.steps)
    seconds = cfg.steps * (first + (last - first) * max(0.0, min(1.0, late)))
    pixels = sum(v.image.width * v.image.height for v in capture.views)
    voxels_bytes = cfg.grid.resolution**3 * _CHANNELS * _COPIES * _FLOAT
    samples = cfg.rays * cfg.grid.samples * _FLOAT * _FLOATS_PER_SAMPLE
    return Estimate(seconds, pixels * _FLOAT * _FLOATS_PER_PIXEL + voxels_bytes + samples)


def _seconds_per_step(capture: Capture, to_user: Similarity, cfg: Config, device: torch.device) -> float:
    # More steps than are taken: a short run is timed like a long one.
    run = reconstruct(capture, to_user, replace(cfg, steps=cfg.steps + _TIMED_STEPS + 1), 0, device=device)
    next(run)
    start = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        next(run)
    return (time.perf_counter() - start) / _TIMED_STEPS


METHOD = Method(
    name="plain",
    variants=("basic",),
    fields=("voxels",),
    config=Config,
    resolve=resolve,
    field_config=lambda cfg: cfg.grid,
    estimate=estimate,
    reconstruct=reconstruct,
)
