"""How this process gets memory: what it frees it keeps for itself.

glibc gives blocks of more than 32 MiB back to the system as soon as they are freed, and every page of the next one has to be made anew.
On the sizes that fits and trainings work with, that took up to two thirds of the time (a product of 131,072 x 33 by 33 x 64 and its ReLU:
93 ms, and 33 ms with this). The command line and workers call this; the library does not, for the process is its host's.
"""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt (malloc.h): how much freed memory may lie at the heap's end, how much more than needed is asked for at a time, and
# how many blocks may be mappings of their own.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_MOST_INT, _PAD = 2**31 - 1, 64 << 20


def keep_freed() -> bool:
    """Keep freed memory; False where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_TRIM_THRESHOLD, _MOST_INT), (_TOP_PAD, _PAD), (_MMAP_MAX, 0))
    return all(mallopt(name, value) == 1 for name, value in settings)
