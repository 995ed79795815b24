"""The pull of the patch prior (section 3.2 of the paper): a loss whose gradient on a patch is the weighted score's opposite."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.fields.contract import Rendering
from halfseen.methods.diffusionerf.config import Score
from halfseen.priors import patches
from halfseen.priors.contract import Denoiser, NoiseLevel, eps_of
from halfseen.priors.schedules import Discrete

# The list of integer times that tau picks from (250 steps of a DDIM sampler over 1000), and norms of a score below which it is rounding.
_DDIM_STEPS = 250
_TINY = 1e-6


def tau(cfg: Score, progress: float) -> float:
    """Diffusion time of a step: linear from `cfg.tau` to 0, which it then stays."""
    return cfg.tau * (1 - min(1.0, progress / max(cfg.tau_until, _TINY)))


def time_of(value: float, steps: int = 1000) -> int:
    """Integer time of a tau: 0.1 is 99, 0.05 is 47, 0.01 is 7 and 0 is 3."""
    stride = steps // _DDIM_STEPS
    times = [steps - 1 - stride * i for i in range(_DDIM_STEPS)]
    return times[min(max(round((1 - value) * _DDIM_STEPS), 0), _DDIM_STEPS - 1)]


def level_at(cfg: Score, schedule: Discrete, progress: float) -> NoiseLevel:
    """The level [1] at which a step asks the prior."""
    return schedule.level(torch.tensor([time_of(tau(cfg, progress), len(schedule))]))


def pull(
    rgb: Tensor,
    z: Tensor,
    denoiser: Denoiser,
    level: NoiseLevel,
    rule: patches.Rule,
    cfg: Score,
    *,
    pulled: tuple[bool, bool],
) -> Tensor:
    """<g, p> of one patch: colours [H, W, 3] and z-depths [H, W] as rendered, without noise and unscaled.

    g = W * eps / sigma is constant, so descending removes the noise that the prior sees. `pulled`: whether colours, and depth, are.
    """
    patch = patches.encode(rgb[None], z[None], rule)
    with torch.no_grad():
        eps = eps_of(patch, denoiser(patch, level), level)
        g = gradient(eps[0], z.detach(), level, rule, cfg, pulled)
    return (g * patch[0]).sum()


def within_reach(rendering: Rendering, reach: float) -> Tensor:
    """The mean z-depths [P] of loose rays, with the gradient of those samples alone that lie within a share of them.

    d z / d w_i = z / sum(w) (t_i / t - 1) where |t_i / t - 1| < reach, else 0; t the mean distance.
    """
    assert rendering.samples is not None
    weights, where, count = rendering.samples.weights, rendering.samples.where, len(rendering.alpha)
    now, mean = weights.detach(), rendering.mean_depth.detach()
    total = now.new_zeros(count).index_add_(0, where.ray, now).clamp_min(_TINY)
    distance = now.new_zeros(count).index_add_(0, where.ray, now * where.t) / total
    offset = where.t / distance[where.ray].clamp_min(_TINY) - 1
    lever = torch.where(offset.abs() < reach, offset, 0.0)
    # Nothing is added to the value: weights less themselves.
    moved = now.new_zeros(count).index_add_(0, where.ray, (weights - now) * lever)
    return mean * (1 + moved / total)


def gradient(
    eps: Tensor, z: Tensor, level: NoiseLevel, rule: patches.Rule, cfg: Score, pulled: tuple[bool, bool]
) -> Tensor:
    """g [4, H, W] for a guess of the noise eps [4, H, W]: colours have a fixed norm, disparity counts with z.

    Relative disparity says nothing of a patch's distance, so the pull on log z has no mean: what is left of one would push the whole
    patch, whose disparity would stay as it is, without end.
    """
    score = eps / float(level.sigma)
    colour = cfg.colour * score[:3] / score[:3].norm().clamp_min(_TINY) * pulled[0]
    if rule == "metric":
        depth = cfg.depth_metric * z * score[3]
    else:
        moves = (z > 0) & (patches.disparity(z[None], rule)[0] < 1)
        mean = (score[3] * moves).sum() / moves.sum().clamp_min(1)
        depth = cfg.depth_relative * z / patches.median(z[None]) * (score[3] - mean) * moves
    return cfg.weight * torch.cat([colour, (depth * pulled[1])[None]])
