"""Sizes of both networks (section 2.1 of the specification): one code path, from tests on a laptop to the paper's.

The paper names two variants, B and L, and others who read it speak of 400 million to a billion parameters for a denoiser. `base` and `large`
have 406 and 972 million. What the paper does not tell (most of it) is the specification's choice.
"""

from __future__ import annotations

from dataclasses import replace

from halfseen.fields import decoder, projection
from halfseen.fields.samplers import Sampling
from halfseen.methods.nerfdiff import cdm
from halfseen.methods.nerfdiff.photo_to_field import NerfConfig
from halfseen.methods.nerfdiff.training_config import Config
from halfseen.priors.networks import unet
from halfseen.priors.training import LoopConfig

# Channels of each level, in widths, and the levels that attend: a quarter of the picture's side and coarser.
_LEVELS, _ATTEND = (1, 1, 2, 3, 4), (2, 3, 4)
# Features of time for each channel of the finest level, and of a token of the photo.
_TIME, _TOKENS = 4, 2
_CHANNELS = 32
_MLP = decoder.Config(
    hidden=64, geometry=63, colour_hidden=64, colour_layers=1, degree=0, activation="softplus", shift=1.0
)


def _sized(width: int, size: int, blocks: int, *, looks: bool) -> Config:
    """Both networks of a width, trained together on whole targets; whether the denoiser looks at the photo."""
    widths = tuple(width * m for m in _LEVELS)
    shared = unet.Config(widths=widths, blocks=blocks, attention=_ATTEND)
    encoder = replace(shared, inside=5, outside=3 * _CHANNELS)
    tokens = _TOKENS * width if looks else 0
    denoiser = replace(shared, inside=cdm.NOISY + cdm.RENDER.stop, outside=cdm.NOISY, time=_TIME * width, tokens=tokens)
    return Config(
        nerf=NerfConfig(
            unet=encoder, carries=False, decoder=_MLP, sampling=Sampling("proposed", uniform=64, resampled=64)
        ),
        cdm=cdm.Config(unet=denoiser, tells="render", residual=0.0, bias=0.0),
        stage="joint",
        size=size,
        views=50,
        layout="sphere",
        source_height=1.0,
        own=0.0,
        targets=1,
        rays=4096,
        on_object=0.0,
        mirrored=0.0,
        recoloured=0.0,
        opacity=0.0,
        carved=0.0,
        painted=0.0,
        loop=LoopConfig(steps=500_000, batch=64, lr=1e-4, lr_end=1e-4, warm=5000, decay=0.01, ema=0.9999),
    )


# What is shipped.
SMALL = Config()
TINY = _sized(32, 32, 1, looks=True)
MEDIUM = _sized(128, 128, 2, looks=False)
BASE = _sized(256, 128, 3, looks=False)
LARGE = _sized(384, 128, 3, looks=True)
# The rival: features where points fall on the photo, with as many parameters, of the same data and steps.
RIVAL = replace(
    SMALL,
    nerf=replace(
        SMALL.nerf,
        kind="projection",
        unet=replace(SMALL.nerf.unet, outside=64),
        layers=projection.Layers(octaves=6, width=96, blocks=3),
    ),
)
