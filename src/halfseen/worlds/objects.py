"""Pictures of many objects, by number: what the networks learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.common.ahead import Ahead
from halfseen.worlds import sample
from halfseen.worlds.families import by_name
from halfseen.worlds.render import prepare
from halfseen.worlds.seeds import Purpose, seed_of


@dataclass(frozen=True)
class Views:
    """All pictures of one object. The world's origin is its middle."""

    rgb: Tensor  # [V, H, W, 3] uint8
    mask: Tensor  # [V, H, W] uint8 coverage
    cameras: Cameras
    depth: Tensor | None  # [V, H, W] float16 z-depth where it is known, 0 where nothing is
    on_white: bool  # else something is behind it, of which the mask says nothing
    known: Tensor | None = None  # [V, H, W] uint8 coverage of what the photo holds; none: all


@dataclass(frozen=True)
class Order:
    """Which worlds, and from where: all views of a layout, or `only` some of them."""

    families: tuple[str, ...]
    size: int
    views: int
    layout: str
    purpose: Purpose
    only: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Made:
    """`Views` as plain arrays, as workers give them."""

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    c2w: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    on_white: bool
    depth: NDArray[np.float16] | None = None
    known: NDArray[np.uint8] | None = None


def of_world(order: Order, number: int) -> Made:
    """One world, rendered (this runs in workers)."""
    family = by_name(order.families[number % len(order.families)])
    seed = seed_of(order.purpose, number)
    world = prepare(family.make(seed))
    cameras = sample.cameras_for(family, seed, order.layout, order.views, (order.size, order.size), world)
    cameras = cameras if order.only is None else cameras[list(order.only)]
    pictures = sample.views_of(world, family, cameras)
    rgb = np.stack([(p.rgb * 255 + 0.5).to(torch.uint8).numpy() for p in pictures])
    mask = np.stack([(p.mask * 255 + 0.5).to(torch.uint8).numpy() for p in pictures])
    c2w = cameras.c2w.numpy().copy()
    c2w[:, :3, 3] -= np.asarray(family.stage(seed).focus)
    depth = np.stack([p.depth.to(torch.float16).numpy() for p in pictures])
    return Made(rgb, mask, c2w, cameras.intrinsics.numpy(), family.background == "white", depth)


def as_views(made: Made, number: int) -> Views:
    """A rendered world as pictures of an object."""
    del number
    rgb, c2w = torch.from_numpy(made.rgb), torch.from_numpy(made.c2w)
    sizes = torch.tensor([[rgb.shape[2], rgb.shape[1]]]).repeat(len(rgb), 1)
    cameras = Cameras(c2w, torch.from_numpy(made.intrinsics).to(c2w), sizes)
    depth = None if made.depth is None else torch.from_numpy(made.depth)
    known = None if made.known is None else torch.from_numpy(made.known)
    return Views(rgb, torch.from_numpy(made.mask), cameras, depth, made.on_white, known)


class Objects:
    """Objects of a window that moves on. Close it: it owns processes."""

    def __init__(self, make: Callable[[int], Made], window: int, reuse: int, workers: int) -> None:
        self._reuse, self._window = reuse, window
        self._ahead: Ahead[Made, Views] = Ahead(make, as_views, window, workers)

    def draw(self, position: int, share: float) -> Views:
        """An object of the window of the position-th draw, the one that `share` in [0, 1) says; each is drawn `reuse` times on average."""
        return self.get(position // self._reuse, position // self._reuse + int(share * self._window))

    def get(self, first: int, number: int) -> Views:
        """Object `number` of the window that begins at `first`."""
        return self._ahead.get(first, number)

    def close(self) -> None:
        """Stop the workers."""
        self._ahead.close()
