"""How networks are told how noisy a picture is."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# log-SNR is shown as sines and cosines of so many frequencies from this base up (cycles for each unit), so many to an octave.
FREQUENCIES, _BASE, _OCTAVE = 16, 0.05, 4


class Clock(nn.Module):
    """Features [B, width] of log-SNR [B]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, log_snr: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.net(waves(log_snr).to(next(self.net.parameters())))
        return out


def waves(log_snr: Tensor) -> Tensor:
    """Sines and cosines [B, 32] of log-SNR [B]."""
    rates = 2 * math.pi * _BASE * 2 ** (torch.arange(FREQUENCIES, device=log_snr.device) / _OCTAVE)
    angle = log_snr.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], -1)
