"""Training of pixelNeRF of a few photos, on the queries that SparseFusion's networks learn from."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor, nn

from halfseen.common.rng import generator
from halfseen.methods.sparsefusion import rival, samples
from halfseen.methods.sparsefusion.networks import RIVAL, networks
from halfseen.methods.sparsefusion.stream import Stream
from halfseen.methods.sparsefusion.training_config import Config
from halfseen.metrics.image import mean_psnr
from halfseen.priors.contract import Batch

_SHOWN = 6
_SEEDS = 2**31


class RivalTask:
    """The training task of `pixelnerf-views-64`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        self._stream = Stream(config)

    def batch(self, positions: range) -> Batch:
        """Queries of as many photos each, and what their rays are drawn by."""
        drawn = [samples.to_plain(a) for a in self._stream.drawn(positions)]
        rng = generator(self.config.seed, "sparsefusion/rays", positions.start)
        seeds = torch.randint(_SEEDS, (len(drawn),), generator=rng)
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]} | {"seed": seeds}

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """See `rival.loss`."""
        rng = generator(int(batch["seed"][0]), "sparsefusion/rays")
        return rival.loss(networks[RIVAL], samples.from_plain(batch), rng)

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of held-out objects from two photos, all of them and each family."""
        families = self.config.families
        found: dict[str, list[float]] = {}
        for number, held in enumerate(self._stream.held()):
            value = mean_psnr(self._shown(networks, held), held.target)
            names = ("", *([] if self.config.data else [f"_{families[number % len(families)]}"]))
            for name in names:
                found.setdefault(f"psnr{name}", []).append(value)
        return {k: fmean(v) for k, v in found.items()}

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out objects: both photos; a picture and the truth of each query."""
        rows = []
        for held in self._stream.some(_SHOWN):
            shown = self._shown(networks, held)
            pairs = [t[i] for i in range(len(shown)) for t in (shown, held.target)]
            rows.append(torch.cat([*held.photos[0], *pairs], 2))
        return torch.cat(rows, 1).movedim(0, -1).clamp(0, 1)

    def _shown(self, networks: Mapping[str, nn.Module], held: samples.Asked) -> Tensor:
        device = next(networks[RIVAL].parameters()).device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return rival.pictures(networks[RIVAL], samples.on(held, device)).cpu()

    def close(self) -> None:
        """Stop the workers."""
        self._stream.close()
