"""Make the virtual environment and install into it: `install.py VENV core|dev|wheel`. Standard library only.

core   the library's dependencies at the versions of constraints.txt
dev    what tests and checks need
wheel  build the wheel and install it without touching dependencies

A torch >= 2.9 that the Python which runs this already has is used as it is (the environment then sees that Python's packages);
otherwise torch is installed at the pinned version, which on an ordinary Linux machine is the CUDA build of several GB.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
TORCH_FLOOR = (2, 9)
PYTHON_FLOOR = (3, 11)


def main() -> None:
    """Install one stage."""
    if sys.version_info < PYTHON_FLOOR:
        sys.exit(
            f"halfseen needs Python {'.'.join(map(str, PYTHON_FLOOR))} or newer; this is {sys.version.split()[0]}. Run 'make PYTHON=python3.11'."
        )
    folder, stage = Path(sys.argv[1]), sys.argv[2]
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True, system_site_packages=has_torch(metadata.distributions()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if stage == "core":
        pip(folder, *project["dependencies"])
    elif stage == "dev":
        pip(folder, *project["optional-dependencies"]["dev"])
    else:
        install_wheel(folder)


def pip(folder: Path, *requirements: str) -> None:
    """Install requirements under the constraints; an accepted torch is not replaced."""
    listed = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    present = re.search(r"^torch==(\d+)\.(\d+)", listed.stdout, re.MULTILINE)
    lines = CONSTRAINTS.read_text().splitlines()
    if present and (int(present[1]), int(present[2])) >= TORCH_FLOOR:
        lines = [line for line in lines if not line.startswith("torch==")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(lines))
        constraints.flush()
        command = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            constraints.name,
            *requirements,
        ]
        subprocess.run(command, check=True)


def install_wheel(folder: Path) -> None:
    """Build the wheel and install it."""
    python = str(folder / "bin" / "python")
    # Building isolated would fetch setuptools again; the environment gets it once instead.
    pip(folder, "setuptools>=77", "wheel")
    # setuptools packs whatever an earlier build left in build/, also modules that are gone.
    for stale in (ROOT / "build", *(ROOT / "src").glob("*.egg-info")):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [
                python,
                "-m",
                "pip",
                "wheel",
                "--quiet",
                "--no-deps",
                "--no-build-isolation",
                "--wheel-dir",
                out,
                str(ROOT),
            ],
            check=True,
        )
        (wheel,) = Path(out).glob("*.whl")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(wheel)], check=True
        )


def has_torch(found) -> bool:  # type: ignore[no-untyped-def]
    """Whether the running Python has a torch that is new enough."""
    for distribution in found:
        if (distribution.metadata["Name"] or "").lower() == "torch":
            version = re.match(r"(\d+)\.(\d+)", distribution.version)
            return version is not None and (int(version[1]), int(version[2])) >= TORCH_FLOOR
    return False


if __name__ == "__main__":
    main()
