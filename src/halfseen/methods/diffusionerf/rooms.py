"""Frames of Hypersim as the trainer draws them. Draw n takes the same frame in every process and after every resume."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

from halfseen.common.rng import generator
from halfseen.data import hypersim
from halfseen.data.hypersim import Listed, Partition
from halfseen.worlds.stream import Frame


class Rooms:
    """Frames of one partition. The folder is looked at when the first frame is drawn: a trained prior needs it no more."""

    def __init__(self, folder: str, partition: Partition) -> None:
        self.folder, self.partition = Path(folder), partition

    @cached_property
    def listed(self) -> tuple[Listed, ...]:
        """The frames that are drawn from."""
        return hypersim.frames(self.folder, self.partition)

    def draw(self, position: int) -> Frame:
        """The frame of one draw: a pure function of the position and of which scenes are on disk."""
        pick = float(torch.rand((), generator=generator(0, f"hypersim/{self.partition}", position)))
        which = min(int(pick * len(self.listed)), len(self.listed) - 1)
        shot = hypersim.read(self.folder, self.listed[which])
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
