"""What the machine is fast at."""

from __future__ import annotations

import torch

# What processors call instructions that multiply matrices of bfloat16: x86 with AMX, ARM.
_MATRICES = ("amx_bf16", "bf16")


def bf16_is_fast(device: torch.device) -> bool:
    """Whether networks run faster in bfloat16 than in float32: where it has units that multiply matrices of it.

    A processor that has only vectors of it (`avx512_bf16`) takes 1.4 times as long; torch emulates it on old GPUs.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(known.get(name)) for name in _MATRICES)
