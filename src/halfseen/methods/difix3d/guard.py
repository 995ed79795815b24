"""What keeps a fixer honest: repairs that contradict the photos do not count, and a scene that they hurt is left alone.

The small fixer is shown the very pixels that it is judged by, and may hand them on. Against that, where depth is wrong, stands the
trial on photos that are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.methods.difix3d.config import Guard


@dataclass(frozen=True)
class Verdict:
    """What is believed of one repaired view."""

    weight: Tensor  # [H, W] 1 where it is believed, else 0
    checked: int  # pixels that photos say something about
    accepted: int  # of these, the ones that are believed

    @property
    def share(self) -> float:
        """Accepted of the checked; 1 when nothing could be checked."""
        return self.accepted / self.checked if self.checked else 1.0


def judge(rendered: Tensor, repaired: Tensor, borrowed: Tensor, trusted: Tensor, cfg: Guard) -> Verdict:
    """Compare a repair [3, H, W] with what photos show there (`borrowed` [3, H, W], where `trusted` [H, W]).

    Where its mean error over a window exceeds the rendering's by more than a tolerance it is not believed; a view that is believed
    nowhere much is not believed at all, as what no photo saw cannot be checked.
    """
    known = trusted.to(rendered)
    fine = (
        _local(repaired, borrowed, known, cfg.window) <= _local(rendered, borrowed, known, cfg.window) + cfg.tolerance
    )
    trusted = known > 0
    checked, accepted = int(trusted.sum()), int((trusted & fine).sum())
    weight = (~trusted | fine).to(rendered)
    if checked and accepted < cfg.least * checked:
        weight, accepted = torch.zeros_like(weight), 0
    return Verdict(weight, checked, accepted)


def _local(a: Tensor, b: Tensor, known: Tensor, window: int) -> Tensor:
    """Mean absolute difference [H, W] over the known pixels of a window around each pixel."""
    error = ((a - b).abs().mean(0) * known)[None, None]
    total, count = (F.avg_pool2d(t, window, 1, window // 2, count_include_pad=True) for t in (error, known[None, None]))
    height, width = known.shape
    return (total / count.clamp_min(torch.finfo(total.dtype).tiny))[0, 0, :height, :width]
