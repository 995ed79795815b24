"""The small fixer in use: any size of picture and any photos."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.images import resize
from halfseen.priors.networks.fixer_small import BLOCK, FixerSmall
from halfseen.priors.one_step.contract import Repaired

# Longer side of a reference: its tokens are looked at by every block of the picture. Training showed it pictures of this size.
_REFERENCE = 160


class SmallFixer:
    """A trained network as a `Fixer`."""

    def __init__(self, network: FixerSmall) -> None:
        self.network = network
        self.multiple = BLOCK * 2 ** (len(network.config.widths) - 1)

    def __call__(self, shown: Tensor, references: Sequence[Tensor]) -> Repaired:
        """See `Fixer`."""
        height, width = shown.shape[-2:]
        device = next(self.network.parameters()).device
        with torch.no_grad():
            rgb, error = self.network(self._padded(shown).to(device)[None], self._photos(references).to(device))
        rgb, error = (t[0, :, :height, :width].float().cpu() for t in (rgb, error))
        return Repaired(rgb.clamp(0, 1), error[0].exp())

    def _padded(self, x: Tensor) -> Tensor:
        """With its right and lower rims repeated up to sides that the network takes."""
        down, right = (-s % self.multiple for s in x.shape[-2:])
        return F.pad(x[None], (0, right, 0, down), mode="replicate")[0]

    def _photos(self, references: Sequence[Tensor]) -> Tensor:
        """[1, V, 3, h, w]: all as small as training had them, and as large as the largest."""
        if not references:
            return torch.zeros(1, 0, 3, self.multiple, self.multiple)
        small = []
        for photo in references:
            size = resize.fit(photo.shape[-1], photo.shape[-2], _REFERENCE)
            small.append(self._padded(resize.resize(photo.movedim(0, -1), *size).movedim(-1, 0)))
        height, width = (max(p.shape[axis] for p in small) for axis in (-2, -1))
        return torch.stack([_grown(p, width, height) for p in small])[None]


def _grown(photo: Tensor, width: int, height: int) -> Tensor:
    """With its rims repeated up to a size."""
    return F.pad(photo[None], (0, width - photo.shape[-1], 0, height - photo.shape[-2]), mode="replicate")[0]
