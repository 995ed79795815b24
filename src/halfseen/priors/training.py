"""The training loop of every prior: a generator over steps that a caller may leave at any time.

A step's samples are a function of its number alone, shared out among the processes that `torchrun` started; two processes with
half a batch each make the step that one makes with a whole batch. A checkpoint holds networks, their running means and the
optimiser, so that a resumed training ends in the same bytes on a CPU.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from halfseen.common import checkpoint
from halfseen.common.config import within
from halfseen.common.errors import UserError, quote
from halfseen.common.processor import bf16_is_fast
from halfseen.priors.contract import Batch, TrainingTask
from halfseen.priors.ema import Ema, named

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

LOG, CHECKPOINTS = "log.jsonl", "checkpoints"
# Of rows of the log that hold held-out numbers.
VALIDATED = "held_out"
_DIGITS = 8
# What trackers file the numbers under.
_PROJECT = "halfseen"


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast. Sources: ours."""

    steps: int = 40_000
    # Samples of a step over all processes, and how many pieces each process takes its share in.
    batch: int = 64
    pieces: int = 1
    lr: float = 3e-4
    lr_end: float = 3e-5
    # Steps over which the learning rate rises from nothing, at the start and where committed weights are gone on from.
    warm: int = 300
    betas: tuple[float, ...] = (0.9, 0.99)
    clip: float = 1.0
    # Decoupled weight decay (AdamW); 0 is Adam.
    decay: float = 0.0
    ema: float = 0.999
    precision: str = "auto"  # auto: bf16 where it is faster; fp32; bf16
    save_every: int = 1000
    validate_every: int = 1000
    log_every: int = 20
    keep: int = 2

    def __post_init__(self) -> None:
        within("steps", self.steps, 1, 10**9)
        within("batch", self.batch, 1, 10**6)
        within("pieces", self.pieces, 1, self.batch)
        within("lr", self.lr, 0, 10)
        within("ema", self.ema, 0, 1)
        within("decay", self.decay, 0, 1)


@dataclass(frozen=True)
class Begin:
    """Where a training goes on from: weights that were published, with the step and position that they had."""

    weights: Mapping[str, Tensor]
    step: int


@dataclass(frozen=True)
class Progress:
    """One step as the caller sees it."""

    step: int
    total: int
    terms: Mapping[str, float]
    validation: Mapping[str, float] | None = None
    sheet: Tensor | None = None
    saved: Path | None = None


def rate(cfg: LoopConfig, step: int, started: int) -> float:
    """Learning rate of a step (from 1): a cosine over all steps, below a ramp from where this training started."""
    share = min(1.0, step / cfg.steps)
    cosine = cfg.lr_end + (cfg.lr - cfg.lr_end) * 0.5 * (1 + math.cos(math.pi * share))
    return cosine * min(1.0, (step - started) / max(cfg.warm, 1))


def accelerator(
    device: str = "auto", track: str | GeneralTracker | None = None, folder: Path | None = None
) -> Accelerator:
    """The processes of this training, and whoever keeps its numbers besides the log: the name of a tracker, or one itself.

    Precision is the loop's own affair: accelerate allows one for the life of a process.
    """
    from accelerate import Accelerator
    from accelerate.tracking import get_available_trackers

    known = [str(t) for t in get_available_trackers()]
    if isinstance(track, str) and track not in known:
        raise UserError(
            "this tracker is not here",
            got=quote(track),
            accepted=", ".join(known) or "none: no package of a tracker is installed",
            do="Install its package (pip install halfseen[track] brings trackio), or leave --track out: log.jsonl has it all.",
        )
    cpu = device == "cpu" or not torch.cuda.is_available()
    accel = Accelerator(cpu=cpu, log_with=track, project_dir=folder)
    if track is not None:
        accel.init_trackers(_PROJECT)
    return accel


def halved(cfg: LoopConfig, device: torch.device) -> bool:
    """Whether networks run in bf16: where that is faster, or where the config says so."""
    return bf16_is_fast(device) if cfg.precision == "auto" else cfg.precision == "bf16"


