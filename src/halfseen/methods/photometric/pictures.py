"""One step of a fit on a whole photo: for Gaussians, which are drawn picture by picture."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.data.capture import Capture
from halfseen.data.pixels import VALID
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.photometric import behind, losses
from halfseen.methods.photometric.config import Config
from halfseen.methods.photometric.geometry import Geometry
from halfseen.metrics.structure import dissimilarity

# Windows of SSIM have this many pixels.
_WINDOW = 11


def terms(
    field: Gaussians,
    capture: Capture,
    geometry: Geometry | None,
    cfg: Config,
    view: int,
    progress: float,
    rng: torch.Generator,
) -> dict[str, Tensor]:
    """The weighted terms of one step on one photo."""
    shown = capture.views[view]
    assert shown.camera is not None
    photo = shown.image.read()[..., :3].to(field.values["xyz"].device)
    mask = None if shown.mask is None else shown.mask.read_grey().to(photo)
    alone = capture.mask_role == "object"
    back = behind.colours(capture, cfg.grey, 1, rng)[0].to(photo)
    rendering = field.render(shown.camera, background=back, generator=rng)
    rgb = rendering.rgb
    if mask is not None and not alone:
        # Where the photo is not valid, nothing is asked.
        rgb = torch.where(mask[..., None] > VALID, rgb, photo)
    out = likeness(rgb, photo, cfg)
    if alone and mask is not None and cfg.mask:
        out["mask"] = cfg.mask * losses.mask(rendering, mask)
    if cfg.pictures.opacity and not alone:
        out["opacity"] = cfg.pictures.opacity * losses.opacity(rendering)
    if cfg.pictures.depth and geometry is not None:
        start = sum(v.image.width * v.image.height for v in capture.views[:view])
        known_depth, sure = (t[start : start + photo[..., 0].numel()].reshape(photo.shape[:2]) for t in (geometry.depth, geometry.confidence))  # fmt: skip
        out["depth"] = cfg.pictures.depth * cfg.depth_end**progress * losses.depth(rendering, known_depth, sure)
    if cfg.pictures.thin:
        out["thin"] = cfg.pictures.thin * field.opacity().mean()
    if cfg.pictures.small:
        out["small"] = cfg.pictures.small * field.values["scale"].exp().mean()
    return out


def likeness(rgb: Tensor, wanted: Tensor, cfg: Config) -> dict[str, Tensor]:
    """L1 and D-SSIM of two pictures [H, W, 3], weighted as the config says."""
    out = {"rgb": (1 - cfg.pictures.structure) * (rgb - wanted).abs().mean()}
    if cfg.pictures.structure and min(wanted.shape[:2]) >= _WINDOW:
        out["structure"] = cfg.pictures.structure * dissimilarity(rgb, wanted)
    return out


def order(views: int, step: int, seed_rng: torch.Generator) -> int:
    """The view of a step (from 1): every photo once in each round, in the order that the round's generator gives."""
    return int(torch.randperm(views, generator=seed_rng)[(step - 1) % views])
