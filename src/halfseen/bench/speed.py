"""Speed of the compiled loops beside their slow twins, measured in turn in one process: a ratio, never a time alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from halfseen.cameras import paths, rays
from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.rays import Rays
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import decoder, hashgrid, operators, planes, samplers
from halfseen.fields.operators import Marched
from halfseen.fields.optimiser import Adam
from halfseen.images import resize

# Sizes of the main rows: samples of loops over samples, rays of loops over rays, and how often each is timed.
SAMPLES, RAYS, REPEATS = 65_536, 1024, 5
# Channels, rows and columns of planes: those that are distilled from one photo.
PLANES = (33, 128, 128)
# Numbers of samples, of pixels (a side) and of views of the curves.
CURVE_SAMPLES = (4096, 16_384, 65_536, 262_144)
CURVE_SIDES = (32, 64, 128)
CURVE_VIEWS = (3, 9, 27)
# How many times as long the twins of these rows are to take, on two quiet cores (docs/results/fields.md).
AIMS = {
    "hash encoding, forward and backward": 10.0,
    "occupancy marching": 10.0,
    "whole training step": 8.0,
    "splat raster, forward and backward": 20.0,
}
# Bytes moved to measure the machine's memory, and by how many passes over them (one read, one written).
_BAND_BYTES, _PASSES = 256 * 2**20, 2
# Bytes that hash encoding moves for each sample and level: eight entries, and the place and features of the sample.
_CORNERS, _FLOAT = 8, 4


@dataclass(frozen=True)
class Row:
    """One loop beside its twin."""

    name: str
    ms: float
    twin_ms: float
    ns_per_sample: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long the twin takes."""
        return self.twin_ms / self.ms

    @property
    def aim(self) -> float | None:
        """What the ratio is to be, where the project set itself that."""
        return AIMS.get(self.name)


@dataclass(frozen=True)
class Point:
    """One point of a curve."""

    curve: str
    size: int
    ms: float
    ns_each: float


