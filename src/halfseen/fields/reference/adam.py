"""Slow twin of `fields/kernels/adam.py`."""

from __future__ import annotations

import torch
from torch import Tensor


def step(
    value: Tensor, grad: Tensor, first: Tensor, second: Tensor,
    rate: float, beta1: float, beta2: float, epsilon: float, skip_zero: bool,
) -> None:  # fmt: skip
    """One step in place; `rate` holds the bias corrections. Entries without a gradient may be left as they are."""
    moved = grad != 0 if skip_zero else torch.ones_like(grad, dtype=torch.bool)
    first.copy_(torch.where(moved, beta1 * first + (1 - beta1) * grad, first))
    second.copy_(torch.where(moved, beta2 * second + (1 - beta2) * grad * grad, second))
    value.sub_(torch.where(moved, rate * first / (second.sqrt() + epsilon), torch.zeros_like(value)))
