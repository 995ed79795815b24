"""What every image measure asks of its input: equal shapes, finite numbers, a mask that selects something."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.common.errors import UserError


def check_pair(a: Tensor, b: Tensor, *, what: str, min_side: int = 1) -> None:
    """Refuse pictures [H, W, 3] (or lists of pixels [P, 3]) that differ in shape, are too small or hold NaN or infinity."""
    if a.shape != b.shape or a.dim() not in (2, 3) or a.shape[-1] != 3:
        raise UserError(
            f"{what} cannot compare these pictures",
            got=f"shapes {tuple(a.shape)} and {tuple(b.shape)}",
            accepted="two pictures of equal shape [H, W, 3]",
            do="Resize one of them first.",
        )
    if min(a.shape[:-1]) < min_side:
        raise UserError(
            f"the pictures are too small for {what}",
            got=f"shape {tuple(a.shape)}",
            accepted=f"sides of at least {min_side} pixels",
            do="Measure larger pictures or leave this measure out.",
        )
    for picture in (a, b):
        check_finite(picture, what=what)


def check_finite(values: Tensor, *, what: str) -> None:
    """Refuse NaN and infinity: a mean over them would hide which pixel is broken."""
    wrong = int((~torch.isfinite(values)).sum())
    if wrong:
        raise UserError(
            f"{what} got numbers that are not finite",
            got=f"{wrong} of {values.numel()} values are NaN or infinite",
            accepted="finite numbers",
            do="Find where they come from; a measure does not repair them.",
        )


def selected(values: Tensor, mask: Tensor | None, *, what: str) -> Tensor:
    """The entries of `values` [H, W, ...] or [P, ...] where the boolean `mask` [H, W] or [P] is true; all without a mask."""
    if mask is None:
        return values
    if mask.dtype != torch.bool or mask.shape != values.shape[: mask.dim()] or mask.dim() == 0:
        raise UserError(
            f"{what} cannot use this mask",
            got=f"{mask.dtype} of shape {tuple(mask.shape)}",
            accepted=f"booleans, one for each pixel of shape {tuple(values.shape)}",
            do="Threshold the mask and give it the picture's size.",
        )
    if not bool(mask.any()):
        raise UserError(
            f"{what} over an empty mask is undefined",
            got="a mask that selects nothing",
            accepted="a mask with at least one pixel",
            do="Leave this view out or correct its mask.",
        )
    return values[mask]
