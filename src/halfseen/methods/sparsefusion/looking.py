"""A field looks at views that were imagined: their cameras, what they learn from, and the terms of a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras.cameras import Cameras
from halfseen.fields import kinds
from halfseen.fields.contract import BLACK
from halfseen.images import color
from halfseen.methods.photometric.lessons import Lesson
from halfseen.methods.sparsefusion import telling
from halfseen.methods.sparsefusion.config import Imagining
from halfseen.methods.sparsefusion.latents import LatentSpace
from halfseen.metrics.edges import edges
from halfseen.metrics.lpips import Lpips

# The released code's silhouette of what the transformer shows: the mean of its colours is above this. And what keeps the root of opacity smooth.
_SHOWS, _ROOT = 0.1, 0.01
# Pixels around one that the object's own colour is looked for in, and the opacity beneath which there is none.
_AROUND, _FAINT = 9, 0.02
# Where errors of colours turn from squares to magnitudes.
_HUBER = 0.1


@dataclass(frozen=True)
class Compared:
    """What pictures are compared by, beside their colours."""

    net: Lpips | None
    autoencoder: LatentSpace | None


def shown(field: kinds.AnyField, cameras: Cameras) -> Tensor:
    """Renderings [N, 3, s, s] over black, without gradients."""
    with torch.no_grad():
        parts = [field.render(cameras[i], background=BLACK).rgb.clamp(0, 1) for i in range(len(cameras))]
    return torch.stack(parts).movedim(-1, 1)


def bootstrapped(
    field: kinds.AnyField, lesson: Lesson, alpha: Tensor | None, which: int, cfg: Imagining, rng: torch.Generator
) -> dict[str, Tensor]:
    """One view of what the transformer shows: h(colours), h(silhouette), which is its opacities [N, 1, s, s] where it tells them."""
    ground = _ground(cfg, rng)
    found = field.render(lesson.cameras[which], background=ground, generator=rng)
    rgb = lesson.rgb[which].to(found.rgb)
    there = (rgb.mean(-1) > _SHOWS if alpha is None else alpha[which, 0]).to(found.alpha)
    wanted = color.behind(rgb, there, ground)
    colour, silhouette = telling.huber(found.rgb, wanted, _HUBER), telling.huber(found.alpha, there, _HUBER)
    return {
        "views": cfg.weight * colour.mean(),
        "silhouette": cfg.silhouette * silhouette.mean(),
        "emptier": cfg.opacity * _opacity(found.alpha),
    }


def distilled(
    field: kinds.AnyField,
    lesson: Lesson,
    told: tuple[Tensor, Tensor | None],
    which: int,
    cfg: Imagining,
    by: Compared,
    factor: float,
    rng: torch.Generator,
) -> dict[str, Tensor]:
    """One imagined view: sigma^2 |x - x0| (or of latents), and how alike they look, which no noise level weighs. `told` is what the
    transformer shows there [3, s, s], and its opacity [1, s, s] where it tells it."""
    ground = _ground(cfg, rng)
    found = field.render(lesson.cameras[which], background=ground, generator=rng)
    rgb = lesson.rgb[which].to(found.rgb)
    x, wanted = (t.movedim(-1, 0)[None] for t in (found.rgb, color.behind(rgb, covered(rgb, *told), ground)))
    sigma2 = lesson.weight[which].to(x)
    if cfg.space == "latent" and by.autoencoder is not None:
        apart = (by.autoencoder.encode(2 * x - 1) - by.autoencoder.encode(2 * wanted - 1)).square()
        height, width = apart.shape[-2:]
        weight = F.adaptive_avg_pool2d(sigma2[None, None], (height, width))
    else:
        apart, weight = (x - wanted).abs(), sigma2[None, None]
    return {
        "views": factor * cfg.weight * (weight * apart).mean(),
        "alike": factor * cfg.looks_alike * _alike(by.net, x, wanted),
        "emptier": cfg.opacity * _opacity(found.alpha),
    }


def covered(rgb: Tensor, plain: Tensor, alpha: Tensor | None) -> Tensor:
    """How much of each pixel of an imagined picture [s, s, 3] over black is the object's [s, s]: as much as it is bright beside the colour that the
    transformer's picture `plain` [3, s, s] has around there, for outlines and thin things fade into the black; and where the transformer's
    opacity [1, s, s] is sure, for objects have dark parts. Of a transformer that tells no opacity: what is not black."""
    bright = rgb.amax(-1)
    if alpha is None:
        return (bright / _SHOWS).clamp(0, 1)
    plain, alpha = plain.to(bright), alpha.to(bright)
    around = torch.cat([plain, alpha])[None]
    mean = F.avg_pool2d(around, _AROUND, 1, _AROUND // 2)[0]
    own = (mean[:3] / mean[3:].clamp_min(_FAINT)).amax(0)
    return torch.maximum((bright / own.clamp_min(_SHOWS)).clamp(0, 1), (2 * alpha[0] - 1).clamp(0, 1))


def _ground(cfg: Imagining, rng: torch.Generator) -> tuple[float, float, float]:
    """The colour behind a view."""
    if cfg.ground == "black" or cfg.space == "latent":
        return BLACK
    red, green, blue = torch.rand(3, generator=rng).tolist()
    return red, green, blue


def _alike(net: Lpips | None, a: Tensor, b: Tensor) -> Tensor:
    """LPIPS of pictures [1, 3, s, s] in [0, 1] where its weights are given; else differences of neighbours, which are no LPIPS."""
    return edges(a, b) if net is None else net(a[0].movedim(0, -1), b[0].movedim(0, -1))


def _opacity(alpha: Tensor) -> Tensor:
    return torch.sqrt(alpha.square() + _ROOT).mean()


def lesson(pictures: Tensor, cameras: Cameras, sigma2: float, number: int) -> Lesson:
    """Pictures [N, 3, s, s] to learn from, each as much as sigma squared."""
    rgb = pictures.movedim(1, -1).cpu()
    weight = torch.full(rgb.shape[:3], sigma2)
    return Lesson(rgb, weight, cameras, torch.full((len(rgb),), number))
