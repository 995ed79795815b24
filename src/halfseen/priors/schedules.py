"""Noise schedules: discrete ones as tables of alpha-bar, the continuous one as a function of time in [0, 1]."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.priors.contract import NoiseLevel

STEPS = 1000
# Squared cosine (Nichol and Dhariwal 2021): its offset, and the most that one step may add.
_OFFSET, _MOST_BETA = 0.008, 0.999
# Scaled-linear (Rombach et al. 2022).
_FIRST_BETA, _LAST_BETA = 0.00085, 0.012
# Ends of the log-SNR of the continuous cosine schedule (Kingma et al. 2021; Hoogeboom et al. 2023).
LOG_SNR_MAX, LOG_SNR_MIN = 20.0, -20.0


@dataclass(frozen=True)
class Discrete:
    """Levels by an integer time: `alpha_bar` [T] falls from almost 1 to almost 0."""

    alpha_bar: Tensor

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def level(self, t: Tensor) -> NoiseLevel:
        """The levels at integer times [B]."""
        bar = self.alpha_bar.to(t.device)[t]
        return NoiseLevel(bar.sqrt().float(), (1 - bar).sqrt().float())

    def nearest(self, level: NoiseLevel) -> Tensor:
        """The integer times [B] whose log-SNR is nearest."""
        bar = self.alpha_bar.to(level.alpha.device)
        table = (bar / (1 - bar)).log()
        return (table[None, :] - level.log_snr.double()[:, None]).abs().argmin(1)


def squared_cosine(steps: int = STEPS) -> Discrete:
    """alpha-bar = cos^2 of time, made of betas that are clipped."""
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    bar = torch.cos((time + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    return _from_betas((1 - bar[1:] / bar[:-1]).clamp(max=_MOST_BETA))


def scaled_linear(steps: int = STEPS) -> Discrete:
    """Betas whose roots are evenly spaced."""
    return _from_betas(torch.linspace(_FIRST_BETA**0.5, _LAST_BETA**0.5, steps, dtype=torch.float64) ** 2)


def continuous_cosine(time: Tensor) -> NoiseLevel:
    """Level at times [B] in [0, 1]: log-SNR = -2 log tan(pi/2 t), between its ends."""
    low, high = (math.atan(math.exp(-0.5 * end)) for end in (LOG_SNR_MAX, LOG_SNR_MIN))
    angle = low + time.double() * (high - low)
    return NoiseLevel(torch.cos(angle).to(time), torch.sin(angle).to(time))


def offset_cosine(time: Tensor) -> NoiseLevel:
    """Level at times [B] in [0, 1): log-SNR = -2 log tan(pi/2 (t + 0.008) / 1.008), the continuous form of `squared_cosine`."""
    angle = (time.double() + _OFFSET) / (1 + _OFFSET) * math.pi / 2
    return NoiseLevel(torch.cos(angle).to(time), torch.sin(angle).to(time))


def _from_betas(betas: Tensor) -> Discrete:
    return Discrete(torch.cumprod(1 - betas, 0))
