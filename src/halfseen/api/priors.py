"""Priors for the library and the command line: which there are, their training, their weights, pictures of what they know."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfseen import __version__
from halfseen.common import config as configs
from halfseen.common.errors import UserError, quote
from halfseen.common.jsonfile import read_json, write_json
from halfseen.methods.contract import Recipe
from halfseen.methods.diffusionerf.training import PATCH_RGBD, PATCH_RGBD_PAPER
from halfseen.methods.difix3d.training import FIXER
from halfseen.methods.difix3d.training_paper import DIFIX
from halfseen.methods.nerfdiff.training import NERFDIFF, PIXELNERF, SIZES
from halfseen.methods.sparsefusion.autoencoding import AUTOENCODER
from halfseen.methods.sparsefusion.training import PIXELNERF_VIEWS, SPARSEFUSION, SPARSEFUSION_PAPER
from halfseen.priors import training, weights
from halfseen.priors.ema import named

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker
    from torch import Tensor, nn

    from halfseen.priors.training import Progress

RECIPES: Mapping[str, Recipe] = {
    r.name: r
    for r in (
        PATCH_RGBD,
        PATCH_RGBD_PAPER,
        FIXER,
        DIFIX,
        NERFDIFF,
        PIXELNERF,
        *SIZES,
        AUTOENCODER,
        SPARSEFUSION,
        SPARSEFUSION_PAPER,
        PIXELNERF_VIEWS,
    )
}
_TRAINING = "training.json"
_HOUR = 3600


def recipe(name: str) -> Recipe:
    """A recipe by its name."""
    if name not in RECIPES:
        raise UserError(
            f"no recipe {quote(name)}",
            got=quote(name),
            accepted=", ".join(RECIPES),
            do="Correct the name of the prior.",
        )
    return RECIPES[name]


def train(
    name: str,
    out: Path,
    *,
    settings: tuple[str, ...] = (),
    begin: str | Path | None = None,
    device: str = "auto",
    seconds: float | None = None,
    track: str | GeneralTracker | None = None,
) -> Iterator[Progress]:
    """Train a prior in a folder, or go on there; `begin` names weights to go on from. Ends after `seconds` if they are given.

    `track` is a tracker that accelerate knows, such as trackio, or one of its GeneralTracker.
    """
    chosen = recipe(name)
    cfg = _config(chosen, out, settings, begin)
    accel = training.accelerator(device, track, out)
    start, hours = None, {}
    if begin is not None:
        stored = weights.load(begin)
        # The hours of what is gone on from count.
        hours = {} if _stored(out) else {"hours": stored.config.get("hours", 0.0)}
        known = {k.partition(".")[0] for k in stored.weights}
        # What another network is to learn beside these begins at its first step.
        step = int(stored.config["step"]) if known == set(chosen.networks(cfg)) else 0
        start = training.Begin({k: v.float() for k, v in stored.weights.items()}, step)
        if start.step >= cfg.loop.steps and training.newest(out) is None:
            raise UserError(
                f"{quote(str(begin))} has had all the steps that are asked for",
                got=f"step {start.step} of {cfg.loop.steps}",
                accepted="more steps than it has had",
                do=f"Add --set loop.steps={2 * start.step}.",
            )
    if accel.is_main_process:
        write_json(out / _TRAINING, {**_document(chosen, cfg, out), **hours, "earlier": _earlier(cfg, out, begin)})
    task, began = chosen.task(cfg), time.monotonic()
    before = float(_stored(out).get("hours", 0.0))
    try:
        for progress in training.train(task, cfg.loop, out, accel=accel, begin=start):
            spent = time.monotonic() - began
            if accel.is_main_process and progress.saved:
                write_json(out / _TRAINING, {**_document(chosen, cfg, out), "hours": before + spent / _HOUR})
            yield progress
            if seconds is not None and progress.step % cfg.loop.save_every == 0 and _all_say(accel, spent > seconds):
                return
    finally:
        task.close()


def _all_say(accel: Accelerator, answer: bool) -> bool:
    """What the first process answers, in all of them: none may stop while others wait for it."""
    import torch
    from accelerate.utils import broadcast

    told: Tensor = broadcast(torch.tensor(int(answer), device=accel.device))
    return bool(told)


def publish(training_folder: Path, out: Path) -> Path:
    """Write the running means of a training as a folder of weights with a card."""
    document = _stored(training_folder)
    found = training.newest(training_folder)
    if not document or found is None:
        raise UserError(
            f"{quote(str(training_folder))} holds no training with a checkpoint",
            got="no checkpoint",
            accepted="a folder that halfseen prior train filled",
            do="Train first.",
        )
    values, step = found
    chosen = recipe(document["recipe"])
    numbers = _numbers_at(training_folder, step)
    config = {
        "name": chosen.name,
        "role": chosen.role,
        "recipe": chosen.name,
        "config": document["config"],
        "step": step,
        "samples": step * document["config"]["loop"]["batch"],
        "hours": round(float(document.get("hours", 0.0)), 2),
        "machine": document["machine"],
        "version": __version__,
        "held_out": numbers,
        "earlier": document.get("earlier", []),
    }
    parameters = sum(v.numel() for v in values.values())
    weights.save(out, values, config, card(chosen, config, parameters))
    return out


def card(chosen: Recipe, config: Mapping[str, Any], parameters: int) -> str:
    """The model card."""
    data = chosen.data_of(configs.from_plain(chosen.config, config["config"], "config"))
    held = "\n".join(f"| {k} | {v:.4f} |" for k, v in config["held_out"].items()) or "| not measured at this step | |"
    return f"""# {chosen.name}

