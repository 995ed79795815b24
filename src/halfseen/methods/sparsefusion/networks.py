"""The networks that are trained, by their names in files, as a stage of training has them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from halfseen.common.rng import untouched
from halfseen.methods.sparsefusion import vldm
from halfseen.methods.sparsefusion.eft import Eft
from halfseen.methods.sparsefusion.rival import PhotosToField
from halfseen.methods.sparsefusion.training_config import Config

NAME, ROLE = "sparsefusion-objects", "views"
RIVAL_NAME = "pixelnerf-views-64"
EFT, VLDM, RIVAL = "eft", "vldm", "rival"


def networks(config: Config) -> Mapping[str, nn.Module]:
    """The untrained networks that a stage needs. Their start follows from the seed, and the global generator is left as it was."""
    with untouched(config.seed, "sparsefusion/init"):
        if config.stage == "pixelnerf":
            return {RIVAL: PhotosToField(config.rival, config.seed)}
        out: dict[str, nn.Module] = {EFT: Eft(config.eft)}
        if config.stage != "eft":
            out[VLDM] = vldm.Vldm(config.vldm)
    if config.stage == "vldm":
        out[EFT].requires_grad_(requires_grad=False)
    return out
