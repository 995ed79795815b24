"""What an object from one photo costs before anything is fitted: encoding, a view, a look of the denoiser; beside the rival's."""

from __future__ import annotations

import torch

from halfseen.bench.speed import Point, seconds_of
from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.similarity import Similarity
from halfseen.common.rng import generator
from halfseen.methods.nerfdiff import cdm, frame, object_prior, presets
from halfseen.methods.nerfdiff.networks import NERF, networks
from halfseen.methods.nerfdiff.object_prior import ObjectPrior, Shown
from halfseen.methods.nerfdiff.photo_to_field import PhotoToField
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.priors.contract import NoiseLevel
from halfseen.worlds.layouts import SRN_FOCAL

# Sides of the views that are rendered.
SIDES = (64, 128)
# Where the camera stands, in half sides of the cube about.
_EYE = (1.5, 0.0, 0.6)


def curves() -> list[Point]:
    """Milliseconds of a photo, a view and a look. Weights do not matter to them but for where density is: these are untrained, so that no
    ray ends early."""
    return [p for name, config in (("planes", presets.SMALL), ("rival", presets.RIVAL)) for p in _points(name, config)]


def _points(name: str, config: Config) -> list[Point]:
    nets = networks(config)
    nerf = nets[NERF]
    assert isinstance(nerf, PhotoToField)
    prior = ObjectPrior(config, nerf, None, torch.device("cpu"))
    seen = _shown(config.size)
    native = object_prior.field_config(config, config.size, 0.0, 0.0)
    pixels = config.size**2
    encoding = seconds_of(lambda: object_prior.predicted(prior, seen, Similarity.identity(), native))
    out = [_point(f"encode a photo ({name})", config.size, encoding, pixels)]
    field = object_prior.predicted(prior, seen, Similarity.identity(), native)
    for side in SIDES:
        camera = _camera(side)
        with torch.no_grad():
            seconds = seconds_of(lambda camera=camera: field.render(camera, background=(1.0, 1.0, 1.0)))  # type: ignore[misc]
        out.append(_point(f"a view ({name})", side, seconds, side**2))
    return [*out, _point("a look of the denoiser", config.size, _look(config), pixels)] if name == "planes" else out


def _look(config: Config) -> float:
    """Seconds of one view's look of an untrained denoiser."""
    network = cdm.Cdm(config.cdm)
    rng = generator(0, "bench/look")
    noisy, told = (torch.randn(1, n, config.size, config.size, generator=rng) for n in (cdm.NOISY, cdm.TOLD))
    denoise, level = cdm.denoiser_of(config.cdm, network), NoiseLevel(torch.tensor([0.6]), torch.tensor([0.8]))
    with torch.no_grad():
        return seconds_of(lambda: denoise(noisy, level, {cdm.CONDITION: told, cdm.PHOTO: noisy}))


def _point(curve: str, size: int, seconds: float, count: int) -> Point:
    return Point(curve, size, 1e3 * seconds, 1e9 * seconds / count)


def _camera(side: int) -> Cameras:
    eye = torch.tensor([_EYE], dtype=torch.float64)
    pose = paths.look_at(eye, torch.zeros_like(eye), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    return make(pose, (SRN_FOCAL * side, SRN_FOCAL * side, side / 2, side / 2), (side, side)).to(torch.float32)


def _shown(side: int) -> Shown:
    camera = _camera(side)
    photo = torch.rand(3, side, side, generator=generator(0, "bench/object"))
    return Shown(photo, camera, frame.to_world(camera.to(torch.float64), float(camera.centres.norm())))
