"""The promises about the package itself: light to import, no torchvision anywhere, one licence, one version, tested as installed."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import halfseen

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMPORT_SECONDS = 0.3
FORBIDDEN = ("torchvision", "torchaudio", "plyfile")
HEAVY = ("torch", "tyro", "PIL", "safetensors")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_halfseen_is_instant_and_loads_nothing_heavy():
    code = "import sys,time; t=time.perf_counter(); import halfseen; print(time.perf_counter()-t, [m for m in sys.modules])"
    fastest = min(float(python(code).split()[0]) for _ in range(3))
    assert fastest < IMPORT_SECONDS
    loaded = python("import sys, halfseen; print(' '.join(sys.modules))").split()
    assert not set(HEAVY) & set(loaded)


def test_every_module_imports_and_none_brings_torchvision():
    modules = [m.name for m in pkgutil.walk_packages(halfseen.__path__, "halfseen.") if m.name != "halfseen.__main__"]
    assert len(modules) > 50
    for name in modules:
        assert importlib.import_module(name).__doc__, f"{name} does not say what it is"
    assert "torchvision" not in sys.modules


def test_torchvision_is_nowhere_in_what_gets_installed():
    """Walk the requirements of halfseen with all its extras through the installed metadata, and read every pin."""
    pins = (ROOT / "constraints.txt").read_text().lower()
    for name in FORBIDDEN:
        assert not re.search(rf"^{name}==", pins, re.MULTILINE)
    waiting = [*PROJECT["dependencies"], *(r for e in PROJECT["optional-dependencies"].values() for r in e)]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        if name in seen or "extra ==" in requirement:
            continue
        seen.add(name)
        assert name not in FORBIDDEN
        try:
            waiting += metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here; its closure is in constraints.txt
    assert {"torch", "numpy", "tyro"} <= seen


def test_every_direct_requirement_is_pinned_and_torch_is_2_13():
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert pins["torch"] == "2.13.0"
    for requirement in [*PROJECT["dependencies"], *(r for e in PROJECT["optional-dependencies"].values() for r in e)]:
        name = re.split(r"[<>=]", requirement, maxsplit=1)[0].lower()
        assert name in pins, f"{name} is not in constraints.txt; run 'make lock'"


def test_licence_and_version_agree_everywhere():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    changelog = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changelog is not None
    assert changelog[1] == halfseen.__version__
    assert metadata.version("halfseen") == halfseen.__version__


def test_public_names_exist():
    for name in halfseen.__all__:
        assert getattr(halfseen, name) is not None
    with pytest.raises(AttributeError):
        halfseen.nothing  # noqa: B018


@pytest.mark.skipif(
    "HALFSEEN_TEST_INSTALLED" not in os.environ, reason="set by 'make test': the installed wheel is what must be tested"
)
def test_the_installed_wheel_is_what_is_tested():
    where = Path(halfseen.__file__).resolve()
    assert "site-packages" in where.parts
    assert not any(Path(p or ".").resolve() == ROOT / "src" for p in sys.path)
    assert (where.parent / "py.typed").is_file()
    ours = {p.relative_to(ROOT / "src" / "halfseen").as_posix() for p in (ROOT / "src" / "halfseen").rglob("*.py")}
    assert {p.relative_to(where.parent).as_posix() for p in where.parent.rglob("*.py")} == ours


def test_no_pickle_and_no_global_randomness_in_the_library():
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        for word in (
            "import pickle",
            "allow_pickle=True",
            "manual_seed(0)",
            "random.random",
            "shell=True",
            "eval(",
        ):
            assert word not in text.replace("literal_eval(", ""), f"{path.name} contains {word}"
        loads = re.findall(r"torch\.load\([^)]*\)", text)
        assert all("weights_only=True" in load for load in loads), f"{path.name} loads more than tensors"
        assert not re.search(r"np\.random\.(?!Generator|PCG64)", text), f"{path.name} uses numpy's global randomness"


def test_documents_keep_to_the_project():
    """No path of a machine and no registry host stands in any tracked text."""
    words = re.compile(
        "|".join(("/" + "work/", "/" + "root/", "pypi" + r"\.org", "files\\." + "pythonhosted", "/" + "home/"))
    )
    for path in [
        *ROOT.glob("*"),
        *(ROOT / "docs").rglob("*"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tools").rglob("*.py"),
    ]:
        if path.is_file() and path.suffix in (".md", ".py", ".toml", ".txt", ".svg", ""):
            assert not words.search(path.read_text(errors="replace")), path


def test_the_command_line_starts_quickly_enough_to_be_asked():
    done = subprocess.run([sys.executable, "-m", "halfseen", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for command in ("reconstruct", "render", "data", "info", "doctor", "demo"):
        assert command in done.stdout