def train(
    task: TrainingTask, cfg: LoopConfig, folder: Path, *, accel: Accelerator, begin: Begin | None = None
) -> Iterator[Progress]:
    """Train until `cfg.steps`, going on from the newest checkpoint in `folder` where there is one. Only process 0 writes."""
    nets = {k: n.to(accel.device) for k, n in task.networks.items()}
    # Convolutions of the processor are a tenth faster with channels last.
    for net in nets.values():
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    step, started, ema, optimiser = _start(nets, cfg, folder, begin)
    # What does not learn has no gradients to share.
    wrapped = {k: accel.prepare(n) if _learns(n) else n for k, n in nets.items()}
    began, first = time.monotonic(), step
    if step >= cfg.steps and not _judged(folder, step):
        # It was stopped between its last checkpoint and its last numbers.
        late, shown = validate(task, nets, ema)
        if accel.is_main_process:
            _log(folder, {"step": step, **_held(late)})
        yield Progress(step, cfg.steps, {}, late, shown)
    while step < cfg.steps:
        step += 1
        for group in optimiser.param_groups:
            group["lr"] = rate(cfg, step, started)
        terms = _step(task, wrapped, cfg, accel, step)
        norm = torch.nn.utils.clip_grad_norm_([p for n in nets.values() for p in n.parameters()], cfg.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        ema.update(nets, step)
        values = {k: float(v) for k, v in terms.items()} | {"gradient": float(norm)}
        last = step == cfg.steps
        found = sheet = saved = None
        # Saved first: what goes wrong with the held-out samples costs no training.
        if accel.is_main_process and (last or step % cfg.save_every == 0):
            saved = save(folder, step, started, nets, ema, optimiser, cfg.keep)
        if last or step % cfg.validate_every == 0:
            found, sheet = validate(task, nets, ema)
        if accel.is_main_process and (step % cfg.log_every == 0 or found is not None):
            seconds = time.monotonic() - began
            _log(folder, {"step": step, "seconds_a_step": seconds / (step - first), **values, **_held(found)})
            accel.log({**values, **(found or {})}, step=step)
        accel.wait_for_everyone()
        yield Progress(step, cfg.steps, values, found, sheet, saved)


def _learns(network: nn.Module) -> bool:
    return any(p.requires_grad for p in network.parameters())


def _start(
    nets: Mapping[str, nn.Module], cfg: LoopConfig, folder: Path, begin: Begin | None
) -> tuple[int, int, Ema, torch.optim.Optimizer]:
    """(steps done, step that the ramp began at, means, optimiser) of a new, a continued or a resumed training."""
    parameters = [p for n in nets.values() for p in n.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=cfg.lr, betas=(cfg.betas[0], cfg.betas[1]), weight_decay=cfg.decay)
    found = _checkpoints(folder)
    if not found:
        if begin is None:
            return 0, 0, Ema(nets, cfg.ema), optimiser
        _put(nets, begin.weights)
        return begin.step, begin.step, Ema(nets, cfg.ema), optimiser
    groups, meta = checkpoint.load(found[-1])
    _put(nets, groups["networks"])
    state = {i: {} for i in range(len(parameters))}  # type: dict[int, dict[str, Tensor]]
    for name, value in groups["optimizer"].items():
        index, _, key = name.partition(".")
        # In the parameter's own layout: files have none.
        state[int(index)][key] = _as(parameters[int(index)], value)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(meta["step"]), int(meta["started"]), Ema(nets, cfg.ema, groups["ema"]), optimiser


def _as(parameter: Tensor, value: Tensor) -> Tensor:
    """A value laid out in memory as a parameter of its shape is; others as they are."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _put(nets: Mapping[str, nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Load `network.parameter` tensors, whole. Networks of which there are none stay as they are, if there are any of others."""
    there = {name.partition(".")[0] for name in weights}
    own = named({k: n for k, n in nets.items() if k in there} or nets)
    if set(own) != set(weights) or any(own[k].shape != weights[k].shape for k in own):
        odd = sorted(set(own) ^ set(weights))[:3] or ["shapes"]
        raise UserError(
            "these weights are of another network",
            got=f"{len(weights)} tensors; different: {', '.join(odd)}",
            accepted=f"the {len(own)} tensors of this network",
            do="Give the configuration that the weights were trained with.",
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(weights[name])


def _step(
    task: TrainingTask, nets: Mapping[str, nn.Module], cfg: LoopConfig, accel: Accelerator, step: int
) -> dict[str, Tensor]:
    """Gradients of one step, this process's share in pieces; the terms are its means."""
    each = cfg.batch // (accel.num_processes * cfg.pieces)
    if each * accel.num_processes * cfg.pieces != cfg.batch:
        raise UserError(
            "the batch cannot be shared out",
            got=f"{cfg.batch} samples for {accel.num_processes} processes in {cfg.pieces} pieces",
            accepted="a batch that processes times pieces divides",
            do="Change --set loop.batch or the number of processes.",
        )
    base = (step - 1) * cfg.batch + accel.process_index * each * cfg.pieces
    total: dict[str, Tensor] = {}
    for piece in range(cfg.pieces):
        batch = _to(task.batch(range(base + piece * each, base + (piece + 1) * each)), accel.device)
        with torch.autocast(accel.device.type, torch.bfloat16, enabled=halved(cfg, accel.device)):
            terms = task.loss(nets, batch)
        accel.backward(terms["loss"] / cfg.pieces)
        for name, value in terms.items():
            total[name] = total.get(name, torch.zeros(())) + value.detach().float().cpu() / cfg.pieces
    return total


def validate(task: TrainingTask, nets: Mapping[str, nn.Module], ema: Ema) -> tuple[dict[str, float], Tensor]:
    """Held-out numbers and a sheet of the running means; the networks are as before afterwards."""
    kept = {k: v.detach().clone() for k, v in named(nets).items()}
    ema.copy_to(nets)
    for net in nets.values():
        net.train(False)
    with torch.no_grad():
        found, sheet = task.validate(nets), task.sheet(nets)
    for net in nets.values():
        net.train()
    _put(nets, kept)
    return found, sheet


def save(
    folder: Path,
    step: int,
    started: int,
    nets: Mapping[str, nn.Module],
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    keep: int,
) -> Path:
    """Write a checkpoint and drop all but the newest `keep`."""
    state = optimiser.state_dict()["state"]
    groups = {
        "networks": {k: v.detach() for k, v in named(nets).items()},
        "ema": ema.values,
        "optimizer": {f"{i}.{k}": torch.as_tensor(v) for i, values in state.items() for k, v in values.items()},
    }
    path = folder / CHECKPOINTS / f"step-{step:0{_DIGITS}d}"
    checkpoint.save(path, groups, {"step": step, "started": started})
    for old in _checkpoints(folder)[:-keep]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return path


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / CHECKPOINTS).glob("step-*"))


def newest(folder: Path) -> tuple[dict[str, Tensor], int] | None:
    """Running means and step of the newest checkpoint of a training."""
    found = _checkpoints(folder)
    if not found:
        return None
    groups, meta = checkpoint.load(found[-1])
    return groups["ema"], int(meta["step"])


def _to(batch: Batch, device: torch.device) -> Batch:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _held(found: Mapping[str, float] | None) -> dict[str, Any]:
    """Held-out numbers as the log has them."""
    return {} if found is None else {VALIDATED: True, **found}


def _judged(folder: Path, step: int) -> bool:
    """Whether held-out numbers of a step are in the log."""
    rows = (folder / LOG).read_text().splitlines() if (folder / LOG).is_file() else []
    return any(row["step"] == step and VALIDATED in row for row in map(json.loads, rows))


def _log(folder: Path, row: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rounded = {k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in row.items()}
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(rounded) + "\n")
