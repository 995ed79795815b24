"""The cache of compiled kernels follows what they were compiled from."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import halfseen
from halfseen.common import jit

# A kernel of one file that freezes a number of another: the first tile that a Gaussian at pixel 20 with a reach of 1 lies in.
TILE_OF_20 = """
import numpy as np
from halfseen.fields.kernels import splat_tiles
mean, reach = np.full((1, 2), 20.0), np.ones((1, 2))
print(splat_tiles.rectangle(mean, reach, 0, 0.0, 0.0, 100, 100)[0], sum(splat_tiles.rectangle.stats.cache_hits.values()))
"""


def run(code, package, cache):
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "HALFSEEN_CACHE": str(cache)}
    # A source that is changed within a second of its bytecode would pass for unchanged.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_constant_of_another_file_compiles_anew_when_it_changes(tmp_path):
    package = tmp_path / "halfseen"
    shutil.copytree(Path(halfseen.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    assert run(TILE_OF_20, package, tmp_path / "cache") == ["2", "0"]
    assert run(TILE_OF_20, package, tmp_path / "cache") == ["2", "1"]
    source = package / "fields" / "kernels" / "splat_raster.py"
    changed = source.read_text().replace("LANES, TILE = 16, 8", "LANES, TILE = 16, 4")
    assert changed != source.read_text()
    source.write_text(changed)
    assert run(TILE_OF_20, package, tmp_path / "cache") == ["4", "0"]


def test_a_hash_follows_imports_and_nothing_else():
    root = Path(jit.__file__).parents[1]
    found, waiting = set(), [root / "fields" / "kernels" / "rays.py"]
    while waiting:
        path = waiting.pop()
        found.add(path.relative_to(root).as_posix())
        waiting += [p for p in jit._imported(path) if p.relative_to(root).as_posix() not in found]
    assert found == {"fields/kernels/rays.py", "fields/volume.py", "common/jit.py"}


def test_kernels_that_nobody_has_run_for_long_are_removed_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HALFSEEN_CACHE", str(tmp_path))
    base = jit.cache_folder()
    for name, days in (("halfseen.a-old", 40), ("halfseen.a-new", 3), ("halfseen.b-old", 40), ("foreign", 40)):
        (base / name).mkdir(parents=True)
        then = time.time() - days * 24 * 3600
        os.utime(base / name, (then, then))
    made = jit._folder_of("halfseen.a", Path(jit.__file__))
    assert {p.name for p in base.iterdir()} == {made.name, "halfseen.a-new", "halfseen.b-old", "foreign"}
