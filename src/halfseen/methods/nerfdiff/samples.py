"""What a step of training sees: a photo of an object, and rays or whole pictures of other views of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.images import color
from halfseen.methods.nerfdiff import frame
from halfseen.worlds.objects import Views

# Pixels by which what the mask shows is widened for rays that look at the object.
_WIDER = 2
_COVERED = 0.05


@dataclass(frozen=True)
class Posed:
    """Pictures of one object in the frame of one of its photos."""

    photo: Tensor  # [3, H, W] in [0, 1]
    back: Tensor  # [3] what is behind the object
    focal: float  # in half pictures
    rgb: Tensor  # [T, H, W, 3] of the targets
    mask: Tensor  # [T, H, W]
    on_white: bool
    camera: Cameras  # of the photo
    cameras: Cameras  # of the targets
    depth: Tensor | None = None  # [T, H, W] z-depths of the targets, where they are known


def low_enough(views: Views, order: list[int], height: float) -> int:
    """The first view of an order that looks from no higher than a sine of an elevation (z is up); the first of all where none does."""
    centres = views.cameras.centres
    sines = centres[:, 2] / centres.norm(dim=-1)
    return next((i for i in order if float(sines[i]) <= height), order[0])


def posed(views: Views, source: int, targets: list[int]) -> Posed:
    """Some views of an object, in the frame of view `source`."""
    camera = views.cameras[source]
    to_world = frame.to_world(camera, frame.distance_of(camera, torch.zeros(3)))
    there = to_world.inverse()
    photo = views.rgb[source].float() / 255
    back = torch.ones(3) if views.on_white else color.rim(photo)
    focal = 2 * float(camera.intrinsics[0, :2].mean()) / max(camera.size())
    return Posed(
        photo.movedim(-1, 0),
        back,
        focal,
        views.rgb[targets].float() / 255,
        views.mask[targets].float() / 255,
        views.on_white,
        there.cameras(camera).to(torch.float32),
        there.cameras(views.cameras[targets]).to(torch.float32),
        None if views.depth is None else views.depth[targets].float() * there.scale,
    )


def on(sample: Posed, device: torch.device) -> Posed:
    """The same on a device."""
    moved = {k: getattr(sample, k).to(device) for k in ("photo", "back", "rgb", "mask", "camera", "cameras")}
    return replace(sample, **moved)


def to_plain(sample: Posed) -> dict[str, Tensor]:
    """As tensors of a batch; with `photo`, `back` and `focal` they are all that pictures of predicted fields need."""
    return {
        "target": sample.rgb,
        "poses": torch.cat([sample.camera.c2w, sample.cameras.c2w]),
        "intrinsics": torch.cat([sample.camera.intrinsics, sample.cameras.intrinsics]),
    }


def from_plain(plain: Mapping[str, Tensor]) -> Posed:
    """One sample of a batch, without masks."""
    rgb = plain["target"]
    height, width = rgb.shape[1:3]
    sizes = torch.tensor([[width, height]], device=rgb.device).repeat(len(plain["poses"]), 1)
    cameras = Cameras(plain["poses"], plain["intrinsics"], sizes)
    focal = float(plain["focal"])
    return Posed(
        plain["photo"],
        plain["back"],
        focal,
        rgb,
        rgb.new_ones(rgb.shape[:3]),
        on_white=False,
        camera=cameras[:1],
        cameras=cameras[1:],
    )


def part(sample: Posed, which: slice) -> Posed:
    """The sample with some of its targets alone."""
    depth = None if sample.depth is None else sample.depth[which]
    return replace(sample, rgb=sample.rgb[which], mask=sample.mask[which], cameras=sample.cameras[which], depth=depth)


def mirrored(sample: Posed) -> Posed:
    """The same seen in a mirror before the photo's camera: x points the other way, and so do all pictures."""

    def turned(cameras: Cameras) -> Cameras:
        flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])).to(cameras.c2w)
        intrinsics = cameras.intrinsics.clone()
        intrinsics[:, 2] = cameras.sizes[:, 0] - intrinsics[:, 2]
        return replace(cameras, c2w=flip @ cameras.c2w @ flip, intrinsics=intrinsics)

    return replace(
        sample,
        photo=sample.photo.flip(-1),
        rgb=sample.rgb.flip(2),
        mask=sample.mask.flip(2),
        depth=None if sample.depth is None else sample.depth.flip(2),
        camera=turned(sample.camera),
        cameras=turned(sample.cameras),
    )


def recoloured(sample: Posed, order: Tensor) -> Posed:
    """The same with its colour channels in another order."""
    return replace(sample, photo=sample.photo[order], back=sample.back[order], rgb=sample.rgb[..., order])


def some_rays(sample: Posed, count: int, on_object: float, rng: torch.Generator) -> dict[str, Tensor]:
    """Rays of all targets in the frame of the photo, `count` of each, a share of them where the object is."""
    chosen = [_pixels(mask, count, on_object if sample.on_white else 0.0, rng) for mask in sample.mask]
    views = torch.arange(len(chosen)).repeat_interleave(count)
    xy = torch.cat(chosen)
    cast = rays.cast(sample.cameras, views, xy.to(torch.float32) + 0.5)
    at = (views, xy[:, 1], xy[:, 0])
    known = torch.full((len(xy),), float(sample.on_white))
    return {
        "origins": cast.origins,
        "directions": cast.directions,
        "rgb": sample.rgb[at],
        "opacity": sample.mask[at],
        "known": known,
    }


def _pixels(mask: Tensor, count: int, on_object: float, rng: torch.Generator) -> Tensor:
    """Pixels [count, 2] as (x, y): the first ones within the box around what the mask shows, the others anywhere."""
    height, width = mask.shape
    near = round(count * on_object)
    u = torch.rand(count, 2, generator=rng)
    anywhere = (u * torch.tensor([width, height])).long()
    shown = mask > _COVERED
    if not bool(shown.any()):
        return anywhere
    rows, columns = (shown.any(axis).nonzero()[:, 0] for axis in (1, 0))
    low = torch.stack([columns[0], rows[0]]).sub(_WIDER).clamp_min(0)
    high = torch.minimum(torch.stack([columns[-1], rows[-1]]) + 1 + _WIDER, torch.tensor([width, height]))
    around = (low + u * (high - low)).long()
    return torch.cat([around[:near], anywhere[near:]])
