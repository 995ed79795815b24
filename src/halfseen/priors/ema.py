"""The running mean of weights that a prior is used with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# (1 + n) / (10 + n) of a young mean is kept, so that it does not remember the random start.
_WARM = 10


class Ema:
    """Means of the parameters of named networks; `decay` is the share that is kept at each step."""

    def __init__(
        self, networks: Mapping[str, nn.Module], decay: float, state: Mapping[str, Tensor] | None = None
    ) -> None:
        self.decay = decay
        self.values = {k: p.detach().clone().float() for k, p in named(networks).items()}
        if state is not None:
            self.values = {k: v.copy_(state[k]) for k, v in self.values.items()}

    @torch.no_grad()
    def update(self, networks: Mapping[str, nn.Module], step: int) -> None:
        """Take in the weights after a step (from 1)."""
        keep = min(self.decay, (1 + step) / (_WARM + step))
        for name, parameter in named(networks).items():
            self.values[name].lerp_(parameter.detach().float(), 1 - keep)

    @torch.no_grad()
    def copy_to(self, networks: Mapping[str, nn.Module]) -> None:
        """Put the means into networks of the same shape."""
        for name, parameter in named(networks).items():
            parameter.copy_(self.values[name])


def named(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All parameters and buffers as `network.parameter`."""
    return {f"{n}.{k}": v for n, net in networks.items() for k, v in net.state_dict(keep_vars=True).items()}
