"""A fit as it goes: the field, its optimiser and what is known of the photos; one step; what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.data import pixels
from halfseen.data.capture import Capture
from halfseen.data.pixels import Pixels
from halfseen.fields import hull as hulls
from halfseen.fields import kinds
from halfseen.fields.contract import Rendering
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.fields.gaussians import Gaussians
from halfseen.fields.hull import Hull
from halfseen.fields.optimiser import Adam
from halfseen.images import color, resize
from halfseen.methods.photometric import geometry, pictures, rays, turning
from halfseen.methods.photometric.config import Config, field_config
from halfseen.methods.photometric.geometry import Geometry
from halfseen.runs.snapshot import Knobs, Snapshot, State

# Longer side of preview pictures.
_PANEL_SIZE = 160


@dataclass(frozen=True)
class Phase:
    """A stretch of a fit whose schedules are its own."""

    name: str = "fit"
    before: int = 0  # steps of the phases before it
    total: int | None = None  # of all phases; None: there is no other
    # In the first phase a field comes to its full detail; in later ones it has that.
    first: bool = True
    # Learning rates at its start, as a share of the field's own.
    rate: float = 1.0


ONLY = Phase()


@dataclass
class Fit:
    """Everything that changes from step to step, and what it learns from."""

    capture: Capture
    photos: Pixels
    known: Geometry | None
    field: kinds.AnyField
    optimiser: Adam
    per_ray: float
    # Corrections [V, 6] of the photos' cameras, and these as they were given (`turning`).
    turned: Tensor
    given: Cameras
    # The newest step's rays of photos; none where whole pictures are drawn.
    shown: Rendering | None = None

    @property
    def drawn(self) -> bool:
        """Whether whole pictures are drawn, of things that grow by how they show."""
        return isinstance(self.field, Gaussians)


def begin(
    capture: Capture, to_user: Similarity, cfg: Config, seed: int, device: torch.device, tensors: State | None = None
) -> Fit:
    """A new fit, or one that goes on from the tensors of a snapshot."""
    photos = pixels.of(capture, device)
    stored = tensors or {}
    known = _geometry(capture, stored.get("geometry"), cfg, device)
    hull = _hull(capture, photos.cameras) if cfg.hull else None
    if tensors:
        field = kinds.restore(tensors["field"], to_user, field_config(cfg), device, photos.cameras, hull)
    else:
        start = _seeds(capture, known, cfg, seed) if cfg.kind == "gaussians" else None
        field = kinds.create(to_user, field_config(cfg), seed, device, photos.cameras, start, hull)
    optimiser = Adam(field.parameter_groups(), stored.get("optimizer"))
    per_ray = float(tensors["loop"]["per_ray"]) if tensors else rays.FIRST_PER_RAY
    given = capture.cameras()
    out = Fit(capture, photos, known, field, optimiser, per_ray, torch.zeros(len(given), 6, dtype=torch.float64), given)
    if "turned" in stored:
        _place(out, stored["turned"]["by"])
    return out


def terms(fit: Fit, cfg: Config, seed: int, step: int, before: int = 0) -> dict[str, Tensor]:
    """The weighted terms of a step (from 1) of a phase with `before` steps before it: of one whole photo for Gaussians, of random
    pixels of all photos for the others."""
    progress, views = step / cfg.steps, len(fit.capture)
    step += before
    rng = generator(seed, "plain", step)
    if isinstance(fit.field, Gaussians):
        view = pictures.order(views, step, generator(seed, "plain/order", (step - 1) // views))
        return pictures.terms(fit.field, fit.capture, fit.known, cfg, view, progress, rng)
    found, fit.shown = rays.terms(fit.field, fit.photos, fit.known, fit.capture, cfg, fit.per_ray, progress, rng)
    fit.per_ray = rays.paced(fit.per_ray, fit.shown)
    return found


def advance(fit: Fit, cfg: Config, found: dict[str, Tensor], step: int, phase: Phase = ONLY) -> dict[str, float]:
    """Descend the sum of the terms; their values."""
    progress = step / cfg.steps
    torch.stack(list(found.values())).sum().backward()
    fit.optimiser.step(phase.rate ** (1 - progress) * cfg.lr_end**progress)
    stats = {"progress": torch.tensor(progress if phase.first else 1.0), "growth": torch.tensor(progress)}
    origin = fit.field.after_step(phase.before + step, stats)
    if origin is not None:
        fit.optimiser.rearrange(fit.field.parameter_groups(), origin)
    return {k: v.item() for k, v in found.items()}


def turn(fit: Fit, cfg: Config, seed: int, step: int) -> None:
    """Correct the camera of one photo, in turns, the first one's never."""
    others = len(fit.capture) - 1
    if others == 0:
        return
    view, back = 1 + (step // cfg.turning.every) % others, fit.capture.background or color.WHITE
    rng = generator(seed, "plain/turning", step)
    _place(fit, turning.better(fit.field, fit.photos, fit.given, fit.turned, view, back, cfg.turning, rng))


def _place(fit: Fit, by: Tensor) -> None:
    """Photos' cameras as corrected."""
    cameras = turning.moved(fit.given, by)
    views = (replace(v, camera=cameras[i]) for i, v in enumerate(fit.capture.views))
    fit.turned, fit.capture = by, replace(fit.capture, views=tuple(views))
    fit.photos = replace(fit.photos, cameras=cameras.to(fit.photos.rgb))


def steps(
    fit: Fit,
    cfg: Config,
    seed: int,
    start: int,
    extra: Callable[[int], dict[str, Tensor]] = lambda step: {},
    *,
    until: int | None = None,
    phase: Phase = ONLY,
) -> Generator[Snapshot, Knobs | None, None]:
    """The loop of every fit, after `start` steps of a phase: a method's own terms come as `extra` of the step, after the photos' terms."""
    total = cfg.steps if phase.total is None else phase.total
    for step in range(start + 1, (cfg.steps if until is None else until) + 1):
        found = terms(fit, cfg, seed, step, phase.before)
        values = advance(fit, cfg, found | extra(step), step, phase)
        if cfg.turning.due(step, cfg.steps):
            turn(fit, cfg, seed, step + phase.before)
        now = phase.before + step
        snapshot = Snapshot(
            now, total, phase.name, fit.field, values, partial(state, fit), partial(panels, fit), facts=_facts(fit)
        )
        yield from shown(snapshot)


def alone(
    capture: Capture,
    to_user: Similarity,
    cfg: Config,
    seed: int,
    *,
    device: torch.device,
    state: tuple[int, State] | None = None,
) -> Generator[Snapshot, Knobs | None, None]:
    """A fit to the photos of a loaded capture in the box frame, with a resolved config, and nothing else. `state` is (step, tensors) of an
    earlier snapshot."""
    start, tensors = state or (0, None)
    yield from steps(begin(capture, to_user, cfg, seed, device, tensors), cfg, seed, start)


def shown(snapshot: Snapshot) -> Generator[Snapshot, Knobs | None, None]:
    """A snapshot, again and again while whoever watches has paused."""
    knobs = yield snapshot
    while knobs is not None and knobs.paused:
        knobs = yield snapshot


def each(
    snapshots: Generator[Snapshot, Knobs | None, None], change: Callable[[Snapshot], Snapshot]
) -> Generator[Snapshot, Knobs | None, None]:
    """Every snapshot changed; what is sent goes on to the loop."""
    knobs = None
    while True:
        try:
            snapshot = snapshots.send(knobs)
        except StopIteration:
            return
        knobs = yield change(snapshot)


def state(fit: Fit) -> State:
    """What a checkpoint keeps."""
    kept = {
        "field": fit.field.state(),
        "optimizer": fit.optimiser.state(),
        "loop": {"per_ray": torch.tensor(fit.per_ray, dtype=torch.float64)},
    }
    if fit.turned.any():
        kept["turned"] = {"by": fit.turned}
    if fit.known is not None:
        kept["geometry"] = fit.known.to_plain()
    return kept


def _facts(fit: Fit) -> dict[str, float]:
    """What cameras were corrected by: the mean turn in degrees, and shift in box units, of all but the first."""
    if not fit.turned.any():
        return {}
    angle, shift = (t.norm(dim=1).mean() for t in (fit.turned[1:, :3], fit.turned[1:, 3:]))
    return {"turned": float(torch.rad2deg(angle)), "shifted": float(shift)}


def panels(fit: Fit) -> dict[str, Tensor]:
    """The first photo, small, beside its rendering."""
    view = fit.capture.views[0]
    assert view.camera is not None
    size = resize.fit(view.image.width, view.image.height, _PANEL_SIZE)
    back = fit.capture.background or color.WHITE
    with torch.no_grad():
        rgb = fit.field.render(view.camera.resized(*size), background=back).rgb.cpu()
    return {"photo-render": torch.cat([resize.resize(view.image.read()[..., :3], *size), rgb], 1)}


def begun(field: kinds.AnyField) -> State:
    """What a checkpoint would keep of a fit that came to this field, however that was."""
    return {
        "field": {k: v.detach() for k, v in field.state().items()},
        "loop": {"per_ray": torch.tensor(rays.FIRST_PER_RAY, dtype=torch.float64)},
    }


def _geometry(capture: Capture, stored: dict[str, Tensor] | None, cfg: Config, device: torch.device) -> Geometry | None:
    """What stereo knows, if the fit wants to know; Gaussians that begin at known points and heed no depth do not."""
    if not cfg.geometry:
        return None
    return (
        geometry.restored(stored, device) if stored else geometry.measure(capture, cfg.stereo, cfg.near_share, device)
    )


def _hull(capture: Capture, cameras: Cameras) -> Hull | None:
    """Where an object may be, if every photo has its mask."""
    masks = [v.mask.read_grey() for v in capture.views if v.mask is not None]
    return hulls.of(cameras, masks) if capture.mask_role == "object" and len(masks) == len(capture) else None


def _seeds(capture: Capture, known: Geometry | None, cfg: Config, seed: int) -> Seeds | None:
    return geometry.seeds(capture, known, cfg.pictures.seeds, cfg.gaussians.start, generator(seed, "plain/seeds"))
