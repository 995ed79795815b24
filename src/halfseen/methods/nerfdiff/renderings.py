"""Whole pictures of predicted fields, and what the denoiser is told of them, for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.fields import batched
from halfseen.fields.batched import Many
from halfseen.fields.samplers import Sampling
from halfseen.methods.nerfdiff import conditions, samples
from halfseen.methods.nerfdiff.conditions import Witness
from halfseen.methods.nerfdiff.photo_to_field import PhotoToField
from halfseen.methods.nerfdiff.samples import Posed

# Rays that are traced at once: with few, what is computed of their samples stays in a processor's cache.
_AT_ONCE = 1024


def unwrapped(network: nn.Module) -> PhotoToField:
    """The network itself, whatever several processes wrapped around it."""
    found = getattr(network, "module", network)
    assert isinstance(found, PhotoToField)
    return found


def fields_of(network: nn.Module, photos: Tensor, focal: Tensor) -> Many:
    """The fields that a network predicts from photos [B, 3, H, W] in [0, 1]."""
    return unwrapped(network).fields(network(2 * photos - 1), focal)


def picture(scene: Many, camera: Cameras, back: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor, Tensor]:
    """(colours [H, W, 3], opacity [H, W], z-depth [H, W]) of a scene of one field at a camera in its frame."""
    width, height = camera.size()
    ray = rays.cast_all(camera)
    parts = [
        batched.trace(scene, o[None], d[None], sampling, back[None])
        for o, d in zip(ray.origins.split(_AT_ONCE), ray.directions.split(_AT_ONCE), strict=True)
    ]
    rgb, alpha, distance = (torch.cat([getattr(p, k)[0] for p in parts]) for k in ("rgb", "alpha", "distance"))
    shape = (height, width)
    return rgb.reshape(*shape, 3), alpha.reshape(shape), (distance * ray.z_scale).reshape(shape)


def pictures(network: nn.Module, sample: Posed, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """(colours [T, H, W, 3], what the denoiser is told [T, 9, H, W]) at the targets of a sample, without gradients."""
    device = next(network.parameters()).device
    focal = torch.tensor([sample.focal], device=device)
    there = samples.on(sample, device)
    with torch.no_grad():
        shown, told = seen(fields_of(network, there.photo[None], focal), there, sampling)
    return shown.cpu(), told.cpu()


def seen(scene: Many, sample: Posed, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """`pictures` of a scene of one field that is there already, on its own device; in full precision, as where it is used."""
    with torch.autocast(sample.photo.device.type, enabled=False):
        return _seen(scene, sample, sampling)


def _seen(scene: Many, sample: Posed, sampling: Sampling) -> tuple[Tensor, Tensor]:
    back = sample.back
    _, alpha, depth = picture(scene, sample.camera, back, sampling)
    witness = Witness(sample.photo.movedim(0, -1), sample.camera, conditions.solid(depth, alpha).detach())
    shown, told = [], []
    for i in range(len(sample.cameras)):
        rgb, alpha, depth = picture(scene, sample.cameras[i], back, sampling)
        rgb = rgb.clamp(0, 1)
        shown.append(rgb)
        told.append(conditions.told(rgb, alpha, depth, sample.cameras[i], witness))
    return torch.stack(shown), torch.stack(told)
