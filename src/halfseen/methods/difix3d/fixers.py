"""A fixer by name: the small one as trained here."""

from __future__ import annotations

import torch

from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.methods.difix3d.training import ROLE, Config, networks
from halfseen.priors import weights
from halfseen.priors.networks.fixer_small import FixerSmall
from halfseen.priors.one_step.contract import Fixer
from halfseen.priors.one_step.small import SmallFixer


def load_fixer(name_or_path: str, device: torch.device) -> Fixer:
    """The fixer of a shipped name, of a folder or of a repository on the hub."""
    stored = weights.load(name_or_path)
    if stored.config.get("role") != ROLE:
        raise UserError(
            f"{quote(name_or_path)} is no fixer",
            got=f"role {stored.config.get('role')!r}",
            accepted=f"a prior of role {ROLE!r}",
            do="Give another prior.",
        )
    nets = networks(configs.from_plain(Config, stored.config["config"], "config.json: config"))
    weights.fill(nets, stored)
    network = nets["fixer"].to(device)
    assert isinstance(network, FixerSmall)
    return SmallFixer(network)
