"""The single-image NeRF (section 2 of the specification): a network from a photo to a field in the frame of its camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from halfseen.common.config import within
from halfseen.common.rng import generator
from halfseen.fields import decoder, planes, projection
from halfseen.fields.batched import Many
from halfseen.fields.samplers import Sampling
from halfseen.priors.networks import unet

# What the encoder is told of each pixel: colours and where it is.
_SHOWN = 5
_COLOURS = 3


@dataclass(frozen=True)
class NerfConfig:
    """A photo to a field. Sources: [X] of the specification where nothing else is said."""

    # triplane is NerfDiff; projection is its rival (pixelNeRF): features where a point falls on the photo.
    kind: Literal["triplane", "projection"] = "triplane"
    unet: unet.Config = field(
        default_factory=lambda: unet.Config(
            inside=_SHOWN, outside=72, widths=(64, 128, 176), blocks=1, block=2, attention=(1, 2)
        )
    )
    # Of a triplane: its decoder; of a projection: the network of each sample.
    decoder: decoder.Config = field(
        default_factory=lambda: decoder.Config(
            hidden=64, geometry=31, colour_hidden=64, colour_layers=1, degree=0, activation="softplus", shift=1.0
        )
    )
    # Whether the photo's own colours are added to the first channels of the plane that it lies on: what is on it need not be learned.
    carries: bool = True
    layers: projection.Layers = field(default_factory=projection.Layers)
    sampling: Sampling = field(default_factory=lambda: Sampling("proposed", uniform=32, resampled=24))

    def __post_init__(self) -> None:
        within("nerf.unet.outside", self.unet.outside, 3, 3 * 1024)

    @property
    def channels(self) -> int:
        """Channels of each plane."""
        return self.unet.outside // len(planes.AXES)


class PhotoToField(nn.Module):
    """Fields, in the frames of their photos, from photos [B, 3, H, W] in [-1, 1]."""

    def __init__(self, config: NerfConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        self.unet = unet.Unet(config.unet)
        rng = generator(seed, "nerfdiff/decoder")
        if config.kind == "triplane":
            start = decoder.create(config.decoder, config.channels, rng)
        else:
            start = projection.create_layers(config.layers, config.unet.outside, rng)
        # Names of parameters have no dots.
        self.decoder = nn.ParameterDict({k.replace(".", "_"): nn.Parameter(v) for k, v in start.items()})

    def forward(self, photos: Tensor) -> Tensor:
        """What fields are made of: planes [B, 3, C, R, R], or features [B, C, H, W] of the photos."""
        found = self.unet(torch.cat([photos, _places(photos)], 1)).float()
        if self.config.carries:
            # Of a triplane the plane of the picture is the first.
            found = torch.cat([found[:, :_COLOURS] + photos, found[:, _COLOURS:]], 1)
        return found.unflatten(1, (len(planes.AXES), -1)) if self.config.kind == "triplane" else found

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the decoder or the layers, by the names that fields have for them."""
        return {k.replace("_", "."): v for k, v in self.decoder.items()}

    def fields(self, encoded: Tensor, focal: Tensor) -> Many:
        """The fields of encoded photos, whose focal lengths [B] are in half pictures."""
        if self.config.kind == "triplane":
            return planes.many(encoded, self.weights, self.config.decoder)
        return projection.many(encoded, focal, self.weights, self.config.layers)


def _places(photos: Tensor) -> Tensor:
    """Where pixels are [B, 2, H, W], in [-1, 1]: the planes other than the picture's own cannot do without."""
    height, width = photos.shape[-2:]
    y, x = (torch.linspace(-1 + 1 / n, 1 - 1 / n, n).to(photos) for n in (height, width))
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)]).expand(len(photos), -1, -1, -1)
