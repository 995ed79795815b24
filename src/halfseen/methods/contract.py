"""What a method is: a config, a rule to complete it, and a generator of snapshots. No base class; a record of functions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from halfseen.cameras.similarity import Similarity
from halfseen.data.capture import Capture
from halfseen.fields.contract import After, Field
from halfseen.priors.contract import TrainingTask
from halfseen.runs.snapshot import Knobs, Snapshot, State

# Told how many of how many parts of what a fit calls are compiled, from the first kernel on that has to be.
OnCompile = Callable[[int, int], None]


@dataclass(frozen=True)
class Estimate:
    """What a reconstruction will cost here."""

    seconds: float
    peak: int  # bytes that the program will hold at most, itself included
    held: int  # bytes of these that it held before the fit
    before: float = 0.0  # of these seconds, what passes however many steps there are


class Reconstruct(Protocol):
    """The generator of a method. The capture is loaded and in the box frame; `state` is (step, tensors) when resuming."""

    def __call__(
        self,
        capture: Capture,
        to_user: Similarity,
        cfg: Any,
        seed: int,
        *,
        device: torch.device,
        state: tuple[int, State] | None = None,
    ) -> Generator[Snapshot, Knobs | None, None]: ...


class WarmUp(Protocol):
    """Compiles what a fit of a loaded capture will call, unless that has been done. One that is resumed is not `fresh`."""

    def __call__(
        self, cfg: Any, capture: Capture, device: torch.device, on_compile: OnCompile, *, fresh: bool = True
    ) -> None: ...


@dataclass(frozen=True)
class Method:
    """One method as the library offers it."""

    name: str
    variants: Mapping[str, Any]  # the config of each; the first is the default
    fields: tuple[str, ...]  # kinds of field that it can fit; the first is the default
    config: type  # frozen dataclass with at least `steps`
    resolve: Callable[[Any, Capture, str], Any]  # (config, capture, kind of field)
    field_config: Callable[[Any], Any]
    estimate: Callable[[Capture, Similarity, Any, torch.device], Estimate]
    reconstruct: Reconstruct
    warm_up: WarmUp
    one_photo: bool = False  # whether a single photo without a camera will do
    cut_out: bool = False  # whether it has to know what is the object, so that photos that do not say it are cut out
    roles: tuple[str, ...] = ()  # of priors that it can use
    priors_of: Callable[[Any], tuple[str, ...]] = lambda cfg: ()  # names or folders of the priors that a config uses
    # (config, role, name or path, weight or None for its own)
    with_prior: Callable[[Any, str, str, float | None], Any] = lambda cfg, *_: cfg
    # (config, fitted field, loaded capture in the box frame, state of the last checkpoint, device): how finished renderings go on,
    # for methods that do not show their field as it is.
    after: Callable[[Any, Field, Capture, State, torch.device], After | None] | None = None
    # Sentences on what a resolved config does that a user would not expect, such as the size at which a prior works.
    notes_of: Callable[[Any], tuple[str, ...]] = lambda cfg: ()
    # The variants at the sizes of the paper, where it has any.
    paper: Mapping[str, Any] = field(default_factory=dict)
    paper_size: int | None = None  # longer side of the photos there, in pixels

    @property
    def profiles(self) -> Mapping[str, Mapping[str, Any]]:
        """The variants by profile; without sizes of a paper there is `small` alone."""
        return {"small": self.variants, **({"paper": self.paper} if self.paper else {})}


@dataclass(frozen=True)
class Data:
    """What a prior learns from, in words for its model card."""

    source: str
    rights: str  # a sentence on whose it is
    held_out: str  # what it is judged on


def _as_it_is(config: Any) -> Any:
    return config


@dataclass(frozen=True)
class Recipe:
    """How a prior is trained: what `halfseen prior train NAME` repeats."""

    name: str
    role: str  # what methods ask for: patch, fixer, view, ...
    config: type  # frozen dataclass with `loop` (priors.training.LoopConfig) and `seed`
    task: Callable[[Any], TrainingTask]
    networks: Callable[[Any], Mapping[str, nn.Module]]  # untrained, by the same config
    data_of: Callable[[Any], Data]  # what a config learns from
    start: Any = None  # a config to begin with other than the defaults of `config`
    # What a config becomes when a training begins or goes on: files that it names are told by what is in them.
    completed: Callable[[Any], Any] = _as_it_is

    @property
    def own(self) -> Any:
        """The config of a training that is told nothing else."""
        return self.config() if self.start is None else self.start
