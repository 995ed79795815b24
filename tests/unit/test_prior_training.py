"""The loop: the same bytes after a kill, the same weights from two processes, samples that follow from their position alone."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.tracking import GeneralTracker
from torch import Tensor, nn

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.methods.diffusionerf import patch_prior
from halfseen.methods.diffusionerf import training as recipe
from halfseen.priors import schedules, training, weights
from halfseen.priors.contract import Batch
from halfseen.priors.networks import patch_small, patch_unet
from halfseen.priors.training import LoopConfig
from halfseen.worlds.stream import Frame

LOOP = LoopConfig(steps=6, batch=8, warm=2, save_every=2, validate_every=3, log_every=1, precision="fp32")
SCRIPT = Path(__file__).parent / "two_processes.py"


def tiny_config(**changes: object) -> recipe.Config:
    config = recipe.Config(
        network=patch_small.Config(widths=(16, 32), blocks=1, time=32), loop=LOOP, crops=4, side=8, large=16, workers=0
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def frame_of(draw: int) -> Frame:
    """A ramp of depth and a stripe of colour, different for each draw; a corner where nothing is."""
    rng = generator(5, "frame", draw)
    rgb = (torch.rand(24, 32, 3, generator=rng) * 255).to(torch.uint8)
    depth = (1 + torch.rand((), generator=rng) + torch.arange(32) / 32).expand(24, 32).clone()
    depth[:4, :4] = 0
    return Frame(rgb, depth.half(), torch.full((24, 32), 255, dtype=torch.uint8), torch.eye(4), torch.ones(4), draw, 0)


class TinyTask(recipe.PatchTask):
    """The real task on made-up frames, with held-out patches of them."""

    def __init__(self, config: recipe.Config) -> None:
        super().__init__(config, frame_of)
        self._held = self.batch(range(10_000, 10_016))["x0"]

    def sheet(self, networks: Mapping[str, nn.Module]) -> Tensor:
        return torch.zeros(2, 2, 3)


def run(folder: Path, config: recipe.Config, stop: int | None = None) -> dict[str, Tensor]:
    task = TinyTask(config)
    for progress in training.train(task, config.loop, folder, accel=training.accelerator("cpu")):
        if progress.step == stop:
            break
    found = training.newest(folder)
    assert found is not None
    return found[0]


def test_a_sample_follows_from_its_position() -> None:
    task = TinyTask(tiny_config())
    whole, part = task.batch(range(16, 24)), task.batch(range(20, 22))
    for key, values in whole.items():
        assert torch.equal(values[4:6], part[key]), key
    assert not torch.equal(whole["x0"][0], whole["x0"][1])


def test_noise_is_mostly_where_the_prior_is_asked() -> None:
    config = tiny_config()
    drawn = torch.tensor([recipe.draw_sigma(config, generator(0, "s", i)) for i in range(2000)])
    low = ((drawn >= config.low_from) & (drawn <= config.low_to)).float().mean()
    assert config.low_share <= float(low) <= config.low_share + 0.1
    assert float(drawn.max()) > 0.95
    inside = drawn[(drawn < config.low_to)].log()
    assert float(inside.median()) == pytest.approx(0.5 * math.log(0.01 * 0.35), abs=0.15)


def test_patches_come_in_two_sizes() -> None:
    config = tiny_config(large_share=0.25)
    sides = [recipe.patch_side(config, config.loop.batch * i + config.loop.batch - 1) for i in range(400)]
    assert set(sides) == {8, 16}
    assert sides.count(16) / 400 == pytest.approx(0.25, abs=0.07)
    assert recipe.patch_side(config, 0) == recipe.patch_side(config, config.loop.batch - 1)


def test_crops_lie_where_things_are() -> None:
    for i in range(50):
        _, z, enough = recipe.crop(frame_of(0), 8, generator(0, "crop", i))
        assert enough
        assert float((z > 0).float().mean()) > 0.5


def test_rooms_without_a_crop_are_passed_over() -> None:
    """Worlds have a sky, and are taken as they are."""
    empty = replace(frame_of(0), depth=torch.zeros(24, 32).half())
    full = replace(frame_of(3), depth=torch.ones(24, 32).half())
    worlds, rooms = tiny_config(), tiny_config(hypersim="folder")
    rng = generator(0, "crop")
    assert not bool((recipe.first_crop(worlds, lambda n: empty, 1, 8, rng)[1] > 0).any())
    assert bool((recipe.first_crop(rooms, lambda n: empty if n < 3 else full, 1, 8, rng)[1] > 0).all())
    with pytest.raises(UserError, match="no crop"):
        recipe.first_crop(rooms, lambda n: empty, 0, 8, rng)


@pytest.mark.parametrize("change", [{"large": 400}, {"side": -3}, {"side": 9}, {"low_to": 1.5}])
def test_trainings_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UserError):
        tiny_config(**change)


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    config = tiny_config(loop=replace(LOOP, steps=60, lr=3e-3, save_every=60, validate_every=60))
    task, rows = TinyTask(config), []
    before = task.validate(task.networks)
    for progress in training.train(task, config.loop, tmp_path, accel=training.accelerator("cpu")):
        rows.append(progress)
    after = rows[-1].validation
    assert after is not None
    assert before["disparity_0.35"] == pytest.approx(1.0, abs=0.1), "an untrained network guesses no noise"
    assert after["disparity_0.35"] < 0.8 * before["disparity_0.35"]


def test_a_killed_training_ends_in_the_same_bytes(tmp_path: Path) -> None:
    config = tiny_config()
    whole = run(tmp_path / "whole", config)
    run(tmp_path / "killed", config, stop=3)
    again = run(tmp_path / "killed", config)
    assert whole.keys() == again.keys()
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name


class Kept(GeneralTracker):
    """A tracker of accelerate's own kind that keeps what it is told."""

    name = "kept"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, dict[str, float]]] = []

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, object]) -> None:
        pass

    def log(self, values: dict[str, float], step: int, **_: object) -> None:
        self.rows.append((step, values))


