"""Training of the epipolar transformer and the latent diffusion model in one loop (section 3.5 of the specification).

    L = w h(rgb, x) + mean |eps_phi(z_t; found) - eps|^2 (1 + SNR)^-1/2,   z = E(x),   found = EFT(photos, query)

x is the picture of a query camera, E the frozen autoencoder, h goes from squares to magnitudes. The noise's gradient flows on into the
transformer, unless a stage trains one of them alone. Sample p of the stream follows from p.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import generator, untouched
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.sparsefusion import latents, samples, telling, vldm
from halfseen.methods.sparsefusion.data_sets import Sequences, of_sequence
from halfseen.methods.sparsefusion.eft import Eft
from halfseen.methods.sparsefusion.latents import LatentSpace
from halfseen.methods.sparsefusion.samples import Asked
from halfseen.methods.sparsefusion.training_config import PAPER, Config
from halfseen.metrics.image import psnr
from halfseen.priors import samplers
from halfseen.priors.contract import Batch, noised
from halfseen.priors.networks import pyramid
from halfseen.worlds.objects import Made, Objects, Order, as_views, of_world
from halfseen.worlds.seeds import Purpose

NAME, ROLE = "sparsefusion-objects", "views"
EFT, VLDM = "eft", "vldm"
# Held-out objects of each family, photos and queries of each, and how many are shown.
_HELD, _PHOTOS, _JUDGED, _SHOWN = 5, 2, 3, 6
# A cell counts where so much of it is in the camera's frame.
_WHOLE = 0.6
# Times at which the denoiser is judged, and steps of a sample from the first to the last time.
_TIMES, _STEPS, _FIRST, _LAST = (0.2, 0.4, 0.6, 0.8), 10, 0.98, 0.02


class SparseFusionTask:
    """The training task of `sparsefusion-objects`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        if config.resnet:
            encoder = self.networks[EFT].encoder
            assert isinstance(encoder, pyramid.ResNet)
            pyramid.load_resnet(encoder, Path(config.resnet))
        make = _makes(config, "train", config.views)
        self._objects = Objects(make, config.window, config.reuse, config.workers)
        self._autoencoder: LatentSpace | None = None
        self._held: list[Asked] | None = None

    @property
    def autoencoder(self) -> LatentSpace:
        """Loaded when it is first asked for: a trained prior is built without it."""
        if self._autoencoder is None:
            found = latents.load(self.config.autoencoder, torch.device("cpu"))
            if found.config.latent != self.config.vldm.latent:
                raise UserError(
                    f"the autoencoder {quote(self.config.autoencoder)} has other latents",
                    got=f"{found.config.latent} channels",
                    accepted=f"vldm.latent {self.config.vldm.latent}",
                    do="Change --set vldm.latent, or name another --set autoencoder.",
                )
            self._autoencoder = found
        return self._autoencoder

    def batch(self, positions: range) -> Batch:
        """Queries of as many photos each, with noise for their latents."""
        cfg = self.config
        # The same for all processes and pieces that share a step.
        rng = generator(cfg.seed, "sparsefusion/photos", positions.start // cfg.loop.batch)
        photos = int(torch.randint(cfg.fewest, cfg.most + 1, (), generator=rng))
        drawn = [self._sample(p, photos) for p in positions]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _sample(self, position: int, photos: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "sparsefusion/sample", position)
        share, mirror, recolour = torch.rand(3, generator=rng).tolist()
        views = self._objects.draw(position, share)
        order = torch.randperm(len(views.rgb), generator=rng).tolist()
        found = samples.asked(views, order[:1], order[1 : 1 + photos], cfg.size, cfg.shaken, rng)
        channels = torch.randperm(3, generator=rng)
        found = samples.mirrored(found) if mirror < cfg.mirrored else found
        found = samples.recoloured(found, channels) if recolour < cfg.recoloured else found
        side = cfg.size // self.autoencoder.config.factor
        noise = {
            "eps": torch.randn(cfg.repeats, cfg.vldm.latent, side, side, generator=rng),
            "time": torch.rand(cfg.repeats, generator=rng),
            "there": (torch.rand(cfg.repeats, generator=rng) >= cfg.vldm.dropped).float(),
        }
        return samples.to_plain(found) | noise

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """See the module."""
        cfg, query = self.config, samples.query_of(dict(batch))
        side = batch["eps"].shape[-1]
        if cfg.stage == "vldm":
            # What stays as it is drops nothing.
            networks[EFT].train(mode=False)
        with torch.set_grad_enabled(torch.is_grad_enabled() and cfg.stage != "vldm"):
            found = networks[EFT](batch["photos"], query, side, side)
        cells = F.avg_pool2d(batch["target"], cfg.size // side)
        valid = (F.avg_pool2d(batch["valid"], cfg.size // side) > _WHOLE).to(cells)
        colour = (telling.huber(found.rgb.float(), cells, cfg.huber) * valid).mean()
        out = {"loss": cfg.colour * colour, "colour": colour}
        if cfg.stage == "eft":
            return out
        autoencoder = self.autoencoder.to(cells.device)
        with torch.no_grad():
            clean = autoencoder.encode(2 * batch["target"] - 1)
        told = telling.told(cfg.vldm, autoencoder, batch["photos"], query, found)
        many = {k: v.flatten(0, 1) for k, v in batch.items() if k in ("eps", "time", "there")}
        many["valid"] = valid.repeat_interleave(cfg.repeats, 0)
        clean, told = (t.repeat_interleave(cfg.repeats, 0) for t in (clean, told))
        noise = vldm.loss(cfg.vldm, networks[VLDM], clean, told, many)
        total = noise + (out["loss"] if cfg.stage == "joint" else 0.0)
        return out | {"loss": total, "noise": noise}

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of cells and of samples of held-out objects from two photos, and the share of a latent that is left after one look."""
        out: dict[str, list[float]] = {}
        left = dict.fromkeys(_TIMES, 0.0)
        device = next(networks[EFT].parameters()).device
        for number, held in enumerate(samples.on(h, device) for h in self._judged()):
            cells, told, clean = self._told(networks, held)
            size = self.config.size // cells.shape[-1]
            wanted = F.avg_pool2d(held.target, size)
            out.setdefault("psnr_cells", []).append(_psnr(cells, wanted))
            smooth = F.interpolate(cells, scale_factor=float(size), mode="bilinear", align_corners=False)
            out.setdefault("psnr_eft", []).append(_psnr(smooth, held.target))
            if self.config.stage != "eft":
                back = (self.autoencoder.to(clean.device).decode(clean) + 1) / 2
                out.setdefault("psnr_back", []).append(_psnr(back.clamp(0, 1), held.target))
                drawn = self._drawn(networks, told, number)
                out.setdefault("psnr_sample", []).append(_psnr(drawn, held.target))
                for time in _TIMES:
                    left[time] += self._left(networks, told, clean, time, number) / len(self._judged())
        means = {k: fmean(v) for k, v in out.items()}
        return means if self.config.stage == "eft" else means | {f"left_{t}": v for t, v in left.items()}

    def _left(self, networks: Mapping[str, nn.Module], told: Tensor, clean: Tensor, time: float, number: int) -> float:
        level = vldm.levels(time, time, 1)[0].to(clean).expand(len(clean))
        eps = torch.randn(clean.shape, generator=generator(self.config.seed, "sparsefusion/judge", number)).to(clean)
        denoise = vldm.denoiser_of(self.config.vldm, networks[VLDM])
        guess = denoise(noised(clean, eps, level), level, {vldm.CONDITION: told})
        return float((guess - clean).square().mean() / clean.square().mean())

    def _drawn(self, networks: Mapping[str, nn.Module], told: Tensor, number: int) -> Tensor:
        """A sample of each query [N, 3, s, s]."""
        grid = [level.to(told) for level in vldm.levels(_FIRST, _LAST, _STEPS)]
        rng = generator(self.config.seed, "sparsefusion/sheet", number)
        z = torch.randn(len(told), self.config.vldm.latent, *told.shape[-2:], generator=rng).to(told)
        denoise = vldm.denoiser_of(self.config.vldm, networks[VLDM])
        found = samplers.ddim(denoise, z, grid, cond={vldm.CONDITION: told})
        return ((self.autoencoder.decode(found) + 1) / 2).clamp(0, 1)

    def _told(self, networks: Mapping[str, nn.Module], held: Asked) -> tuple[Tensor, Tensor, Tensor]:
        """(cells, what the denoiser is told, clean latents) of held-out queries."""
        autoencoder = self.autoencoder.to(held.target.device)
        side = self.config.size // autoencoder.config.factor
        found = networks[EFT](held.photos, held.query, side, side)
        told = telling.told(self.config.vldm, autoencoder, held.photos, held.query, found)
        return found.rgb, told, autoencoder.encode(2 * held.target - 1)

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out objects: both photos; cells, samples and the truth of each query."""
        rows = []
        device = next(networks[EFT].parameters()).device
        for number, asked in enumerate(self._judged()[:: max(1, len(self._judged()) // _SHOWN)]):
            held = samples.on(asked, device)
            cells, told, _ = self._told(networks, held)
            large = F.interpolate(cells, held.target.shape[-2:], mode="bilinear", align_corners=False)
            shown = [large, held.target]
            if self.config.stage != "eft":
                shown.insert(1, self._drawn(networks, told, number))
            line = [*held.photos[0], *(t[i] for i in range(len(cells)) for t in shown)]
            rows.append(torch.cat(line, 2))
        return torch.cat(rows, 1).movedim(0, -1).clamp(0, 1)

    def _judged(self) -> list[Asked]:
        if self._held is None:
            cfg = self.config
            make = _makes(cfg, "validation", _PHOTOS + _JUDGED)
            rng = generator(cfg.seed, "sparsefusion/held")
            queries, photos = list(range(_PHOTOS, _PHOTOS + _JUDGED)), list(range(_PHOTOS))
            made = [as_views(make(n), n) for n in range(_HELD * len(cfg.families))]
            self._held = [samples.asked(v, queries, photos, cfg.size, 0.0, rng) for v in made]
        return self._held

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


def _psnr(a: Tensor, b: Tensor) -> float:
    pairs = zip(a.movedim(1, -1), b.movedim(1, -1), strict=True)
    return fmean(psnr(x, y) for x, y in pairs)


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained networks that a stage needs. Their start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "sparsefusion/init"):
        out: dict[str, nn.Module] = {EFT: Eft(config.eft)}
        if config.stage != "eft":
            out[VLDM] = vldm.Vldm(config.vldm)
    if config.stage == "vldm":
        out[EFT].requires_grad_(requires_grad=False)
    return out


def completed(config: Config) -> Config:
    """The config with the hash of its autoencoder, which has to be the one that was learned with."""
    if config.stage == "eft":
        return config
    latents.same(config.autoencoder, config.autoencoder_is)
    return replace(config, autoencoder_is=latents.hash_of(config.autoencoder))


def _source(config: Config) -> Data:
    if config.data:
        return Data(
            f"sequences of CO3D in the folder {Path(config.data).name}",
            "They are whose they are: CO3D's licence allows no commercial use.",
            "sequences that are held out, two photos and three other views of each",
        )
    return Data(
        "cars, chairs and things on tables that halfseen makes and renders itself (seeds of purpose train)",
        "No photo, scan or mesh of anybody was used.",
        "objects of purpose validation, two photos and three other views of each",
    )


SPARSEFUSION = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=SparseFusionTask,
    networks=networks,
    data_of=_source,
    completed=completed,
)
SPARSEFUSION_PAPER = replace(SPARSEFUSION, name="sparsefusion-paper", start=PAPER)
