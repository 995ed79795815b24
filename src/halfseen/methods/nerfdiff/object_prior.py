"""The trained networks in use: a photo to a field, and the denoiser of its views."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.cameras import paths, rays
from halfseen.cameras.cameras import Cameras, make
from halfseen.cameras.similarity import Similarity
from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.data.capture import Capture, Picture, View
from halfseen.fields import projection, triplane
from halfseen.images import color, resize
from halfseen.methods.nerfdiff import cdm, frame
from halfseen.methods.nerfdiff.networks import CDM, NERF, ROLE, networks
from halfseen.methods.nerfdiff.photo_to_field import PhotoToField
from halfseen.methods.nerfdiff.training_config import Config as Trained
from halfseen.priors import weights
from halfseen.priors.contract import Denoiser
from halfseen.worlds.layouts import SRN_FOCAL

# Of what an object reaches from the picture's middle, in half pictures as training has them: less or more than this is another size of
# picture to the network, and it is shown the object at the usual size.
_REACH, _USUAL = (0.4, 1.0), 0.75
_COVERED = 0.5


@dataclass(frozen=True)
class ObjectPrior:
    """A photo to a field, and where there is one the denoiser of views beside its renderings."""

    config: Trained
    nerf: PhotoToField
    denoiser: Denoiser | None
    device: torch.device

    @property
    def multiple(self) -> int:
        """Of which sides of what the denoiser takes are."""
        sizes = self.config.cdm.unet
        return int(sizes.block * 2 ** (len(sizes.widths) - 1))


@dataclass(frozen=True)
class Shown:
    """A photo as the network is shown it."""

    photo: Tensor  # [3, size, size] in [0, 1]
    camera: Cameras  # in the box
    to_box: Similarity  # from the frame of that camera's cube


def load(name: str, device: torch.device) -> ObjectPrior:
    """The prior of a name or a folder."""
    stored = weights.load_for(name, ROLE)
    config = configs.from_plain(Trained, stored.config["config"], f"{name}: config")
    whole = any(k.startswith(f"{CDM}.") for k in stored.weights)
    nets = networks(replace(config, stage="joint" if whole else "nerf"))
    weights.fill(nets, stored)
    for net in nets.values():
        net.to(device)
    nerf = nets[NERF]
    assert isinstance(nerf, PhotoToField)
    return ObjectPrior(config, nerf, cdm.denoiser_of(config.cdm, nets[CDM]) if whole else None, device)


def denoiser(prior: ObjectPrior, name: str) -> Denoiser:
    """The denoiser, which has to be there."""
    if prior.denoiser is None:
        raise UserError(
            f"the prior {quote(name)} has no diffusion model",
            got="a network from a photo to a field alone",
            accepted="weights of a training of stage cdm or joint",
            do="Use --variant feedforward, or name another prior with --prior object=NAME.",
        )
    return prior.denoiser


def shown(capture: Capture, size: int, device: torch.device) -> Shown:
    """The first photo of a capture of the box frame through a square camera at its place that looks at the box's middle, as training's
    cameras do."""
    view, back = capture.views[0], capture.background or color.WHITE
    assert view.camera is not None
    camera = view.camera
    eye = camera.centres[:1].double()
    pose = paths.look_at(eye, torch.zeros_like(eye), camera.up[:1].double())
    half = _half_angle(view.camera, view.mask if capture.mask_role == "object" else None, pose)
    focal = size / (2 * half)
    there = make(pose, (focal, focal, size / 2, size / 2), (size, size))
    photo = _through(view, there, back)
    to_box = frame.to_world(there, float(eye.norm()))
    return Shown(photo.movedim(-1, 0).to(device), there.to(torch.float32).to(device), to_box)


def _half_angle(camera: Cameras, mask: Picture | None, pose: Tensor) -> float:
    """Tangent of the half angle of the square camera: training's, unless the object would be far larger or smaller than there."""
    usual = 1 / (2 * SRN_FOCAL)
    if mask is None:
        return usual
    covered = (mask.read_grey() > _COVERED).nonzero().flip(-1)
    if len(covered) == 0:
        return usual
    fx, fy, cx, cy = camera.intrinsics[0].double()
    xy = (covered.double() + 0.5 - torch.stack([cx, cy])) / torch.stack([fx, fy])
    local = torch.cat([xy, torch.ones_like(xy[:, :1])], 1) @ camera.c2w[0, :3, :3].double().T @ pose[0, :3, :3]
    reach = float((local[:, :2] / local[:, 2:]).abs().max())
    return usual if _REACH[0] <= reach / usual <= _REACH[1] else reach / _USUAL


def _through(view: View, there: Cameras, back: tuple[float, float, float]) -> Tensor:
    """The photo's pixels [size, size, 3] as another camera at its place sees them, `back` where it sees beyond the photo.

    Both are pinholes with one centre: pixels are those of a homography. Larger photos are made smaller first, so that none is skipped.
    """
    assert view.camera is not None
    size = there.size()[0]
    ratio = float(view.camera.intrinsics[0, :2].max() / there.intrinsics[0, 0])
    photo, camera = view.image.read()[..., :3], view.camera
    if ratio > 1:
        small = tuple(max(1, round(s / ratio)) for s in camera.size())
        photo, camera = resize.resize(photo, *small), camera.resized(*small)
    ray = rays.cast_all(there)
    pixels, z = rays.project(camera.to(torch.float64), ray.origins.double() + ray.directions.double())
    inside = rays.in_frame(camera, pixels, z)[0].reshape(size, size, 1)
    found = resize.sample(photo.double(), pixels)[0].reshape(size, size, 3).float()
    return torch.where(inside, found, found.new_tensor(back))


def predicted(
    prior: ObjectPrior, seen: Shown, to_user: Similarity, config: triplane.Config | projection.Config
) -> triplane.Triplane | projection.Projection:
    """The field of the box frame that the network predicts from a photo, with a config from `field_config`."""
    focal = torch.tensor([2 * float(seen.camera.intrinsics[0, 0]) / seen.camera.size()[0]])
    with torch.no_grad():
        encoded = prior.nerf(2 * seen.photo[None].to(prior.device) - 1)
    weight, to_planes = prior.nerf.weights, seen.to_box.inverse()
    if isinstance(config, projection.Config):
        return projection.of_features(encoded, projection.ahead(focal), weight, [to_planes], to_user, config)
    return triplane.of_planes(encoded[0], weight, to_planes, to_user, config)


def described(name: str) -> Trained:
    """What a prior was trained as, without its weights' being built."""
    return configs.from_plain(Trained, weights.load_for(name, ROLE).config["config"], f"{name}: config")


def field_config(
    trained: Trained, cells: int, lr_planes: float, lr_network: float
) -> triplane.Config | projection.Config:
    """The config of the field that a prior predicts; planes get so many cells a side, and these learning rates."""
    nerf = trained.nerf
    if nerf.kind == "projection":
        return projection.Config(nerf.channels, trained.size, 1, nerf.layers, nerf.sampling)
    return triplane.Config(
        channels=nerf.channels,
        side=cells,
        lr_planes=lr_planes,
        lr_network=lr_network,
        bounded=True,
        decoder=nerf.decoder,
        sampling=nerf.sampling,
    )
