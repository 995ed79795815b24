"""`halfseen prior list | info | train | publish | sample`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from halfseen.cli.progress import Progress, say, seconds_of


@dataclass(frozen=True)
class PriorList:
    """The priors that can be trained, and those that came with the package."""

    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen.api import priors
        from halfseen.priors import weights

        shipped = {n: weights.load(n).config for n in weights.shipped_names()}
        rows = [
            {
                "name": r.name,
                "role": r.role,
                "shipped_at_step": shipped.get(r.name, {}).get("step"),
                "data": r.data_of(r.own).source,
            }
            for r in priors.RECIPES.values()
        ]
        if self.json:
            print(json.dumps({"rows": rows}, indent=1))
            return
        for row in rows:
            state = "not shipped" if row["shipped_at_step"] is None else f"shipped, {row['shipped_at_step']} steps"
            print(f"{row['name']:<14} {row['role']:<8} {state}; learns from {row['data']}")


@dataclass(frozen=True)
class PriorInfo:
    """What a prior is: size, data, training, held-out numbers."""

    prior: tyro.conf.Positional[str]
    """A name from `prior list`, or a folder."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> None:
        from halfseen.priors import weights

        stored = weights.load(self.prior)
        count = sum(v.numel() for v in stored.weights.values())
        if self.json:
            print(json.dumps({**stored.config, "parameters": count}, indent=1))
            return
        print((stored.folder / weights.CARD).read_text(encoding="utf-8").strip())


@dataclass(frozen=True)
class PriorTrain:
    """Train a prior. The same command goes on where it stopped; under torchrun all processes share each step."""

    prior: tyro.conf.Positional[str]
    """A name from `prior list`."""
    out: Path
    """A folder for checkpoints, log.jsonl and sample sheets."""
    begin: str | None = None
    """Go on from the weights of this prior (a name or a folder) instead of from nothing."""
    budget: str | None = None
    """Stop at the first checkpoint after so long, as 90m."""
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="A.B=C")] = ()
    """Change a setting of the recipe, such as loop.batch=32; may be given several times."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    track: str | None = None
    """Give the numbers to this tracker too, such as trackio, tensorboard or wandb (its package has to be installed)."""

    def run(self) -> None:
        from halfseen.api import priors

        seconds = seconds_of(self.budget) if self.budget else None
        progress = Progress("training")
        for p in priors.train(
            self.prior,
            self.out,
            settings=self.set,
            begin=self.begin,
            device=self.device,
            seconds=seconds,
            track=self.track,
        ):
            # A training that had only its last numbers to come has no step.
            progress.update(p.step, p.total, f"loss {p.terms['loss']:.4f}" if p.terms else "")
            if p.validation is not None:
                say("held out: " + ", ".join(f"{k} {v:.4f}" for k, v in p.validation.items()))
            if p.sheet is not None:
                _write_sheet(self.out / "sheets" / f"{p.step:08d}.png", p.sheet)


@dataclass(frozen=True)
class PriorPublish:
    """Write the running means of a training as a folder of weights with a model card."""

    training: tyro.conf.Positional[Path]
    """The folder that `prior train` filled."""
    out: Path
    """A new folder."""

    def run(self) -> None:
        from halfseen.api import priors

        print(priors.publish(self.training, self.out))


@dataclass(frozen=True)
class PriorSample:
    """Draw a sheet of what a prior makes of nothing but noise."""

    prior: tyro.conf.Positional[str]
    """A name from `prior list`, or a folder."""
    out: Path
    """The picture to write."""

    def run(self) -> None:
        from halfseen.api import priors

        _write_sheet(self.out, priors.sample(self.prior))
        print(self.out)


def _write_sheet(path: Path, sheet: object) -> None:
    import torch

    from halfseen.images import io

    assert isinstance(sheet, torch.Tensor)
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write_png(path, sheet)
