"""What cameras do to light: exposure, white balance, tone curve, defocus, noise, JPEG. Priors trained through it survive real photos."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from halfseen.images.color import linear_from_srgb, srgb_from_linear


@dataclass(frozen=True)
class Camera:
    """How strong each effect may be; each picture draws its own strength (all values ours, from phone photos)."""

    # Standard deviations: exposure in stops, white balance in stops for each channel.
    exposure: float = 0.35
    white_balance: float = 0.08
    # Largest bend of the tone curve (0 is none) and largest loss of saturation.
    tone: float = 0.25
    desaturate: float = 0.25
    # Largest radius of the blur in pixels.
    defocus: float = 1.2
    # Shot noise and read noise at full brightness (linear).
    shot: float = 0.012
    read: float = 0.006
    # JPEG quality from here to 98; and how often there is any.
    jpeg_from: int = 45
    jpeg_share: float = 0.7


def photograph(rgb: Tensor, camera: Camera, generator: torch.Generator) -> Tensor:
    """A picture [H, W, 3] in [0, 1] as a camera might have taken it."""

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    linear = linear_from_srgb(rgb)
    linear = linear * 2 ** (camera.exposure * normal(1)) * 2 ** (camera.white_balance * normal(3))
    linear = _blurred(linear, draw(0, camera.defocus))
    noise = (camera.shot * draw(0, 1)) * linear.clamp_min(0).sqrt() + camera.read * draw(0, 1)
    linear = (linear + noise * normal(*linear.shape)).clamp(0, 1)
    grey = linear.mean(-1, keepdim=True)
    linear = grey + (linear - grey) * (1 - draw(0, camera.desaturate))
    srgb = _toned(srgb_from_linear(linear.clamp(0, 1)), draw(-camera.tone, camera.tone))
    if draw(0, 1) < camera.jpeg_share:
        srgb = _jpeg(srgb, round(draw(camera.jpeg_from, 98)))
    return srgb.clamp(0, 1)


def _blurred(rgb: Tensor, radius: float) -> Tensor:
    """Mean over a disc with a soft edge; radii below half a pixel leave the picture as it is."""
    if radius < 0.5:
        return rgb
    reach = int(np.ceil(radius))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    distance = (offsets[:, None] ** 2 + offsets[None] ** 2).sqrt()
    kernel = (radius + 0.5 - distance).clamp(0, 1)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1, -1)
    padded = F.pad(rgb.permute(2, 0, 1)[None], (reach,) * 4, mode="replicate")
    return F.conv2d(padded, kernel, groups=3)[0].permute(1, 2, 0)


def _toned(srgb: Tensor, bend: float) -> Tensor:
    """An S curve (positive) or its opposite, ends fixed."""
    return srgb + bend * (srgb - 0.5) * 4 * srgb * (1 - srgb)


def _jpeg(srgb: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray((srgb.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.asarray(Image.open(buffer), np.float32) / np.float32(255))
