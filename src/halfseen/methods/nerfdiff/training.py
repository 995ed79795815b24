"""Training of both networks (sections 2 and 3 of the specification) on pictures of objects with known poses.

    nerf   L = mean |C(r) - C*(r)|^2 + w mean |alpha(r) - alpha*(r)|^2     over rays r of other views of a photo's object
           + w' what depth maps of worlds tell of points (`carving`; the paper has none of it)
    cdm    L = mean |v_phi(y_t; render, photo) - v|^2                      over other views; the field stays as it is
    joint  both, in one step

Sample p of the stream is a photo of one object with other views of it; everything about it follows from p.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from torch import Tensor, nn

from halfseen.common.rng import generator
from halfseen.fields import batched
from halfseen.fields.batched import Many
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.nerfdiff import carving, cdm, presets, renderings, samples
from halfseen.methods.nerfdiff.data_sets import Folder, of_folder
from halfseen.methods.nerfdiff.networks import CDM, NAME, NERF, ROLE, networks
from halfseen.methods.nerfdiff.objects import Made, Objects, Order, Views, as_views, of_world
from halfseen.methods.nerfdiff.samples import Posed
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.metrics.image import psnr
from halfseen.priors import samplers
from halfseen.priors.contract import Batch, NoiseLevel, noised
from halfseen.priors.denoisers import clipped
from halfseen.worlds.seeds import Purpose

# Held-out objects of each family; of SRN's test spiral, the view that is the photo and the ones that are judged.
_HELD, SOURCE, JUDGED, SPIRAL = 6, 64, (0, 49, 104, 149, 199), 251
# The way over which a point is opaque or not, in half cubes, and the least share of being right.
_WAY, _SURE = 0.1, 1e-4
# Held-out objects of a sheet, steps of its samples, and times at which the denoiser is judged.
_SHOWN, _STEPS, _TIMES = 8, 25, (0.2, 0.4, 0.6, 0.8)


class NerfDiffTask:
    """The training task of the field and the denoiser."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        views = 1 + config.others if config.stage == "cdm" else config.views
        self._make = _maker(config, views)
        self._objects = Objects(self._make, config.window, config.reuse, config.workers)
        self._kept: dict[int, tuple[Posed, Tensor]] = {}
        self._held: list[Posed] | None = None
        self._held_told: list[Tensor] | None = None

    def batch(self, positions: range) -> Batch:
        """Photos with rays of other views of their objects, or the numbers of photos and views that are kept, with noise for them."""
        drawn = [self._pair(p) if self.config.stage == "cdm" else self._sample(p) for p in positions]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _sample(self, position: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "nerfdiff/sample", position)
        share = float(torch.rand((), generator=rng))
        views = self._objects.draw(position, share)
        more = cfg.carving_views if self._carves else 0
        whole = self._posed(views, max(cfg.targets, min(more, len(views.rgb) - 1)), rng)
        sample = samples.first(whole, cfg.targets)
        out = samples.some_rays(sample, cfg.rays, cfg.on_object, rng)
        if self._carves and whole.depth is not None:
            found = carving.points(whole.rgb, whole.depth, whole.cameras, cfg.points, rng)
            out |= {f"points_{k}": v for k, v in vars(found).items()}
        out |= {"photo": sample.photo, "back": sample.back, "focal": torch.tensor(sample.focal)}
        out["seed"] = torch.randint(2**31, (), generator=rng)
        if cfg.stage == "joint":
            out |= samples.to_plain(samples.first(sample, 1)) | self._noise(rng)
        return out

    def _pair(self, position: int) -> dict[str, Tensor]:
        """One of the kept pairs of a photo and another view: in their order at first, later in any."""
        count = self.config.photos * self.config.others
        which, rng = position % count, generator(self.config.seed, "nerfdiff/noise", position)
        if position >= count:
            which = int(torch.randint(count, (), generator=rng))
        return {"pair": torch.tensor(which), **self._noise(rng)}

    def _noise(self, rng: torch.Generator) -> dict[str, Tensor]:
        """Noise of a picture, its time, and whether the photo and, where pictures themselves are denoised, the rendering are told."""
        cfg = self.config.cdm
        u = torch.rand(3, generator=rng)
        shape = (3, self.config.size, self.config.size)
        shown = u[2] >= (0.0 if cfg.residual else cfg.dropped)
        return {
            "eps": torch.randn(shape, generator=rng),
            "time": u[0],
            "there": (u[1] >= cfg.dropped).float(),
            "shown": shown.float(),
        }

    def _posed(self, views: Views, targets: int, rng: torch.Generator) -> Posed:
        """A photo of an object and some of its other views, perhaps in a mirror or in other colours."""
        cfg = self.config
        order = torch.randperm(len(views.rgb), generator=rng).tolist()
        source = samples.low_enough(views, order, cfg.source_height)
        order.remove(source)
        sample = samples.posed(views, source, order[:targets])
        mirror, recolour = torch.rand(2, generator=rng).tolist()
        channels = torch.randperm(3, generator=rng)
        sample = samples.mirrored(sample) if mirror < cfg.mirrored else sample
        return samples.recoloured(sample, channels) if recolour < cfg.recoloured else sample

    def loss(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """See the module."""
        if self.config.stage == "cdm":
            return self._denoising(networks, batch)
        encoded = networks[NERF](2 * batch["photo"] - 1)
        out = self._photometric(networks[NERF], encoded, batch)
        if self.config.stage == "joint":
            velocity = self._joint(networks, encoded, batch)
            out |= {"loss": out["loss"] + velocity, "velocity": velocity}
        return out

    def _photometric(self, field: nn.Module, encoded: Tensor, batch: Batch) -> dict[str, Tensor]:
        scene = renderings.unwrapped(field).fields(encoded, batch["focal"])
        rng = generator(int(batch["seed"][0]), "nerfdiff/rays")
        sampling = self.config.nerf.sampling
        found = batched.trace(scene, batch["origins"], batch["directions"], sampling, batch["back"], rng)
        colour = (found.rgb - batch["rgb"]).square().mean()
        opacity = ((found.alpha - batch["opacity"]).square() * batch["known"]).mean()
        total = colour + self.config.opacity * opacity
        out = {"loss": total, "colour": colour, "opacity": opacity, "covered": found.alpha.mean()}
        if "points_xyz" in batch:
            carved = _carved(scene, batch)
            out |= {"loss": total + self.config.carved * carved, "carved": carved}
        return out

    @property
    def _carves(self) -> bool:
        """Whether depth maps tell shapes: worlds have them, folders do not."""
        return self.config.carved > 0 and not self.config.data

    def _denoising(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        kept = [self._known(networks[NERF], int(i)) for i in batch["pair"]]
        device = batch["eps"].device
        clean, told, photo = (torch.stack([k[i] for k in kept]).to(device) for i in range(3))
        velocity = cdm.loss(self.config.cdm, networks[CDM], clean, told, photo, batch)
        return {"loss": velocity, "velocity": velocity}

    def _joint(self, networks: Mapping[str, nn.Module], encoded: Tensor, batch: Batch) -> Tensor:
        """The denoiser's loss at the first target of each object, told what the field says now."""
        field, told = renderings.unwrapped(networks[NERF]), []
        with torch.set_grad_enabled(self.config.cdm_grad_to_nerf):
            for i in range(len(encoded)):
                sample = samples.from_plain({k: v[i] for k, v in batch.items()})
                scene = field.fields(encoded[i : i + 1], batch["focal"][i : i + 1])
                told.append(renderings.seen(scene, sample, self.config.nerf.sampling)[1][0])
        clean = 2 * batch["target"][:, 0].movedim(-1, 1) - 1
        return cdm.loss(self.config.cdm, networks[CDM], clean, torch.stack(told), 2 * batch["photo"] - 1, batch)

    def _known(self, field: nn.Module, pair: int) -> tuple[Tensor, Tensor, Tensor]:
        """(picture, what is told of it, photo) of a pair, in [-1, 1]. It follows from the pair's number and the field, which does not change."""
        group, other = divmod(pair, self.config.others)
        if group not in self._kept:
            views = self._objects.get(group, group) if group >= len(self._kept) else as_views(self._make(group), group)
            rng = generator(self.config.seed, "nerfdiff/pair", group)
            sample = self._posed(views, self.config.others, rng)
            _, told = renderings.pictures(field, sample, self.config.nerf.sampling)
            self._kept[group] = (sample, told.half())
        sample, told = self._kept[group]
        return 2 * sample.rgb[other].movedim(-1, 0) - 1, told[other].float(), 2 * sample.photo - 1

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """PSNR of SRN's protocol on held-out objects, whole and of each family, beside that of nothing but the background."""
        if self.config.stage == "cdm":
            return self._judge_denoiser(networks)
        out: dict[str, list[float]] = {}
        families = _kinds(self.config)
        for number, sample in enumerate(self._judged()):
            shown, _ = renderings.pictures(networks[NERF], sample, self.config.nerf.sampling)
            value = fmean(psnr(a, b) for a, b in zip(shown, sample.rgb, strict=True))
            out.setdefault("psnr", []).append(value)
            if not self.config.held_out:
                out.setdefault(f"psnr_{families[number % len(families)]}", []).append(value)
            out.setdefault("psnr_empty", []).append(fmean(psnr(sample.back.expand_as(b), b) for b in sample.rgb))
        return {k: fmean(v) for k, v in out.items()}

    def _judge_denoiser(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """Share of what renderings lack that is left after one look from noise of several times, and PSNR of renderings and samples."""
        denoiser, out = cdm.denoiser_of(self.config.cdm, networks[CDM]), {}
        for time in _TIMES:
            left = lacked = 0.0
            for number, (sample, told) in enumerate(zip(self._judged(), self._told(networks[NERF]), strict=True)):
                clean = 2 * sample.rgb.movedim(-1, 1) - 1
                rng = generator(self.config.seed, "nerfdiff/judge", number)
                level = cdm.picture_level(
                    self.config.cdm, cdm.level_at(self.config.cdm, torch.full((len(clean),), time))
                )
                x = noised(clean, torch.randn(clean.shape, generator=rng), level)
                guess = denoiser(x, level, _cond(told, sample))
                left += float((guess - clean).square().mean())
                lacked += float((told[:, cdm.RENDER] - clean).square().mean())
            out[f"left_{time}"] = left / lacked
        before, after = [], []
        for number, sample in enumerate(self._judged()):
            drawn = self._drawn(networks, number)
            render = (self._told(networks[NERF])[number][:, cdm.RENDER].movedim(1, -1) + 1) / 2
            before += [psnr(a, b) for a, b in zip(render, sample.rgb, strict=True)]
            after += [psnr(a, b) for a, b in zip(drawn, sample.rgb, strict=True)]
        return {**out, "psnr_render": fmean(before), "psnr_sample": fmean(after)}

    def _drawn(self, networks: Mapping[str, nn.Module], number: int) -> Tensor:
        """Samples [T, H, W, 3] of the denoiser alone at the judged views of a held-out object."""
        sample, told = self._judged()[number], self._told(networks[NERF])[number]
        levels = [
            _one(cdm.picture_level(self.config.cdm, cdm.level_at(self.config.cdm, t[None])))
            for t in torch.linspace(0.95, 0.02, _STEPS)
        ]
        rng = generator(self.config.seed, "nerfdiff/sheet", number)
        eps = torch.randn(told[:, cdm.RENDER].shape, generator=rng)
        x = noised(told[:, cdm.RENDER], eps, levels[0].expand(len(told)))
        denoiser = clipped(cdm.denoiser_of(self.config.cdm, networks[CDM]))
        return (samplers.ddim(denoiser, x, levels, cond=_cond(told, sample)).movedim(1, -1) + 1) / 2

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out objects: the photo; what is rendered, what is sampled where there is a denoiser, and what is true."""
        rows = []
        for number, sample in enumerate(self._judged()[:_SHOWN]):
            shown, _ = renderings.pictures(networks[NERF], sample, self.config.nerf.sampling)
            lines = [shown, sample.rgb] if CDM not in networks else [shown, self._drawn(networks, number), sample.rgb]
            photo = sample.photo.movedim(0, -1)
            first = [photo, *(torch.ones_like(photo) for _ in lines[1:])]
            rows += [torch.cat([a, *line], 1) for a, line in zip(first, lines, strict=True)]
        return torch.cat(rows).clamp(0, 1)

    def _judged(self) -> list[Posed]:
        if self._held is None:
            cfg = self.config
            make = _maker(cfg, SPIRAL, (SOURCE, *JUDGED))
            made = [as_views(make(n), n) for n in range(_HELD * len(_kinds(cfg)))]
            self._held = [samples.posed(views, 0, list(range(1, 1 + len(JUDGED)))) for views in made]
        return self._held

    def _told(self, field: nn.Module) -> list[Tensor]:
        """What the denoiser is told of held-out views, by a field that does not change."""
        if self._held_told is None:
            self._held_told = [renderings.pictures(field, s, self.config.nerf.sampling)[1] for s in self._judged()]
        return self._held_told

    def close(self) -> None:
        """Stop the workers."""
        self._objects.close()


def _carved(scene: Many, batch: Batch) -> Tensor:
    """What points of the cube should be: the cross entropy of being opaque over a short way, and the squared error of colours."""
    density, colour = scene.both(batch["points_xyz"])
    opaque = 1 - torch.exp(-density.float() * _WAY)
    right = torch.where(batch["points_solid"] > 0.5, opaque, 1 - opaque).clamp_min(_SURE)
    shape = -(right.log() * batch["points_known"]).sum() / batch["points_known"].sum().clamp_min(1)
    apart = (colour.float() - batch["points_rgb"]).square().mean(-1) * batch["points_coloured"]
    return shape + apart.sum() / batch["points_coloured"].sum().clamp_min(1)


def _maker(config: Config, views: int, only: tuple[int, ...] | None = None) -> Callable[[int], Made]:
    """Makes objects by number: of worlds or of a folder, to learn from, or held-out ones of SRN's protocol (`only` these views)."""
    held = only is not None
    folder = config.held_out if held else config.data
    if folder:
        purpose, layout = ("held-out", "srn-test") if held else ("train", config.layout)
        return partial(of_folder, Folder(folder, config.size, views, purpose, only, layout))
    layout, worlds = ("srn-test", "validation") if held else (config.layout, "train")
    families = _kinds(config) if held else config.families
    return partial(of_world, Order(families, config.size, views, layout, cast("Purpose", worlds), only))


def _kinds(config: Config) -> tuple[str, ...]:
    """The families, each once."""
    return tuple(dict.fromkeys(config.families))


def _cond(told: Tensor, sample: Posed) -> dict[str, Tensor]:
    return {cdm.CONDITION: told, cdm.PHOTO: 2 * sample.photo[None] - 1}


def _one(level: NoiseLevel) -> NoiseLevel:
    return NoiseLevel(level.alpha.float(), level.sigma.float())


def _source(config: Config) -> Data:
    if config.data:
        return Data(
            f"objects of the folder {Path(config.data).name}",
            "They are whose they are: see the data set's own licence.",
            f"objects of the folder {Path(config.held_out).name}"
            if config.held_out
            else "worlds of purpose validation",
        )
    return Data(
        "cars, chairs, things on tables and CLEVR scenes that halfseen makes and renders itself (seeds of purpose train)",
        "No photo, scan or mesh of anybody was used.",
        "objects of purpose validation, SRN's protocol: the photo is view 64 of the test spiral",
    )


NERFDIFF = Recipe(
    name=NAME,
    role=ROLE,
    config=Config,
    task=NerfDiffTask,
    networks=networks,
    data_of=_source,
)
PIXELNERF = replace(NERFDIFF, name="pixelnerf-objects-64", start=presets.RIVAL)
# Other sizes; `base` and `large` are the paper's.
SIZES = tuple(
    replace(NERFDIFF, name=f"nerfdiff-{name}", start=start)
    for name, start in (
        ("tiny", presets.TINY),
        ("medium", presets.MEDIUM),
        ("base", presets.BASE),
        ("large", presets.LARGE),
    )
)
