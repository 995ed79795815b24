"""Freed memory that a process keeps is not made anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks of 48 MiB, of which every page is touched, a few times.
_WORK = """
import resource, sys
import numpy as np
from halfseen.common import allocator
kept = sys.argv[1] == "keep" and allocator.keep_freed()
np.ones(6 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    np.ones(6 << 20)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_pages_of_what_was_freed_are_used_again() -> None:
    faults = {}
    for how in ("keep", "leave"):
        found = subprocess.run([sys.executable, "-c", _WORK, how], capture_output=True, text=True, check=True)
        kept, faults[how] = (int(v) for v in found.stdout.split())
        assert kept == (how == "keep")
    # Left alone, each block's 12,288 pages are made anew; pages may be huge, and then there are few.
    assert faults["keep"] < 200
    assert faults["keep"] < faults["leave"]
