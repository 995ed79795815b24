"""Training of the small autoencoder: L = |x - x'| + w edges + k KL, on crops of objects over black."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

import torch
from torch import Tensor, nn

from halfseen.common.config import within
from halfseen.common.rng import generator, untouched
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.sparsefusion import cropped
from halfseen.metrics.edges import edges
from halfseen.metrics.image import psnr
from halfseen.priors.contract import Batch
from halfseen.priors.networks import autoencoder
from halfseen.priors.training import LoopConfig
from halfseen.worlds.objects import Objects, Order, Views, as_views, of_world

NAME, ROLE, NETWORK = "autoencoder-f4", "autoencoder", "autoencoder"
# The held-out number by which latents are scaled.
SPREAD = "latent_spread"
# Held-out objects of each family, views of each, and how many are shown.
_HELD, _JUDGED, _SHOWN = 6, 3, 8


@dataclass(frozen=True)
class Config:
    """What the autoencoder is, and what it learns from. Sources: ours."""

    network: autoencoder.Config = field(default_factory=autoencoder.Config)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=12_000, batch=16, lr=1e-3, lr_end=2e-5))
    families: tuple[str, ...] = ("cars", "chairs", "tabletop")
    size: int = 64
    # Side at which worlds are rendered, so that crops are no enlargements; views of each, and how often an object is drawn.
    rendered: int = 96
    views: int = 12
    window: int = 128
    reuse: int = 24
    workers: int = 1
    # By how much windows are moved and scaled; shares of pictures whose colour channels change places, and that are shown in a mirror.
    shaken: float = 0.15
    recoloured: float = 0.3
    mirrored: float = 0.5
    edges: float = 1.0
    divergence: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        within("size", self.size, 16, 1024)
        within("shaken", self.shaken, 0, 0.9)
        within("recoloured", self.recoloured, 0, 1)


class AutoencoderTask:
    """The training task of `autoencoder-f4`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        order = Order(config.families, config.rendered, config.views, "hemisphere", "train")
        self._objects = Objects(partial(of_world, order), config.window, config.reuse, config.workers)
        self._held: Tensor | None = None

    def batch(self, positions: range) -> Batch:
        """Pictures, and noise for their latents."""
        drawn = [self._sample(p) for p in positions]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _sample(self, position: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "autoencoder/sample", position)
        share, which, recolour, mirror = torch.rand(4, generator=rng).tolist()
        views = self._objects.draw(position, share)
        picture = _pictures(views, [int(which * len(views.rgb))], cfg, rng)[0]
        order = torch.randperm(3, generator=rng)
        picture = picture[order] if recolour < cfg.recoloured else picture
        picture = picture.flip(-1) if mirror < cfg.mirrored else picture
        side = cfg.size // cfg.network.factor
        return {"picture": picture, "eps": torch.randn(cfg.network.latent, side, side, generator=rng)}

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """See the module."""
        net = networks[NETWORK]
        out, mean, log_variance = net(2 * batch["picture"] - 1, batch["eps"])
        found = (out.float() + 1) / 2
        colour, edge = (found - batch["picture"]).abs().mean(), edges(found, batch["picture"])
        divergence = autoencoder.divergence(mean.float(), log_variance.float())
        total = colour + self.config.edges * edge + self.config.divergence * divergence
        return {"loss": total, "colour": colour, "edges": edge, "divergence": divergence}

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of held-out objects' pictures after the way there and back, and the spread of their latents."""
        net = networks[NETWORK]
        clean = self._judged().to(next(net.parameters()).device)
        assert isinstance(net, autoencoder.Autoencoder)
        latents = net.distribution(2 * clean - 1)[0]
        shown = ((net.pictures(latents) + 1) / 2).clamp(0, 1)
        pairs = zip(shown.movedim(1, -1), clean.movedim(1, -1), strict=True)
        return {"psnr_back": fmean(psnr(a, b) for a, b in pairs), SPREAD: float(latents.std())}

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out pictures, and what comes back."""
        net = networks[NETWORK]
        clean = self._judged()[:: _HELD // 2][:_SHOWN].to(next(net.parameters()).device)
        assert isinstance(net, autoencoder.Autoencoder)
        shown = (net.pictures(net.distribution(2 * clean - 1)[0]) + 1) / 2
        return torch.cat([torch.cat(list(p), 2) for p in (clean, shown)], 1).movedim(0, -1).clamp(0, 1)

    def _judged(self) -> Tensor:
        if self._held is None:
            cfg = self.config
            order = Order(cfg.families, cfg.rendered, _JUDGED, "hemisphere", "validation")
            made = [as_views(of_world(order, n), n) for n in range(_HELD * len(cfg.families))]
            rng = generator(cfg.seed, "autoencoder/judge")
            self._held = torch.cat([_pictures(v, list(range(_JUDGED)), cfg, rng) for v in made])
        return self._held

    def close(self) -> None:
        """Stop the workers."""
        self._objects.close()


def _pictures(views: Views, which: list[int], cfg: Config, rng: torch.Generator) -> Tensor:
    """Some views over black, cropped [V, 3, size, size]."""
    rgb, mask = cropped.on_black(views, which)
    return cropped.cut(rgb, cropped.shaken(cropped.around(mask), cfg.shaken, rng), cfg.size)


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained network. Its start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "autoencoder/init"):
        return {NETWORK: autoencoder.Autoencoder(config.network)}


AUTOENCODER = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=AutoencoderTask,
    networks=networks,
    data_of=lambda cfg: Data(
        "cars, chairs and things on tables that halfseen makes and renders itself (seeds of purpose train)",
        "No photo, scan or mesh of anybody was used.",
        "objects of purpose validation",
    ),
)