def bandwidth() -> float:
    """Bytes a second that this machine reads and writes in a plain copy."""
    source = torch.zeros(_BAND_BYTES // _FLOAT)
    target = torch.empty_like(source)
    return _PASSES * _BAND_BYTES / seconds_of(lambda: target.copy_(source))


def rows() -> list[Row]:
    """All loops of NeRFs beside their twins (those of Gaussians: `speed_splats.rows`)."""
    scene = _Scene()
    memory = bandwidth()
    encoding = scene.encoding()
    moved = SAMPLES * len(scene.field.layout.first) * (_CORNERS + 1) * scene.field.config.features * _FLOAT
    share = moved / (encoding.ms / 1e3) / memory
    return [
        replace(encoding, note=f"forward {share:.0%} of the memory's {memory / 1e9:.1f} GB/s if no entry were cached"),
        scene.encoding_backward(),
        scene.looking_up(),
        scene.marching(),
        scene.compositing(),
        scene.networks(),
        scene.optimiser(),
        scene.training_step(),
    ]


def curves() -> list[Point]:
    """Cost against the number of samples, pixels and views."""
    scene, out = _Scene(), []
    for count in CURVE_SAMPLES:
        xyz = torch.rand(count, 3, generator=generator(0, "curve"))
        seconds = seconds_of(lambda xyz=xyz: scene.field.look(xyz))  # type: ignore[misc]
        out.append(Point("samples (density)", count, 1e3 * seconds, 1e9 * seconds / count))
    for side in CURVE_SIDES:
        camera = _cameras(1, side)
        seconds = seconds_of(lambda camera=camera: scene.show(camera))  # type: ignore[misc]
        out.append(Point("pixels (picture)", side * side, 1e3 * seconds, 1e9 * seconds / side**2))
    for views in CURVE_VIEWS:
        cameras = _cameras(views, 64)
        seconds = seconds_of(lambda cameras=cameras: scene.step(cameras))  # type: ignore[misc]
        out.append(Point("views (training step)", views, 1e3 * seconds, 1e9 * seconds / RAYS))
    return out


class _Scene:
    """A field with something in it, photographed from a ring."""

    def __init__(self) -> None:
        config = replace(hashgrid.Config(), bounded=False)
        self.field = hashgrid.create(Similarity.identity(), config, 0, torch.device("cpu"))
        self.field.table.data += torch.randn(self.field.table.shape, generator=generator(0, "bench"))
        self.optimiser_ = Adam(self.field.parameter_groups())
        self.cameras = _cameras(9, 64)
        rng = generator(0, "bench/samples")
        self.xyz = torch.rand(SAMPLES, 3, generator=rng)
        self.grad = torch.rand(SAMPLES, config.levels * config.features, generator=rng)
        rest = torch.rand(2, RAYS, SAMPLES // RAYS, generator=rng)
        self.samples: Marched = samplers.packed(rest[0].sort(-1).values, rest[1] / 64)
        self.density, self.colour = 8 * torch.rand(SAMPLES, generator=rng), torch.rand(SAMPLES, 3, generator=rng)

    def encoding(self) -> Row:
        table = self.field.table.detach()
        return row_of("hash encoding, forward", lambda: operators.encode(self.xyz, table, self.field.layout), SAMPLES)

    def encoding_backward(self) -> Row:
        def work() -> None:
            operators.encode(self.xyz, self.field.table, self.field.layout).backward(self.grad)
            self.field.table.grad = None

        return row_of("hash encoding, forward and backward", work, SAMPLES)

    def looking_up(self) -> Row:
        held = torch.rand(1, len(planes.AXES), *PLANES, generator=generator(0, "planes")).requires_grad_()
        at, grad = 2 * self.xyz[None] - 1, torch.rand(1, SAMPLES, PLANES[0], generator=generator(0, "features"))

        def work() -> None:
            planes.features(held, at).backward(grad)
            held.grad = None

        return row_of("three planes, forward and backward", work, SAMPLES)

    def marching(self) -> Row:
        ray = _rays(self.cameras)
        sampling = self.field.config.sampling
        occupied = torch.rand(len(self.field.occupied), generator=generator(0, "cells")) < 0.1
        found = samplers.march(ray, sampling, occupied, None, bounded=False)
        return row_of(
            "occupancy marching", lambda: samplers.march(ray, sampling, occupied, None, bounded=False), len(found.t)
        )

    def compositing(self) -> Row:
        density, colour = self.density.clone().requires_grad_(), self.colour.clone().requires_grad_()

        def work() -> None:
            _, rgb, depth, alpha = operators.composite(density, colour, self.samples)
            (rgb.sum() + depth.sum() + alpha.sum()).backward()

        return row_of("compositing, forward and backward", work, SAMPLES)

    def networks(self) -> Row:
        features = self.grad.clone().requires_grad_()
        directions = torch.nn.functional.normalize(self.colour[:RAYS] - 0.5, dim=-1)

        def work() -> None:

            density, colour = decoder.decode(
                features, self.xyz, directions, self.samples, self.field.weights, self.field.config.decoder
            )
            (density.sum() + colour.sum()).backward()

        return row_of("density and colour networks, forward and backward", work, SAMPLES)

    def optimiser(self) -> Row:
        def work() -> None:
            self.field.table.grad = torch.ones_like(self.field.table)
            self.optimiser_.step(0.0)

        return row_of("Adam", work, self.field.table.numel())

    def training_step(self) -> Row:
        return row_of("whole training step", lambda: self.step(self.cameras), RAYS, note="ns a ray")

    def step(self, cameras: Cameras) -> None:
        """One step on random pixels, without moving anything."""
        rng = generator(0, "bench/step")
        views = torch.randint(len(cameras), (RAYS,), generator=rng)
        at = torch.rand(RAYS, 2, generator=rng) * cameras.sizes[0]
        picture = self.field.render(cameras, pixels=(views, at), background=(1.0, 1.0, 1.0), generator=rng)
        ((picture.rgb - 0.5) ** 2).mean().backward()
        self.optimiser_.step(0.0)

    def show(self, camera: Cameras) -> Tensor:
        """One picture."""
        with torch.no_grad():
            return self.field.render(camera, background=(1.0, 1.0, 1.0)).rgb


def _cameras(count: int, side: int) -> Cameras:
    angle = 2 * torch.pi * torch.arange(count) / count
    eye = 2.2 * torch.stack([torch.cos(angle), torch.sin(angle), torch.full_like(angle, 0.3)], -1)
    poses = paths.look_at(eye, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    return make(poses, (float(side), float(side), side / 2, side / 2), resize.fit(side, side, side))


def _rays(cameras: Cameras) -> Rays:
    rng = generator(0, "bench/rays")
    views = torch.randint(len(cameras), (RAYS,), generator=rng)
    return rays.cast(cameras, views, torch.rand(RAYS, 2, generator=rng) * cameras.sizes[0])


def row_of(name: str, work: Callable[[], object], samples: int, note: str = "", repeats: int = REPEATS) -> Row:
    """Time the compiled form and its twin in turn, after one run of each that is not timed."""
    fast, slow = [], []
    for _ in range(repeats):
        fast.append(seconds_of(work, 1))
        with operators.twins():
            slow.append(seconds_of(work, 1))
    ms, twin = 1e3 * median(fast), 1e3 * median(slow)
    return Row(name, ms, twin, 1e6 * ms / samples, note)


def seconds_of(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median time of a call, after one that is not timed."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)
