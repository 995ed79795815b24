"""Compiled kernels: numba with its cache in the user's cache folder, where it outlives the program and needs no rights.

HALFSEEN_CACHE, NUMBA_CACHE_DIR or XDG_CACHE_HOME name another folder. The setting is touched only while a kernel is declared, so
that other users of numba in the same process keep theirs.

numba compiles anew when the file of a function has changed, but a kernel also freezes constants and functions of other files. So each
module that declares kernels has a cache folder of its own, named after a hash of its source and of all that it imports from here.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

# Freedoms that keep sums in the order that is written: what a compiler may reorder, it orders one way in the process that
# compiles and another way in the one that loads.
ORDERED = ("nnan", "ninf", "nsz", "arcp", "contract", "afn")
# Where this package lies, and what its modules are called.
_ROOT = Path(__file__).resolve().parent.parent
# Letters of a hash in the name of a folder: enough for the versions of one module.
_LETTERS = 16
# Kernels of sources that nobody has run for so long are removed. Two versions beside each other keep theirs.
_UNUSED_SECONDS = 30 * 24 * 3600


def cache_folder() -> Path:
    """The folder for compiled kernels."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named) / _ROOT.name
    own = os.environ.get("HALFSEEN_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _ROOT.name
    return base / "kernels"


def is_cold() -> bool:
    """Whether no kernel was ever compiled here."""
    return not any(cache_folder().glob("**/*.nbi"))


def source_hash(file: Path) -> str:
    """Of a module's source and the sources of this package that it imports, directly or not."""
    found, waiting = {file}, [file]
    while waiting:
        more = set(_imported(waiting.pop())) - found
        found |= more
        waiting += more
    total = hashlib.sha256()
    for path in sorted(found):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:_LETTERS]


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """The files of this package that are imported when `file` is."""
    return tuple(
        path
        for node in ast.parse(file.read_bytes()).body
        for name in _names(node)
        for path in (_ROOT.parent.joinpath(*name.split(".")).with_suffix(".py"),)
        if path.is_file()
    )


def _names(node: ast.stmt) -> Iterator[str]:
    """What an import at the top of a module may name: modules, and values in them."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        found = []
    yield from (name for name in found if name.split(".")[0] == _ROOT.name)


@cache
def _folder_of(module: str, file: Path) -> Path:
    """The cache folder of a module's kernels as its sources are now; old ones go when it is made."""
    base = cache_folder()
    folder = base / f"{module}-{source_hash(file)}"
    # Where nothing can be written, numba looks for another folder, or does without.
    with contextlib.suppress(OSError):
        made = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        if made:
            _remove_unused(base, module)
    return folder


def _remove_unused(base: Path, module: str) -> None:
    for old in base.glob(f"{module}-*"):
        if time.time() - old.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def watched(on_compile: Callable[[], None]) -> Iterator[None]:
    """Be told of every kernel that has to be compiled meanwhile, before it is; of those that are loaded nothing is said."""
    from numba.core import event

    class Watcher(event.Listener):
        def on_start(self, event: object) -> None:
            on_compile()

        def on_end(self, event: object) -> None:
            pass

    with event.install_listener("numba:compile", Watcher()):
        yield


def kernel(
    *, parallel: bool = False, fastmath: bool | tuple[str, ...] = False, inline: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a compiled function. It is compiled at its first call for each kind of argument, and then kept on disk."""

    def declare(function: Callable[..., Any]) -> Any:
        import numba
        from numba.core import config

        before = config.CACHE_DIR  # type: ignore[attr-defined]
        config.CACHE_DIR = str(_folder_of(function.__module__, Path(function.__code__.co_filename)))  # type: ignore[attr-defined]
        flags = fastmath if isinstance(fastmath, bool) else set(fastmath)
        try:
            # An outer function without the lock would let two threads compile at once; numba has one of its own.
            return numba.njit(
                cache=True, parallel=parallel, fastmath=flags, nogil=True, inline="always" if inline else "never"
            )(function)
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]

    return declare
