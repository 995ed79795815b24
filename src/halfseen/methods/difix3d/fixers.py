"""A fixer by name: the small one as trained here, or Difix's own weights in the published layout."""

from __future__ import annotations

from pathlib import Path

import torch

from halfseen.common import config as configs
from halfseen.methods.difix3d import training_paper
from halfseen.methods.difix3d.training import ROLE, Config, networks
from halfseen.priors import weights
from halfseen.priors.networks.fixer_small import FixerSmall
from halfseen.priors.one_step.contract import Fixer
from halfseen.priors.one_step.small import SmallFixer


def load_fixer(name_or_path: str, device: torch.device) -> Fixer:
    """The fixer of a shipped name, of a folder or of a repository on the hub."""
    folder = weights.difix_folder(name_or_path)
    if folder is not None:
        # diffusers takes seconds to import: only who has such weights waits.
        from halfseen.priors.one_step import difix, difix_files

        checkpoint = Path(name_or_path).suffix == weights.CHECKPOINT
        graph = difix_files.load_checkpoint(Path(name_or_path), folder) if checkpoint else difix_files.load(folder)
        # The released trainer mixes views, whatever it began from.
        return difix.DifixFixer(graph.to(device), photos=checkpoint or difix_files.takes_photos(folder))
    stored = weights.load_for(name_or_path, ROLE)
    if stored.config["recipe"] == training_paper.NAME:
        return _trained_difix(stored, device)
    nets = networks(configs.from_plain(Config, stored.config["config"], "config.json: config"))
    weights.fill(nets, stored)
    network = nets["fixer"].to(device)
    assert isinstance(network, FixerSmall)
    return SmallFixer(network)


def _trained_difix(stored: weights.Stored, device: torch.device) -> Fixer:
    """Difix's graph as `halfseen prior train difix` left it, at the size that it was trained at."""
    from halfseen.priors.one_step import difix, difix_files

    config = configs.from_plain(training_paper.Config, stored.config["config"], "config.json: config")
    # The file holds the prompt and all weights: what the training began from is not needed.
    nets = {"difix": difix_files.untrained(config.narrow)}
    weights.fill(nets, stored)
    return difix.DifixFixer(nets["difix"].to(device), (config.width, config.height))
