"""A field beside photos that it is to explain: rendered at their cameras, measured under a stated protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from halfseen.data import load as loading
from halfseen.data.capture import Capture, Colour, View
from halfseen.export import frames as framing
from halfseen.fields.contract import After, Field
from halfseen.metrics import protocol as protocols
from halfseen.metrics import surfaces
from halfseen.metrics.protocol import Distance, Pair, Protocol
from halfseen.metrics.surfaces import Surface

# Mask values above this belong to the object, or are valid.
_INSIDE = 0.5


@dataclass(frozen=True)
class Measured:
    """Numbers as JSON values, rendering and photo of each view, what they show of the scene (user's frame), and how opaque the renderings are on the mean."""

    numbers: dict[str, Any]
    pairs: list[Pair]
    surfaces: list[Surface]
    opacity: float


def measure(
    field: Field,
    views: Capture,
    size: int,
    background: Colour,
    name: str,
    split: str,
    networks: Mapping[str, Distance] | None = None,
    after: After | None = None,
    colour: protocols.Colour = "float",
) -> Measured:
    """Measure on views of the user's frame, with photos of at most `size` pixels and objects over `background`.

    `after` is what the field's method does to its renderings. `name` and `split` say in the protocol which views these are and what the field was fitted to. `networks` are LPIPS distances.
    """
    loaded = loading.load(replace(views, background=background), size)
    judged = loading.evaluation_masks(views, size)
    frames = list(framing.render(field, None, loaded.cameras(), background, after))
    role = loaded.mask_role
    # A photo without a validity mask is known everywhere; an object's masks are there for all photos, or no use.
    some = [v.mask is not None for v in loaded.views]
    masked = any(some) if role == "valid" else role is not None and all(some)
    pairs, depths = [], []
    for i, (view, frame) in enumerate(zip(loaded.views, frames, strict=True)):
        photo = view.image.read()[..., :3]
        known = torch.ones(photo.shape[:2]) if view.mask is None else view.mask.read_grey()
        inside = known > _INSIDE if masked else None
        alone, valid = (inside, None) if role == "object" else (None, inside)
        pairs.append(Pair(view.name, frame.rgb, photo, alone if judged is None else judged[i], valid))
        depths.append(_true_depth(view, inside))
    stated_masks = [f"{role} mask > {_INSIDE}"] if masked else []
    stated_masks += [] if judged is None else ["evaluation mask = 255, nearest pixel"]
    mask = " and ".join(stated_masks) or protocols.NO_MASK
    sizes = {(p.truth.shape[1], p.truth.shape[0]) for p in pairs}
    stated = Protocol(
        name, split, next(iter(sizes)) if len(sizes) == 1 else None, mask, protocols.named(networks), colour
    )
    numbers = {**protocols.measure(pairs, stated, networks), "photos": _hash([p.truth for p in pairs])}
    shown = [
        Surface(loaded.cameras()[i], f.rgb, f.depth, truth)
        for i, (f, truth) in enumerate(zip(frames, depths, strict=True))
    ]
    depth = surfaces.depth_errors(shown)
    numbers["mean"] |= depth
    if depth:
        numbers["protocol"]["depth"] = surfaces.DEPTH_DEFINITION
    opacity = sum(float(f.alpha.mean()) for f in frames) / len(frames)
    return Measured(numbers, pairs, shown, opacity)


def photos(views: Capture, size: int, background: Colour) -> list[Tensor]:
    """The photos [H, W, 3] as `measure` would compare them."""
    loaded = loading.load(replace(views, background=background), size)
    return [v.image.read()[..., :3] for v in loaded.views]


def _true_depth(view: View, inside: Tensor | None) -> Tensor | None:
    """True z-depth [H, W] in the user's units, 0 where it is not known or the mask leaves it out."""
    if view.depth is None:
        return None
    truth = torch.as_tensor(view.depth.read()).float()
    return truth if inside is None or inside.shape != truth.shape else truth * inside


def headline(numbers: dict[str, Any]) -> float:
    """The PSNR that counts: over the pixels that the photos know, where they do not know all, else over whole pictures."""
    mean = numbers["mean"]
    return float(mean["psnr_valid"] if "psnr_valid" in mean else mean["psnr"])


def _hash(photos: Sequence[Tensor]) -> str:
    """What was measured against, to the 8-bit level: numbers of the same photos alone may stand in one table."""
    levels = [(p.clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous().numpy().tobytes() for p in photos]
    return hashlib.sha256(b"".join(levels)).hexdigest()
