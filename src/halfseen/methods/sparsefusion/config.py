"""Settings of SparseFusion. Sources: section 4 of the specification (released code); `small` is ours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from halfseen.common.config import within
from halfseen.fields import projection
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric.config import CLASSIC

# A camera as `creeping` of the file of target poses has it: its pose, intrinsics and size as plain numbers.
Pose = tuple[float, ...]


@dataclass(frozen=True)
class Imagining:
    """How views are imagined, and what the field learns from them."""

    # rounds: all views at once, from a time that falls from round to round (ours). fresh: one view at every step, from a time of its own
    # in [0, last], in up to `most` steps (released code: 100 a unit of time, at most 50).
    schedule: Literal["rounds", "fresh"] = "rounds"
    views: int = 24
    rounds: int = 12
    first: float = 0.8
    last: float = 0.5
    # Steps of the sampler in a round; of `fresh`, at most.
    looks: int = 4
    most: int = 50
    sampler: Literal["ddim", "ancestral-plms"] = "ddim"
    # How much what photos tell counts beyond what the denoiser guesses when it is told nothing (1: just so; twice the looks otherwise);
    # none: as the prior was trained.
    guidance: float | None = None
    # Elevations of the orbit differ by so many radians.
    jitter: float = 0.17
    # What is compared: pictures, or their latents.
    space: Literal["pixel", "latent"] = "pixel"
    # What is behind views while they are learned from: black hides what is dark, and another colour at every step does not (released code: black).
    ground: Literal["random", "black"] = "random"
    # Weight of magnitudes (times sigma squared of the round's time), and of how pictures look: LPIPS where the paths of its two files are
    # given, else differences of neighbours.
    weight: float = 1.0
    looks_alike: float = 0.1
    backbone: str = ""
    heads: str = ""
    # Weight of mean sqrt(alpha^2 + 0.01), a weak pull to nothing; and of opacity against what the transformer shows, before anything is imagined.
    opacity: float = 1e-3
    silhouette: float = 1.0

    def __post_init__(self) -> None:
        within("imagining.views", self.views, 1, 1000)
        within("imagining.rounds", self.rounds, 1, 10_000)
        within("imagining.first", self.first, 0, 0.999)
        within("imagining.last", self.last, 0, self.first)
        within("imagining.looks", self.looks, 1, 1000)
        within("imagining.most", self.most, 1, 1000)
        within("imagining.jitter", self.jitter, 0, 1.5)
        within("imagining.guidance", self.guidance or 0.0, 0, 100)
        for name in ("weight", "looks_alike", "opacity", "silhouette"):
            within(f"imagining.{name}", getattr(self, name), 0, 1e6)


# Photos and nothing that stereo says of them, as the released code has it.
_PHOTOS = replace(CLASSIC, depth=0.0, near=0.0, distortion=0.0)
# Fine levels come last: what they make of views whose pixels are coarser is dust that no view speaks against.
_COARSE_FIRST = replace(
    _PHOTOS,
    full_until=0,
    coarse_alone=1.0,
    hashgrid=replace(CLASSIC.hashgrid, levels=6, finest=256, coarse_to_fine=1.0),
)


@dataclass(frozen=True)
class Config:
    """A field that learns from photos and from imagined views."""

    # Steps in all; shares of them that learn from what the transformer shows, and that the photos have in the end.
    steps: int = 600
    bootstrap: float = 0.3
    refine: float = 0.15
    # distilled: the method. eft: the transformer's pictures in the place of renderings. vldm: one sample of each view. pixelnerf: the rival,
    # which predicts a field of its own.
    way: Literal["distilled", "eft", "vldm", "pixelnerf"] = "distilled"
    imagining: Imagining = field(default_factory=Imagining)
    # Imagined views of the end count so much while the photos have the last word.
    kept: float = 0.3
    fit: photometric.Config = field(default_factory=lambda: _COARSE_FIRST)
    # Wanted cameras in the user's frame; without any an orbit is fitted to the photos.
    targets: tuple[Pose, ...] = ()
    prior: str = "sparsefusion-objects"
    prior_size: int = 64  # of the pictures that it works at
    projection: projection.Config | None = None  # the rival's field

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)
        within("bootstrap", self.bootstrap, 0, 1)
        within("refine", self.refine, 0, 1 - self.bootstrap)
        within("kept", self.kept, 0, 1e6)

    @property
    def begun(self) -> int:
        """Steps before anything is imagined."""
        return self.steps if self.way != "distilled" else round(self.steps * self.bootstrap)

    @property
    def imagined(self) -> int:
        """The last step with new views."""
        return self.steps if self.way != "distilled" else self.steps - round(self.steps * self.refine)


SMALL = Config()
# What is shown of each view; the field beneath, which says where something is, learns from the transformer alone.
_SHOWN = replace(SMALL, steps=200)
VARIANTS = {
    "distilled": SMALL,
    "eft": replace(_SHOWN, way="eft"),
    "vldm": replace(_SHOWN, way="vldm"),
    "pixelnerf": replace(SMALL, steps=1, way="pixelnerf", prior="pixelnerf-views-64"),
}
# Released code: 3000 iterations of a step each on a photo and on a view, 82 cameras, 128 x 128.
PAPER = {
    "distilled": replace(
        SMALL,
        steps=3000,
        bootstrap=1 / 3,
        refine=0.0,
        fit=_PHOTOS,
        imagining=Imagining(schedule="fresh", views=82, first=0.99, last=0.0, sampler="ancestral-plms", ground="black"),
    )
}
