"""The visual hull of an object: where its masks allow it to be (Laurentini 1994)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.images import resize

# Coverage above which a pixel may show the object, and pixels by which masks are widened: edges are soft and poses not exact.
_COVERED, _WIDER = 0.05, 2


@dataclass(frozen=True)
class Hull:
    """Cameras (box frame) and widened masks [H, W] of an object's photos; `cut`: whether the picture's border cuts the object."""

    cameras: Cameras
    masks: tuple[Tensor, ...]
    cut: tuple[bool, ...]

    def holds(self, xyz: Tensor) -> Tensor:
        """Whether box points [N, 3] may be the object: every photo shows it there, or cannot say because it is cut off."""
        out = torch.ones(len(xyz), dtype=torch.bool, device=xyz.device)
        for i, (mask, cut) in enumerate(zip(self.masks, self.cut, strict=True)):
            camera = self.cameras[i].to(xyz)
            pixels, z = rays.project(camera, xyz)
            inside = rays.in_frame(camera, pixels, z)[0]
            at = pixels * pixels.new_tensor([mask.shape[1], mask.shape[0]]) / camera.sizes[0].to(pixels)
            shown = resize.sample(mask[..., None].to(pixels), at, mode="nearest")[0, :, 0] > 0
            out &= torch.where(inside, shown, torch.full_like(shown, cut))
        return out


def of(cameras: Cameras, masks: Sequence[Tensor]) -> Hull:
    """The hull of masks [H, W], one for each camera."""
    wide, cut = [], []
    for mask in masks:
        covered = (mask > _COVERED).float()
        border = torch.cat([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        wide.append(F.max_pool2d(covered[None, None], 2 * _WIDER + 1, 1, _WIDER)[0, 0])
        cut.append(bool(border.any()))
    return Hull(cameras, tuple(wide), tuple(cut))
