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
from halfseen.priors.networks import blocks, unet

# What the encoder is told of each pixel: colours and where it is.
_SHOWN = 5
_COLOURS = 3
# What is told is made as loud as features are that networks learn to give (a spread of 2 to 4): steps of Adam are of one size, and a
# decoder that has to grow large weights for it does not come to hear it (after 500 steps it had only begun to).
_LOUD = 6.0
# How far from the rim's colour a pixel is of the object for sure (colours are in [-1, 1]), the weight that any pixel has, and the pixels
# of the mean colour that every row and column is taken to have beside its own.
_STANDS_OUT, _AT_LEAST, _SMOOTH = 0.3, 1e-3, 1.0


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
    # Whether planes have channels beside the predicted ones for what need not be learned: the photo's own colours in its plane, and in the
    # other two what it shows on average at each of its columns and rows (sides that it does not show mostly have the colours of the
    # same height). The rival has all of these where points fall on the photo.
    carries: bool = True
    layers: projection.Layers = field(default_factory=projection.Layers)
    sampling: Sampling = field(default_factory=lambda: Sampling("proposed", uniform=32, resampled=24))

    def __post_init__(self) -> None:
        within("nerf.unet.outside", self.unet.outside, len(planes.AXES), len(planes.AXES) * 1024)

    @property
    def channels(self) -> int:
        """Channels of each plane, or of the rival's features."""
        predicted = self.unet.outside if self.kind == "projection" else self.unet.outside // len(planes.AXES)
        return predicted + (len(planes.AXES) * _COLOURS if self.carries else 0)


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
            start = projection.create_layers(config.layers, config.channels, rng)
        # Names of parameters have no dots.
        self.decoder = nn.ParameterDict({k.replace(".", "_"): nn.Parameter(v) for k, v in start.items()})

    def forward(self, photos: Tensor) -> Tensor:
        """What fields are made of: planes [B, 3, C, R, R], or features [B, C, H, W] of the photos."""
        found = self.unet(torch.cat([photos, blocks.places(photos)], 1)).float()
        told = _told(photos) if self.config.carries else None
        if self.config.kind == "projection":
            return found if told is None else torch.cat([found, *told], 1)
        found = found.unflatten(1, (len(planes.AXES), -1))
        return found if told is None else torch.cat([found, _of_planes(told)], 2)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the decoder or the layers, by the names that fields have for them."""
        return {k.replace("_", "."): v for k, v in self.decoder.items()}

    def fields(self, encoded: Tensor, focal: Tensor) -> Many:
        """The fields of encoded photos, whose focal lengths [B] are in half pictures."""
        if self.config.kind == "triplane":
            return planes.many(encoded, self.weights, self.config.decoder)
        return projection.many(encoded, projection.ahead(focal), self.weights, self.config.layers)


def _told(photos: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What need not be learned of photos [B, 3, H, W], as pictures like them: their colours, and the means of each column and each row."""
    columns, rows = _averages(photos)
    loud = (photos, columns[:, :, None, :].expand_as(photos), rows[..., None].expand_as(photos))
    return _LOUD * loud[0], _LOUD * loud[1], _LOUD * loud[2]


def _of_planes(told: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The same on planes [B, 3, 9, R, R]: no two use the same channels, for planes are summed, and nothing depends on depth."""
    photo, columns, rows = told
    # Planes (x, z) and (y, z) have z for their rows, and (y, z) has the photo's rows for its columns.
    parts = (photo, columns, rows.transpose(-1, -2))
    none = torch.zeros_like(photo)
    return torch.stack(
        [torch.cat([p if i == k else none for i in range(len(parts))], 1) for k, p in enumerate(parts)], 1
    )


def _averages(photos: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colours of each column [B, 3, W] and each row [B, 3, H] of what stands out from the photo's rim; of all of it where nothing does."""
    rim = torch.cat([photos[..., 0, :], photos[..., -1, :], photos[..., 0], photos[..., -1]], -1).mean(-1)
    apart = (photos - rim[..., None, None]).abs().amax(1, keepdim=True)
    weight = (apart / _STANDS_OUT).clamp(max=1) + _AT_LEAST
    shown = photos * weight
    mean = shown.sum((-2, -1)) / weight.sum((-2, -1))
    columns, rows = ((shown.sum(axis) + _SMOOTH * mean[..., None]) / (weight.sum(axis) + _SMOOTH) for axis in (-2, -1))
    return columns, rows
