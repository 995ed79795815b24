"""Compiled kernels: numba with its cache in the user's cache folder, where it outlives the program and needs no rights.

HALFSEEN_CACHE, NUMBA_CACHE_DIR or XDG_CACHE_HOME name another folder. The setting is touched only while a kernel is declared, so
that other users of numba in the same process keep theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Freedoms that keep sums in the order that is written: what a compiler may reorder, it orders one way in the process that
# compiles and another way in the one that loads.
ORDERED = ("nnan", "ninf", "nsz", "arcp", "contract", "afn")


def cache_folder() -> Path:
    """The folder for compiled kernels."""
    own = os.environ.get("HALFSEEN_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfseen"
    return base / "kernels"


def is_cold() -> bool:
    """Whether no kernel was ever compiled here."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return not any((Path(named) if named else cache_folder()).glob("**/*.nbi"))


def kernel(
    *, parallel: bool = False, fastmath: bool | tuple[str, ...] = False, inline: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a compiled function. It is compiled at its first call for each kind of argument, and then kept on disk."""

    def declare(function: Callable[..., Any]) -> Any:
        import numba
        from numba.core import config

        before = config.CACHE_DIR  # type: ignore[attr-defined]
        config.CACHE_DIR = before or str(cache_folder())  # type: ignore[attr-defined]
        flags = fastmath if isinstance(fastmath, bool) else set(fastmath)
        try:
            # An outer function without the lock would let two threads compile at once; numba has one of its own.
            return numba.njit(
                cache=True, parallel=parallel, fastmath=flags, nogil=True, inline="always" if inline else "never"
            )(function)
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]

    return declare