def test_a_tracker_gets_the_numbers_of_the_log(tmp_path: Path) -> None:
    config, kept = tiny_config(), Kept()
    for _ in training.train(TinyTask(config), config.loop, tmp_path, accel=training.accelerator("cpu", kept)):
        pass
    logged = [json.loads(line) for line in (tmp_path / training.LOG).read_text().splitlines()]
    assert [step for step, _ in kept.rows] == [row["step"] for row in logged]
    assert kept.rows[-1][1]["loss"] == pytest.approx(logged[-1]["loss"], abs=1e-6)
    with pytest.raises(UserError, match="this tracker is not here"):
        training.accelerator("cpu", "nobody")


def test_pieces_add_up_to_a_batch(tmp_path: Path) -> None:
    config = tiny_config()
    whole = run(tmp_path / "whole", config)
    pieces = run(tmp_path / "pieces", replace(config, loop=replace(LOOP, pieces=4)))
    for name, value in whole.items():
        assert torch.allclose(value, pieces[name], atol=1e-5), name


def test_two_processes_make_the_step_of_one(tmp_path: Path) -> None:
    whole = run(tmp_path / "one", tiny_config())
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(SCRIPT), str(tmp_path / "two")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = training.newest(tmp_path / "two")
    assert found is not None
    for name, value in whole.items():
        assert torch.allclose(value, found[0][name], atol=1e-5), name


def test_going_on_from_published_weights_warms_up() -> None:
    config = replace(LOOP, steps=1000, warm=300)
    assert training.rate(config, 501, 500) == pytest.approx(training.rate(config, 501, 0) / 300)
    assert training.rate(config, 800, 500) == pytest.approx(training.rate(config, 800, 0))
    assert training.rate(config, 1000, 0) == pytest.approx(config.lr_end)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be shared out"):
        run(tmp_path, tiny_config(loop=replace(LOOP, batch=7, pieces=2)))


