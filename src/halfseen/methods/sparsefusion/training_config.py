"""Settings of the training of the transformer and the latent diffusion model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.methods.sparsefusion import eft, rival, vldm
from halfseen.priors.training import LoopConfig


@dataclass(frozen=True)
class Config:
    """What the networks are, and what they learn from. Sources: ours where nothing else is said."""

    eft: eft.Config = field(default_factory=eft.Config)
    vldm: vldm.Config = field(default_factory=vldm.Config)
    rival: rival.Config = field(default_factory=rival.Config)
    # A shipped name, or a folder; and the hash of its weights, which is written down when a training begins.
    autoencoder: str = "autoencoder-f4"
    autoencoder_is: str = ""
    # The file of torchvision's ResNet-18, which an encoder of its layout begins with (released code: ImageNet's).
    resnet: str = ""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=40_000, batch=8, lr=5e-4, lr_end=2e-5, save_every=250)
    )
    # joint: the diffusion's gradient reaches the transformer (released code); eft: the transformer alone; vldm: beside a transformer that
    # stays as it is; pixelnerf: the rival instead of both.
    stage: Literal["joint", "eft", "vldm", "pixelnerf"] = "joint"
    # A category or a root of categories of CO3D instead of worlds.
    data: str = ""
    families: tuple[str, ...] = ("cars", "chairs", "tabletop")
    size: int = 64
    # Side at which worlds are rendered, so that crops are no enlargements; views of each, and how often an object is drawn.
    rendered: int = 96
    views: int = 16
    layout: str = "hemisphere"
    window: int = 128
    reuse: int = 24
    workers: int = 1
    # Photos of a query (released code: 2 to 5), and noises that each query is learned with (12).
    fewest: int = 1
    most: int = 5
    repeats: int = 4
    shaken: float = 0.15
    mirrored: float = 0.5
    recoloured: float = 0.3
    # Where the error of colours turns from squares to magnitudes (released code: 0.1), and its weight beside that of noise.
    huber: float = 0.1
    colour: float = 1.0
    # Weight of the error of opacities, where the transformer tells them.
    opacity: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        within("size", self.size, 16, 1024)
        if self.eft.channels != self.vldm.features:
            raise UserError(
                "the transformer and the latent diffusion model do not fit together",
                got=f"{self.eft.channels} channels of eft, vldm.features {self.vldm.features}",
                accepted="the same number",
                do="Change one of them.",
            )
        if self.resnet and self.eft.encoder.widths:
            raise UserError(
                "the transformer's encoder is no ResNet-18",
                got=f"eft.encoder.widths {self.eft.encoder.widths}",
                accepted="none, which is ResNet-18",
                do="Leave out resnet, or add --set eft.encoder.widths=[] and --set eft.encoder.project=0.",
            )
        within("fewest", self.fewest, 1, self.most)
        within("most", self.most, 1, self.views - 1)
        within("repeats", self.repeats, 1, 1024)
        for name in ("mirrored", "recoloured"):
            within(name, getattr(self, name), 0, 1)


# The released code's sizes and rates, to be told `data` (a category of CO3D), `autoencoder` (a folder with Stable Diffusion's) and `resnet`.
# Its rate is halved once in 100,000 steps, where this one falls as a cosine; photos and masks are taken as they are.
PAPER = Config(
    eft=eft.PAPER,
    vldm=vldm.PAPER,
    loop=LoopConfig(
        steps=100_000, batch=1, lr=5e-5, lr_end=2.5e-5, warm=1, betas=(0.9, 0.999), clip=1e9, ema=0.0, precision="fp32"
    ),
    size=256,
    rendered=384,
    views=20,
    fewest=2,
    most=5,
    repeats=12,
    shaken=0.0,
    mirrored=0.0,
    recoloured=0.0,
)
