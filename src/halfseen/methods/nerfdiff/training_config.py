"""Settings of the training of both networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from halfseen.common.config import within
from halfseen.common.errors import UserError, quote
from halfseen.methods.nerfdiff import cdm
from halfseen.methods.nerfdiff.photo_to_field import NerfConfig
from halfseen.priors.training import LoopConfig
from halfseen.worlds.layouts import LAYOUTS


@dataclass(frozen=True)
class Config:
    """What the networks are, and what they learn from. Sources: ours, where networks.py says nothing else."""

    nerf: NerfConfig = field(default_factory=NerfConfig)
    cdm: cdm.Config = field(default_factory=cdm.Config)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(batch=4, lr=5e-4, lr_end=2e-5, save_every=250))
    # nerf: the field alone; cdm: the denoiser beside a field that stays as it is, from renderings that are kept; joint: both in one
    # loop, as the paper has it.
    stage: Literal["nerf", "cdm", "joint"] = "nerf"
    # Whether the denoiser's loss reaches the field, in `joint`.
    cdm_grad_to_nerf: bool = False
    # Folders of objects instead of worlds (ShapeNet-SRN, ABO, CLEVR3D, meshes): to learn from, and to be judged by.
    data: str = ""
    held_out: str = ""
    families: tuple[str, ...] = ("cars", "chairs", "tabletop", "cars", "chairs", "tabletop", "clevr")
    layout: str = "hemisphere"
    # Photos are taken from no higher than this sine of an elevation, as people take them.
    source_height: float = 0.7
    size: int = 64
    views: int = 24
    # Objects that are drawn from at a time; how often one is drawn on average; processes that render.
    window: int = 256
    reuse: int = 16
    workers: int = 1
    # Of each object of a step of the field: views that are looked at, and rays of each; the share of rays from where the object is.
    targets: int = 2
    rays: int = 256
    on_object: float = 0.6
    # Share of objects of which the photo itself is one of the views that are looked at: what it shows is learned soonest.
    own: float = 0.5
    # Share of objects that are shown in a mirror, and of those whose colour channels change places.
    mirrored: float = 0.5
    recoloured: float = 0.3
    # Weight of the error of opacity, where masks are known, beside that of colours.
    opacity: float = 0.1
    # Points of each object whose density and colour are told by its depth maps, where these are known (worlds); the views that tell;
    # and the weights of both. No photo can tell it: the paper has none of this.
    points: int = 1024
    carving_views: int = 12
    carved: float = 0.03
    painted: float = 1.0
    # Of stage `cdm`: photos, of an object each, and other views of each, over and over: they are rendered once and kept.
    photos: int = 2000
    others: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        within("size", self.size, 16, 1024)
        for net in (self.nerf.unet, self.cdm.unet):
            multiple = net.block * 2 ** (len(net.widths) - 1)
            if self.size % multiple:
                raise UserError(
                    "the networks halve pictures of this size to no end",
                    got=f"size={self.size}, {len(net.widths)} levels of blocks of {net.block}",
                    accepted=f"a multiple of {multiple}",
                    do="Change --set size.",
                )
        if self.layout not in LAYOUTS:
            raise UserError(
                "the layout is not known",
                got=quote(self.layout),
                accepted=", ".join(LAYOUTS),
                do="Change --set layout.",
            )
        for name in ("window", "reuse", "points", "carving_views", "photos", "others"):
            within(name, getattr(self, name), 1, 10**9)
        for name in ("opacity", "carved", "painted"):
            within(name, getattr(self, name), 0, 1e6)
        within("workers", self.workers, 0, 1024)
        within("views", self.views, 2, 10_000)
        within("targets", self.targets, 1, self.views)
        within("rays", self.rays, 1, 10**6)
        for name in ("on_object", "mirrored", "recoloured", "source_height", "own"):
            within(name, getattr(self, name), 0, 1)
