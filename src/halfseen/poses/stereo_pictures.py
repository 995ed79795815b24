"""Pictures as the sweep wants them: grey [H, W] float32 in [0, 1], negative where unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras.cameras import Cameras

# Weights of red, green and blue in grey (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)
# What marks unknown pixels; any negative number does.
_UNKNOWN = -1.0
# Mask values above this count as known.
_VALID = 0.5


def grey(image: Tensor, mask: Tensor | None) -> NDArray[np.float32]:
    """Grey [H, W] in [0, 1], negative where unknown."""
    out = image[..., :3].detach().cpu().float() @ torch.tensor(_LUMA)
    if mask is not None:
        out = torch.where(mask.cpu() > _VALID, out, torch.tensor(_UNKNOWN))
    return np.ascontiguousarray(out.numpy())


def halved(pictures: list[NDArray[np.float32]], cameras: Cameras) -> tuple[list[NDArray[np.float32]], Cameras]:
    """Pictures and cameras at half size; a pixel is known when all four of its parts are."""
    out, intrinsics, sizes = [], cameras.intrinsics.clone(), cameras.sizes.clone()
    for i, picture in enumerate(pictures):
        height, width = (n // 2 * 2 for n in picture.shape)
        parts = picture[:height, :width].reshape(height // 2, 2, width // 2, 2)
        out.append(np.where(parts.min((1, 3)) < 0, np.float32(_UNKNOWN), parts.mean((1, 3), dtype=np.float32)))
        sizes[i] = torch.tensor([width // 2, height // 2])
    return out, replace(cameras, intrinsics=intrinsics / 2, sizes=sizes)


def padded(pictures: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pictures of different sizes in one array [K, H, W], and their widths and heights [K, 2]."""
    sizes = np.array([p.shape[::-1] for p in pictures], np.int64)
    out = np.full((len(pictures), sizes[:, 1].max(), sizes[:, 0].max()), _UNKNOWN, np.float32)
    for k, p in enumerate(pictures):
        out[k, : p.shape[0], : p.shape[1]] = p
    return out, sizes
