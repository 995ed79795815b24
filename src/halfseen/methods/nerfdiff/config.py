"""Settings of NerfDiff. Sources: sections 4.4 and 4.5 of the specification, whose values are choices and no facts of the paper."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.fields import projection
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric.config import BASIC

Layout = Literal["train-like", "sphere", "hemisphere", "spiral", "arc"]


@dataclass(frozen=True)
class Guidance:
    """NeRF-guided distillation (Algorithm 1)."""

    # When a guess is blended with the field's rendering: `post`, after the field was fitted to it; `pre`, before; `literal`, as printed:
    # by what the guess of the step before differs in from the rendering now. Only `post` never failed in the study of 4.3.
    order: Literal["post", "pre", "literal"] = "post"
    # How much of the rendering there is in the blend; or by gamma: min(most, gamma sigma^2 / alpha^2).
    blend: float = 1.0
    gamma: float | None = None
    most: float = 1.0
    # One draw of noise for all views, as printed, or one for each.
    shared_noise: bool = True
    # Standard deviation of that noise; the denoiser is told 1. Less keeps to what is likelier: smoother pictures, closer to the truth
    # (on validation objects samples gain 1.2 dB at 0.7; docs/results/training.md).
    temperature: float = 0.7
    # Whether the photo is one of the targets, and never denoised. Algorithm 1 as printed has no such view.
    pin_source: bool = True
    # Times, from the first to the last, of the denoiser's own schedule.
    times: int = 25
    first: float = 0.95
    last: float = 0.02
    # Virtual views, and where they stand.
    views: int = 24
    layout: Layout = "train-like"
    # Rays of a step of the fit, and the share of them that looks where a view shows something.
    rays: int = 2048
    on_object: float = 0.9
    # Weight of the squared distance of the planes from where they began.
    pull: float = 0.0

    def __post_init__(self) -> None:
        within("guidance.blend", self.blend, 0, 1)
        within("guidance.gamma", self.gamma or 0.0, 0, 1e6)
        within("guidance.most", self.most, 0, 1)
        within("guidance.temperature", self.temperature, 0, 10)
        within("guidance.times", self.times, 1, 1000)
        within("guidance.first", self.first, 0, 1)
        within("guidance.last", self.last, 0, self.first)
        within("guidance.views", self.views, 1, 1000)
        within("guidance.rays", self.rays, 1, 10**6)
        within("guidance.on_object", self.on_object, 0, 1)
        within("guidance.pull", self.pull, 0, 1e6)
        if self.order == "pre" and (self.blend if self.gamma is None else self.most) >= 1:
            raise UserError(
                "guidance.order=pre cannot blend wholly",
                got="a blend of 1: the target would be the field's own rendering, from which it learns nothing",
                accepted="less than 1, such as 0.9",
                do="Add --set guidance.blend=0.9 (or guidance.most=0.9), or take order=post.",
            )


@dataclass(frozen=True)
class Config:
    """A field that a network predicts from one photo, and how a diffusion model is distilled into it."""

    # Steps of the distillation's fits and of the refinement together.
    steps: int = 750
    # What happens after the prediction: nothing (`feedforward`); Algorithm 1; all views sampled once, then fitted; a gradient of a random
    # time at every step; or no field at all, but a sample of each view that is asked for.
    way: Literal["none", "ngd", "sample-then-fit", "sds", "diffusion-only"] = "ngd"
    guidance: Guidance = field(default_factory=Guidance)
    # Share of the steps in which the photo, at its own size, refines what was distilled, beside renderings of that.
    refine: float = 0.2
    fit: photometric.Config = field(default_factory=lambda: replace(BASIC, distortion=0.0))
    # Of these steps, the share of work on renderings and their weight; renderings are so many.
    share: float = 0.5
    weight: float = 1.0
    lessons: int = 24
    # Cells of a side of the planes that are fitted.
    side: int = 128
    lr_planes: float = 1e-2
    lr_network: float = 1e-3
    # The role's prior: a name or a folder. What field it predicts is read from it.
    prior: str = "nerfdiff-objects-64"
    projection: projection.Config | None = None
    prior_size: int = 64  # of the pictures that it works at

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)
        within("refine", self.refine, 0, 1)
        within("share", self.share, 0, 0.95)
        within("weight", self.weight, 0, 1e6)
        within("lessons", self.lessons, 1, 1000)
        within("side", self.side, 2, 4096)
        within("lr_planes", self.lr_planes, 0, 1e3)
        within("lr_network", self.lr_network, 0, 1e3)

    @property
    def each(self) -> int:
        """Steps of the fit at each time."""
        return max(1, round(self.steps * (1 - self.refine) / self.guidance.times))

    @property
    def distilled(self) -> int:
        """Steps of the distillation."""
        return self.guidance.times * self.each if self.fits else 0

    @property
    def refined(self) -> int:
        """Steps of the refinement."""
        return round(self.steps * self.refine) if self.fits else 0

    @property
    def steps_in_all(self) -> int:
        """Steps of both: those of the distillation are shared out evenly over its times."""
        return max(1, self.distilled + self.refined)

    @property
    def fits(self) -> bool:
        """Whether anything is fitted at all."""
        return self.way in ("ngd", "sample-then-fit", "sds")


NGD = Config()
_STILL = replace(NGD, steps=1, refine=0.0)
VARIANTS = {
    "ngd": NGD,
    "feedforward": replace(_STILL, way="none"),
    "sample-then-fit": replace(NGD, way="sample-then-fit"),
    "sds": replace(NGD, way="sds"),
    "diffusion-only": replace(_STILL, way="diffusion-only"),
    "pixelnerf": replace(_STILL, way="none", prior="pixelnerf-objects-64"),
}
# The paper's sizes, whose priors nobody ships: 50 times, views and 32 fits of 4,096 rays each; the result is what was distilled.
_PAPER_GUIDANCE = Guidance(times=50, views=50, rays=4096, temperature=1.0)
PAPER_SIZE = 128
PAPER = {
    name: replace(
        cfg,
        steps=50 * 32 if cfg.fits else 1,
        refine=0.0,
        guidance=_PAPER_GUIDANCE,
        prior="nerfdiff-base",
        prior_size=PAPER_SIZE,
    )
    for name, cfg in VARIANTS.items()
    if name != "pixelnerf"
}
