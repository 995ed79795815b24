"""A field of anisotropic Gaussians with view-dependent colours (Kerbl et al. 2023), in the box frame."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rotations import quaternion_to_matrix
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.common.rng import generator as make_generator
from halfseen.data.splat_files import C0
from halfseen.fields import gaussian_growth as growth
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields import splats
from halfseen.fields.contract import Background, Rendering, Window
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.fields.hull import Hull
from halfseen.fields.splats import Layout, Projected

# What makes up a Gaussian, by name.
PARAMETERS = ("xyz", "scale", "turn", "opacity", "sh0", "sh")
# Beside these, what growth and resuming need.
_PUSH, _SIGHTS, _PROGRESS = "push", "sights", "progress"
_GROWTH = "growth"
# Opacity below which a pixel has no depth to speak of.
_NOTHING = 1e-6


@dataclass(frozen=True)
class Config:
    """Numbers, rates and limits. Sources: Kerbl et al. 2023 for 30,000 steps, made quicker for fits of about a thousand."""

    start: int = 20_000
    most: int = 60_000
    # Bands of spherical harmonics (1 is one colour for all directions, 4 is degree 3), and the share of the fit at which all take part.
    bands: int = 3
    bands_until: float = 0.5
    # Opacity of new Gaussians, and their radius in shares of the distance to their neighbours.
    first_opacity: float = 0.3
    first_radius: float = 0.6
    # default: clone and split what is pulled apart, prune what is thin. mcmc: move what is thin to where much is (Kheradmand et al. 2024).
    growth: Literal["default", "mcmc"] = "default"
    grow_every: int = 50
    grow_from: float = 0.05
    grow_until: float = 0.6
    # Mean gradient of the place on the plane (in half pictures) from which on one is split; radius from which on it is not cloned.
    pull: float = 2e-4
    large: float = 0.02
    # Pruned: thinner than this, larger than this (box units at the distance of the box), or nearer to a camera than this share of
    # the camera's distance from the box's centre.
    thin: float = 0.01
    largest: float = 0.5
    nearest: float = 0.1
    # Longest over shortest radius of a Gaussian: the shortest is kept above.
    stretch: float = 12.0
    # mcmc: new ones at each growth as a share, and the noise on places in shares of the radius.
    more: float = 0.1
    noise: float = 0.05
    # Adam's learning rates.
    lr_xyz: float = 1e-3
    lr_scale: float = 1e-2
    lr_turn: float = 2e-3
    lr_opacity: float = 4e-2
    lr_sh0: float = 5e-3
    lr_sh: float = 5e-4

    def __post_init__(self) -> None:
        within("field.start", self.start, 1, 10**7)
        within("field.most", self.most, self.start, 10**8)
        within("field.bands", self.bands, 1, 4)
        within("field.grow_every", self.grow_every, 1, 10**6)
        for name in ("bands_until", "grow_from", "grow_until", "thin", "more", "nearest"):
            within(f"field.{name}", getattr(self, name), 0, 1)
        within("field.first_opacity", self.first_opacity, 0.01, 0.98)
        within("field.first_radius", self.first_radius, 0.01, 10)
        within("field.stretch", self.stretch, 1, 1e6)
        for name in (
            "pull",
            "large",
            "largest",
            "noise",
            "lr_xyz",
            "lr_scale",
            "lr_turn",
            "lr_opacity",
            "lr_sh0",
            "lr_sh",
        ):
            within(f"field.{name}", getattr(self, name), 0, 1e3)


class Gaussians:
    """See `contract.Field`."""

    def __init__(self, tensors: dict[str, Tensor], to_user: Similarity, config: Config) -> None:
        self.values = {k: tensors[k].requires_grad_() for k in PARAMETERS}
        # Sums since the last growth: gradients on the plane, and how often each was in sight.
        self.push, self.sights, self.progress = tensors[_PUSH], tensors[_SIGHTS], tensors[_PROGRESS]
        self.to_user, self.config = to_user, config
        self._shown: list[tuple[Tensor, Tensor, tuple[int, int]]] = []
        self._cameras: Cameras | None = None
        self._hull: Hull | None = None

    def __len__(self) -> int:
        return len(self.values["xyz"])

    def watch(self, cameras: Cameras, hull: Hull | None = None) -> None:
        """The cameras (box frame) of the photos that this is fitted to, in front of which nothing may stand; where an object may be."""
        self._cameras, self._hull = cameras, hull

    def opacity(self) -> Tensor:
        """[N] in (0, 1)."""
        return torch.sigmoid(self.values["opacity"])

    def project(self, camera: Cameras) -> Projected:
        """As one camera sees them."""
        v = self.values
        sh = torch.cat([v["sh0"], v["sh"]], 1)
        return splats.project(v["xyz"], v["scale"], v["turn"], self.opacity(), sh, camera, self._bands())

    def render(
        self,
        cameras: Cameras,
        *,
        window: Window | None = None,
        pixels: tuple[Tensor, Tensor] | None = None,
        background: Background,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """See `contract.Field.render`."""
        # A copy whose population stays: who looks beside a fit must not see Gaussians of two generations.
        return copy(self)._render(cameras, window, pixels, background, fitting=generator is not None)

    def _render(
        self,
        cameras: Cameras,
        window: Window | None,
        pixels: tuple[Tensor, Tensor] | None,
        background: Background,
        *,
        fitting: bool,
    ) -> Rendering:
        if pixels is not None:
            return self._loose(cameras, *pixels, background, fitting=fitting)
        left, top, width, height = window or (0, 0, *cameras.size())
        flat = self._show(cameras, splats.grid((left, top, width, height)), background, fitting=fitting)
        shape = (height, width)
        depth, alpha, mean = (t.reshape(shape) for t in (flat.depth, flat.alpha, flat.mean_depth))
        return Rendering(flat.rgb.reshape(*shape, 3), depth, alpha, mean)

    def _loose(
        self, cameras: Cameras, views: Tensor, xy: Tensor, background: Background, *, fitting: bool
    ) -> Rendering:
        """Pixels [P, 2] of several views, each view on its own."""
        back = torch.as_tensor(background, dtype=xy.dtype, device=xy.device).expand(len(xy), 3)
        parts, order = [], []
        for view in views.unique().tolist():
            at = (views == view).nonzero()[:, 0]
            parts.append(self._show(cameras[view], splats.loose(xy[at]), back[at], fitting=fitting))
            order.append(at)
        place = torch.argsort(torch.cat(order))
        rgb, depth, alpha, mean = (
            torch.cat([getattr(p, n) for p in parts])[place] for n in ("rgb", "depth", "alpha", "mean_depth")
        )
        return Rendering(rgb, depth, alpha, mean)

    def _show(self, camera: Cameras, layout: Layout, background: Background, *, fitting: bool) -> Rendering:
        projected = self.project(camera)
        if fitting and projected.mean.requires_grad:
            projected.mean.retain_grad()
            self._shown.append((projected.mean, projected.reach, camera.size()))
        out, alpha, median = splats.blend(projected, self.opacity(), layout)
        back = torch.as_tensor(background, dtype=out.dtype, device=out.device)
        rgb = out[:, :3] + (1 - alpha)[:, None] * back
        return Rendering(rgb, median, alpha, out[:, 3] / alpha.clamp_min(_NOTHING))

    def normals(self, camera: Cameras) -> Tensor:
        """Normals [H, W, 3] in the box at one camera, differentiable: shortest axes, turned to the camera, blended and made unit."""
        return copy(self)._normals(camera)

    def _normals(self, camera: Cameras) -> Tensor:
        v, projected = self.values, self.project(camera)
        shortest = v["scale"].detach().argmin(1)
        axis = quaternion_to_matrix(v["turn"])[torch.arange(len(self)), :, shortest]
        away = ((axis.detach() * (v["xyz"].detach() - camera.centres[0].to(axis))).sum(-1) > 0)[:, None]
        facing = torch.where(away, -axis, axis)
        shown = Projected(
            projected.mean, projected.conic, projected.reach, torch.cat([facing, projected.features[:, 3:]], 1)
        )
        width, height = camera.size()
        out, _, _ = splats.blend(shown, self.opacity(), splats.grid((0, 0, width, height)))
        normal = out[:, :3] / out[:, :3].norm(dim=-1, keepdim=True).clamp_min(_NOTHING)
        return normal.reshape(height, width, 3)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `contract.Field`."""
        rates = {k: getattr(self.config, f"lr_{k}") for k in PARAMETERS}
        return [{"name": k, "params": [v], "lr": rates[k], "sparse": True} for k, v in self.values.items()]

    def state(self) -> dict[str, Tensor]:
        """See `contract.Field`."""
        return {**self.values, _PUSH: self.push, _SIGHTS: self.sights, _PROGRESS: self.progress}

    def after_step(self, step: int, stats: dict[str, Tensor]) -> Tensor | None:
        """Note what pulled at each Gaussian, keep limits, and grow every few steps. See `contract.Field.after_step`."""
        cfg = self.config
        self.progress = stats[_PROGRESS].detach().cpu()
        with torch.no_grad():
            self._note()
            longest = self.values["scale"].amax(1, keepdim=True)
            self.values["scale"].copy_(torch.maximum(self.values["scale"], longest - math.log(cfg.stretch)))
            if cfg.growth == "mcmc" and cfg.noise:
                growth.shake(self.values, cfg.noise, make_generator(0, "gaussians/noise", step))
            growing = float(stats.get(_GROWTH, self.progress))
            if step % cfg.grow_every or not cfg.grow_from <= growing <= cfg.grow_until:
                return None
            return self._grow(step)

    def _note(self) -> None:
        for mean, reach, (width, height) in self._shown:
            if mean.grad is not None:
                # Gradients as Kerbl et al. state them: for a plane from -1 to 1.
                pull = (mean.grad * mean.new_tensor([width / 2, height / 2])).norm(dim=-1)
                seen = reach[:, 0] > 0
                self.push = self.push + torch.where(seen, pull, 0.0)
                self.sights = self.sights + seen.to(self.sights)
        self._shown = []

    def _grow(self, step: int) -> Tensor:
        """Replace the Gaussians by those of the next generation; returns where each came from."""
        cfg, rng = self.config, make_generator(0, "gaussians/growth", step)
        keep = growth.kept(
            self.values, cfg.thin if cfg.growth == "default" else 0.0, cfg.largest, cfg.nearest, self._cameras
        )
        if self._hull is not None:
            keep &= self._hull.holds(self.values["xyz"])
        limits = growth.Limits(cfg.most, cfg.pull, cfg.large, cfg.thin, cfg.more)
        if cfg.growth == "mcmc":
            values, origin = growth.relocate(self.values, keep, limits, rng)
        else:
            values, origin = growth.split(self.values, keep, self.push / self.sights.clamp_min(1), limits, rng)
        self.values = {k: v.detach().contiguous().requires_grad_() for k, v in values.items()}
        self.push, self.sights = (v.new_zeros(len(self)) for v in (self.push, self.sights))
        return origin

    def _bands(self) -> int:
        until = self.config.bands_until
        share = 1.0 if until <= 0 else min(1.0, float(self.progress) / until)
        return min(self.config.bands, 1 + int(share * self.config.bands))


