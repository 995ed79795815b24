"""Adam for fields: moments as plain tensors by parameter name, one pass over memory, entries without a gradient left alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from halfseen.fields import operators

# Instant-NGP's; the floor is small because gradients of entries that few rays meet are tiny, and must still move them.
_BETAS, _EPSILON = (0.9, 0.99), 1e-15
_STEPS = "steps"


class Adam:
    """The moments of all parameters of a field. `groups` are `Field.parameter_groups()`, one parameter each."""

    def __init__(self, groups: list[dict[str, Any]], state: dict[str, Tensor] | None = None) -> None:
        self.parameters: dict[str, Tensor] = {g["name"]: g["params"][0] for g in groups}
        self.rates = {g["name"]: float(g["lr"]) for g in groups}
        self.sparse = {g["name"] for g in groups if g.get("sparse")}
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}
        for name, value in self.parameters.items():
            known = [] if not state else [state[f"{name}.{k}"].to(value.device).clone() for k in ("first", "second")]
            self.moments[name] = (known[0], known[1]) if known else (torch.zeros_like(value), torch.zeros_like(value))
        self.steps = 0 if not state else int(state[_STEPS])

    def step(self, factor: float) -> None:
        """Use the gradients, with learning rates times `factor`, and drop them."""
        self.steps += 1
        one, two = (1 - b**self.steps for b in _BETAS)
        with torch.no_grad():
            for name, value in self.parameters.items():
                if value.grad is None:
                    continue
                # m / one over sqrt(v / two) is m / sqrt(v) times this; the floor is far below any root that matters.
                rate = self.rates[name] * factor * two**0.5 / one
                operators.adam_step(
                    value, value.grad, self.moments[name], rate, _BETAS, _EPSILON, skip_zero=name in self.sparse
                )
                value.grad = None

    def rearrange(self, groups: list[dict[str, Any]], origin: Tensor) -> None:
        """Go on with other parameters, whose rows come from the old rows `origin` [N'], -1 for new ones."""
        old = origin >= 0
        self.parameters = {g["name"]: g["params"][0] for g in groups}
        for name, moments in self.moments.items():
            taken = [m[origin.clamp_min(0)] * old.reshape(-1, *[1] * (m.dim() - 1)).to(m) for m in moments]
            self.moments[name] = (taken[0].contiguous(), taken[1].contiguous())

    def state(self) -> dict[str, Tensor]:
        """Plain tensors that `Adam(groups, state)` goes on from."""
        out = {_STEPS: torch.tensor(self.steps)}
        for name, (first, second) in self.moments.items():
            out[f"{name}.first"], out[f"{name}.second"] = first, second
        return out
