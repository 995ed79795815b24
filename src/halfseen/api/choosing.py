"""What `--method auto` takes for the photos of a capture, and why. The rules come from claims (docs/results/auto.md)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from halfseen.data import load as loading
from halfseen.data import normalise
from halfseen.data.capture import Capture
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric import geometry
from halfseen.poses import foreground, framing

# Gaussians begin at surfaces that stereo finds: where it knows the depth of so much of the photos, they are better than a hash grid. Looked at in
# photos of so many pixels.
_KNOWN, _SIZE = 0.5, 128
# Photos of an object alone, up to which imagined views help.
_FEW = 6


@dataclass(frozen=True)
class Choice:
    """A method, its variant and field, and why; whether the photos show an object alone."""

    method: str
    variant: str
    field: str
    reason: str
    alone: bool

    @property
    def said(self) -> str:
        """As the run says it."""
        return f"auto took {self.method} {self.variant} on {self.field}: {self.reason}"


def choose(photos: Capture, field: str | None = None) -> Choice:
    """What to do with the photos of a capture, which have cameras; `field` is the kind that the user wants."""
    count = len(photos)
    if count == 1:
        return Choice(
            "nerfdiff", "ngd", field or "triplane", "one photo, of which a prior of objects is distilled", True
        )
    if foreground.alone(photos):
        return _object(count, field)
    known = known_share(photos)
    kind = field or ("gaussians" if known >= _KNOWN else "hashgrid")
    told = f"a scene in {count} photos; stereo knows the depth of {100 * known:.0f} % of them, and Gaussians want {100 * _KNOWN:.0f}"
    return Choice("difix3d", "renders-only", kind, told, False)


def _object(count: int, field: str | None) -> Choice:
    """For photos that say what is the object."""
    if count <= _FEW:
        said = f"an object alone in {count} photos; what they do not show is imagined"
        return Choice("sparsefusion", "distilled", field or "hashgrid", said, True)
    said = f"an object alone in {count} photos, more than imagined views help"
    return Choice("difix3d", "renders-only", field or "hashgrid", said, True)


def known_share(photos: Capture) -> float:
    """The share of pixels whose depth stereo knows."""
    loaded = loading.load(photos, _SIZE)
    boxed = normalise.move(loaded, framing.measure(loaded).to_box)
    cfg = photometric.CLASSIC
    found = geometry.measure(boxed, cfg.stereo, cfg.near_share, torch.device("cpu"))
    return float((found.depth > 0).float().mean())
