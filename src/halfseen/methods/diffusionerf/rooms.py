"""Frames of Hypersim as the trainer draws them. Draw n takes the same frame in every process and after every resume."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import torch

from halfseen.common.ahead import Ahead
from halfseen.common.rng import generator
from halfseen.data import hypersim
from halfseen.data.hypersim import Listed, Partition
from halfseen.worlds.stream import Frame

# Frames that workers read before they are drawn. Reading one takes about as long as a step of the small prior.
_WINDOW = 16


class Rooms:
    """Frames of one partition, read by workers (0: by this process). The folder is looked at when the first frame is drawn: a
    trained prior needs it no more. Close it: it owns processes."""

    def __init__(self, folder: str, partition: Partition, workers: int = 0) -> None:
        self.folder = folder
        self._frames = Ahead(partial(read, folder, partition), _as_is, _WINDOW, workers)

    def draw(self, position: int) -> Frame:
        """The frame of one draw: a pure function of the position and of which scenes are on disk. Positions only grow."""
        # What training is judged on has to be there before hours have passed.
        _listed(self.folder, "train")
        _listed(self.folder, "val")
        return self._frames.get(position, position)

    def close(self) -> None:
        """Stop the workers."""
        self._frames.close()


def read(folder: str, partition: Partition, position: int) -> Frame:
    """The frame of one draw (this runs in workers)."""
    listed = _listed(folder, partition)
    pick = float(torch.rand((), generator=generator(0, f"hypersim/{partition}", position)))
    which = min(int(pick * len(listed)), len(listed) - 1)
    shot = hypersim.read(Path(folder), listed[which])
    height, width = shot.depth.shape
    focal = hypersim.FOCAL / hypersim.SHRINK
    return Frame(
        (shot.rgb * 255 + 0.5).to(torch.uint8),
        shot.depth.half(),
        shot.valid.to(torch.uint8) * 255,
        torch.eye(4, dtype=torch.float64),
        torch.tensor([focal, focal, width / 2, height / 2], dtype=torch.float64),
        which,
        0,
    )


@lru_cache(maxsize=2)
def _listed(folder: str, partition: Partition) -> tuple[Listed, ...]:
    """The frames that are drawn from."""
    return hypersim.frames(Path(folder), partition)


def _as_is(frame: Frame, _: int) -> Frame:
    return frame
