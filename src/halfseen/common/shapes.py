"""Shape letters, the same everywhere: B batch, V views, N samples, points or Gaussians, P pixels or rays, H W C image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def check(tensor: torch.Tensor, spec: str, name: str) -> dict[str, int]:
    """Check a tensor against a spec such as "V 4 4" and return the letters' sizes.

    >>> import torch
    >>> check(torch.zeros(3, 4, 4), "V 4 4", "c2w")
    {'V': 3}
    """
    letters: dict[str, int] = {}
    dims = spec.split()
    matches = len(dims) == tensor.dim()
    for dim, size in zip(dims, tensor.shape, strict=False):
        matches &= size == (int(dim) if dim.isdigit() else letters.setdefault(dim, size))
    if not matches:
        raise ValueError(f"{name}: shape {tuple(tensor.shape)}, expected ({', '.join(dims)})")
    return letters
