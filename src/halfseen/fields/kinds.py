"""The kinds of field that there are: which module makes which. Nothing else chooses by name."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError, quote
from halfseen.fields import hashgrid, triplane

Config = hashgrid.Config | triplane.Config
AnyField = hashgrid.HashGrid | triplane.Triplane
CONFIGS: dict[str, type[hashgrid.Config] | type[triplane.Config]] = {
    "hashgrid": hashgrid.Config,
    "triplane": triplane.Config,
}


def create(
    to_user: Similarity, config: Config, seed: int, device: torch.device, cameras: Cameras | None = None
) -> AnyField:
    """A new field for photos taken by the cameras (box frame)."""
    if isinstance(config, hashgrid.Config):
        return hashgrid.create(to_user, config, seed, device, cameras)
    return triplane.create(to_user, config, seed, device, cameras)


def restore(state: dict[str, Tensor], to_user: Similarity, config: Config, device: torch.device) -> AnyField:
    """The field of a saved state, which must have the tensors, and their shapes, that a field of this config has."""
    fresh = create(to_user, config, 0, torch.device("cpu")).state()
    wrong = [k for k in fresh if k not in state or state[k].shape != fresh[k].shape]
    if wrong or set(state) - set(fresh):
        raise UserError(
            "the field's state does not fit its config",
            got=quote(", ".join(wrong or sorted(set(state) - set(fresh)))),
            accepted="tensors as the config describes them",
            do="Use the version of halfseen that made the run.",
        )
    if isinstance(config, hashgrid.Config):
        return hashgrid.restore(state, to_user, config, device)
    return triplane.restore(state, to_user, config, device)
