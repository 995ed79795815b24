"""Settings of a fit to photos. Sources: ours, unless a line says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from halfseen.common.config import within
from halfseen.data.capture import Capture
from halfseen.fields import gaussians, hashgrid, kinds, triplane
from halfseen.methods.photometric.turning import Turning
from halfseen.poses import stereo


@dataclass(frozen=True)
class Pictures:
    """Gaussians are fitted to whole photos, with weights of their own (zero: off)."""

    # Where they begin: on surfaces from stereo, at the capture's own points (which structure from motion may have made with photos
    # that are held out here), or at random.
    seeds: Literal["stereo", "points", "random"] = "stereo"
    # Share of D-SSIM beside L1 (Kerbl et al. 2023).
    structure: float = 0.2
    # (1 - alpha)^2 on scenes, and the relative error of depth where stereo knows it, which decays as `depth_end` says.
    opacity: float = 0.0
    depth: float = 0.0
    # The mean opacity and the mean radius (Kheradmand et al. 2024): against fog and needles.
    thin: float = 0.0
    small: float = 0.0

    def __post_init__(self) -> None:
        within("pictures.structure", self.structure, 0, 1)
        for name in ("opacity", "depth", "thin", "small"):
            within(f"pictures.{name}", getattr(self, name), 0, 1e300)


@dataclass(frozen=True)
class Config:
    """Photometric fitting of a field. Weights of zero switch a term off."""

    # Optimiser steps.
    steps: int = 900
    # Work that a step aims at, in samples with a gradient (`rays.effort`); rays are as many as give that, within these limits.
    work: int = 100_000
    least_rays: int = 512
    most_rays: int = 8192
    # Final learning rates as a share of the first ones.
    lr_end: float = 0.05
    # Weight of the opacity loss on photos with an object mask.
    mask: float = 0.3
    # Weight of the distortion of rays divided by their depth (mip-NeRF 360; DiffusioNeRF's 0.0154 a ray on LLFF), and the share
    # of the fit before it counts in full.
    distortion: float = 0.003
    distortion_from: float = 0.3
    # Whether it counts on those rays alone whose depth stereo knows: where nothing else holds what a ray shows, distortion pushes it
    # into fog before the camera.
    distortion_known: bool = False
    # Weight of (1 - alpha)^2 on scenes, whose rays all end somewhere (DiffusioNeRF's 1e-3 summed over 1024 rays, as a mean).
    opacity: float = 0.0
    # Weight of opacity nearer to a camera than this share of its nearest surface that stereo knows (FreeNeRF's occlusion term).
    near: float = 0.0
    near_share: float = 0.7
    # Weight of the relative error of depth where stereo knows it, at the start; it decays to `depth_end` of that.
    depth: float = 0.0
    depth_end: float = 0.02
    # Up to so many views geometry counts in full. With V of them `opacity`, `near` and `depth` count full_until / V of that, and
    # distortion and coarse levels its square: more photos say by themselves what geometry guesses (0: always in full).
    full_until: int = 0
    # Share of `hashgrid.coarse_to_fine` that counts for an object alone, whose masks already say roughly where it is; and for a scene.
    coarse_alone: float = 1.0
    coarse_scene: float = 1.0
    # The grey behind scenes (sRGB); none: colours at random, of each ray.
    grey: float | None = None
    # Whether an object may only be where all its masks allow it.
    hull: bool = False
    pictures: Pictures = field(default_factory=Pictures)
    turning: Turning = field(default_factory=Turning)
    stereo: stereo.Config = field(default_factory=stereo.Config)
    kind: Literal["hashgrid", "triplane", "gaussians"] = "hashgrid"
    hashgrid: hashgrid.Config = field(default_factory=hashgrid.Config)
    triplane: triplane.Config = field(default_factory=triplane.Config)
    gaussians: gaussians.Config = field(default_factory=gaussians.Config)

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**7)
        within("grey", 0.0 if self.grey is None else self.grey, 0, 1)
        within("work", self.work, 1, 10**8)
        within("least_rays", self.least_rays, 1, 10**6)
        within("most_rays", self.most_rays, self.least_rays, 10**7)
        within("lr_end", self.lr_end, 1e-6, 1)
        for name in ("mask", "distortion", "opacity", "near", "depth"):
            within(name, getattr(self, name), 0, 1e300)
        within("depth_end", self.depth_end, 1e-9, 1)
        within("distortion_from", self.distortion_from, 0, 1)
        within("full_until", self.full_until, 0, 10**6)
        within("coarse_alone", self.coarse_alone, 0, 1)
        within("coarse_scene", self.coarse_scene, 0, 1)
        within("near_share", self.near_share, 0, 1)

    @property
    def geometry(self) -> bool:
        """Whether anything of this fit needs depth from stereo: its losses, or Gaussians that begin there."""
        if self.kind == "gaussians":
            return self.pictures.depth > 0 or self.pictures.seeds == "stereo"
        return self.depth > 0 or self.near > 0 or (self.distortion > 0 and self.distortion_known)


BASIC = Config()
# The strongest few-view fit that we know without diffusion.
CLASSIC = replace(
    BASIC,
    distortion=0.05,
    distortion_known=True,
    opacity=0.05,
    near=0.1,
    depth=0.5,
    depth_end=0.1,
    full_until=3,
    coarse_alone=0.5,
    coarse_scene=0.0,
    hull=True,
    # On fern at 3 views depth as a loss takes 0.8 dB and more from Gaussians, which begin where it says; opacity gives 0.1.
    pictures=Pictures(opacity=0.05),
    hashgrid=replace(BASIC.hashgrid, coarse_to_fine=0.7, occupancy=replace(BASIC.hashgrid.occupancy, alone=0.8)),
)


def resolve(cfg: Config, capture: Capture, kind: str) -> Config:
    """Fill in what depends on the capture: an object fills the box alone, a scene all of space; many photos need less geometry."""
    bounded = capture.mask_role == "object"
    cfg = _for_views(cfg, len(capture))
    grid, planes = cfg.hashgrid, cfg.triplane
    share = cfg.coarse_alone if bounded else cfg.coarse_scene
    grid = replace(grid, coarse_to_fine=share * grid.coarse_to_fine)
    grid = grid if grid.bounded is not None else replace(grid, bounded=bounded)
    planes = planes if planes.bounded is not None else replace(planes, bounded=bounded)
    settings: dict[str, Any] = {"hashgrid": grid, "triplane": planes, "kind": kind}
    settings |= {"coarse_alone": 1.0, "coarse_scene": 1.0}
    return replace(cfg, **settings)


def _for_views(cfg: Config, views: int) -> Config:
    """The settings for a number of views, as `Config.full_until` says. What is resolved once stays as it is."""
    share = min(1.0, cfg.full_until / views) if cfg.full_until else 1.0
    return replace(
        cfg,
        distortion=cfg.distortion * share**2,
        opacity=cfg.opacity * share,
        near=cfg.near * share,
        depth=cfg.depth * share,
        full_until=0,
        pictures=replace(cfg.pictures, opacity=cfg.pictures.opacity * share, depth=cfg.pictures.depth * share),
        hashgrid=replace(cfg.hashgrid, coarse_to_fine=cfg.hashgrid.coarse_to_fine * share**2),
    )


def field_config(cfg: Config) -> kinds.Config:
    """The settings of the field that is fitted."""
    if cfg.kind == "gaussians":
        return cfg.gaussians
    return cfg.hashgrid if cfg.kind == "hashgrid" else cfg.triplane
