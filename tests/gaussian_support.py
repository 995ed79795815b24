"""Gaussians for tests: a camera that looks at the box, and a small cloud that can be fitted."""

from dataclasses import replace

import torch

from halfseen.cameras import paths
from halfseen.cameras.cameras import make
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.fields import gaussian_seeds as seeding
from halfseen.fields import gaussians

SIZE = (50, 37)
UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def camera(eye=(1.6, 1.2, 0.8), size=SIZE):
    eye = torch.tensor([eye], dtype=torch.float64)
    pose = paths.look_at(eye, torch.zeros(1, 3, dtype=torch.float64), UP)
    return make(pose, (size[0] * 1.0, size[0] * 1.1, size[0] * 0.47, size[1] * 0.52), size)


def field(count=300, **changes):
    config = replace(gaussians.Config(start=count, most=4 * count, bands_until=0), **changes)
    rng = generator(3, "field")
    seeds = seeding.Seeds(
        0.4 * torch.randn(count, 3, generator=rng), torch.rand(count, 3, generator=rng), torch.full((count,), 0.08)
    )
    made = gaussians.create(Similarity.identity(), config, 0, torch.device("cpu"), camera(), seeds)
    made.values["scale"].data += 0.5 * torch.randn(count, 3, generator=rng)
    return made
