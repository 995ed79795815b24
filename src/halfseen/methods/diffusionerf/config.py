"""Settings of DiffusioNeRF. Sources: the released code at its reference run, unless a line says otherwise (ours)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from halfseen.common.config import within
from halfseen.fields import decoder, hashgrid, samplers
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric.config import BASIC, CLASSIC, Pictures


@dataclass(frozen=True)
class Patches:
    """Where patches are looked at. The pseudo camera is a quarter of Hypersim's 1024 x 768 with a focal length of 700."""

    side: int = 48
    width: int = 256
    height: int = 192
    focal: float = 175.0
    # Whether it is a photo's own camera, no larger than this: finer than photos a field is blurred, and wider than they are it sees
    # what none of them shows (ours).
    as_photos: bool = False
    # How far patch cameras stand from a photo's: at most this share of the photos' median depth along each axis (0.2 of about 3
    # units), turned by this share of a random rotation (at most 18 degrees).
    shift: float = 0.067
    turn: float = 0.1
    # Share of patches with a photo's own camera and colours, of which only depth is pulled.
    from_photos: float = 0.25

    def __post_init__(self) -> None:
        within("patches.side", self.side, 4, min(self.width, self.height))
        within("patches.focal", self.focal, 1e-3, 1e6)
        within("patches.shift", self.shift, 0, 100)
        within("patches.turn", self.turn, 0, 1)
        within("patches.from_photos", self.from_photos, 0, 1)


@dataclass(frozen=True)
class Score:
    """How hard the prior pulls (section 3.2 of the paper); zero weight: not at all."""

    weight: float = 0.2
    # So many times that on an object alone: before a known background there is nowhere for a pulled surface to hide (ours).
    alone: float = 1.0
    # L2 norm of the gradient on a patch's colours.
    colour: float = 3e-6
    # Gradient on disparity for each unit of the score: times z where disparity is metric; where it is relative, on log depth, which
    # is the same 2e-6 * 0.4 there.
    depth_metric: float = 2e-6
    depth_relative: float = 8e-7
    # A prior of metric disparity sees the scene so large that its photos' median depth is this (about metres; ours for any scene,
    # where the code has a table).
    metric_depth: float = 3.0
    # Depth is pulled at what lies within this share of it alone (0: at all of a ray, as in the paper): fog before a camera is the
    # cheapest way to bring a mean nearer, and no photo speaks against it (ours). An object alone has a reach of its own: before a
    # known background fog shows, and may be moved. Gaussians have no samples along rays, and no reach.
    reach: float = 0.0
    reach_alone: float = 0.0
    # tau falls from this to 0 over this share of the steps (2500 of 12,000).
    tau: float = 0.1
    tau_until: float = 0.208

    def __post_init__(self) -> None:
        within("score.weight", self.weight, 0, 1e9)
        within("score.alone", self.alone, 0, 1e9)
        within("score.tau", self.tau, 0, 1)
        for name in ("reach", "reach_alone", "colour", "depth_metric", "depth_relative"):
            within(f"score.{name}", getattr(self, name), 0, 1e9)
        within("score.tau_until", self.tau_until, 0, 1)
        within("score.metric_depth", self.metric_depth, 1e-3, 1e6)


@dataclass(frozen=True)
class Geometric:
    """What the paper's own baseline adds to colours; weights are of means over rays (zero: off)."""

    # Distortion divided by depth: nothing until one share of the steps, in full from another (3000 and 8000 of 12,000).
    distortion: float = 0.0
    distortion_from: float = 0.25
    distortion_full: float = 0.667
    # Rays less spread than this are let be, or densities would run to infinity.
    distortion_floor: float = 0.0
    # (1 - alpha)^2 of photos' rays, of scenes.
    foreground: float = 0.0
    # Weights of points that fewer than two photos (on patches: none) have in their frustum; times `frustum_later` after so many steps.
    frustum: float = 0.0
    frustum_first: int = 100
    frustum_later: float = 0.01
    # A frustum begins at this share of the photos' median depth (0.2 of about 3 units): what hangs before a lens is in no frustum.
    frustum_near: float = 0.067
    # Squared norm of the density network.
    network: float = 0.0
    # So many times the weights of distortion and frustum on a patch: the paper sums over 48 x 48 rays there and over 1024 of photos.
    on_patches: float = 1.0

    def __post_init__(self) -> None:
        for name in ("frustum_near", "distortion_from", "distortion_full"):
            within(f"geometric.{name}", getattr(self, name), 0, 1)
        for name in (
            "distortion",
            "distortion_floor",
            "foreground",
            "frustum",
            "frustum_later",
            "network",
            "on_patches",
        ):
            within(f"geometric.{name}", getattr(self, name), 0, 1e9)


