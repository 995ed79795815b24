"""What is seen where a field is transparent while it is fitted."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.data.capture import Capture


def colours(capture: Capture, grey: float | None, count: int, rng: torch.Generator) -> Tensor:
    """sRGB [count, 3]: an object's own background; of a scene one grey, or colours at random, which make transparency costly."""
    known = capture.background if capture.mask_role == "object" else None
    if known is not None:
        return torch.tensor(known).expand(count, 3)
    return torch.rand(count, 3, generator=rng) if grey is None else torch.full((count, 3), grey)
