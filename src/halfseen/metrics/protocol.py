"""Measure renderings against photos under a named protocol. Every number's key says what it is.

Suffixes: none = all pixels; `_masked` = mean over the object's pixels; `_valid` = mean over pixels that the photo knows;
`_composited` = whole picture after both sides are put on white outside the object (as DTU's SSIM and LPIPS are printed).
`ssim` has the Gaussian 11x11 window, `ssim_uniform7` the 7x7 mean; `laplacian_variance` is sharpness,
`sharpness_ratio` its share of the photo's. Measures that only know whole
pictures (LPIPS, sharpness, SWD, FID, KID) see the photo itself where it is not valid: `filled`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.images.color import WHITE, over
from halfseen.metrics.flip import PIXELS_PER_DEGREE, flip_map
from halfseen.metrics.image import average_error, psnr, sharpness, sharpness_ratio, ssim
from halfseen.metrics.inputs import check_pair, selected

# What happens to colours before they are compared. Floats are clamped; 8-bit files round, or truncate as pixelNeRF's did.
Colour = Literal["float", "8-bit rounded", "8-bit truncated"]
COLOURS: tuple[Colour, ...] = ("float", "8-bit rounded", "8-bit truncated")
NO_MASK = "none"
NO_NETWORK = "none"
# What a protocol says of pixels that a photo does not know.
FILLED = "the photo itself, in LPIPS, sharpness, SWD, FID and KID"
# float32 holds k / 255 a little low at times; truncation must not take the level k below for it.
_LEVEL_ROUNDING = 1e-4

# Half of SSIM's 11 pixel window.
_MARGIN = 5

# A distance of two pictures [H, W, 3], such as `lpips.load(...)`.
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Protocol:
    """All that a number depends on besides the pictures."""

    name: str
    # Which views are inputs and which are measured, such as "llff-3".
    split: str
    # (width, height) in pixels, or None where each view keeps its own.
    size: tuple[int, int] | None = None
    # Where masks come from, such as "object alpha > 0.5"; "none" without masks.
    mask: str = NO_MASK
    # Names of the LPIPS networks, joined by "+", such as "alex+vgg"; "none" without.
    network: str = NO_NETWORK
    colour: Colour = "float"

    def to_plain(self) -> dict[str, Any]:
        """The protocol as JSON values, with the fixed settings of the measures."""
        size = None if self.size is None else list(self.size)
        return {**asdict(self), "size": size, "flip_pixels_per_degree": PIXELS_PER_DEGREE}


@dataclass(frozen=True)
class Pair:
    """A rendering [H, W, 3], the photo of the same camera, and masks [H, W] of the object and of known pixels."""

    name: str
    rendered: Tensor
    truth: Tensor
    object: Tensor | None = None
    valid: Tensor | None = None


def filled(pair: Pair) -> Tensor:
    """The rendering [H, W, 3], with the photo in its place where that is not valid: nothing unknown is held against it."""
    return pair.rendered if pair.valid is None else torch.where(pair.valid[..., None], pair.rendered, pair.truth)


def measure(
    pairs: Sequence[Pair], protocol: Protocol, networks: Mapping[str, Distance] | None = None
) -> dict[str, Any]:
    """Measure pairs: {"protocol", "views": {name: {key: number}}, "mean": {key: number}, "count"}, ready for JSON.

    The mean is over views, each counting once. Masks must be there for all views or for none, so that means are comparable.
    A view whose mask holds too little to be measured has no masked numbers: "undefined" counts such views by key.
    """
    distances = dict(networks or {})
    _check(pairs, protocol, distances)
    views = {p.name: _measure_one(p, protocol, distances) for p in pairs}
    keys = list(dict.fromkeys(key for v in views.values() for key in v))
    found = {key: [v[key] for v in views.values() if key in v] for key in keys}
    mean = {key: sum(values) / len(values) for key, values in found.items()}
    missing = {key: len(views) - len(values) for key, values in found.items() if len(values) < len(views)}
    stated = protocol.to_plain()
    if pairs[0].valid is not None:
        stated["not_valid"] = FILLED
    return {
        "protocol": stated, "count": len(views), "mean": mean, "undefined": missing, "views": views,
    }  # fmt: skip


def named(networks: Mapping[str, Distance] | None) -> str:
    """What a protocol says of its LPIPS networks."""
    return "+".join(sorted(networks or {})) or NO_NETWORK


def quantised(image: Tensor, colour: Colour) -> Tensor:
    """Colours as the protocol compares them: clamped to [0, 1], and on 8-bit levels where it says so."""
    clamped = image.detach().clamp(0, 1)
    if colour == "float":
        return clamped
    levels = clamped.double() * 255
    return (levels.round() if colour == "8-bit rounded" else (levels + _LEVEL_ROUNDING).floor()) / 255


def _measure_one(pair: Pair, protocol: Protocol, networks: Mapping[str, Distance]) -> dict[str, float]:
    try:
        # Before clamping, which would turn infinity into white.
        check_pair(pair.rendered, pair.truth, what="the protocol")
        a, b = quantised(pair.rendered, protocol.colour), quantised(pair.truth, protocol.colour)
        out = {"psnr": psnr(a, b), "ssim": ssim(a, b), "ssim_uniform7": ssim(a, b, window="uniform")}
        error = flip_map(a, b)
        out["flip"] = float(error.mean())
        for suffix, mask in (("masked", pair.object), ("valid", pair.valid)):
            if mask is not None and _is_measurable(mask):
                out[f"psnr_{suffix}"] = psnr(a, b, mask)
                out[f"ssim_{suffix}"] = ssim(a, b, mask)
                out[f"flip_{suffix}"] = float(selected(error, mask, what="FLIP").mean())
        out |= _whole(quantised(filled(pair), protocol.colour), b, pair, networks, out)
    except UserError as error:
        raise UserError(
            f"view {quote(pair.name)}: {error.wrong}", got=error.got, accepted=error.accepted, do=error.do
        ) from error
    return out


def _whole(
    a: Tensor, b: Tensor, pair: Pair, networks: Mapping[str, Distance], known: Mapping[str, float]
) -> dict[str, float]:
    """Measures that only know whole pictures: `a` is the filled rendering. A photo that is valid nowhere would equal it."""
    if pair.valid is not None and not _is_measurable(pair.valid):
        return {}
    out = {"laplacian_variance": sharpness(a), "laplacian_variance_truth": sharpness(b)}
    # A photo of one colour has no sharpness to have a share of.
    if out["laplacian_variance_truth"] > 0:
        out["sharpness_ratio"] = sharpness_ratio(a, b)
    suffix = "" if pair.valid is None else "_valid"
    for name, distance in networks.items():
        out[f"lpips_{name}"] = float(distance(a, b))
        out[f"average_{name}"] = average_error(known[f"psnr{suffix}"], known[f"ssim{suffix}"], out[f"lpips_{name}"])
    return out if pair.object is None else out | _composited(a, b, pair.object, networks)


def _is_measurable(mask: Tensor) -> bool:
    """Whether SSIM's windows that lie wholly inside the picture meet the mask."""
    inner = mask[_MARGIN : mask.shape[0] - _MARGIN, _MARGIN : mask.shape[1] - _MARGIN]
    return bool(inner.any())