def create(
    to_user: Similarity,
    config: Config,
    seed: int,
    device: torch.device,
    cameras: Cameras | None = None,
    seeds: Seeds | None = None,
    hull: Hull | None = None,
) -> Gaussians:
    """Gaussians at given points; without any, at random where the cameras look, or in the box; where an object may be."""
    rng = make_generator(seed, "gaussians")
    found = seeds if seeds is not None else seeding.random(config.start, cameras, rng)
    if hull is not None and bool((may := hull.holds(found.xyz.float())).any()):
        found = Seeds(found.xyz[may], found.rgb[may], found.radius[may])
    found = seeding.thinned(found, config.start, rng)
    count = len(found.xyz)
    tensors = {
        "xyz": found.xyz,
        "scale": (config.first_radius * found.radius).log()[:, None].repeat(1, 3),
        "turn": torch.nn.functional.normalize(torch.randn(count, 4, generator=rng), dim=-1),
        "opacity": torch.full((count,), math.log(config.first_opacity / (1 - config.first_opacity))),
        "sh0": ((found.rgb - 0.5) / C0)[:, None],
        "sh": torch.zeros(count, config.bands**2 - 1, 3),
        _PUSH: torch.zeros(count),
        _SIGHTS: torch.zeros(count),
        _PROGRESS: torch.zeros(()),
    }
    field = Gaussians({k: v.float().contiguous().to(device) for k, v in tensors.items()}, to_user, config)
    if cameras is not None:
        field.watch(cameras, hull)
    return field


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> Gaussians:
    """The field of a saved state."""
    return Gaussians({k: v.to(device).clone() for k, v in state.items()}, to_user, config)
