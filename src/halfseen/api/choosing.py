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

# Gaussians begin at surfaces that stereo finds: where it knows the depth of so much of what photos show, of a scene and of an object alone, they are
# better than a hash grid. Looked at in photos of so many pixels.
_SCENE, _OBJECT, _SIZE = 0.5, 0.4, 128
# Photos of an object alone, up to which imagined views help more than repairs.
_FEW = 2
# Mask values above this are the object's.
_INSIDE = 0.5


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
    alone = foreground.alone(photos)
    if alone and count <= _FEW:
        said = f"an object alone in {count} photos; what they do not show is imagined"
        return Choice("sparsefusion", "distilled", field or "hashgrid", said, True)
    known, wanted = known_share(photos, alone=alone), _OBJECT if alone else _SCENE
    kind = field or ("gaussians" if known >= wanted else "hashgrid")
    what = "an object alone" if alone else "a scene"
    said = f"{what} in {count} photos; stereo knows the depth of {100 * known:.0f} % of it, and Gaussians want {100 * wanted:.0f}"
    return Choice("difix3d", "renders-only", kind, said, alone)


def known_share(photos: Capture, *, alone: bool = False) -> float:
    """The share of pixels whose depth stereo knows; of an object alone, of its own."""
    if alone:
        photos = foreground.cut_out(photos, range(len(photos)))
    loaded = loading.load(photos, _SIZE)
    boxed = normalise.move(loaded, framing.measure(loaded).to_box)
    cfg = photometric.CLASSIC
    found = geometry.measure(boxed, cfg.stereo, cfg.near_share, torch.device("cpu"))
    shows = loading.stack_masks(loaded) > _INSIDE
    return float((found.depth > 0)[shows].float().mean())
