"""An endless stream of frames for training: workers render worlds ahead, a window of recent worlds is drawn from at random.

Draw number n takes a frame from worlds first(n) .. first(n) + window - 1, where first(n) = n // (views * reuse): while a world is
in the window, each of its frames is drawn `reuse` times on average, in different crops if the caller crops. What is drawn depends
on n alone and not on how fast workers are, so a training resumes at any n with the frames it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.common.ahead import Ahead
from halfseen.common.rng import generator
from halfseen.worlds import corrupt, families, sample
from halfseen.worlds.render import prepare
from halfseen.worlds.seeds import Purpose, seed_of


@dataclass(frozen=True)
class StreamConfig:
    """What is streamed."""

    families: tuple[str, ...]
    size: tuple[int, int]
    # Views of each world, and the camera layout (None: the family's own).
    views: int = 20
    layout: str | None = None
    # Worlds that are drawn from at a time; memory is bounded by them.
    window: int = 16
    # How often each frame is drawn, on average.
    reuse: int = 10
    purpose: Purpose = "train"
    # What photos suffer: each draw of a frame suffers it anew; None leaves pictures clean.
    corruption: corrupt.Camera | None = None
    # Different worlds at most, over and over (0: never the same one again).
    worlds: int = 0
    # Processes that render; 0 renders in this one, when a world is needed.
    workers: int = 1


@dataclass(frozen=True)
class Frame:
    """One rendered view with its truth, compact in memory."""

    rgb: Tensor  # [H, W, 3] uint8 sRGB
    depth: Tensor  # [H, W] float16 z-depth, 0 where nothing is
    mask: Tensor  # [H, W] uint8 coverage
    c2w: Tensor  # [4, 4]
    intrinsics: Tensor  # [4] fx fy cx cy
    world: int  # number of its world in the stream
    view: int


Rendered = tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]


class Stream:
    """Frames from a position on. Close it, or use it in a `with` block: it owns processes."""

    def __init__(self, config: StreamConfig) -> None:
        self.config = config
        self._worlds = Ahead(partial(render_world, config), unpack, config.window, config.workers)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers; what they are at is thrown away."""
        self._worlds.close()

    def frames(self, position: int) -> Iterator[Frame]:
        """Frames of draws position, position + 1, ... without end."""
        while True:
            yield self.draw(position)
            position += 1

    def draw(self, position: int) -> Frame:
        """The frame of one draw."""
        world, view = pick(self.config, position)
        first = position // (self.config.views * self.config.reuse)
        return _photographed(self._worlds.get(first, world)[view], self.config.corruption, position)


def pick(config: StreamConfig, position: int) -> tuple[int, int]:
    """(world, view) of a draw: a pure function of the position."""
    first = position // (config.views * config.reuse)
    rng = generator(0, f"stream/{config.purpose}", position)
    world, view = torch.rand(2, generator=rng).tolist()
    return first + int(world * config.window), int(view * config.views)


def render_world(config: StreamConfig, number: int) -> Rendered:
    """Render all views of one world of the stream (this runs in workers)."""
    number = number % config.worlds if config.worlds else number
    family = families.by_name(config.families[number % len(config.families)])
    seed = seed_of(config.purpose, number)
    place = prepare(family.make(seed))
    cameras = sample.cameras_for(family, seed, config.layout, config.views, config.size, place)
    pictures = sample.views_of(place, family, cameras)
    rgb = np.stack([(p.rgb * 255 + 0.5).to(torch.uint8).numpy() for p in pictures])
    depth = np.stack([p.depth.to(torch.float16).numpy() for p in pictures])
    mask = np.stack([(p.mask * 255 + 0.5).to(torch.uint8).numpy() for p in pictures])
    return rgb, depth, mask, cameras.c2w.numpy(), cameras.intrinsics.numpy()


def _photographed(frame: Frame, camera: corrupt.Camera | None, position: int) -> Frame:
    """The frame as a camera might have taken it; what it suffers depends on the position alone."""
    if camera is None:
        return frame
    rgb = corrupt.photograph(frame.rgb.float() / 255, camera, generator(0, "stream/photograph", position))
    return replace(frame, rgb=(rgb * 255 + 0.5).to(torch.uint8))


def unpack(rendered: Rendered, world: int) -> list[Frame]:
    """The frames of a rendered world."""
    rgb, depth, mask, c2w, intrinsics = (torch.from_numpy(a) for a in rendered)
    return [Frame(rgb[i], depth[i], mask[i], c2w[i], intrinsics[i], world, i) for i in range(len(rgb))]
