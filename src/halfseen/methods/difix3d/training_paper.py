"""Training of Difix's own graph from SD-Turbo, on pairs in the published layout: the whole U-Net, the decoder's additions, the skips.

L = L2 + LPIPS + w Gram, averaged over the rendering and its photo, whose target is itself. Gram comes in from a step on, ramped.
Without VGG16 differences of neighbours stand in for LPIPS, and Gram is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from halfseen.common.config import within
from halfseen.common.errors import UserError
from halfseen.common.rng import generator, untouched
from halfseen.images import resize
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.difix3d import pair_files, perceptual
from halfseen.methods.difix3d.pair_files import Listed
from halfseen.methods.difix3d.training import ROLE
from halfseen.metrics.edges import edges
from halfseen.metrics.image import psnr
from halfseen.metrics.lpips import Lpips
from halfseen.priors.contract import Batch
from halfseen.priors.training import LoopConfig

NAME = "difix"
# Held-out pairs that are judged, and those of them that are shown.
_JUDGED, _SHOWN = 16, 4


@dataclass(frozen=True)
class Config:
    """Sources: the released trainer; batch and steps are unknown there (section 3.2 of the specification) and ours."""

    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=10_000, batch=4, lr=2e-5, lr_end=2e-5, warm=1, betas=(0.9, 0.999), decay=1e-2, clip=1.0
        )
    )
    # A folder in diffusers' layout to begin from, SD-Turbo or Difix itself; without one weights are random and widths 1 / `narrow`.
    base: str = ""
    narrow: int = 1
    # Pairs: a folder that `halfseen prior pairs` filled, or a JSON file in the published layout.
    pairs: str = ""
    # Width and height that pictures are resized to, whatever their aspect.
    width: int = 1024
    height: int = 576
    # VGG16's weights and LPIPS's heads.
    vgg: str = ""
    heads: str = ""
    lpips: float = 1.0
    gram: float = 0.5
    gram_from: int = 2000
    gram_ramp: int = 500
    # Whether the U-Net keeps less for its gradients and computes it again: slower, in less memory (how much was never measured).
    checkpointing: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        within("narrow", self.narrow, 1, 40)
        within("width", self.width, 8, 8192)
        within("height", self.height, 8, 8192)
        within("gram", self.gram, 0, 1e6)


class DifixTask:
    """The training task of `difix`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        self.vgg = perceptual.load(config.vgg, config.heads)
        self._listed: dict[str, list[Listed]] = {}

    def batch(self, positions: range) -> Batch:
        """Views [B, 2, 3, H, W] (rendering, photo) and what each should become, in bytes; all pairs of a batch have photos or none has."""
        drawn = [self._read("train", p) for p in positions]
        together = all(len(views) > 1 for views, _ in drawn)
        cut = slice(None) if together else slice(1)
        out = {"views": torch.stack([v[cut] for v, _ in drawn]), "wanted": torch.stack([w[cut] for _, w in drawn])}
        return {**out, "position": torch.tensor(positions[0])}

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """The weighted terms."""
        cfg, first = self.config, int(batch["position"])
        x, wanted = (batch[k].float() / 127.5 - 1 for k in ("views", "wanted"))
        rng = generator(cfg.seed, "difix/posterior", first)
        out = networks["difix"](x, generator=rng).float().flatten(0, 1)
        truth = wanted.flatten(0, 1)
        terms = {"squares": (out - truth).square().mean()}
        if self.vgg is None:
            terms["edges"] = cfg.lpips * edges(out, truth)
        else:
            vgg = self.vgg.to(out.device)
            # Differences of sums as large as these have no digits left in half precision.
            with torch.autocast(out.device.type, enabled=False):
                terms |= self._perceived(vgg, out, truth, first, rng)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def _perceived(self, vgg: Lpips, out: Tensor, truth: Tensor, first: int, rng: torch.Generator) -> dict[str, Tensor]:
        """LPIPS, and Gram matrices from their step on."""
        cfg, terms = self.config, {"lpips": self.config.lpips * perceptual.distance(vgg, out, truth)}
        step = first // cfg.loop.batch + 1
        share = min(1.0, max(0.0, (step - cfg.gram_from) / max(cfg.gram_ramp, 1)))
        if cfg.gram and share:
            terms["gram"] = cfg.gram * share * perceptual.gram(vgg, out, truth, rng)
        return terms

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of held-out pairs before and after."""
        before, after = [], []
        for views, wanted, fixed in self._judged(networks["difix"], _JUDGED):
            before.append(psnr(views, wanted))
            after.append(psnr(fixed, wanted))
        return {"psnr_before": fmean(before), "psnr_after": fmean(after)} if before else {}

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out pairs: rendering, repaired, truth."""
        shown = [torch.cat(row, 0) for row in self._judged(networks["difix"], _SHOWN)]
        return torch.cat(shown, 1) if shown else torch.zeros(8, 8, 3)

    def close(self) -> None:
        """Nothing is open."""

    def _judged(self, net: nn.Module, most: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        rows = []
        device = next(net.parameters()).device
        for i in range(min(most, len(self._pairs("test")))):
            views, wanted = self._read("test", None, i)
            out = net(views[None].float().to(device) / 127.5 - 1, only=0)[0, 0]
            pictures = (views[0] / 255, wanted[0] / 255, (out.float().cpu() + 1) / 2)
            a, b, c = (p.movedim(0, -1).clamp(0, 1) for p in pictures)
            rows.append((a, b, c))
        return rows

    def _read(self, part: str, position: int | None, index: int = 0) -> tuple[Tensor, Tensor]:
        """(views, wanted) [V, 3, H, W] in bytes of the pair at a position of the stream, or of one by its index."""
        listed = self._pairs(part)
        if position is not None:
            index = int(torch.randint(len(listed), (), generator=generator(self.config.seed, "difix/sample", position)))
        pair = pair_files.read(listed[index])
        render = pair_files.image(listed[index])
        views = [self._sized(v) for v in (render, *pair.references)]
        return torch.stack(views), torch.stack([self._sized(pair.target), *views[1:]])

    def _sized(self, picture: Tensor) -> Tensor:
        """A picture [3, h, w] in bytes at the size of this training."""
        own = resize.resize(picture.movedim(0, -1).float(), self.config.width, self.config.height)
        return (own + 0.5).clamp(0, 255).to(torch.uint8).movedim(-1, 0)

    def _pairs(self, part: str) -> list[Listed]:
        if part not in self._listed:
            if not self.config.pairs:
                raise UserError(
                    "there is nothing to learn from",
                    got="no pairs",
                    accepted="a folder of 'halfseen prior pairs', or a JSON file in the published layout",
                    do="Add --set pairs=FOLDER.",
                )
            self._listed[part] = pair_files.listed(Path(self.config.pairs), part)
        return self._listed[part]


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The graph as training has it: additions not folded in. Whatever is random follows from the seed."""
    from halfseen.priors.one_step import difix_files

    with untouched(config.seed, "difix/init"):
        if config.base:
            net = difix_files.load_base(Path(config.base))
        else:
            net = difix_files.untrained(config.narrow)
    if config.checkpointing:
        net.unet.enable_gradient_checkpointing()
    return {"difix": net}


DIFIX = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=DifixTask,
    networks=networks,
    data_of=lambda cfg: Data(
        "pairs of renderings and photos that the user made or gave",
        "Whose they are is the user's to say.",
        "its part `test`",
    ),
)
