"""The 3D-aware conditional diffusion model (section 3 of the specification): a denoiser of views that sees the field's rendering.

In `paper` it denoises the picture itself; here what a picture differs in from its rendering (`priors/residual.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.priors import residual
from halfseen.priors.contract import Batch, Denoiser, NoiseLevel, level_from_log_snr, noised, per_picture, v_of, x0_of_v
from halfseen.priors.networks import unet
from halfseen.priors.networks.blocks import Block
from halfseen.priors.schedules import continuous_cosine

# Channels of noisy colours, and of what is told (see `conditions.told`), of which the first are the rendering's colours and opacity.
NOISY, TOLD, RENDER, ALPHA = 3, 9, slice(0, 3), 3
# What is told of a view, and the photo [B, 3, h, w] in [-1, 1].
CONDITION, PHOTO = "told", "photo"
# Pixels of a block of the photo, and blocks of a token, on a side.
_BLOCK, _TOKEN = 4, 2


@dataclass(frozen=True)
class Config:
    """Sizes, and what is denoised. Sources: [X] of the specification; paper: 0 residual, 0 bias."""

    unet: unet.Config = field(
        default_factory=lambda: unet.Config(
            inside=NOISY + TOLD,
            outside=NOISY,
            widths=(64, 128, 160),
            blocks=1,
            block=2,
            attention=(1, 2),
            time=128,
            tokens=96,
        )
    )
    # What the network is told of a view: all of `conditions.told`, or as in the paper the rendering's colours alone.
    tells: Literal["all", "render"] = "all"
    # The usual size of what a picture differs in from its rendering, in [-1, 1] (0: the picture itself is denoised).
    residual: float = 0.25
    # Share of samples that are not told the photo, and, where the picture itself is denoised, of those that are not told the rendering.
    dropped: float = 0.1
    # Added to the log-SNR of the cosine schedule: below 0 is more noise.
    bias: float = -1.0

    def __post_init__(self) -> None:
        within("cdm.residual", self.residual, 0, 10)
        within("cdm.dropped", self.dropped, 0, 1)
        within("cdm.bias", self.bias, -20, 20)
        if self.unet.inside != NOISY + self.told or self.unet.outside != NOISY:
            raise UserError(
                "cdm.unet takes another number of channels",
                got=f"{self.unet.inside} in, {self.unet.outside} out",
                accepted=f"{NOISY + self.told} in, {NOISY} out: noisy colours, and what is told",
                do="Change --set cdm.unet.inside or cdm.tells.",
            )

    @property
    def told(self) -> int:
        """Channels that the network is told."""
        return TOLD if self.tells == "all" else RENDER.stop


class Cdm(nn.Module):
    """Velocities [B, 3, H, W] of what is denoised [B, 3, H, W] at log-SNR [B], told [B, 9, H, W] and the photo [B, 3, h, w]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.unet = unet.Unet(config.unet)
        width = config.unet.tokens
        if width:
            self.photo = nn.Sequential(
                nn.Conv2d(3 * _BLOCK**2, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 2 * _TOKEN, _TOKEN, padding=_TOKEN // 2),
                Block(width, width),
            )

    def forward(self, y: Tensor, log_snr: Tensor, told: Tensor, photo: Tensor, there: Tensor) -> Tensor:
        """See the class; where `there` [B] is 0 the photo is not looked at."""
        tokens = None
        if self.config.unet.tokens:
            tokens = self.photo(F.pixel_unshuffle(photo, _BLOCK)).flatten(2).transpose(1, 2)
            tokens = tokens * per_picture(there, tokens)
        out: Tensor = self.unet(torch.cat([y, told[:, : self.config.told]], 1), log_snr, tokens)
        return out


def denoiser_of(config: Config, network: nn.Module) -> Denoiser:
    """The denoiser of pictures in [-1, 1] that a trained network is."""

    def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        assert cond is not None
        told, photo = cond[CONDITION], cond[PHOTO].expand(len(x), -1, -1, -1)
        y, own = inward(config, x, told, level)
        v = network(y, own.log_snr, told, photo, torch.ones(len(x), device=x.device)).to(x)
        y0 = x0_of_v(y, v, own)
        return outward(config, y0, told)

    return denoise


def inward(config: Config, x: Tensor, told: Tensor, level: NoiseLevel) -> tuple[Tensor, NoiseLevel]:
    """Noisy pictures as what is denoised, and at which level that is."""
    if not config.residual:
        return x, level
    return residual.inward(x, told[:, RENDER], level, config.residual)


def outward(config: Config, y0: Tensor, told: Tensor) -> Tensor:
    """Pictures of what was denoised."""
    return residual.outward(y0, told[:, RENDER], config.residual) if config.residual else y0


def picture_level(config: Config, own: NoiseLevel) -> NoiseLevel:
    """The level of pictures where what is denoised is at a level of its own."""
    return residual.picture_level(own, config.residual) if config.residual else own


def level_at(config: Config, time: Tensor) -> NoiseLevel:
    """The level of what is denoised at times [B] in [0, 1]: the cosine schedule, shifted by the bias."""
    return level_from_log_snr(continuous_cosine(time.double()).log_snr + config.bias).to(time)


def levels(config: Config, first: float, last: float, count: int) -> list[NoiseLevel]:
    """Levels of pictures at `count` times from the first to the last."""
    times = torch.linspace(first, last, count)
    return [picture_level(config, level_at(config, t[None])) for t in times]


def loss(config: Config, network: nn.Module, clean: Tensor, told: Tensor, photo: Tensor, noise: Batch) -> Tensor:
    """Squared error of the velocity, for clean pictures in [-1, 1]; `noise` has `eps`, `time`, `there` (the photo) and `shown` (the
    rendering)."""
    level = level_at(config, noise["time"])
    told = told * per_picture(noise["shown"], told)
    y0 = (clean - told[:, RENDER]) / config.residual if config.residual else clean
    y = noised(y0, noise["eps"], level)
    v = network(y, level.log_snr, told, photo, noise["there"]).float()
    return (v - v_of(y0, noise["eps"], level)).square().mean()
