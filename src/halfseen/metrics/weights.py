"""Weights of foreign networks, by path: safetensors, or a PyTorch file read without running any code in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from halfseen.common.errors import UserError, from_os_error, quote

_SAFETENSORS = ".safetensors"
# At most so many keys are named in a message.
_NAMED = 3


def read_state(path: Path) -> dict[str, Tensor]:
    """All tensors of a state_dict file."""
    from safetensors.torch import load_file

    path = Path(path)
    try:
        if path.suffix == _SAFETENSORS:
            return load_file(str(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise from_os_error(error, path) from error
    except Exception as error:
        raise _unusable(path, "a damaged file, or one that holds more than tensors") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise _unusable(path, "something else than named tensors")
    return dict(state)


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a network. Keys it lacks are left out (a classifier's last layers); every key it has must be there."""
    wanted = network.state_dict()
    # Counters of batch normalisation play no part in evaluation, and old files lack them.
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    missing = [key for key in needed if key not in state]
    if missing:
        raise _unusable(path, f"a file without {', '.join(missing[:_NAMED])} ({len(missing)} of {len(needed)} missing)")
    wrong = [key for key in needed if state[key].shape != wanted[key].shape]
    if wrong:
        key = wrong[0]
        raise _unusable(path, f"{key} of shape {tuple(state[key].shape)} where {tuple(wanted[key].shape)} belongs")
    network.load_state_dict({key: state[key].float() for key in needed}, strict=False)


def require(path: Path | None, *, what: str, files: str) -> Path:
    """The path, or the error that says which files a measure needs."""
    if path is None or not Path(path).is_file():
        raise UserError(
            f"{what} needs trained weights, and they are not part of this package",
            got="no path" if path is None else f"no file at {quote(str(path))}",
            accepted=files,
            do="Give the path of the file, or leave this measure out.",
        )
    return Path(path)


def _unusable(path: Path, got: str) -> UserError:
    return UserError(
        f"weights {quote(path.name)} cannot be used",
        got=got,
        accepted="a state_dict with the layer names of the published file",
        do="Check that it is the right file and download it again.",
    )
