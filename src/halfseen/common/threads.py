"""Thread policy. Spinning OpenMP threads ruin shared machines, so the command line and workers call this before torch loads.

The library never calls it: it does not edit its host's environment.
"""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import sys
import threading
from multiprocessing import connection

from halfseen.common import allocator

_POLICY = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
    # numba's own thread layer aborts when two threads call kernels; this asks for one that does not.
    "NUMBA_THREADING_LAYER": "threadsafe",
}
_KIB = 1024
# Exit status of a worker whose parent is gone.
_ORPHANED = 1


def apply_policy() -> None:
    """Make OpenMP threads sleep instead of spin. Has no effect once torch is imported, so that case is an error."""
    if "torch" in sys.modules and any(k not in os.environ for k in _POLICY):
        raise RuntimeError("the thread policy must be applied before torch is imported")
    for name, value in _POLICY.items():
        os.environ.setdefault(name, value)


def begin_worker() -> None:
    """For worker processes: one thread each, so that N workers use N cores, memory that is kept, and an end when whoever started them has
    ended."""
    _one_thread()
    allocator.keep_freed()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """A parent that is killed cannot stop its workers, which would wait, or work, for ever."""
    connection.wait([sentinel])
    os._exit(_ORPHANED)


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def memory_mib() -> float | None:
    """The memory that this process holds now in MiB; its peak where the system tells no more, None where it tells nothing."""
    try:
        with pathlib.Path("/proc/self/statm").open() as f:
            pages = int(f.read().split()[1])
    except OSError:
        return peak_memory_mib()
    return round(pages * os.sysconf("SC_PAGE_SIZE") / (_KIB * _KIB), 1)


def peak_memory_mib() -> float | None:
    """The most memory that this process has held so far in MiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts KiB, macOS bytes.
    return round(peak / (_KIB * _KIB if sys.platform == "darwin" else _KIB), 1)
