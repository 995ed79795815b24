"""Speed of Gaussian splatting beside its tiled torch twin, and its curves against Gaussians and pixels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from halfseen.bench.speed import Point, Row, row_of, seconds_of
from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields import gaussians, splats
from halfseen.fields.gaussians import Gaussians
from halfseen.fields.kernels.splat_raster import LANES
from halfseen.fields.optimiser import Adam
from halfseen.metrics.structure import dissimilarity

# The main rows: Gaussians, pixels along a side, how often the slow twin is timed.
COUNT, SIDE, REPEATS = 50_000, 256, 2
# What fitting compares with: OpenSplat's 25,000 Gaussians at 256 x 192.
FITTED, FITTED_SIZE = 25_000, (256, 192)
CURVE_COUNTS, CURVE_SIDES = (5_000, 20_000, 50_000, 100_000), (64, 128, 256, 512)
# A ball of Gaussians that covers most of the picture: its radius, and theirs at COUNT (they shrink as they become more).
_BALL, _RADIUS, _POWER = 0.5, 0.014, 1 / 3


def rows() -> list[Row]:
    """Blending forward and backward, and a whole step of a fit."""
    made, camera = _ball(COUNT), _camera(SIDE, SIDE)
    layout = splats.grid((0, 0, SIDE, SIDE))
    blending = row_of("splat raster, forward and backward", lambda: _blend(made, camera), COUNT, repeats=REPEATS)
    pairs = _visited(made, camera, layout)
    note = (
        f"{1e6 * blending.ms / pairs:.2f} ns for each pixel and Gaussian looked at together ({pairs / 1e6:.1f} million)"
    )
    return [replace(blending, note=note), _step()]


def curves() -> list[Point]:
    """Cost of forward and backward against the number of Gaussians and of pixels."""
    out, camera = [], _camera(SIDE, SIDE)
    for count in CURVE_COUNTS:
        made = _ball(count)
        seconds = seconds_of(lambda made=made: _blend(made, camera))  # type: ignore[misc]
        out.append(Point("Gaussians (both ways)", count, 1e3 * seconds, 1e9 * seconds / count))
    made = _ball(COUNT)
    for side in CURVE_SIDES:
        wide = _camera(side, side)
        seconds = seconds_of(lambda wide=wide: _blend(made, wide))  # type: ignore[misc]
        out.append(Point("pixels (splats, both ways)", side * side, 1e3 * seconds, 1e9 * seconds / side**2))
    return out


def _step() -> Row:
    """One step of a fit: render, L1 and D-SSIM, gradients, Adam, without growth."""
    made, camera = _ball(FITTED), _camera(*FITTED_SIZE)
    optimiser = Adam(made.parameter_groups())
    width, height = FITTED_SIZE
    photo = torch.rand(height, width, 3, generator=generator(0, "bench/photo"))

    def work() -> None:
        rgb = made.render(camera, background=(0.0, 0.0, 0.0)).rgb
        ((rgb - photo).abs().mean() + dissimilarity(rgb, photo)).backward()
        optimiser.step(0.0)

    return row_of("splat training step, 25,000 at 256 x 192", work, FITTED, "ns a Gaussian", REPEATS)


def _blend(made: Gaussians, camera: Cameras) -> None:
    picture = made.render(camera, background=(0.0, 0.0, 0.0))
    (picture.rgb.sum() + picture.alpha.sum()).backward()
    for value in made.values.values():
        value.grad = None


def _visited(made: Gaussians, camera: Cameras, layout: splats.Layout) -> int:
    """Pairs of a Gaussian and a pixel that are looked at: pixels of all groups that the box of a Gaussian touches."""
    with torch.no_grad():
        projected = made.project(camera)
    total = 0
    for low, high in zip(projected.mean - projected.reach, projected.mean + projected.reach, strict=True):
        if not torch.equal(low, high):
            total += _groups(layout.box, low, high)
    return total * LANES


def _groups(box: Tensor, low: Tensor, high: Tensor) -> int:
    return int(((box[:, 2:] >= low) & (box[:, :2] <= high)).all(-1).sum())


def _ball(count: int) -> Gaussians:
    rng = generator(0, "bench/ball")
    xyz = _BALL * torch.randn(count, 3, generator=rng)
    radius = torch.full((count,), _RADIUS * (COUNT / count) ** _POWER)
    seeds = seeding.Seeds(xyz, torch.rand(count, 3, generator=rng), radius)
    config = gaussians.Config(start=count, most=count, bands=1, first_radius=1.0)
    made = gaussians.create(Similarity.identity(), config, 0, torch.device("cpu"), None, seeds)
    made.values["scale"].data += 0.4 * torch.randn(count, 3, generator=rng)
    return made


def _camera(width: int, height: int) -> Cameras:
    eye = torch.tensor([[1.6, 1.2, 0.8]])
    pose = paths.look_at(eye, torch.zeros(1, 3), torch.tensor([0.0, 0.0, 1.0]))
    return make(pose, (float(width), float(width), width / 2, height / 2), (width, height))
