"""Depth errors. z-depth [H, W] in one unit; 0 means nothing is known or rendered there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics.inputs import check_finite, selected

# Eigen et al. 2014: a depth is right when it is within this ratio of the truth.
_RATIO = 1.25
# Two pixels have an order when their true depths differ by more than this ratio; closer ones are noise.
ORDER_MARGIN = 1.02
# Random pairs of pixels for the ordering error: its standard error is then below half a percent.
ORDER_PAIRS = 20_000

Align = Literal["none", "median"]


@dataclass(frozen=True)
class DepthErrors:
    """Errors over pixels where both depths are known (Eigen et al. 2014), and how many those are."""

    abs_rel: float  # mean |d - d*| / d*
    rmse: float  # sqrt mean (d - d*)^2, in the unit of the truth
    delta_125: float  # share with max(d / d*, d* / d) < 1.25
    scale: float  # factor on the prediction: 1, or median(d*) / median(d)
    coverage: float  # share of known true pixels that have a prediction
    pixels: int


def depth_errors(predicted: Tensor, truth: Tensor, mask: Tensor | None = None, *, align: Align = "none") -> DepthErrors:
    """Compare depths where the truth (and `mask`) is known. "median" scales the prediction by the ratio of the medians first."""
    d, true, known = _valid(predicted, truth, mask)
    scale = float(_median(true) / _median(d)) if align == "median" else 1.0
    d = d * scale
    ratio = torch.maximum(d / true, true / d)
    return DepthErrors(
        abs_rel=float(((d - true).abs() / true).mean()),
        rmse=float(((d - true) ** 2).mean().sqrt()),
        delta_125=float((ratio < _RATIO).double().mean()),
        scale=scale,
        coverage=len(true) / known,
        pixels=len(true),
    )


def ordering_error(
    predicted: Tensor, truth: Tensor, mask: Tensor | None = None, *, seed: int = 0, pairs: int = ORDER_PAIRS
) -> float:
    """Share of random pixel pairs whose order in depth is wrong (a tie is wrong), among pairs whose true depths differ by 2 %.

    It needs no scale, so it compares depths of unknown unit.
    """
    d, true, _ = _valid(predicted, truth, mask)
    index = torch.randint(len(true), (2, pairs), generator=generator(seed, "metrics/ordering")).to(true.device)
    first, second = true[index[0]], true[index[1]]
    apart = torch.maximum(first / second, second / first) > ORDER_MARGIN
    if not bool(apart.any()):
        raise UserError(
            "the ordering error needs depth that varies",
            got=f"no pair of pixels whose depths differ by more than {ORDER_MARGIN - 1:.0%}",
            accepted="a scene with relief",
            do="Leave this measure out.",
        )
    wrong = torch.sign(first - second) != torch.sign(d[index[0]] - d[index[1]])
    return float(wrong[apart].double().mean())


def _valid(predicted: Tensor, truth: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, int]:
    """(prediction, truth) where both are known, float64, and the number of pixels where the truth is."""
    if predicted.shape != truth.shape:
        raise UserError(
            "depth maps differ in size",
            got=f"shapes {tuple(predicted.shape)} and {tuple(truth.shape)}",
            accepted="equal shapes [H, W]",
            do="Resize one of them by nearest pixel first.",
        )
    check_finite(predicted, what="depth errors")
    check_finite(truth, what="depth errors")
    d = selected(predicted.detach().double(), mask, what="depth errors").reshape(-1)
    true = selected(truth.detach().double(), mask, what="depth errors").reshape(-1)
    known = true > 0
    both = known & (d > 0)
    if not bool(both.any()):
        raise UserError(
            "depth errors need pixels with both depths",
            got=f"{int(known.sum())} true and {int((d > 0).sum())} predicted depths, none at the same pixel",
            accepted="at least one pixel above 0 in both",
            do="Leave this view out or correct its depth.",
        )
    return d[both], true[both], int(known.sum())


def _median(values: Tensor) -> Tensor:
    """The mean of the two middle values where their count is even; torch's own median takes the lower one."""
    ordered = values.sort().values
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