@dataclass(frozen=True)
class Config:
    """A fit to photos, geometric losses, and the pull of a patch prior."""

    steps: int = 900
    fit: photometric.Config = field(default_factory=photometric.Config)
    patches: Patches = field(default_factory=Patches)
    score: Score = field(default_factory=Score)
    geometric: Geometric = field(default_factory=Geometric)
    # The role's prior: a name or a folder.
    prior: str = "patch-rgbd"
    # Whether patches are looked at, at all.
    use_prior: bool = True
    # Which channels the prior pulls.
    pulls: Literal["both", "colour", "depth"] = "both"

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)


# The paper's weights, as means: 1e-3 and 1.5e-5 summed over 1024 rays.
_GEOMETRIC = Geometric(distortion=0.0154, foreground=1.02, frustum=0.0102, network=1e-7)
# In a few hundred steps distortion pushes scenes into fog before the cameras: without it 2.9 and 5.3 dB more in two rooms.
# Gaussians, which are fitted to whole photos, have the foreground's weight of `classic`.
_FIT = replace(BASIC, distortion=0.0, pictures=Pictures(opacity=0.05))
GEOMETRIC = Config(fit=_FIT, geometric=replace(_GEOMETRIC, distortion=0.0), use_prior=False)
# The prior adds to geometry that is measured; it does not replace it.
_SMALL_PATCHES, _SMALL_SCORE = Patches(side=24, as_photos=True), Score(weight=2.0, alone=6.0, reach=0.5)
PRIOR = Config(fit=CLASSIC, patches=_SMALL_PATCHES, score=_SMALL_SCORE)
VARIANTS = {
    "prior": PRIOR,
    "geometric": GEOMETRIC,
    "geometric-prior": replace(GEOMETRIC, use_prior=True, patches=_SMALL_PATCHES, score=_SMALL_SCORE),
}

# The reference run on LLFF (section 5.4 of the specification; steps as in the paper). What differs: space beyond the photos is
# contracted where the code begins 0.2 before a camera and ends at a sphere of radius 7.5; pixels come from all photos at a time; patches are sampled as finely as rays;
# the weights shown are the last ones and not their mean. On DTU the paper has geometric.frustum=0 and geometric.distortion=0.102.
_PAPER_GRID = hashgrid.Config(
    levels=17,
    features=2,
    base=16,
    finest=2048 * 15 // 2,
    log2_entries=21,
    first_stride=1.0,
    lr_network=1e-2,
    decoder=decoder.Config(hidden=64, geometry=15, colour_hidden=128, colour_layers=3, degree=4, shift=0.0),
    sampling=samplers.Sampling(kind="resample", uniform=512, resampled=128, least_weight=1e-4, gradient_reach=0.0),
)
_PAPER_FIT = replace(
    BASIC, distortion=0.0, least_rays=1024, most_rays=1024, lr_end=0.1, hashgrid=_PAPER_GRID, grey=206 / 255
)
_PAPER_GEOMETRIC = replace(
    GEOMETRIC,
    steps=12_000,
    fit=_PAPER_FIT,
    geometric=replace(_GEOMETRIC, distortion_floor=1e-3, on_patches=48 * 48 / 1024),
)
# LLFF's photos, an eighth as long and as wide.
PAPER_SIZE = 504
PAPER = {
    "geometric-prior": replace(_PAPER_GEOMETRIC, use_prior=True, prior="rgbd-patch-diffusion.pt"),
    "geometric": _PAPER_GEOMETRIC,
}
