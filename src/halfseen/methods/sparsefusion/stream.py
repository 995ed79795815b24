"""The stream of queries that the networks learn from, and those that they are judged by. Sample p follows from p."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from halfseen.common.rng import generator
from halfseen.methods.sparsefusion import samples
from halfseen.methods.sparsefusion.data_sets import Sequences, of_sequence
from halfseen.methods.sparsefusion.samples import Asked
from halfseen.methods.sparsefusion.training_config import Config
from halfseen.worlds.objects import Made, Objects, Order, as_views, of_world
from halfseen.worlds.seeds import Purpose

# Held-out objects of each family, photos and queries of each.
_HELD, _PHOTOS, _JUDGED = 5, 2, 3


class Stream:
    """Queries of objects, with photos of them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        make = _makes(config, "train", config.views)
        self._objects = Objects(make, config.window, config.reuse, config.workers)
        self._held: list[Asked] | None = None

    def drawn(self, positions: range) -> list[Asked]:
        """One query each, with as many photos as the others of a step have."""
        cfg = self.config
        # The same for all processes and pieces that share a step.
        rng = generator(cfg.seed, "sparsefusion/photos", positions.start // cfg.loop.batch)
        photos = int(torch.randint(cfg.fewest, cfg.most + 1, (), generator=rng))
        return [self._one(p, photos) for p in positions]

    def _one(self, position: int, photos: int) -> Asked:
        cfg, rng = self.config, generator(self.config.seed, "sparsefusion/sample", position)
        share, mirror, recolour = torch.rand(3, generator=rng).tolist()
        views = self._objects.draw(position, share)
        order = torch.randperm(len(views.rgb), generator=rng).tolist()
        found = samples.asked(views, order[:1], order[1 : 1 + photos], cfg.size, cfg.shaken, rng)
        channels = torch.randperm(3, generator=rng)
        found = samples.mirrored(found) if mirror < cfg.mirrored else found
        return samples.recoloured(found, channels) if recolour < cfg.recoloured else found

    def held(self) -> list[Asked]:
        """Held-out objects, each with two photos and three queries."""
        if self._held is None:
            cfg = self.config
            make = _makes(cfg, "validation", _PHOTOS + _JUDGED)
            rng = generator(cfg.seed, "sparsefusion/held")
            queries, photos = list(range(_PHOTOS, _PHOTOS + _JUDGED)), list(range(_PHOTOS))
            made = [as_views(make(n), n) for n in range(_HELD * len(cfg.families))]
            self._held = [samples.asked(v, queries, photos, cfg.size, 0.0, rng) for v in made]
        return self._held

    def some(self, count: int) -> list[Asked]:
        """About so many of these, of all families."""
        return self.held()[:: max(1, len(self.held()) // count)]

    def close(self) -> None:
        """Stop the workers."""
        self._objects.close()


def _makes(config: Config, purpose: Purpose, views: int) -> Callable[[int], Made]:
    """Makes objects by number, of worlds or of CO3D."""
    if config.data:
        # A window that is shaken is moved by half of that share, and grows by all of it.
        larger = 1 + 2 * config.shaken
        known = "train" if purpose == "train" else "held-out"
        return partial(of_sequence, Sequences(config.data, config.rendered, views, larger, known))
    return partial(of_world, Order(config.families, config.rendered, views, config.layout, purpose))