def test_weights_come_back_from_a_folder(tmp_path: Path) -> None:
    net = recipe.networks(tiny_config())["denoiser"]
    values = {f"denoiser.{k}": v for k, v in net.state_dict().items()}
    weights.save(tmp_path / "w", values, {"recipe": "patch-rgbd", "step": 3}, "a card")
    stored = weights.load(tmp_path / "w")
    assert stored.config["step"] == 3
    assert stored.weights.keys() == values.keys()
    for name, value in values.items():
        assert torch.allclose(stored.weights[name].float(), value, atol=2e-3), name
    (tmp_path / "w" / weights.MODEL).write_bytes(b"\x80\x04nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        weights.load(tmp_path / "w")
    with pytest.raises(UserError, match="no prior"):
        weights.load(tmp_path / "elsewhere")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    config = tiny_config()
    other: Batch = {"denoiser.stem.weight": torch.zeros(1)}
    with pytest.raises(UserError, match="of another network"):
        next(
            training.train(
                TinyTask(config),
                LOOP,
                tmp_path,
                accel=training.accelerator("cpu"),
                begin=training.Begin(other, 5),
            )
        )


HUB = """
import json, sys
from halfseen.common.errors import UserError
from halfseen.priors import weights
try:
    found = weights.load(sys.argv[1])
    print(json.dumps([found.config["recipe"], sorted(p.name for p in found.folder.iterdir())]))
except UserError as error:
    print(error)
"""


def test_a_prior_comes_from_the_hub_by_its_id(tmp_path: Path) -> None:
    """From the hub's cache, without a network; what is not there is told in one sentence."""
    snapshot = tmp_path / "hub" / "models--somebody--rooms" / "snapshots" / ("0" * 40)
    shutil.copytree(weights.find("patch-rgbd"), snapshot)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", HUB]
    told = [
        subprocess.run([*command, name], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        for name in ("somebody/rooms", "somebody/else", "../rooms")
    ]
    assert json.loads(told[0].stdout) == ["patch-rgbd", ["README.md", "config.json", "model.safetensors"]]
    assert "cannot be fetched" in told[1].stdout
    assert told[1].stdout.count("\n") == 1
    assert "neither the name of a shipped prior" in told[2].stdout


@pytest.mark.parametrize(("channels", "known"), [(3, "colour"), (1, "disparity")])
def test_a_prior_of_some_channels_learns_these_and_leaves_the_others(tmp_path: Path, channels: int, known: str) -> None:
    loop = replace(LOOP, steps=60, lr=3e-3, save_every=60, validate_every=60)
    config = tiny_config(loop=loop, network=patch_small.Config(channels, (16, 32), 1, 32))
    task, rows = TinyTask(config), []
    for progress in training.train(task, config.loop, tmp_path, accel=training.accelerator("cpu")):
        rows.append(progress)
    assert set(rows[-1].terms) == {"loss", known, "gradient"}
    held = rows[-1].validation
    assert held is not None
    assert held[f"{known}_0.35"] < 0.9
    assert all(name.startswith(known) for name in held)


def test_the_papers_training_draws_every_time_as_often() -> None:
    config = recipe.PATCH_RGBD_PAPER.own
    times = torch.tensor([recipe.draw_time(generator(0, "s", i)) for i in range(3000)])
    assert torch.histc(times, 10, 0, 1000).min() > 230
    assert float(times.mean()) == pytest.approx(499.5, abs=20)
    assert recipe.patch_side(config, 0) == recipe.patch_side(config, 3200) == 48


def test_the_papers_network_is_told_the_time_of_its_noise() -> None:
    """Of pure noise too, whose level says nothing of its time in single precision."""
    narrow = patch_unet.Config(width=16, multipliers=(1, 2))
    config = replace(recipe.PATCH_RGBD_PAPER.own, unet=narrow, loop=LOOP, side=8, large=16, crops=4, workers=0)
    task, told = TinyTask(config), []
    task.networks["denoiser"].register_forward_pre_hook(lambda _, inputs: told.append(inputs[1].tolist()))
    batch = {**task.batch(range(3)), "amount": torch.tensor([0.0, 500.0, 999.0])}
    assert float(task.loss(task.networks, batch)["loss"].detach()) > 0
    assert told == [[0, 500, 999]]


def test_the_papers_network_trains_and_is_used_at_its_times(tmp_path: Path) -> None:
    loop = replace(LOOP, steps=3, validate_every=3, save_every=3)
    narrow = patch_unet.Config(width=16, multipliers=(1, 2))
    config = replace(recipe.PATCH_RGBD_PAPER.own, unet=narrow, loop=loop, side=8, large=16, crops=4, workers=0)
    task = TinyTask(config)
    for progress in training.train(task, config.loop, tmp_path, accel=training.accelerator("cpu")):
        assert progress.terms["loss"] > 0
    told: list[Tensor] = []
    net = task.networks["denoiser"]
    net.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    level = schedules.squared_cosine().level(torch.tensor([99, 3]))
    patch_prior.denoiser_of(config, net)(torch.zeros(2, 4, 16, 16), level)
    assert told[0].tolist() == [99, 3]


def test_a_training_that_was_stopped_before_its_last_numbers_gets_them(tmp_path: Path) -> None:
    config = tiny_config()
    run(tmp_path, config)
    log = tmp_path / training.LOG
    whole = log.read_text().splitlines()
    log.write_text("\n".join(whole[:-1]) + "\n")
    run(tmp_path, config)
    again = log.read_text().splitlines()
    assert len(again) == len(whole)
    found, wanted = json.loads(again[-1]), json.loads(whole[-1])
    assert found["disparity_0.35"] == pytest.approx(wanted["disparity_0.35"], rel=1e-6)
    run(tmp_path, config)
    assert log.read_text().splitlines() == again, "numbers that are there are not taken again"
