"""The same bytes: whoever compiled the kernels, whatever the number of threads, and whenever a run was killed on its way."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from support import SMALL_FIT, checkpoint

import halfseen as hs

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
    assert [process.wait(300) for process in running] == [0, 0]
    one, two = (checkpoint(tmp_path / n) for n in threads)
    assert one == two


@pytest.mark.parametrize("field", sorted(KILLED))
def test_a_run_killed_at_random_moments_resumes_to_the_same_bytes(still_life_folder, tmp_path, field):
    """Real processes, killed by a real signal: before the first checkpoint, then twice at moments of their own while levels join
    and populations change."""
    assert start(still_life_folder, tmp_path / "whole", field, KILLED[field]).wait(300) == 0
    out = tmp_path / "killed"
    for steps in KILLED_AFTER:
        before = newest(out)
        process = start(still_life_folder, out, field, KILLED[field], *(["--resume"] if out.exists() else []))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not ((out / "events.jsonl").exists() and newest(out) >= before + steps):
            time.sleep(0.01)
        # Not the same moment in every run: any of them has to do.
        time.sleep(random.SystemRandom().uniform(0, AT_MOST))
        assert process.poll() is None, "the run was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (out / "metrics.json").exists()
    assert start(still_life_folder, out, field, KILLED[field], "--resume").wait(300) == 0
    said = events(out)
    # One that was killed before its first checkpoint starts again.
    assert sum(e["event"] == "resume" for e in said) >= len(KILLED_AFTER) - 1
    assert checkpoint(out) == checkpoint(tmp_path / "whole")
    # The seconds of a run are those of all its sessions.
    assert hs.open_run(out).seconds() > max(e.get("seconds", 0) for e in said if e["event"] == "fitted")


GRADIENTS = """
import hashlib, torch
from halfseen.common.rng import generator
from halfseen.fields import decoder, operators, samplers
from halfseen.fields.optimiser import Adam
rand = lambda *shape: torch.rand(shape, generator=generator(0, str(shape)))
config, levels = decoder.Config(), operators.levels([3, 6, 13], 256)
weights = {k: v.requires_grad_() for k, v in decoder.create(config, 12, generator(0, "w")).items()}
xyz, table = rand(400, 3).requires_grad_(), (rand(int(levels.size.sum()), 4) - 0.5).requires_grad_()
directions = torch.nn.functional.normalize(rand(20, 3), dim=-1)
features, samples = operators.encode(xyz, table, levels), samplers.packed(rand(20, 20), rand(20, 20))
density, colour = decoder.decode(features, rand(400, 3), directions, samples, weights, config)
(density.sum() + (colour * rand(400, 3)).sum()).backward()
made = [features.detach(), density.detach(), colour.detach(), xyz.grad, table.grad, *(w.grad for w in weights.values())]
made.append(decoder.look(features, rand(400, 3), weights, config))
optimiser = Adam([{"name": "table", "params": [table], "lr": 0.01, "sparse": True}])
optimiser.step(1.0)
made += [table.detach(), *optimiser.moments["table"]]
print([hashlib.sha256(t.numpy().tobytes()).hexdigest() for t in made])
"""


def test_who_compiles_and_who_loads_a_kernel_get_the_same_bytes(tmp_path):
    """The sums over samples are ordered in the source: a compiler is not free to order them differently each time."""
    environment = {**os.environ, "HALFSEEN_CACHE": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", GRADIENTS], env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout)
        assert list(tmp_path.rglob("*.nbi"))
    assert said[0] == said[1]
