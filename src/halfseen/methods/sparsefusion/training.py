"""Training of the epipolar transformer and the latent diffusion model in one loop (section 3.5 of the specification).

    L = w h(rgb, x) + w' h(alpha, mask) + mean |eps_phi(z_t; found) - eps|^2 (1 + SNR)^-1/2,   z = E(x),   found = EFT(photos, query)

x is the picture of a query camera, E the frozen autoencoder, h goes from squares to magnitudes. The noise's gradient flows on into the
transformer, unless a stage trains one of them alone. Sample p of the stream follows from p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import generator
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.sparsefusion import latents, samples, telling, vldm
from halfseen.methods.sparsefusion.latents import LatentSpace
from halfseen.methods.sparsefusion.networks import EFT, NAME, RIVAL_NAME, ROLE, VLDM, networks
from halfseen.methods.sparsefusion.rival_training import RivalTask
from halfseen.methods.sparsefusion.samples import Asked
from halfseen.methods.sparsefusion.stream import Stream
from halfseen.methods.sparsefusion.training_config import PAPER, Config
from halfseen.metrics.image import mean_psnr
from halfseen.priors import samplers
from halfseen.priors.contract import Batch, TrainingTask, noised
from halfseen.priors.networks import pyramid

# Held-out objects that are shown.
_SHOWN = 6
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
        self._stream = Stream(config)
        self._autoencoder: LatentSpace | None = None

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
        pairs = zip(self._stream.drawn(positions), positions, strict=True)
        drawn = [samples.to_plain(asked) | self._noise(p) for asked, p in pairs]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _noise(self, position: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "sparsefusion/noise", position)
        side = cfg.size // self.autoencoder.config.factor
        return {
            "eps": torch.randn(cfg.repeats, cfg.vldm.latent, side, side, generator=rng),
            "time": torch.rand(cfg.repeats, generator=rng),
            "there": (torch.rand(cfg.repeats, generator=rng) >= cfg.vldm.dropped).float(),
        }

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """See the module."""
        cfg, query = self.config, samples.query_of(batch)
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
        if found.alpha is not None:
            covered = F.avg_pool2d(batch["mask"], cfg.size // side)
            opacity = (telling.huber(found.alpha.float(), covered, cfg.huber) * valid).mean()
            out |= {"loss": out["loss"] + cfg.opacity * opacity, "opacity": opacity}
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
        for number, held in enumerate(samples.on(h, device) for h in self._stream.held()):
            cells, told, clean = self._told(networks, held)
            size = self.config.size // cells.shape[-1]
            wanted = F.avg_pool2d(held.target, size)
            out.setdefault("psnr_cells", []).append(mean_psnr(cells, wanted))
            smooth = F.interpolate(cells, scale_factor=float(size), mode="bilinear", align_corners=False)
            out.setdefault("psnr_eft", []).append(mean_psnr(smooth, held.target))
            if self.config.stage != "eft":
                back = (self.autoencoder.to(clean.device).decode(clean) + 1) / 2
                out.setdefault("psnr_back", []).append(mean_psnr(back.clamp(0, 1), held.target))
                drawn = self._drawn(networks, told, number)
                out.setdefault("psnr_sample", []).append(mean_psnr(drawn, held.target))
                for time in _TIMES:
                    left[time] += self._left(networks, told, clean, time, number) / len(self._stream.held())
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
        for number, asked in enumerate(self._stream.some(_SHOWN)):
            held = samples.on(asked, device)
            cells, told, _ = self._told(networks, held)
            large = F.interpolate(cells, held.target.shape[-2:], mode="bilinear", align_corners=False)
            shown = [large, held.target]
            if self.config.stage != "eft":
                shown.insert(1, self._drawn(networks, told, number))
            line = [*held.photos[0], *(t[i] for i in range(len(cells)) for t in shown)]
            rows.append(torch.cat(line, 2))
        return torch.cat(rows, 1).movedim(0, -1).clamp(0, 1)

    def close(self) -> None:
        """Stop the workers."""
        self._stream.close()


def completed(config: Config) -> Config:
    """The config with the hash of its autoencoder, which has to be the one that was learned with."""
    if config.stage in ("eft", "pixelnerf"):
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


def _task(config: Config) -> TrainingTask:
    return RivalTask(config) if config.stage == "pixelnerf" else SparseFusionTask(config)


SPARSEFUSION = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=_task,
    networks=networks,
    data_of=_source,
    completed=completed,
)
SPARSEFUSION_PAPER = replace(SPARSEFUSION, name="sparsefusion-paper", start=PAPER)
PIXELNERF_VIEWS = replace(SPARSEFUSION, name=RIVAL_NAME, start=Config(stage="pixelnerf"))