def _composited(a: Tensor, b: Tensor, mask: Tensor, networks: Mapping[str, Distance]) -> dict[str, float]:
    """SSIM and LPIPS of whole pictures that are white outside the object."""
    on_white = [over(p, mask.to(p), WHITE) for p in (a, b)]
    out = {"ssim_composited": ssim(on_white[0], on_white[1])}
    for name, distance in networks.items():
        out[f"lpips_{name}_composited"] = float(distance(on_white[0], on_white[1]))
    return out


def _check(pairs: Sequence[Pair], protocol: Protocol, networks: Mapping[str, Distance]) -> None:
    """Refuse a protocol that the pairs or the networks do not keep: its numbers would carry a wrong name."""
    if not pairs:
        raise _broken(protocol, "no views", "at least one view")
    if len({p.name for p in pairs}) != len(pairs):
        raise _broken(protocol, "two views of one name", "a name of its own for every view")
    if protocol.colour not in COLOURS:
        raise _broken(protocol, f"colour {quote(protocol.colour)}", ", ".join(COLOURS))
    stated = named(networks)
    if protocol.network != stated:
        raise _broken(protocol, f"LPIPS networks {quote(stated)}", f"those it names: {quote(protocol.network)}")
    kinds = {(p.object is not None, p.valid is not None) for p in pairs}
    if len(kinds) > 1 or (kinds != {(False, False)}) != (protocol.mask != NO_MASK):
        raise _broken(
            protocol, "masks for some views only, or against its word", f"masks as it states: {quote(protocol.mask)}"
        )
    for pair in pairs:
        size = (pair.truth.shape[1], pair.truth.shape[0]) if pair.truth.dim() == 3 else None
        if size is None or (protocol.size is not None and size != tuple(protocol.size)):
            raise _broken(
                protocol,
                f"view {quote(pair.name)} of shape {tuple(pair.truth.shape)}",
                f"pictures [H, W, 3] of (width, height) {protocol.size or 'of any size'}",
            )


def _broken(protocol: Protocol, got: str, accepted: str) -> UserError:
    return UserError(
        f"protocol {quote(protocol.name)} is not kept",
        got=got,
        accepted=accepted,
        do="Change the protocol or what is measured.",
    )
