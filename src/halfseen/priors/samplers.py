"""Samplers: plain functions of a denoiser and a falling sequence of levels. None of them knows what the network predicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from halfseen.priors.contract import Denoiser, NoiseLevel, eps_of, noised, per_picture, x0_of
from halfseen.priors.schedules import Discrete

Cond = Mapping[str, Tensor] | None
# Weights of the newest and older noise guesses (Adams-Bashforth, as in Liu et al. 2022), by how many there are.
_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def levels(schedule: Discrete, count: int, device: torch.device | None = None) -> list[NoiseLevel]:
    """`count` levels of a discrete schedule, noisy to clean, evenly spaced in time and ending at its first."""
    times = torch.linspace(len(schedule) - 1, 0, count, dtype=torch.float64, device=device).round().long()
    return [schedule.level(t[None]) for t in times]


def one_step(denoiser: Denoiser, x: Tensor, level: NoiseLevel, cond: Cond = None) -> Tensor:
    """x_0 in one look."""
    return denoiser(x, level.expand(len(x)), cond)


def ddim(
    denoiser: Denoiser,
    x: Tensor,
    steps: Sequence[NoiseLevel],
    *,
    eta: float = 0.0,
    rng: torch.Generator | None = None,
    cond: Cond = None,
) -> Tensor:
    """Song et al. 2021, equation 12: deterministic for eta 0, the ancestral sampler's noise for eta 1. Returns the last x_0."""
    x0 = x
    for i, level in enumerate(steps):
        x0 = denoiser(x, level.expand(len(x)), cond)
        if i + 1 == len(steps):
            break
        eps, after = eps_of(x, x0, level), steps[i + 1]
        ratio = (after.sigma / level.sigma) ** 2 * (1 - (level.alpha / after.alpha) ** 2)
        fresh = eta * ratio.clamp_min(0).sqrt()
        kept = (after.sigma**2 - fresh**2).clamp_min(0).sqrt()
        x = per_picture(after.alpha, x) * x0 + per_picture(kept, x) * eps
        if eta:
            x = x + per_picture(fresh, x) * torch.randn(x.shape, generator=rng).to(x)
    return x0


def ancestral(
    denoiser: Denoiser, x: Tensor, steps: Sequence[NoiseLevel], *, rng: torch.Generator, cond: Cond = None
) -> Tensor:
    """Ho et al. 2020: the posterior q(x_s | x_t, x_0) with its own variance, step by step."""
    x0 = x
    for i, level in enumerate(steps):
        x0 = denoiser(x, level.expand(len(x)), cond)
        if i + 1 == len(steps):
            break
        x = _posterior(x, x0, level, steps[i + 1], rng)
    return x0


def ancestral_plms(
    denoiser: Denoiser,
    x: Tensor,
    steps: Sequence[NoiseLevel],
    *,
    rng: torch.Generator,
    cond: Cond = None,
    most: float = math.inf,
) -> Tensor:
    """The hybrid of the released SparseFusion: noise guesses extrapolated as in `plms`, the first one averaged with a second look at where
    it leads, and then the posterior's random step of `ancestral`. With n steps it looks n + 1 times. What is extrapolated stays within
    [-most, most].

    Older guesses speak of noise that was drawn anew since. So the last look is taken as it is, where the released code extrapolates it
    too: with 30 steps that leaves an error of a third even where every guess is right.
    """
    guesses: list[Tensor] = []
    x0 = x
    for i, level in enumerate(steps):
        x0 = denoiser(x, level.expand(len(x)), cond)
        if i + 1 == len(steps):
            break
        eps, after = eps_of(x, x0, level), steps[i + 1]
        if guesses:
            guesses = [eps, *guesses][: len(_BASHFORTH)]
            eps = torch.stack([w * g for w, g in zip(_BASHFORTH[len(guesses) - 1], guesses, strict=True)]).sum(0)
        else:
            there = _posterior(x, x0, level, after, rng)
            second = eps_of(there, denoiser(there, after.expand(len(x)), cond), after)
            guesses, eps = [eps], (eps + second) / 2
        x = _posterior(x, x0_of(x, eps, level).clamp(-most, most), level, after, rng)
    return x0


def _posterior(x: Tensor, x0: Tensor, level: NoiseLevel, after: NoiseLevel, rng: torch.Generator) -> Tensor:
    """A draw of q(x_s | x_t, x_0)."""
    step = level.alpha / after.alpha
    added = level.sigma**2 - step**2 * after.sigma**2
    mean = per_picture(step * after.sigma**2 / level.sigma**2, x) * x
    mean = mean + per_picture(after.alpha * added / level.sigma**2, x) * x0
    spread = (added * after.sigma**2 / level.sigma**2).clamp_min(0).sqrt()
    return mean + per_picture(spread, x) * torch.randn(x.shape, generator=rng).to(x)


def plms(denoiser: Denoiser, x: Tensor, steps: Sequence[NoiseLevel], *, cond: Cond = None) -> Tensor:
    """Pseudo linear multistep (Liu et al. 2022): DDIM steps on noise guesses extrapolated from up to four."""
    guesses: list[Tensor] = []
    x0 = x
    for i, level in enumerate(steps):
        x0 = denoiser(x, level.expand(len(x)), cond)
        if i + 1 == len(steps):
            break
        guesses = [eps_of(x, x0, level), *guesses][: len(_BASHFORTH)]
        eps = torch.stack([w * g for w, g in zip(_BASHFORTH[len(guesses) - 1], guesses, strict=True)]).sum(0)
        x = noised(x0_of(x, eps, level), eps, steps[i + 1])
    return x0
