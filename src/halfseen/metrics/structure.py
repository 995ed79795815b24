"""Structural dissimilarity as a loss: the same SSIM as `metrics/image.py`, with a compiled blur forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.jit import ORDERED, kernel
from halfseen.metrics import image


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of pictures [H, W, 3] (Gaussian window): [], with gradients, in their own precision."""
    weights = image.gaussian_window().to(a)
    return (1 - image.similarity(a, b, weights, 1.0, blur).mean()) / 2


def blur(planes: Tensor, weights: Tensor) -> Tensor:
    """Filter [C, ..., H, W] by symmetric weights [K] along both axes, inside the picture only."""
    if planes.device.type != "cpu":
        return image.blur(planes, weights)
    flat = planes.reshape(-1, *planes.shape[-2:])
    out: Tensor = _Blur.apply(flat, weights)
    return out.reshape(*planes.shape[:-2], *out.shape[-2:])


class _Blur(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        return _run(planes, weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        reach = len(weights) - 1
        # The window is symmetric, so its transpose is itself, on the gradient with nothing around it.
        return _run(F.pad(grad, (reach,) * 4), weights), None


def _run(planes: Tensor, weights: Tensor) -> Tensor:
    count, height, width = planes.shape
    reach = len(weights) - 1
    out = planes.new_empty(count, height - reach, width - reach)
    _kernel(planes.detach().contiguous().numpy(), weights.numpy(), out.numpy())
    return out


@kernel(parallel=True, fastmath=ORDERED)
def _kernel(planes, weights, out):  # type: ignore[no-untyped-def]
    """out[c, y, x] = sum_kj w_k w_j planes[c, y + k, x + j]; a row is the work of one thread."""
    count, rows, columns = out.shape
    width, window = planes.shape[2], len(weights)
    for r in prange(count * rows):
        c, y = r // rows, r % rows
        row = np.empty(width, planes.dtype)
        first = weights[0]
        for x in range(width):
            row[x] = first * planes[c, y, x]
        for k in range(1, window):
            w = weights[k]
            for x in range(width):
                row[x] += w * planes[c, y + k, x]
        for x in range(columns):
            out[c, y, x] = first * row[x]
        for k in range(1, window):
            w = weights[k]
            for x in range(columns):
                out[c, y, x] += w * row[x + k]
