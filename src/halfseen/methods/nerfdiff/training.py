"""Training of both networks (sections 2 and 3 of the specification) on pictures of objects with known poses.

    nerf   L = mean |C(r) - C*(r)|^2 + w mean |alpha(r) - alpha*(r)|^2     over rays r of other views of a photo's object
           + w' what depth maps of worlds tell of points (`carving`; the paper has none of it)
    cdm    L = mean |v_phi(y_t; render, photo) - v|^2                      over other views; the field stays as it is
    joint  both, in one step

Sample p of the stream is a photo of one object with other views of it; everything about it follows from p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.fields import batched
from halfseen.fields.batched import Many
from halfseen.methods.contract import Data, Recipe
from halfseen.methods.nerfdiff import carving, cdm, presets, renderings, samples
from halfseen.methods.nerfdiff.judging import Judge
from halfseen.methods.nerfdiff.networks import CDM, NAME, NERF, ROLE, networks
from halfseen.methods.nerfdiff.samples import Posed
from halfseen.methods.nerfdiff.sources import to_learn_from
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.priors.contract import Batch
from halfseen.worlds.objects import Objects, Views, as_views

# The way over which a point is opaque or not, in half cubes, and the least share of being right.
_WAY, _SURE = 0.1, 1e-4


class NerfDiffTask:
    """The training task of the field and the denoiser."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.networks = networks(config)
        views = 1 + config.others if config.stage == "cdm" else config.views
        self._make = to_learn_from(config, views)
        self._objects = Objects(self._make, config.window, config.reuse, config.workers)
        self._kept: dict[int, tuple[Posed, Tensor]] = {}
        self._judge = Judge(config)

    def batch(self, positions: range) -> Batch:
        """Photos with rays of other views of their objects, or the numbers of photos and views that are kept, with noise for them."""
        drawn = [self._pair(p) if self.config.stage == "cdm" else self._sample(p) for p in positions]
        return {k: torch.stack([d[k] for d in drawn]) for k in drawn[0]}

    def _sample(self, position: int) -> dict[str, Tensor]:
        cfg, rng = self.config, generator(self.config.seed, "nerfdiff/sample", position)
        share = float(torch.rand((), generator=rng))
        views = self._objects.draw(position, share)
        more = cfg.carving_views if self._carves else 0
        joint = cfg.stage == "joint"
        whole = self._posed(views, max(cfg.targets, min(more, len(views.rgb) - 1)) + joint, rng)
        sample = samples.part(whole, slice(cfg.targets))
        out = samples.some_rays(sample, cfg.rays, cfg.on_object, rng)
        if self._carves and whole.depth is not None:
            found = carving.points(whole.rgb, whole.depth, whole.cameras, cfg.points, rng)
            out |= {f"points_{k}": v for k, v in vars(found).items()}
        out |= {"photo": sample.photo, "back": sample.back, "focal": torch.tensor(sample.focal)}
        out["seed"] = torch.randint(2**31, (), generator=rng)
        if joint:
            # The first may be the photo itself, which the denoiser has nothing to add to; the last never is.
            out |= samples.to_plain(samples.part(whole, slice(-1, None))) | self._noise(rng)
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
        mirror, recolour, own = torch.rand(3, generator=rng).tolist()
        looked_at = [source, *order] if own < cfg.own and cfg.stage != "cdm" else order
        sample = samples.posed(views, source, looked_at[:targets])
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
            carved, painted = _carved(scene, batch)
            told = self.config.carved * carved + self.config.painted * painted
            out |= {"loss": total + told, "carved": carved, "painted": painted}
        return out

    @property
    def _carves(self) -> bool:
        """Whether depth maps tell shapes: worlds have them, folders do not."""
        return self.config.carved + self.config.painted > 0 and not self.config.data

    def _denoising(self, networks: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        kept = [self._known(networks[NERF], int(i)) for i in batch["pair"]]
        device = batch["eps"].device
        clean, told, photo = (torch.stack([k[i] for k in kept]).to(device) for i in range(3))
        velocity = cdm.loss(self.config.cdm, networks[CDM], clean, told, photo, batch)
        return {"loss": velocity, "velocity": velocity}

    def _joint(self, networks: Mapping[str, nn.Module], encoded: Tensor, batch: Batch) -> Tensor:
        """The denoiser's loss at another view of each object, told what the field says now."""
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
            # In their order they are made ahead; who resumes later asks for any.
            ahead = group == len(self._kept)
            views = self._objects.get(group, group) if ahead else as_views(self._make(group), group)
            rng = generator(self.config.seed, "nerfdiff/pair", group)
            sample = self._posed(views, self.config.others, rng)
            _, told = renderings.pictures(field, sample, self.config.nerf.sampling)
            self._kept[group] = (sample, told.half())
        sample, told = self._kept[group]
        if other >= len(told):
            raise UserError(
                "an object has too few views",
                got=f"{len(told)} beside the photo, others={self.config.others}",
                accepted="as many views of each object as others asks for",
                do=f"Add --set others={len(told)}.",
            )
        return 2 * sample.rgb[other].movedim(-1, 0) - 1, told[other].float(), 2 * sample.photo - 1

    def validate(self, networks: Mapping[str, nn.Module]) -> dict[str, float]:
        """What the network that learns is worth on held-out objects; both where both do."""
        found = {} if self.config.stage == "cdm" else self._judge.field(networks[NERF])
        return found if CDM not in networks else found | self._judge.denoiser(networks)

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        """Held-out objects, rendered."""
        return self._judge.sheet(networks)

    def close(self) -> None:
        """Stop the workers."""
        self._objects.close()


def _carved(scene: Many, batch: Batch) -> tuple[Tensor, Tensor]:
    """What points of the cube should be: (cross entropy of being opaque over a short way, mean squared error of colours)."""
    density, colour = scene.both(batch["points_xyz"])
    opaque = 1 - torch.exp(-density.float() * _WAY)
    right = torch.where(batch["points_solid"].bool(), opaque, 1 - opaque).clamp_min(_SURE)
    shape = -(right.log() * batch["points_known"]).sum() / batch["points_known"].sum().clamp_min(1)
    apart = (colour.float() - batch["points_rgb"]).square().mean(-1) * batch["points_coloured"]
    return shape, apart.sum() / batch["points_coloured"].sum().clamp_min(1)


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
