"""The kinds of field that there are: which module makes which. Nothing else chooses by name."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError, quote
from halfseen.fields import gaussians, hashgrid, projection, triplane
from halfseen.fields.gaussian_seeds import Seeds
from halfseen.fields.hull import Hull

Config = hashgrid.Config | triplane.Config | gaussians.Config | projection.Config
AnyField = hashgrid.HashGrid | triplane.Triplane | gaussians.Gaussians | projection.Projection
CONFIGS: dict[str, type[Config]] = {
    "hashgrid": hashgrid.Config,
    "triplane": triplane.Config,
    "gaussians": gaussians.Config,
    "projection": projection.Config,
}
# The kinds that can be fitted from nothing; what is left is what a network predicts.
FITTED = ("hashgrid", "triplane", "gaussians")


def kind_of(field: object) -> str:
    """The name of a field's kind."""
    kinds = {
        "hashgrid": hashgrid.HashGrid,
        "triplane": triplane.Triplane,
        "gaussians": gaussians.Gaussians,
        "projection": projection.Projection,
    }
    return next(name for name, kind in kinds.items() if isinstance(field, kind))


def kind_of_config(config: Config) -> str:
    """The name of the kind of field that a config is of."""
    return next(name for name, kind in CONFIGS.items() if isinstance(config, kind))


def create(
    to_user: Similarity,
    config: Config,
    seed: int,
    device: torch.device,
    cameras: Cameras | None = None,
    seeds: Seeds | None = None,
    hull: Hull | None = None,
) -> AnyField:
    """A new field for photos taken by the cameras (box frame). `seeds` are places where Gaussians may begin, `hull` is where alone
    an object may be (triplanes do not heed it)."""
    if isinstance(config, hashgrid.Config):
        return hashgrid.create(to_user, config, seed, device, cameras, hull)
    if isinstance(config, triplane.Config):
        return triplane.create(to_user, config, seed, device, cameras)
    if isinstance(config, projection.Config):
        return projection.create(to_user, config, seed, device)
    return gaussians.create(to_user, config, seed, device, cameras, seeds, hull)


def restore(
    state: dict[str, Tensor],
    to_user: Similarity,
    config: Config,
    device: torch.device,
    cameras: Cameras | None = None,
    hull: Hull | None = None,
) -> AnyField:
    """The field of a saved state, which must have the tensors, and their shapes, that a field of this config has.

    To be fitted further, Gaussians need the `cameras` of the photos (box frame), and the `hull` of an object.
    """
    fresh = create(to_user, config, 0, torch.device("cpu")).state()
    # There are as many Gaussians as there are; what one is made of is known.
    rows = slice(1 if isinstance(config, gaussians.Config) else 0, None)
    wrong = [k for k in fresh if k not in state or state[k].shape[rows] != fresh[k].shape[rows]]
    if isinstance(config, gaussians.Config) and not wrong:
        wrong = [k for k in fresh if state[k].dim() and len(state[k]) != len(state["xyz"])]
    if wrong or set(state) - set(fresh):
        raise UserError(
            "the field's state does not fit its config",
            got=quote(", ".join(wrong or sorted(set(state) - set(fresh)))),
            accepted="tensors as the config describes them",
            do="Use the version of halfseen that made the run.",
        )
    if isinstance(config, hashgrid.Config):
        return hashgrid.restore(state, to_user, config, device)
    if isinstance(config, triplane.Config):
        return triplane.restore(state, to_user, config, device)
    if isinstance(config, projection.Config):
        return projection.restore(state, to_user, config, device)
    field = gaussians.restore(state, to_user, config, device)
    if cameras is not None:
        field.watch(cameras, hull)
    return field
