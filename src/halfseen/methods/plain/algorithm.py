"""Plain: a field fitted to the photos by gradient descent on the photometric error. Nothing is learned beforehand.

    basic     colours, a little distortion, opacity against masks
    classic   + coarse levels first, depth from plane-sweep stereo (decaying), nothing in front of cameras, opaque scenes

`classic` is the strongest rival of every prior: what few photos say by geometry alone.
"""

from __future__ import annotations

from functools import partial

from halfseen.fields import kinds
from halfseen.methods.contract import Method
from halfseen.methods.photometric import config, cost, fit, warming
from halfseen.methods.photometric.config import Config
from halfseen.methods.plain.config import VARIANTS

METHOD = Method(
    name="plain",
    variants=VARIANTS,
    fields=kinds.FITTED,
    config=Config,
    resolve=config.resolve,
    field_config=config.field_config,
    estimate=partial(cost.estimate, fit.alone, lambda cfg: cfg, lambda _, fitted: fitted),
    reconstruct=fit.alone,
    warm_up=partial(warming.warm_up, lambda cfg: cfg),
)
