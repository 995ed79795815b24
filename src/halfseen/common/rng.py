"""Counter-based randomness: a generator is a pure function of (seed, name, step), so resuming needs no saved state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SEED_BYTES = 8
_SEED_MASK = (1 << 63) - 1


def derive_seed(seed: int, name: str, step: int = 0) -> int:
    """Mix seed, purpose and step into 63 bits. Different names never share a stream."""
    digest = hashlib.blake2b(f"{seed}/{name}/{step}".encode(), digest_size=_SEED_BYTES).digest()
    return int.from_bytes(digest, "little") & _SEED_MASK


def generator(seed: int, name: str, step: int = 0) -> torch.Generator:
    """A CPU torch.Generator for one purpose at one step."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, name, step))


@contextmanager
def untouched(seed: int, name: str) -> Iterator[None]:
    """torch's global generator begins as seed and name say, for libraries that draw from no other, and is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, name))
        yield
