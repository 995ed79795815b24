"""The view-conditioned latent diffusion model (section 3 of the specification): a denoiser of latents that is told what the epipolar
transformer found of its view. In `paper` it guesses the noise,

    z_t = alpha z_0 + sigma eps,   L = mean |eps_phi(z_t; found) - eps|^2 (k + exp(lambda))^-gamma,   gamma = 1/2, k = 1

In `small` one layer guesses what latents usually are where so much is found, and the network denoises what they differ in from that
(`priors/residual.py`), all times alike: L = mean |v_phi(y_t; found) - v|^2 + mean |usual(found) - z_0|^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.priors import residual
from halfseen.priors.contract import (
    Batch,
    Denoiser,
    NoiseLevel,
    level_from_log_snr,
    noised,
    per_picture,
    v_of,
    x0_of,
    x0_of_v,
)
from halfseen.priors.networks import unet
from halfseen.priors.schedules import offset_cosine

# What is told of a view [B, told, h, w]: the transformer's features, and in `small` the nearest photo's latent brought here and where it is
# to be trusted.
CONDITION = "told"
# Latents are within these bounds (released code), and times of training end before there is nothing left.
MOST, _LAST_TIME = 10.0, 0.999


@dataclass(frozen=True)
class Config:
    """Sizes. Released code: 256 features and 4 latent channels, widths (256, 256, 512, 1024), dropped 0.1, guidance 1."""

    latent: int = 4
    features: int = 51
    # Whether the nearest photo is brought here by the transformer's depth, as another latent with its validity (ours).
    lends: bool = True
    unet: unet.Config = field(
        default_factory=lambda: unet.Config(
            inside=51 + 4 + 4 + 1, outside=4, widths=(80, 128), blocks=1, attention=(1,), time=128
        )
    )
    # The usual size of what latents differ in from what they usually are (0: the noise of latents is guessed, as in the released code).
    residual: float = 0.5
    # Share of samples that are told nothing; and how much what is told counts beyond that (1: just so).
    dropped: float = 0.1
    guidance: float = 1.0
    # The weight of noise at a level, where noise is guessed.
    gamma: float = 0.5
    shift: float = 1.0

    def __post_init__(self) -> None:
        within("vldm.residual", self.residual, 0, 10)
        within("vldm.dropped", self.dropped, 0, 1)
        within("vldm.guidance", self.guidance, 0, 100)
        if self.unet.inside != self.told + self.latent or self.unet.outside != self.latent:
            raise UserError(
                "vldm.unet takes another number of channels",
                got=f"{self.unet.inside} in, {self.unet.outside} out",
                accepted=f"{self.told + self.latent} in, {self.latent} out: what is told, and a noisy latent",
                do="Change --set vldm.unet.inside or vldm.unet.outside.",
            )

    @property
    def told(self) -> int:
        """Channels of what is told."""
        return self.features + (self.latent + 1 if self.lends else 0)


PAPER = Config(
    features=256,
    lends=False,
    residual=0.0,
    unet=unet.Config(inside=260, outside=4, widths=(256, 256, 512, 1024), blocks=4, attention=(3,), heads=8, time=1024),
)


class Vldm(nn.Module):
    """Noise [B, C, h, w] of noisy latents [B, C, h, w] at log-SNR [B], told [B, told, h, w]; or the velocity of what they differ in from what
    latents usually are, which comes second."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.unet = unet.Unet(config.unet)
        if config.residual:
            self.usual = nn.Conv2d(config.told, config.latent, 1)

    def forward(self, z: Tensor, log_snr: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        usual = torch.zeros_like(z)
        if self.config.residual:
            usual = self.usual(told)
            # What is usual follows latents alone: it is not to make what is left easy to denoise.
            level = level_from_log_snr(log_snr)
            z, own = residual.inward(z, usual.detach().to(z), level, self.config.residual)
            log_snr = own.log_snr
        return self.unet(torch.cat([told, z], 1), log_snr), usual


def denoiser_of(config: Config, network: nn.Module) -> Denoiser:
    """The denoiser of latents that a trained network is, guided away from what it guesses when it is told nothing."""

    def guess(z: Tensor, level: NoiseLevel, told: Tensor) -> Tensor:
        found, usual = (t.to(z) for t in network(z, level.log_snr, told))
        if not config.residual:
            return x0_of(z, found, level)
        y, own = residual.inward(z, usual, level, config.residual)
        return residual.outward(x0_of_v(y, found, own), usual, config.residual)

    def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        assert cond is not None
        told = cond[CONDITION]
        clean = guess(x, level, told)
        if config.guidance != 1:
            alone = guess(x, level, torch.zeros_like(told))
            clean = alone + config.guidance * (clean - alone)
        return clean.clamp(-MOST, MOST)

    return denoise


def loss(config: Config, network: nn.Module, clean: Tensor, told: Tensor, noise: Batch) -> Tensor:
    """What the module says, where latents are of the picture: `noise` has `eps` [B, C, h, w], `time` [B] in [0, 1], `there` [B] (0: nothing
    is told) and `valid` [B, 1, h, w] (0: beyond the photo)."""
    level = offset_cosine(_LAST_TIME * noise["time"])
    told = told * per_picture(noise["there"], told)
    found, usual = (t.float() for t in network(noised(clean, noise["eps"], level), level.log_snr, told))
    if not config.residual:
        error = ((found - noise["eps"]) * noise["valid"]).square().mean((1, 2, 3))
        return (error * weight(config, level)).mean()
    own = residual.own_level(level, config.residual)
    wanted = v_of((clean - usual.detach()) / config.residual, noise["eps"], own)
    apart = (found - wanted).square() + (usual - clean).square()
    return (apart * noise["valid"]).mean()


def weight(config: Config, level: NoiseLevel) -> Tensor:
    """(k + SNR)^-gamma [B] (Choi et al. 2022)."""
    return (config.shift + level.log_snr.exp()) ** -config.gamma


def levels(first: float, last: float, count: int) -> list[NoiseLevel]:
    """Levels at `count` even times from the first to the last."""
    return [offset_cosine(t[None]) for t in torch.linspace(first, last, count)]
