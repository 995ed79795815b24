"""Training of the small fixer: harmed splats of worlds in, the truth out.

Sample p of the stream is a crop of pair p // crops of the window; everything about it follows from p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.ahead import Ahead
from halfseen.common.config import within
from halfseen.common.rng import generator, untouched
from halfseen.data.protocols import spread
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.difix3d import inputs, pair_files
from halfseen.methods.difix3d.pair_files import Listed
from halfseen.methods.difix3d.pairs import Pair, PairsConfig, make, packed, unpacked
from halfseen.metrics.edges import edges
from halfseen.metrics.image import mean_psnr, psnr
from halfseen.priors.contract import Batch
from halfseen.priors.networks import fixer_small
from halfseen.priors.networks.fixer_small import BORROWED
from halfseen.priors.training import LoopConfig

# Inputs [B, 10, H, W], truths and references of held-out pairs.
Judged = tuple[Tensor, Tensor, Tensor]
NAME, ROLE = "fixer", "fixer"
# Held-out worlds, and the pairs of each that are judged and shown.
_HELD_WORLDS, _HELD_PAIRS, _SHOWN = 8, 4, 8
# Pairs of true fits that are judged.
_HELD_FITS = 48
# Squared error below which a crop's decibels count less and less (30 dB): flat backgrounds would be all that counts.
_PERFECT = 1e-3
# The plane that says how many photos saw a pixel, and its value above which at least one did.
_SEEN, _BY_ONE = 5, 0.5


@dataclass(frozen=True)
class Config:
    """What the small fixer is trained on. Sources: ours."""

    network: fixer_small.Config = field(default_factory=fixer_small.Config)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(batch=16, lr=4e-4, lr_end=2e-5))
    pairs: PairsConfig = field(default_factory=PairsConfig)
    # Pairs of true fits beside these: a folder that `halfseen prior pairs` filled (none: ''), and the share of samples from there.
    fits: str = ""
    fits_share: float = 0.6
    # Worlds that are drawn from at a time; how often a pair is drawn on average; processes that make pairs.
    window: int = 24
    reuse: int = 12
    workers: int = 1
    side: int = 96
    # Share of samples without a reference, and of those of which nothing but the picture is known: of no depth and no cameras.
    alone: float = 0.15
    bare: float = 0.15
    # Share of samples whose colours change places, everywhere alike: fits are few, and their scenes' colours are soon known by heart.
    recoloured: float = 0.5
    # Weights of the terms beside the absolute error of colours: of differences of neighbours, of each crop's PSNR in nepers of squared
    # error, so that mild harm counts as much as heavy, and of the guess of one's own error.
    edges: float = 1.0
    decibels: float = 0.05
    doubt: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        within("side", self.side, 16, min(self.pairs.width, self.pairs.height))
        within("alone", self.alone, 0, 1)
        within("bare", self.bare, 0, 1)
        within("fits_share", self.fits_share, 0, 1)
        within("recoloured", self.recoloured, 0, 1)


class FixerTask:
    """The training task of `fixer`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        self._worlds = Ahead(partial(make, config.pairs, "train"), _as_made, config.window, config.workers)
        self._held: list[Pair] | None = None
        self._held_fits: list[Pair] | None = None

    @cached_property
    def _fits(self) -> list[Listed]:
        """Pairs of true fits. They are looked for when the first sample is drawn: a trained prior needs them no more."""
        return pair_files.listed(Path(self.config.fits), "train") if self.config.fits else []

    def batch(self, positions: range) -> Batch:
        """Crops of inputs and truths, and whole references; `there` is 0 for those that go without."""
        drawn = [self._sample(p) for p in positions]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _sample(self, position: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "fixer/sample", position)
        world, which, across, down, mirror, alone, bare, fitted = torch.rand(8, generator=rng).tolist()
        if self._fits and fitted < cfg.fits_share:
            listed = self._fits[int(world * len(self._fits))]
            pair = pair_files.read(listed, (cfg.pairs.width, cfg.pairs.height))
        else:
            first = position // (cfg.pairs.each * cfg.reuse)
            made = self._worlds.get(first, first + int(world * cfg.window))
            pair = made[int(which * cfg.pairs.each)]
        pair = _whole(pair, cfg)
        height, width = pair.target.shape[-2:]
        left, top = int(across * (width - cfg.side + 1)), int(down * (height - cfg.side + 1))
        cut = [t[..., top : top + cfg.side, left : left + cfg.side] for t in (pair.shown, pair.target)]
        shown, target, references = (t.flip(-1) if mirror < 0.5 else t for t in (*cut, pair.references))
        there = torch.tensor(float(alone >= cfg.alone and len(references) > 0))
        references = _as_many(references, cfg)
        if float(torch.rand((), generator=rng)) < cfg.recoloured:
            shown, target, references = _recoloured(shown, target, references, torch.randperm(3, generator=rng))
        if bare < cfg.bare:
            shown = packed(inputs.bare(unpacked(shown)[:3]))
        return {"shown": shown, "target": target, "references": references, "there": there}

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Absolute errors of colours and of differences of neighbours, logarithms of crops' squared errors, and how well the error was
        foreseen (Laplace)."""
        shown, target = unpacked(batch["shown"]), batch["target"].float() / 255
        out, doubt = networks["fixer"](shown, batch["references"].float() / 255, batch["there"])
        out, doubt = out.float(), doubt.float()
        error = (out - target).abs()
        colour, edge = error.mean(), edges(out, target)
        decibels = (error.square().mean((1, 2, 3)) + _PERFECT).log().mean()
        foreseen = (error.detach().mean(1, keepdim=True) * torch.exp(-doubt) + doubt).mean()
        cfg = self.config
        total = colour + cfg.edges * edge + cfg.decibels * decibels + cfg.doubt * foreseen
        return {"loss": total, "colour": colour, "edges": edge, "decibels": decibels, "doubt": foreseen}

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of held-out pairs before and after, with references and without, and their gain where photos saw and did not."""
        out = _gains(networks["fixer"], self._judged(), "")
        for part in self._judged_fits():
            for name, value in _gains(networks["fixer"], part, "fits_").items():
                out[name] = out.get(name, 0.0) + value * len(part[1]) / self._held_fits_count
        return out

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out pairs: rendering, repaired, truth, reference."""
        shown, target, references = (t[:: _HELD_WORLDS * _HELD_PAIRS // _SHOWN] for t in self._judged())
        fixed = networks["fixer"](shown, references)[0].clamp(0, 1)
        rows = [torch.cat(list(p), 2) for p in (shown[:, :3], fixed, target, references[:, 0])]
        return torch.cat(rows, 1).movedim(0, -1).float().cpu()

    def _judged_fits(self) -> list[Judged]:
        """Held-out pairs of true fits, those of one size together."""
        if not self.config.fits:
            return []
        if self._held_fits is None:
            some = pair_files.listed(Path(self.config.fits), "test")
            size = (self.config.pairs.width, self.config.pairs.height)
            use = spread(range(len(some)), min(_HELD_FITS, len(some))) if some else ()
            self._held_fits = [pair_files.read(some[i], size) for i in use]
        by_size: dict[tuple[int, ...], list[Pair]] = {}
        for pair in self._held_fits:
            by_size.setdefault((*pair.target.shape, len(pair.references)), []).append(pair)
        device = next(self.networks["fixer"].parameters()).device
        return [_stacked(pairs, device) for pairs in by_size.values()]

    @property
    def _held_fits_count(self) -> int:
        return len(self._held_fits or [])

    def _judged(self) -> Judged:
        if self._held is None:
            made = [make(self.config.pairs, "validation", i) for i in range(_HELD_WORLDS)]
            self._held = [p for pairs in made for p in pairs[:_HELD_PAIRS]]
        return _stacked(self._held, next(self.networks["fixer"].parameters()).device)

    def close(self) -> None:
        """Stop the workers."""
        self._worlds.close()


def _whole(pair: Pair, cfg: Config) -> Pair:
    """A pair at least as large as a crop: rims of smaller ones are repeated."""
    down, right = (max(0, cfg.side - s) for s in pair.target.shape[-2:])
    if not down and not right:
        return pair

    def padded(t: Tensor) -> Tensor:
        return F.pad(t[None].float(), (0, right, 0, down), mode="replicate")[0].to(torch.uint8)

    return Pair(padded(pair.shown), padded(pair.target), pair.references)


def _recoloured(shown: Tensor, target: Tensor, references: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A sample with its colour channels in another order."""
    shown = shown.clone()
    for colours in (slice(0, 3), BORROWED):
        shown[colours] = shown[colours][order]
    return shown, target[order], references[:, order]