A prior of role `{chosen.role}` with {parameters:,} parameters, trained by `halfseen prior train {chosen.name}` alone.

- Data: {data.source}. {data.rights}
- Seed {config["config"]["seed"]}, {config["step"]:,} steps of {config["config"]["loop"]["batch"]} samples ({config["samples"]:,}), {config["hours"]:.1f} hours on {config["machine"]}.
- Weights are running means in half precision; `config.json` holds every setting.
{_changes(config.get("earlier", []))}
Held-out numbers ({data.held_out}):

| | |
|---|---|
{held}

Licence: as the package. To repeat: `halfseen prior train {chosen.name} --out folder --set loop.steps={config["config"]["loop"]["steps"]}` with the other settings of `config.json`,
beginning with a network of an earlier stage where `stage` says that it stays as it is (`--begin`);
to go on from here: add `--begin` with the folder of these weights (or, of a shipped prior, its name) and more steps.
"""


def _changes(earlier: list[dict[str, Any]]) -> str:
    """A line of the card on settings that were changed on the way; nothing where none was."""
    if not earlier:
        return ""
    told = (
        f"until step {e['until']:,} " + ", ".join(f"{k}={json.dumps(v)}" for k, v in e["settings"].items())
        for e in earlier
    )
    return f"- Settings that were others before: {'; '.join(told)}.\n"


@dataclass(frozen=True)
class Prior:
    """A trained prior, ready for use."""

    recipe: Recipe
    config: Any  # of its recipe
    networks: Mapping[str, nn.Module]
    stored: weights.Stored

    @property
    def role(self) -> str:
        """What methods ask for."""
        return self.recipe.role

    @property
    def card(self) -> str:
        """Its model card."""
        return (self.stored.folder / weights.CARD).read_text(encoding="utf-8")

    def save_pretrained(self, folder: str | Path) -> None:
        """Write it as a folder: model.safetensors, config.json and README.md."""
        weights.save(Path(folder), named(self.networks), self.stored.config, self.card)


def load_prior(name_or_path: str | Path) -> Prior:
    """The prior of a shipped name, or of a folder that `Prior.save_pretrained` or `halfseen prior publish` wrote."""
    stored = weights.load(name_or_path)
    chosen = recipe(str(stored.config["recipe"]))
    cfg: Any = configs.from_plain(chosen.config, stored.config["config"], "config.json: config")
    nets = chosen.networks(cfg)
    weights.fill(nets, stored)
    return Prior(chosen, cfg, nets, stored)


def sample(name_or_path: str | Path) -> Tensor:
    """A sheet [H, W, 3] of what a prior makes of noise."""
    import torch

    prior = load_prior(name_or_path)
    still = {"workers": 0} if hasattr(prior.config, "workers") else {}
    task = prior.recipe.task(replace(prior.config, **still))
    try:
        with torch.no_grad():
            return task.sheet(prior.networks)
    finally:
        task.close()


def _config(chosen: Recipe, out: Path, settings: tuple[str, ...], begin: str | Path | None) -> Any:
    """The config of a training: what its folder says, or what it begins from, or the recipe's own; changed by settings."""
    stored = _stored(out)
    if stored:
        if stored.get("recipe") != chosen.name:
            raise UserError(
                f"{quote(str(out))} holds the training of another prior",
                got=str(stored.get("recipe")),
                accepted=chosen.name,
                do="Choose another --out.",
            )
        plain = stored["config"]
    elif begin is not None:
        plain = dict(weights.load(begin).config["config"])
    else:
        plain = configs.to_plain(chosen.own)
    asked: Any = configs.apply_overrides(configs.from_plain(chosen.config, plain, "training.json: config"), settings)
    return chosen.completed(asked)


def _stored(folder: Path) -> dict[str, Any]:
    return dict(read_json(folder / _TRAINING)) if (folder / _TRAINING).is_file() else {}


def _document(chosen: Recipe, cfg: Any, out: Path) -> dict[str, Any]:
    machine = f"{platform.machine()} ({platform.system()})"
    return {"hours": 0.0, "machine": machine, **_stored(out), "recipe": chosen.name, "config": configs.to_plain(cfg)}


def _earlier(cfg: Any, out: Path, begin: str | Path | None) -> list[dict[str, Any]]:
    """What settings were until which step, where a training went on with others, there or in the weights that it began from."""
    stored, found = _stored(out), training.newest(out)
    step = None if found is None else found[1]
    if not stored and begin is not None:
        stored = dict(weights.load(begin).config)
        step = int(stored["step"])
    told = list(stored.get("earlier", []))
    changed = configs.before(stored.get("config", {}), configs.to_plain(cfg))
    # Settings with which no step was kept are nobody's.
    if not changed or step is None or (told and told[-1]["until"] == step):
        return told
    return [*told, {"until": step, "settings": changed}]


def _numbers_at(folder: Path, step: int) -> dict[str, float]:
    """Held-out numbers that were logged at a step; none where it was not judged."""
    log = folder / training.LOG
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    usual = {"step", "seconds_a_step", "loss", "gradient", training.VALIDATED}
    for row in reversed(rows):
        found = {k: v for k, v in row.items() if k not in usual and "_" in k}
        if found and row["step"] == step:
            return found
    return {}
