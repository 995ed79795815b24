"""The contract of a radiance field, and the record that rendering returns.

A field lives in the box frame. `to_user` takes box coordinates to the user's frame; its scale also takes depths there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.fields.operators import Marched

BLACK = (0.0, 0.0, 0.0)
Background = tuple[float, float, float] | Tensor  # one colour, or one for each ray [P, 3]
Window = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclass(frozen=True)
class RaySamples:
    """Where a volumetric field was sampled: S samples, packed ray after ray."""

    weights: Tensor  # [S] contribution of each sample to its pixel
    where: Marched  # distances, lengths and rays
    xyz: Tensor  # [S, 3] in the box
    marched: int = 0  # candidates along the rays, of which
    looked_at: int = 0  # had their density looked up, to find the S samples that matter


@dataclass(frozen=True)
class Rendering:
    """Pixels of an image [H, W, ...], of a window, or of loose rays [P, ...]."""

    rgb: Tensor  # [..., 3] over the background, in [0, 1]
    depth: Tensor  # [...] median z-depth in box units, 0 where nothing is; no gradient
    alpha: Tensor  # [...] opacity in [0, 1]
    mean_depth: (
        Tensor  # [...] z-depth in the mean over what stops the light, differentiable; meaningless where alpha is 0
    )
    samples: RaySamples | None = None


class After(Protocol):
    """What becomes of a rendering afterwards, by a method that does not show its field as it is."""

    def __call__(self, rendering: Rendering, camera: Cameras, back: tuple[float, float, float], /) -> Tensor:
        """Colours [H, W, 3] of a rendering over the colour `back` at a camera of the box frame."""
        ...

    @property
    def facts(self) -> dict[str, float]:
        """Numbers on what it did so far."""
        ...


class Field(Protocol):
    """Anything that can be rendered and fitted.

    While one thread fits it others may look (`render` without a generator, `normals`), which changes nothing of the fit. A look
    sees one arrangement (levels, population) throughout; the values in it may be of two steps, as an optimiser writes in place.
    """

    to_user: Similarity

    def render(
        self,
        cameras: Cameras,
        *,
        window: Window | None = None,
        pixels: tuple[Tensor, Tensor] | None = None,
        background: Background,
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Render one camera whole or in a window, or loose pixels (view indices [P], positions [P, 2]) of many.

        With a generator, sample positions are jittered (fitting); without one they are fixed (showing).
        """
        ...

    def normals(self, camera: Cameras) -> Tensor:
        """Unit normals [H, W, 3] in the box at one camera, of what is seen there; 0 where nothing is."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser groups: parameters and their learning rates."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All tensors that make up the field, by name."""
        ...

    def after_step(self, step: int, stats: dict[str, Tensor]) -> Tensor | None:
        """Adapt the representation after an optimiser step; `stats` holds the `progress` [] of the fit in [0, 1], and
        the `growth` [] of its phase where that is another.

        When parameters were replaced: for each row of the new ones the old row that it goes on from, or -1 where an optimiser
        starts anew. Else None.
        """
        ...