def _as_many(references: Tensor, cfg: Config) -> Tensor:
    """So many references as this training has, whatever a pair brings; the last one again where there are fewer, black without any."""
    wanted = cfg.pairs.references
    if len(references) == 0:
        return torch.zeros(wanted, 3, cfg.pairs.height, cfg.pairs.width, dtype=torch.uint8)
    return references[[min(i, len(references) - 1) for i in range(wanted)]]


def _stacked(pairs: list[Pair], device: torch.device) -> Judged:
    shown, target, references = (
        torch.stack([getattr(p, k) for p in pairs]).to(device) for k in ("shown", "target", "references")
    )
    return unpacked(shown), target.float() / 255, references.float() / 255


def _gains(net: nn.Module, held: Judged, prefix: str) -> dict[str, float]:
    """PSNR before and after, with references, without, and of colours of which nothing else is known; and what is gained where photos
    saw and where they did not."""
    shown, target, references = held
    out = {f"psnr_{prefix}before": mean_psnr(shown[:, :3], target)}
    fixed = net(shown, references)[0].clamp(0, 1)
    out[f"psnr_{prefix}after"] = mean_psnr(fixed, target)
    out[f"psnr_{prefix}alone"] = mean_psnr(net(shown, references[:, :0])[0].clamp(0, 1), target)
    out[f"psnr_{prefix}bare"] = mean_psnr(net(inputs.bare(shown[:, :3]), references)[0].clamp(0, 1), target)
    seen = (shown[:, _SEEN] > _BY_ONE).flatten()
    before, after, truth = (t.movedim(1, -1).flatten(0, 2) for t in (shown[:, :3], fixed, target))
    for words, where in (("seen", seen), ("invented", ~seen)):
        if bool(where.any()):
            out[f"gain_{prefix}{words}"] = psnr(after, truth, where) - psnr(before, truth, where)
    return out


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained network. Its start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "fixer/init"):
        return {"fixer": fixer_small.FixerSmall(config.network)}


def _as_made(pairs: list[Pair], number: int) -> list[Pair]:
    del number
    return pairs


FIXER = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=FixerTask,
    networks=networks,
    data_of=lambda cfg: Data(
        "pairs of harmed splats and true pictures of worlds that halfseen makes and renders itself (seeds of purpose train)"
        + (", and of fits that saw too little, as halfseen prior pairs makes them" if cfg.fits else ""),
        "No photo, scan or mesh of anybody was used.",
        "pairs of worlds of purpose validation",
    ),
)
