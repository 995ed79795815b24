"""What every prior is. x_t = alpha * x_0 + sigma * eps; a denoiser returns its guess of x_0, and everything else follows from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class NoiseLevel:
    """How much of a picture is left and how much noise was added, one pair for each picture [B]."""

    alpha: Tensor
    sigma: Tensor

    @property
    def log_snr(self) -> Tensor:
        """log(alpha^2 / sigma^2) [B]."""
        return 2 * (self.alpha.log() - self.sigma.log())

    def to(self, like: Tensor | torch.device) -> NoiseLevel:
        """Moved to a device, or cast like a tensor."""
        return NoiseLevel(self.alpha.to(like), self.sigma.to(like))

    def expand(self, count: int) -> NoiseLevel:
        """The same level for `count` pictures."""
        return NoiseLevel(self.alpha.expand(count), self.sigma.expand(count))


class Denoiser(Protocol):
    """A prior over pictures [B, C, H, W]."""

    def __call__(self, x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        """x_0 [B, C, H, W] as guessed from x at a noise level."""
        ...


class TrainingTask(Protocol):
    """What a training loop needs to know about a prior."""

    networks: Mapping[str, nn.Module]

    def batch(self, positions: range) -> Batch:
        """The samples at these positions of an endless stream; a pure function of them, noise included."""
        ...

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Terms to log, means over the batch; `loss` is what is minimised."""
        ...

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Held-out numbers."""
        ...

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """A picture [H, W, 3] of what the prior has learned."""
        ...

    def close(self) -> None:
        """Stop whatever feeds the task."""
        ...


def per_picture(values: Tensor, like: Tensor) -> Tensor:
    """Values [B] shaped to multiply pictures [B, C, H, W]."""
    return values.to(like).reshape(-1, *([1] * (like.ndim - 1)))


def noised(x0: Tensor, eps: Tensor, level: NoiseLevel) -> Tensor:
    """x_t of the forward process."""
    return per_picture(level.alpha, x0) * x0 + per_picture(level.sigma, x0) * eps


def eps_of(x: Tensor, x0: Tensor, level: NoiseLevel) -> Tensor:
    """The noise that a guess of x_0 implies."""
    return (x - per_picture(level.alpha, x) * x0) / per_picture(level.sigma, x)


def x0_of(x: Tensor, eps: Tensor, level: NoiseLevel) -> Tensor:
    """The picture that a guess of the noise implies."""
    return (x - per_picture(level.sigma, x) * eps) / per_picture(level.alpha, x)


def x0_of_v(x: Tensor, v: Tensor, level: NoiseLevel) -> Tensor:
    """The picture that a guess of the velocity implies: alpha * x - sigma * v."""
    return per_picture(level.alpha, x) * x - per_picture(level.sigma, x) * v


def v_of(x0: Tensor, eps: Tensor, level: NoiseLevel) -> Tensor:
    """Velocity alpha * eps - sigma * x_0 (Salimans and Ho 2022)."""
    return per_picture(level.alpha, x0) * eps - per_picture(level.sigma, x0) * x0


def score_of(x: Tensor, x0: Tensor, level: NoiseLevel) -> Tensor:
    """Gradient of the log density of noisy pictures: -eps / sigma."""
    return -eps_of(x, x0, level) / per_picture(level.sigma, x)


def level_from_log_snr(log_snr: Tensor) -> NoiseLevel:
    """The variance-preserving level of a log-SNR."""
    return NoiseLevel(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())


def level_from_sigma(sigma: Tensor) -> NoiseLevel:
    """The variance-preserving level of a sigma in (0, 1): alpha^2 + sigma^2 = 1."""
    return NoiseLevel(torch.sqrt(1 - sigma.double() ** 2).to(sigma), sigma)
