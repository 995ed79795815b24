"""Held-out objects of SRN's protocol, and what the networks of a training are worth on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor, nn

from halfseen.common.rng import generator
from halfseen.data.protocols import SRN_INPUTS, SRN_VIEWS
from halfseen.methods.nerfdiff import cdm, renderings, samples
from halfseen.methods.nerfdiff.config import Guidance
from halfseen.methods.nerfdiff.networks import CDM, NERF
from halfseen.methods.nerfdiff.samples import Posed
from halfseen.methods.nerfdiff.sources import kinds, to_be_judged_by, to_learn_from
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.metrics.image import psnr
from halfseen.priors import samplers
from halfseen.priors.contract import noised
from halfseen.priors.denoisers import clipped
from halfseen.worlds.objects import as_views

# Held-out objects of each family; of SRN's test spiral, the views that are judged.
_HELD, _JUDGED = 6, (0, 49, 104, 149, 199)
# Objects of each family whose pictures make the mean picture.
_MEAN = 16
# Held-out objects of a sheet, and times at which the denoiser is judged.
_SHOWN, _TIMES = 8, (0.2, 0.4, 0.6, 0.8)
# Samples have the times of Algorithm 1.
_SAMPLED = Guidance()


class Judge:
    """Held-out objects, which are made when they are first asked for."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._held: list[Posed] | None = None
        self._mean: list[Tensor] | None = None
        self._held_told: list[Tensor] | None = None

    def field(self, network: nn.Module) -> dict[str, float]:
        """PSNR of SRN's protocol on held-out objects, whole and of each family, beside that of the mean picture of training's objects and of
        nothing but the background."""
        out: dict[str, list[float]] = {}
        families = kinds(self.config)
        for number, sample in enumerate(self._judged()):
            shown, _ = renderings.pictures(network, sample, self.config.nerf.sampling)
            value = fmean(psnr(a, b) for a, b in zip(shown, sample.rgb, strict=True))
            out.setdefault("psnr", []).append(value)
            if not self.config.held_out:
                out.setdefault(f"psnr_{families[number % len(families)]}", []).append(value)
            out.setdefault("psnr_empty", []).append(fmean(psnr(sample.back.expand_as(b), b) for b in sample.rgb))
            mean = self._means()[number % len(self._means())]
            out.setdefault("psnr_mean_image", []).append(fmean(psnr(mean, b) for b in sample.rgb))
        return {k: fmean(v) for k, v in out.items()}

    def denoiser(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Share of what renderings lack that is left after one look from noise of several times, and PSNR of renderings and samples."""
        denoiser, out = cdm.denoiser_of(self.config.cdm, networks[CDM]), {}
        known, device = self._told(networks[NERF]), next(networks[CDM].parameters()).device
        for time in _TIMES:
            left = lacked = 0.0
            for number, (sample, told) in enumerate(zip(self._judged(), known, strict=True)):
                clean = 2 * sample.rgb.movedim(-1, 1) - 1
                rng = generator(self.config.seed, "nerfdiff/judge", number)
                level = cdm.picture_level(
                    self.config.cdm, cdm.level_at(self.config.cdm, torch.full((len(clean),), time))
                )
                x = noised(clean, torch.randn(clean.shape, generator=rng), level)
                guess = denoiser(x.to(device), level.to(device), _cond(told, sample, device)).cpu()
                left += float((guess - clean).square().mean())
                lacked += float((told[:, cdm.RENDER] - clean).square().mean())
            out[f"left_{time}"] = left / lacked
        before, after = [], []
        for number, sample in enumerate(self._judged()):
            drawn = self._drawn(networks[CDM], sample, known[number], number)
            render = (known[number][:, cdm.RENDER].movedim(1, -1) + 1) / 2
            before += [psnr(a, b) for a, b in zip(render, sample.rgb, strict=True)]
            after += [psnr(a, b) for a, b in zip(drawn, sample.rgb, strict=True)]
        return {**out, "psnr_render": fmean(before), "psnr_sample": fmean(after)}

    def _drawn(self, network: nn.Module, sample: Posed, told: Tensor, number: int) -> Tensor:
        """Samples [T, H, W, 3] of the denoiser alone at the judged views of a held-out object."""
        device, times = next(network.parameters()).device, _SAMPLED
        levels = [level.to(device) for level in cdm.levels(self.config.cdm, times.first, times.last, times.times)]
        rng = generator(self.config.seed, "nerfdiff/sheet", number)
        begun = told[:, cdm.RENDER].to(device)
        x = noised(begun, torch.randn(begun.shape, generator=rng).to(device), levels[0].expand(len(told)))
        denoiser = clipped(cdm.denoiser_of(self.config.cdm, network))
        drawn = samplers.ddim(denoiser, x, levels, cond=_cond(told, sample, device))
        return (drawn.cpu().movedim(1, -1) + 1) / 2

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out objects: the photo; what is rendered, what is sampled where there is a denoiser, and what is true."""
        rows = []
        for number, sample in enumerate(self._judged()[:_SHOWN]):
            shown, told = renderings.pictures(networks[NERF], sample, self.config.nerf.sampling)
            lines = [shown, sample.rgb]
            if CDM in networks:
                lines.insert(1, self._drawn(networks[CDM], sample, told, number))
            photo = sample.photo.movedim(0, -1)
            first = [photo, *(torch.ones_like(photo) for _ in lines[1:])]
            rows += [torch.cat([a, *line], 1) for a, line in zip(first, lines, strict=True)]
        return torch.cat(rows).clamp(0, 1)

    def _judged(self) -> list[Posed]:
        if self._held is None:
            cfg = self.config
            make = to_be_judged_by(cfg, SRN_VIEWS, (SRN_INPUTS[0], *_JUDGED))
            made = [as_views(make(n), n) for n in range(_HELD * len(kinds(cfg)))]
            self._held = [samples.posed(views, 0, list(range(1, len(views.rgb)))) for views in made]
        return self._held

    def _means(self) -> list[Tensor]:
        """The mean picture [H, W, 3] of some of training's objects, of each family where there are any: what a network that learns nothing says."""
        if self._mean is None:
            cfg, count = self.config, 1 if self.config.data else len(kinds(self.config))
            make = to_learn_from(replace(cfg, families=kinds(cfg)), cfg.views)
            found = [as_views(make(n), n).rgb.float().mean(0) / 255 for n in range(_MEAN * count)]
            self._mean = [torch.stack(found[k::count]).mean(0) for k in range(count)]
        return self._mean

    def _told(self, field: nn.Module) -> list[Tensor]:
        """What the denoiser is told of held-out views; it is kept where the field does not change."""
        if self._held_told is not None and self.config.stage == "cdm":
            return self._held_told
        self._held_told = [renderings.pictures(field, s, self.config.nerf.sampling)[1] for s in self._judged()]
        return self._held_told


def _cond(told: Tensor, sample: Posed, device: torch.device) -> dict[str, Tensor]:
    return {cdm.CONDITION: told.to(device), cdm.PHOTO: 2 * sample.photo[None].to(device) - 1}
