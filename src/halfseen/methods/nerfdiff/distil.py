"""Algorithm 1 of the paper, repaired (sections 4.1 to 4.4 of the specification), over functions: no field and no network is known here.

init   for all pi: I <- rendering; eps <- noise
for t from t_max down to t_min:
    Z <- alpha I + sigma eps                       `begin`
    x <- the denoiser's guess of what is under Z
    fit the field to targets                       (the caller)
       post: x;   pre: (1 - s) x + s R;   literal: x - s (I - R), R the rendering now
    post: x <- (1 - s) x + s R                     `end`
    I <- x;  eps <- (Z - alpha x) / sigma
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.methods.nerfdiff.config import Guidance
from halfseen.priors.contract import NoiseLevel, eps_of, noised

# From noisy views and their level to clean ones; and the field's renderings of all views, without gradients.
Denoise = Callable[[Tensor, NoiseLevel], Tensor]
Render = Callable[[], Tensor]


@dataclass(frozen=True)
class Views:
    """The virtual views [V, 3, H, W] of a step, in [-1, 1]."""

    images: Tensor  # I
    eps: Tensor
    noisy: Tensor  # Z
    targets: Tensor  # what the field is fitted to

    def to_plain(self) -> dict[str, Tensor]:
        """As tensors of a checkpoint."""
        return {"images": self.images, "eps": self.eps, "noisy": self.noisy, "targets": self.targets}


def start(images: Tensor, cfg: Guidance, rng: torch.Generator) -> Views:
    """Views before the first time: the feed-forward renderings and their noise."""
    shape = (1, *images.shape[1:]) if cfg.shared_noise else images.shape
    eps = cfg.temperature * torch.randn(shape, generator=rng).to(images).expand_as(images).contiguous()
    return Views(images, eps, images, images)


def begin(views: Views, level: NoiseLevel, cfg: Guidance, denoise: Denoise, render: Render) -> Views:
    """The views at a time, with what the field is to be fitted to."""
    many = level.expand(len(views.images))
    noisy = noised(views.images, views.eps, many)
    guess = denoise(noisy, many).clamp(-1, 1)
    s = blend(level, cfg)
    if cfg.order == "post" or s == 0:
        targets = guess
    elif cfg.order == "pre":
        targets = torch.lerp(guess, render(), s)
    else:
        targets = guess - s * (views.images - render())
    return replace(views, noisy=noisy, targets=targets)


def end(views: Views, level: NoiseLevel, cfg: Guidance, render: Render) -> Views:
    """The views after the field was fitted: what goes to the next time. Z = alpha I + sigma eps holds exactly."""
    s, images = blend(level, cfg), views.targets
    if cfg.order == "post" and s > 0:
        images = torch.lerp(images, render(), s)
    return replace(views, images=images, eps=eps_of(views.noisy, images, level.expand(len(images))))


def blend(level: NoiseLevel, cfg: Guidance) -> float:
    """s at a level."""
    if cfg.gamma is None:
        return cfg.blend
    return min(cfg.most, cfg.gamma * float(level.sigma / level.alpha) ** 2)
