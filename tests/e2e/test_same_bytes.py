"""The same bytes: whoever compiled the kernels, whatever the number of threads, and whenever a run was killed on its way."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from support import SMALL_FIT, checkpoint

import halfseen as hs
from halfseen.data import transforms_write
from halfseen.worlds import still_life

# A process that runs the command line and writes a checkpoint after every step.
COMMAND = """
import sys
from functools import partial
import halfseen.api.reconstruction as api
from halfseen.cli.main import main
from halfseen.runs import record
api.record = partial(record.record, checkpoint_seconds=0.0)
sys.exit(main(sys.argv[1:]))
"""
# Steps of a fit as such, and of one that is killed three times on its way: Gaussians take theirs quickly. They grow throughout.
STEPS, KILLED = 12, {"hashgrid": 60, "gaussians": 100}
SMALL = {
    "hashgrid": SMALL_FIT,
    "triplane": (*SMALL_FIT, "--set", "triplane.side=64"),
    "gaussians": tuple(
        word
        for setting in ("start=1500", "most=2500", "grow_every=4", "grow_from=0.0", "grow_until=1.0", "pull=0.0")
        for word in ("--set", f"gaussians.{setting}")
    ),
}
# Seconds that a process may take: on a busy machine it first compiles for minutes.
PATIENCE = 600
# Steps that each of the killed processes makes at least, and seconds that it may go on for.
KILLED_AFTER, AT_MOST = (0, 3, 3), 0.2


def start(folder, out, field, steps, *extra, **environment):
    """A fit in a process of its own."""
    arguments = ["reconstruct", folder, "--out", out, "--views", 3, "--field", field, "--steps", steps]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments), *SMALL[field], *extra],
        env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def newest(out):
    """The step of the newest whole checkpoint."""
    return max((int(p.parent.name.removeprefix("step-")) for p in out.glob("checkpoints/step-*/state.json")), default=0)


def events(out):
    return [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("field", sorted(SMALL))
def test_the_number_of_threads_changes_no_byte_of_a_fit(still_life_folder, tmp_path, field):
    """Stereo, growth, torch's own threads and numba's. More threads than cores are threads all the same."""
    threads = ("1", "2")
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    running = [start(still_life_folder, tmp_path / n, field, STEPS, **dict.fromkeys(names, n)) for n in threads]
    assert [process.wait(PATIENCE) for process in running] == [0, 0]
    one, two = (checkpoint(tmp_path / n) for n in threads)
    assert one == two


@pytest.mark.parametrize("field", sorted(KILLED))
def test_a_run_killed_at_random_moments_resumes_to_the_same_bytes(still_life_folder, tmp_path, field):
    """Real processes, killed by a real signal: before the first checkpoint, then twice at moments of their own while levels join
    and populations change."""
    assert start(still_life_folder, tmp_path / "whole", field, KILLED[field]).wait(PATIENCE) == 0
    out = tmp_path / "killed"
    for steps in KILLED_AFTER:
        before = newest(out)
        process = start(still_life_folder, out, field, KILLED[field], *(["--resume"] if out.exists() else []))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not ((out / "events.jsonl").exists() and newest(out) >= before + steps):
            time.sleep(0.01)
        # Not the same moment in every run: any of them has to do.
        time.sleep(random.SystemRandom().uniform(0, AT_MOST))
        assert process.poll() is None, "the run was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (out / "metrics.json").exists()
    assert start(still_life_folder, out, field, KILLED[field], "--resume").wait(PATIENCE) == 0
    said = events(out)
    # One that was killed before its first checkpoint starts again.
    assert sum(e["event"] == "resume" for e in said) >= len(KILLED_AFTER) - 1
    assert checkpoint(out) == checkpoint(tmp_path / "whole")
    # The seconds of a run are those of all its sessions.
    assert hs.open_run(out).seconds() > max(e.get("seconds", 0) for e in said if e["event"] == "fitted")


def test_ctrl_c_keeps_the_last_step_and_the_same_command_goes_on(still_life_folder, tmp_path):
    """Checkpoints are 20 seconds apart: what is kept here is kept because of the interrupt."""
    assert start(still_life_folder, tmp_path / "whole", "gaussians", 150).wait(PATIENCE) == 0
    out = tmp_path / "stopped"
    options = ("reconstruct", still_life_folder, "--out", out, "--views", 3, "--field", "gaussians", "--steps", 150)
    command = [sys.executable, "-m", "halfseen", *map(str, options), *SMALL["gaussians"]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not (
        (out / "events.jsonl").exists() and '"step": 50' in (out / "events.jsonl").read_text()
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopping after this step, which is kept" in said
    assert 50 <= newest(out) < 150
    again = subprocess.run([*command, "--resume", "--budget", "1h"], capture_output=True, text=True, check=True)
    assert "note: --budget" in again.stderr
    assert events(out)[-1]["event"] == "finished"
    assert checkpoint(out) == checkpoint(tmp_path / "whole")


# The command line, with a line on stderr for every kernel that numba compiles.
TOLD = """
import sys
from numba.core import event
from halfseen.cli.main import main
class Told(event.Listener):
    def on_start(self, event):
        print("COMPILES", event.data["dispatcher"].py_func.__name__, file=sys.stderr)
    def on_end(self, event):
        pass
with event.install_listener("numba:compile", Told()):
    sys.exit(main(sys.argv[1:]))
"""


def test_compiling_is_a_step_that_is_shown_once_and_who_loads_ends_in_the_same_bytes(tmp_path):
    """In a fresh cache all kernels of a fit are compiled before it, in a step that says so; the second run loads them, says nothing,
    and its sums are those of the first: a compiler is not free to order them differently each time."""
    (tmp_path / "object").mkdir()
    # An object needs no stereo, whose kernels would take as long again.
    ring = still_life.ring(6, (40, 30))
    transforms_write.write(still_life.capture(1, ring, (0, 2, 4), masks=True), tmp_path / "object")
    environment = {**os.environ, "HALFSEEN_CACHE": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    said = []
    for name in ("compiles", "loads"):
        options = ("--variant", "basic", "--steps", "20", "--out", str(tmp_path / name), *SMALL_FIT)
        command = [sys.executable, "-c", TOLD, "reconstruct", str(tmp_path / "object"), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stderr.splitlines())
    first, second = said
    compiled = [i for i, line in enumerate(first) if line.startswith("COMPILES")]
    shown = [i for i, line in enumerate(first) if line.startswith("compiling")]
    assert {"COMPILES march_count", "COMPILES backward_table", "COMPILES step"} <= set(first)
    assert re.fullmatch(r"compiling kernels: (\d+)/\1, took .+", first[shown[-1]])
    assert max(compiled) < shown[-1]
    assert shown[0] <= min(compiled) + 1
    assert not [line for line in second if line.startswith(("COMPILES", "compiling"))]
    assert checkpoint(tmp_path / "compiles") == checkpoint(tmp_path / "loads")
