"""Settings of the training of patch priors: a small one that runs anywhere, and the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.priors import patches
from halfseen.priors.networks import patch_small, patch_unet
from halfseen.priors.training import LoopConfig

# Noise beyond this leaves nothing of a picture.
_MOST_SIGMA = 0.9999


@dataclass(frozen=True)
class Config:
    """What a patch prior is, and what it is trained on. Sources: ours; PAPER has the paper's."""

    # `small` is made for little noise and any size; `paper` is the paper's network, with its integer times.
    kind: Literal["small", "paper"] = "small"
    network: patch_small.Config = field(default_factory=lambda: patch_small.Config(widths=(32, 64, 128)))
    unet: patch_unet.Config = field(default_factory=patch_unet.Config)
    # Of the noise: squared errors (the denoiser of least squared error is the score's), or absolute ones.
    error: Literal["squares", "absolute"] = "squares"
    loop: LoopConfig = field(default_factory=LoopConfig)
    # Rooms twice as often: they are what the prior is named for.
    families: tuple[str, ...] = ("rooms", "tabletop", "rooms", "outdoor")
    # Folder of Hypersim, whose frames are learned from instead of worlds; they are what they are, no camera is put on top.
    hypersim: str | None = None
    # Of frames four times smaller than Hypersim's 1024 x 768.
    width: int = 256
    height: int = 192
    views: int = 20
    window: int = 16
    reuse: int = 10
    workers: int = 1
    # Different worlds at most, over and over (0: never the same one again).
    worlds: int = 0
    photo_like: bool = True
    # Crops of one draw of a frame; sides of patches and the share of the larger ones.
    crops: int = 8
    side: int = 24
    large: int = 48
    large_share: float = 0.1
    # Share of samples whose noise is drawn log-uniformly between these; the rest covers everything, so that samples can be drawn.
    low_share: float = 0.85
    low_from: float = 0.01
    low_to: float = 0.35
    # Depth as 0.5 median / z of each patch, or 0.2 / z.
    disparity: patches.Rule = "relative"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("side", "large"):
            side = getattr(self, name)
            within(name, side, self.multiple, min(self.width, self.height))
            if side % self.multiple:
                raise UserError(
                    f"{name} is no side of a patch for this network",
                    got=str(side),
                    accepted=f"a multiple of {self.multiple}",
                    do=f"Change --set {name}.",
                )
        patches.part(self.channels)
        within("worlds", self.worlds, 0, 10**9)
        within("crops", self.crops, 1, 1000)
        within("large_share", self.large_share, 0, 1)
        within("low_share", self.low_share, 0, 1)
        within("low_to", self.low_to, 1e-4, _MOST_SIGMA)
        within("low_from", self.low_from, 1e-4, self.low_to)

    @property
    def multiple(self) -> int:
        """Sides of patches are multiples of this: the network halves them as often as it has coarser levels."""
        return 2 ** (len(self.network.widths if self.kind == "small" else self.unet.multipliers) - 1)

    @property
    def channels(self) -> int:
        """Channels of the network that is trained."""
        return self.network.channels if self.kind == "small" else self.unet.channels


# The released loader's constants, which are probably the trainer's (section 2.4 of the specification): the squared cosine's times, each
# as often; absolute errors; running means of 0.995 every ten steps; patches of 48 px, metric disparity. That gradients are clipped is ours.
PAPER = Config(
    kind="paper",
    error="absolute",
    loop=LoopConfig(steps=650_000, batch=32, lr=1e-4, lr_end=1e-4, warm=1, ema=0.9995, precision="fp32"),
    large_share=1.0,
    low_share=0.0,
    disparity="metric",
)
