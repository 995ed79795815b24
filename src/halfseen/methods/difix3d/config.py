"""Settings of Difix3D. Sources: the released code (section 5 of the specification), unless a line says otherwise (ours)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.methods.photometric import config as photometric
from halfseen.methods.photometric.config import CLASSIC

# One wanted camera: camera-to-world by rows (16), fx fy cx cy, width and height, in the user's frame.
Pose = tuple[float, ...]
_POSE = 22


@dataclass(frozen=True)
class Updates:
    """How repaired views are taught back."""

    # Rounds of render, repair, teach. One round: all at once.
    rounds: int = 4
    # Whether cameras creep towards the targets round by round; else every round looks from the targets.
    creep: bool = True
    # How far cameras creep in a round: a share of the way (1 / rounds, 2 / rounds, ...; ours), or `delta` units plus radians from
    # the newest cameras, as in the code, which depends on the scene's scale.
    stride: Literal["share", "delta"] = "share"
    delta: float = 0.5
    # Targets that are made around the captured cameras when none are given (ours).
    targets: int = 12
    # Share of work on repaired views (with Gaussians at most one a step, 0.5) and their weight beside photos. Both are ours: the code
    # has 0.3 with Gaussians, 0.4 with NeRF, and a weight of 0.2. As much as photos gained on every validation world.
    share: float = 0.5
    weight: float = 1.0
    # Repaired views count where the rendering was at least so opaque.
    alpha: float = 0.5
    # Rounds whose views are learned from: 1 is the newest alone.
    keep: int = 1
    # Whether rates, growth and regularisers go `through` the updates as in one fit, or begin `anew` (as where a finished scene is
    # improved), with learning rates of so large a share of the field's own (both ours; the code has 1/5 of the rates and less).
    schedule: Literal["through", "anew"] = "through"
    rate: float = 0.3

    def __post_init__(self) -> None:
        within("updates.rounds", self.rounds, 1, 1000)
        within("updates.delta", self.delta, 1e-6, 1e6)
        within("updates.targets", self.targets, 1, 10_000)
        within("updates.share", self.share, 0, 0.95)
        within("updates.weight", self.weight, 0, 1e6)
        within("updates.alpha", self.alpha, 0, 1)
        within("updates.keep", self.keep, 1, 1000)
        within("updates.rate", self.rate, 1e-6, 1)


@dataclass(frozen=True)
class Guard:
    """When a repair is not believed (ours)."""

    # Photos brought to a view by its depth say what it must look like: a repair may be farther from them than the rendering was by
    # so much (colours in [0, 1], means over windows of so many pixels).
    tolerance: float = 0.05
    window: int = 7
    # Only where the rendering is so opaque: what is half transparent has a depth, but nothing need be there.
    opaque: float = 0.97
    # A view of whose checked pixels fewer than this are accepted is thrown away whole.
    least: float = 0.5
    # Photos that are left out in turn to see whether repairs help this scene, and the share of all steps that each of these fits gets.
    trials: int = 3
    trial_share: float = 0.3
    # Strengths among which they decide, and the one for a single photo, of which nothing can be left out.
    strengths: tuple[float, ...] = (0.0, 0.5, 1.0)
    blind: float = 0.5

    def __post_init__(self) -> None:
        within("guard.tolerance", self.tolerance, 0, 1)
        within("guard.window", self.window, 1, 101)
        within("guard.opaque", self.opaque, 0, 1)
        within("guard.least", self.least, 0, 1)
        within("guard.trials", self.trials, 0, 1000)
        within("guard.trial_share", self.trial_share, 1e-3, 1)
        within("guard.blind", self.blind, 0, 1)
        if not self.strengths or list(self.strengths) != sorted(self.strengths):
            raise UserError(
                "guard.strengths cannot be used",
                got=repr(list(self.strengths)),
                accepted="one strength or more, rising",
                do="Write them so, as [0.0, 1.0].",
            )
        for strength in self.strengths:
            within("guard.strengths", strength, 0, 1)


@dataclass(frozen=True)
class Config:
    """A fit to photos, a fixer of its renderings, and how these teach each other."""

    steps: int = 900
    # Share of the steps before anything is repaired (of 60,000, half).
    base: float = 0.5
    fit: photometric.Config = field(default_factory=lambda: CLASSIC)
    updates: Updates = field(default_factory=Updates)
    guard: Guard = field(default_factory=Guard)
    # What the fixer is used for: nothing; to teach in rounds; to teach at every step (FixingGS).
    teach: Literal["never", "rounds", "every-step"] = "rounds"
    # Whether every rendering of the finished scene is repaired once more.
    post: bool = True
    # Whether what is empty is shown before the photos' mean colour, also where nothing is worth repairing (ours: a white hole is worse).
    fill: bool = True
    # Photos that are shown to the fixer beside a rendering, nearest first.
    references: int = 1
    # How often a repair is repaired again within one call: 1 is the paper's single step; more cost what a sampler of so many costs.
    passes: int = 1
    # The role's prior: a name or a folder.
    prior: str = "fixer"
    # Wanted cameras; without any, some are made around the captured ones.
    targets: tuple[Pose, ...] = ()

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)
        within("base", self.base, 0, 1)
        within("references", self.references, 0, 100)
        within("passes", self.passes, 1, 1000)
        for pose in self.targets:
            within("targets: numbers of a pose", len(pose), _POSE, _POSE)

    @property
    def use_prior(self) -> bool:
        """Whether anything is repaired at all."""
        return self.teach != "never" or self.post

    @property
    def base_steps(self) -> int:
        """Steps of the fit before the first repair."""
        return self.steps if self.teach == "never" else min(self.steps, max(1, round(self.base * self.steps)))


PLUS = Config()
# What is in the field, and nothing after it.
FIELD = replace(PLUS, post=False, fill=False)
VARIANTS = {
    "plus": PLUS,
    "progressive": FIELD,
    "at-once": replace(FIELD, updates=Updates(rounds=1, creep=False)),
    "renders-only": replace(PLUS, teach="never"),
    "per-step": replace(FIELD, teach="every-step"),
    "base": replace(FIELD, teach="never"),
    # The control of what the last pass's colour alone is worth.
    "filled": replace(FIELD, teach="never", fill=True),
}
