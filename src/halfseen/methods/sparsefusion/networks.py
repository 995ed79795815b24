"""The networks that are trained, by their names in files, as a stage of training has them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.common.rng import untouched
from halfseen.methods.sparsefusion import vldm
from halfseen.methods.sparsefusion.eft import Eft
from halfseen.methods.sparsefusion.rival import PhotosToField
from halfseen.methods.sparsefusion.training_config import Config
from halfseen.priors import weights
from halfseen.priors.weights import Stored

NAME, ROLE = "sparsefusion-objects", "views"
RIVAL_NAME = "pixelnerf-views-64"
EFT, VLDM, RIVAL = "eft", "vldm", "rival"
# What a prior without one of them lacks, and what has it.
_WITHOUT = {EFT: ("tells nothing of views", NAME), RIVAL: ("predicts no field", RIVAL_NAME)}


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


def stored(name: str, network: str) -> tuple[Stored, Config]:
    """The weights of a name or a folder, which have to hold a network (`EFT` or `RIVAL`), and what they were trained as."""
    found = weights.load_for(name, ROLE)
    held = {key.partition(".")[0] for key in found.weights}
    if network not in held:
        lacks, recipe = _WITHOUT[network]
        raise UserError(
            f"the prior {quote(name)} {lacks}",
            got=f"networks {', '.join(sorted(held))}",
            accepted=f"weights of a training of {recipe}",
            do="Name another prior with --prior views=NAME, or change --variant.",
        )
    return found, configs.from_plain(Config, found.config["config"], f"{name}: config")
