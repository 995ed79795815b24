"""Adam in one pass over memory."""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import ORDERED, kernel

# Parameters that one task updates.
_BLOCK = 65536


@kernel(parallel=True, fastmath=ORDERED)
def step(value, grad, first, second, rate, beta1, beta2, epsilon, skip_zero):  # type: ignore[no-untyped-def]
    """One step on flat arrays; `rate` holds the bias corrections. Entries without a gradient may be left as they are."""
    count = len(value)
    for b in prange((count + _BLOCK - 1) // _BLOCK):
        for i in range(b * _BLOCK, min(count, (b + 1) * _BLOCK)):
            g = grad[i]
            if skip_zero and g == 0:
                continue
            first[i] = beta1 * first[i] + (1 - beta1) * g
            second[i] = beta2 * second[i] + (1 - beta2) * g * g
            value[i] -= rate * first[i] / (np.sqrt(second[i]) + epsilon)
