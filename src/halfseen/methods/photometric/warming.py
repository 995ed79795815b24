"""Compiling as a step of its own: a fit of a few pixels calls every kernel that the real one will, before anybody waits for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from halfseen.cameras import paths
from halfseen.cameras.cameras import make
from halfseen.cameras.similarity import Similarity
from halfseen.common import jit
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.methods.contract import OnCompile
from halfseen.methods.photometric import fit
from halfseen.methods.photometric.config import Config
from halfseen.poses import framing, stereo

# The pictures are as small as the windows of stereo and SSIM allow; cameras stand around the box, close enough for stereo.
_SIZE, _FOCAL = (32, 24), 32.0
_EYES = ((3.0, 0.0, 0.5), (3.0, 0.4, 0.5), (3.0, -0.4, 0.5))
# Sizes of what is fitted, which change no kernel: rays, side of a triplane and of the occupancy grid, table entries, Gaussians.
_RAYS, _SIDE, _LOG2_ENTRIES, _GAUSSIANS = 16, 8, 8, 32


def warm_up(
    part: Callable[[Any], Config],
    settings: Any,
    capture: Capture,
    device: torch.device,
    on_compile: OnCompile,
    *,
    fresh: bool = True,
) -> None:
    """Compile what a fit of a loaded capture will call; `part` finds the fit's settings in the method's. A fit that is gone on with
    (not `fresh`) knows already what stereo says."""
    cfg = part(settings)
    looks = fresh and len(capture) > 1 and (cfg.geometry or framing.sweeps(capture))
    parts = [*([_stereo] if looks else []), *_fit(cfg, device)]
    done, cold = 0, False

    def begun() -> None:
        nonlocal cold
        if not cold:
            cold = True
            on_compile(done, len(parts))

    with jit.watched(begun):
        for each in parts:
            each()
            done += 1
            if cold:
                on_compile(done, len(parts))


def _stereo() -> None:
    tiny = _capture()
    stereo.depths([v.image.read() for v in tiny.views], tiny.cameras())


def _fit(cfg: Config, device: torch.device) -> list[Callable[[], None]]:
    """The parts of one step, and of looking at its result."""
    small = _smaller(cfg)
    going = fit.begin(_capture(), Similarity.identity(), small, 0, device)
    found = {}

    def forward() -> None:
        found.update(fit.terms(going, small, 0, 1))

    def backward() -> None:
        fit.advance(going, small, found, 1)

    def show() -> None:
        fit.panels(going)

    return [forward, backward, show]


def _smaller(cfg: Config) -> Config:
    """The same kernels on as little as possible, without what stereo knows; rays that are spread, because a method may ask for that."""
    grid = replace(cfg.hashgrid, log2_entries=_LOG2_ENTRIES, coarse_to_fine=0.0)
    cells = replace(grid.occupancy, side=_SIDE, every=1)
    return replace(
        cfg,
        steps=1,
        least_rays=_RAYS,
        most_rays=_RAYS,
        distortion=1.0,
        near=0.0,
        depth=0.0,
        pictures=replace(cfg.pictures, depth=0.0, seeds="random"),
        hashgrid=replace(grid, occupancy=cells),
        triplane=replace(cfg.triplane, side=_SIDE),
        gaussians=replace(cfg.gaussians, start=_GAUSSIANS, most=_GAUSSIANS),
    )


def _capture() -> Capture:
    """Noise from three places, in the box frame."""
    origin, up = torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    poses = paths.look_at(torch.tensor(_EYES, dtype=torch.float64), origin, up)
    width, height = _SIZE
    cameras = make(poses, (_FOCAL, _FOCAL, width / 2, height / 2), _SIZE)
    noise = torch.rand(len(_EYES), height, width, 3, generator=generator(0, "warming"))
    views = (View(str(i), PictureArray(noise[i]), cameras[i]) for i in range(len(_EYES)))
    return Capture(tuple(views), "noise", Path())
