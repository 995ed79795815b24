"""Whether one more photo from where advice says helps more than one from anywhere else: on worlds, where any photo can be taken."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch

from halfseen.cameras.cameras import Cameras, concat
from halfseen.common.jsonfile import read_json
from halfseen.common.rng import generator
from halfseen.data import protocols
from halfseen.data.capture import Capture
from halfseen.runs import run as runs
from halfseen.runs.run import Run
from halfseen.worlds import families, sample, seeds
from halfseen.worlds.families import Family
from halfseen.worlds.sample import Shot

# Objects, around which a camera may stand anywhere (in a room places lie in walls): family, number of the claims seed, layout.
WORLDS = tuple((family, number, "hemisphere") for number in (0, 1) for family in ("cars", "chairs", "tabletop"))
VIEWS, SIZE, PHOTOS = 20, (96, 96), 3


class Advised(Protocol):
    """What is known of the places that were looked at."""

    @property
    def camera(self) -> Cameras:
        """The best."""
        ...

    @property
    def cameras(self) -> Cameras:
        """All, in the user's frame."""
        ...


@dataclass(frozen=True)
class Tools:
    """How runs are made and asked: the library's own front door, which this layer does not know."""

    reconstruct: Callable[..., Run]
    advise: Callable[[Run], Advised]


@dataclass(frozen=True)
class Row:
    """PSNR on photos that none of the fits saw."""

    world: str
    before: float
    advised: float
    others: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Of the advised photo over the mean of others."""
        return self.advised - fmean(self.others)


def rows(tools: Tools, draws: int, steps: int, told: Callable[[int, int, str], None]) -> list[Row]:
    """All worlds; of each, so many places are drawn beside the advised one."""
    out = []
    for done, (family, number, layout) in enumerate(WORLDS, 1):
        out.append(_row(tools, families.by_name(family), number, layout, draws, steps))
        told(done, len(WORLDS), out[-1].world)
    return out


def _row(tools: Tools, family: Family, number: int, layout: str, draws: int, steps: int) -> Row:
    seed, name = seeds.seed_of("claims", number), f"{family.name}-{number}"
    shot = sample.shoot(family, seed, layout=layout, views=VIEWS, size=SIZE)
    ids = protocols.even(PHOTOS, VIEWS).train
    with tempfile.TemporaryDirectory() as folder:
        before = _fit(tools, shot.capture, ids, steps, Path(folder) / "before")
        advice = tools.advise(before)
        rng = generator(seed, "bench/advice")
        order = torch.randperm(len(advice.cameras), generator=rng).tolist()
        drawn = [i for i in order if not torch.equal(advice.cameras.c2w[i], advice.camera.c2w[0])][:draws]
        scores = [
            _score(_fit(tools, _joined(shot, family, seed, camera), (*ids, VIEWS), steps, Path(folder) / str(k)))
            for k, camera in enumerate([advice.camera, *(advice.cameras[i] for i in drawn)])
        ]
        return Row(name, _score(before), scores[0], tuple(scores[1:]))


def _joined(shot: Shot, family: Family, seed: int, camera: Cameras) -> Capture:
    """The capture with one more photo, last."""
    cameras = concat([shot.cameras, camera.to(shot.cameras.c2w)])
    return sample.shoot_at(family, seed, shot.world, cameras).capture


def _fit(tools: Tools, capture: Capture, ids: tuple[int, ...], steps: int, out: Path) -> Run:
    asked: dict[str, Any] = {"method": "plain", "steps": steps, "max_size": max(SIZE), "device": "cpu"}
    return tools.reconstruct(capture, out=out, view_ids=ids, **asked)


def _score(run: Run) -> float:
    return float(read_json(run.path / runs.METRICS)["psnr_held_out"])
