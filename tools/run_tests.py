"""Run the tests against the installed wheel, and fail when too few of them really ran.

`src/` is not on the path here: what is tested is what users install.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Counted without the tests that need real captures, and as an ordinary user. Raised as tests are added. A run in which tests vanish or skip is a failure, however green it looks.
FLOOR = 1000
_PASSED = re.compile(r"(\d+) passed")


def main() -> None:
    """Run pytest and count."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "OMP_NUM_THREADS": "1",
        "HALFSEEN_TEST_INSTALLED": "1",
    }
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-n", "2", *sys.argv[1:]]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    found = [int(m[1]) for line in lines[-3:] for m in _PASSED.finditer(line)]
    if not sys.argv[1:] and (not found or found[-1] < FLOOR):
        sys.exit(f"only {found[-1] if found else 0} tests ran, at least {FLOOR} are expected (tools/run_tests.py)")


if __name__ == "__main__":
    main()
