"""One step of a fit on random pixels of all photos: for fields that are sampled along rays."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.data.capture import Capture
from halfseen.data.pixels import Pixels
from halfseen.fields.contract import Field, RaySamples, Rendering
from halfseen.methods.photometric import behind, losses
from halfseen.methods.photometric.config import Config
from halfseen.methods.photometric.geometry import Geometry

# Effort of a ray before any was rendered, and how much the newest step counts in the running mean.
FIRST_PER_RAY, _PACE = 170.0, 0.1
# Time of a candidate along a ray, and of looking up a density, as shares of that of a sample with a gradient (fox, two cores).
_MARCHED, _LOOKED_AT = 0.06, 0.35


def terms(
    field: Field,
    photos: Pixels,
    geometry: Geometry | None,
    capture: Capture,
    cfg: Config,
    per_ray: float,
    progress: float,
    rng: torch.Generator,
) -> tuple[dict[str, Tensor], Rendering]:
    """The weighted terms of one step, and its rays as they were rendered; `per_ray` is the effort of a ray, which decides how many."""
    rays = int(min(max(cfg.work / per_ray, cfg.least_rays), cfg.most_rays))
    pick = torch.randint(len(photos), (rays,), generator=rng).to(photos.rgb.device)
    alone = capture.mask_role == "object"
    back = behind.colours(capture, cfg.grey, rays, rng).to(photos.rgb)
    rendering = field.render(
        photos.cameras, pixels=(photos.views[pick], photos.xy[pick]), background=back, generator=rng
    )
    assert rendering.samples is not None
    out = {"rgb": losses.photometric(rendering, photos.rgb[pick])}
    if alone and cfg.mask:
        out["mask"] = cfg.mask * losses.mask(rendering, photos.mask[pick])
    if cfg.distortion:
        ramp = min(1.0, progress / max(cfg.distortion_from, torch.finfo(torch.float32).tiny))
        known = geometry if cfg.distortion_known else None
        held = None if known is None else known.depth[photos.kept.to(pick.device)[pick]] > 0
        out["distortion"] = cfg.distortion * ramp * losses.distortion(rendering, held=held)
    if cfg.opacity and not alone:
        out["opacity"] = cfg.opacity * losses.opacity(rendering)
    if geometry is not None:
        out |= _geometric(rendering, geometry, photos, pick, cfg, progress)
    return out, rendering


def paced(per_ray: float, rendering: Rendering) -> float:
    """The running mean of the effort of a ray after a step."""
    assert rendering.samples is not None
    return (1 - _PACE) * per_ray + _PACE * max(1.0, effort(rendering.samples) / len(rendering.alpha))


def effort(samples: RaySamples) -> float:
    """Cost of samples in those with a gradient: as a fit goes on, finding the few that matter takes ever more of the time."""
    return len(samples.weights) + _LOOKED_AT * samples.looked_at + _MARCHED * samples.marched


def _geometric(
    rendering: Rendering, geometry: Geometry, photos: Pixels, pick: Tensor, cfg: Config, progress: float
) -> dict[str, Tensor]:
    """Terms that stereo's depth gives: agreement that decays, and nothing in front of cameras."""
    out, at = {}, photos.kept.to(pick.device)[pick]
    if cfg.near:
        out["near"] = cfg.near * losses.near(rendering, geometry.nearest[photos.views[pick]])
    if cfg.depth:
        weight = cfg.depth * cfg.depth_end**progress
        out["depth"] = weight * losses.depth(rendering, geometry.depth[at], geometry.confidence[at])
    return out
