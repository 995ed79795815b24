"""A disk that fills up: a real, tiny file system where the machine lets us mount one, and a real limit on file size everywhere."""

import os
import resource
import shutil
import subprocess
import sys

import pytest

LIMIT_BYTES = 3000


def run_limited(arguments, limit):
    """The command line in a process that may not write files larger than `limit` bytes."""

    def lower():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "halfseen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=lower, check=False)


@pytest.mark.parametrize("target", ["transforms", "llff", "rgbd"])
def test_a_write_that_fails_leaves_nothing(still_life_folder, tmp_path, target):
    done = run_limited(["data", "convert", still_life_folder, "--to", target, "--out", tmp_path / "out"], LIMIT_BYTES)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("halfseen: ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named(still_life_folder, tiny_disk):
    (tiny_disk / "ballast").write_bytes(bytes(200 * 1024))
    command = [
        sys.executable,
        "-m",
        "halfseen",
        "reconstruct",
        still_life_folder,
        "--out",
        tiny_disk / "run",
        "--steps",
        "2",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in tiny_disk.iterdir()] == ["ballast"] or (tiny_disk / "run" / "config.json").is_file()
