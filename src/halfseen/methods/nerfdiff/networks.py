"""Both networks by name, as weights have them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from halfseen.common.rng import untouched
from halfseen.methods.nerfdiff import cdm
from halfseen.methods.nerfdiff.photo_to_field import PhotoToField
from halfseen.methods.nerfdiff.training_config import Config

NAME, ROLE = "nerfdiff-objects-64", "object"
NERF, CDM = "nerf", "cdm"


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained networks that a stage needs. Their start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "nerfdiff/init"):
        out: dict[str, nn.Module] = {NERF: PhotoToField(config.nerf, config.seed)}
        if config.stage != "nerf":
            out[CDM] = cdm.Cdm(config.cdm)
    if config.stage == "cdm":
        out[NERF].requires_grad_(requires_grad=False)
    return out
