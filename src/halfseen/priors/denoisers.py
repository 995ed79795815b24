"""Denoisers made of networks that say different things about different clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from halfseen.priors.contract import Denoiser, NoiseLevel, x0_of
from halfseen.priors.schedules import Discrete


def clipped(denoiser: Denoiser) -> Denoiser:
    """A denoiser whose guesses stay in [-1, 1]: from much noise a small error of the noise is a large one of the picture."""

    def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        return denoiser(x, level, cond).clamp(-1, 1)

    return denoise


def of_part(denoiser: Denoiser, channels: slice) -> Denoiser:
    """From a denoiser of some channels one of all: in the others it finds no noise."""

    def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        out = x0_of(x, torch.zeros_like(x), level)
        out[:, channels] = denoiser(x[:, channels], level, cond).to(out)
        return out

    return denoise


def of_noise(network: nn.Module | Callable[[Tensor, Tensor], Tensor], schedule: Discrete | None = None) -> Denoiser:
    """From a network that guesses the noise: at log-SNR, or at the nearest integer time of a discrete schedule."""

    def denoise(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        del cond
        clock = level.log_snr if schedule is None else schedule.nearest(level)
        return x0_of(x, network(x, clock), level)

    return denoise
