"""The published checkpoint of DiffusioNeRF's patch prior: one .pt file of its trainer, read without executing anything in it.

Its keys are step, model, opt, ema and scaler. The running means lie under `ema` as `ema_model.model.NAME`, with the diffusion's own
buffers beside them; NAME is what `networks.patch_unet` calls the same weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.log import logger
from halfseen.priors import weights
from halfseen.priors.networks import patch_unet

# Where the network's weights lie, best first: running means, else the weights themselves.
_PLACES = (("ema", "ema_model.model."), ("model", "model."))
_NOTICE = "%s: weights of others, under the terms of whoever published them; nothing of halfseen's licence covers them"


def load(path: Path) -> patch_unet.PatchUnet:
    """The network of a published checkpoint, with its running means, only to be used."""
    found = _weights(weights.file_of(path))
    try:
        net = patch_unet.PatchUnet(_config(found))
        net.load_state_dict(dict(found))
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise _unusable(path, f"a layer that does not fit: {str(error).splitlines()[0]}") from error
    logger.warning(_NOTICE, path.name)
    return net.train(False).requires_grad_(requires_grad=False)


def _weights(path: Path) -> Mapping[str, Tensor]:
    """The network's weights by the names of `patch_unet`."""
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise from_os_error(error, path) from error
    except Exception as error:
        raise _unusable(path, "a damaged file, or one that holds more than tensors") from error
    for place, prefix in _PLACES:
        part = stored.get(place) if isinstance(stored, dict) else None
        if isinstance(part, dict) and f"{prefix}init_conv.weight" in part:
            return {k.removeprefix(prefix): v.float() for k, v in part.items() if k.startswith(prefix)}
    raise _unusable(path, "no network under 'ema' or 'model'")


def _config(found: Mapping[str, Tensor]) -> patch_unet.Config:
    """The sizes that the shapes of the weights tell."""
    width, channels = found["init_conv.weight"].shape[:2]
    stages = 1 + max(int(k.split(".")[1]) for k in found if k.startswith("downs."))
    wide = [len(found[f"downs.{i}.3.weight"]) for i in range(stages)]
    return patch_unet.Config(channels=channels, width=width, multipliers=tuple(w // width for w in wide))


def _unusable(path: Path, got: str) -> UserError:
    return UserError(
        f"{quote(str(path))} is no checkpoint of DiffusioNeRF's patch prior",
        got=got,
        accepted="the published rgbd-patch-diffusion.pt, or a file of that layout",
        do="Copy it again, or name a folder of a prior trained here.",
    )
