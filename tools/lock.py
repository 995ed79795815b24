"""Write constraints.txt: one pinned version for every package that any extra of halfseen needs, found by pip's own resolver.

torch is pinned to the version that everything here is measured with; its CUDA companions follow from it and are not listed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch==2.13.0"
HEADER = "# Made by 'make lock'. Every version that is tested; pyproject.toml holds the ranges that are allowed.\n"
COMPANIONS = ("nvidia-", "cuda-", "triton")


def main() -> None:
    """Resolve all requirements together and write the pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
        TORCH,
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            *wanted,
        ]
        subprocess.run(command, check=True)
        rows = [
            (i["metadata"]["name"].lower().replace("_", "-"), i["metadata"]["version"])
            for i in json.loads(report.read_text())["install"]
        ]
    pins = sorted(f"{name}=={version.split('+')[0]}" for name, version in rows if not name.startswith(COMPANIONS))
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(pins) + "\n")
    print(f"{len(pins)} pins")


if __name__ == "__main__":
    main()
