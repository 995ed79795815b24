"""One repaired rendering: shown to the fixer with what the photos know, and judged by the guard."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.data.capture import Capture, Colour
from halfseen.data.pixels import VALID
from halfseen.fields.contract import Field, Rendering
from halfseen.images.color import WHITE
from halfseen.methods.difix3d import guard, inputs
from halfseen.methods.difix3d.config import Guard
from halfseen.methods.difix3d.inputs import Witnesses
from halfseen.priors.one_step.contract import Fixer, Repaired

# From an input [10, H, W], photos [3, h, w] and the camera that they are wanted at. The network does not look at the camera.
Fix = Callable[[Tensor, Sequence[Tensor], Cameras], Repaired]


@dataclass
class Spent:
    """What the prior cost so far, and what the guard let through."""

    calls: int = 0
    seconds: float = 0.0
    checked: int = 0
    accepted: int = 0

    @property
    def share(self) -> float:
        """Accepted of the checked pixels; 1 when nothing could be checked."""
        return self.accepted / self.checked if self.checked else 1.0


@dataclass(frozen=True)
class Repair:
    """A rendering as the fixer was shown it, what became of it, and where the guard believes that."""

    before: Tensor  # [H, W, 3] over what stands behind the scene
    after: Tensor  # [H, W, 3]
    weight: Tensor  # [H, W] in [0, 1]

    def by(self, strength: float) -> Tensor:
        """As much of the repair as is believed, times a strength [H, W, 3]."""
        return self.before + strength * self.weight[..., None] * (self.after - self.before)


@dataclass
class Repairer:
    """A fixer with its settings, and an account of its use."""

    fix: Fix
    guard: Guard
    references: int
    passes: int = 1
    spent: Spent = field(default_factory=Spent)

    def repair(self, rendering: Rendering, camera: Cameras, known: Witnesses, back: Colour) -> Repair:
        """Repair a rendering over the colour `back`."""
        shown = inputs.shown(before(rendering, known.behind, back), camera, known)
        near = inputs.order(known, camera)[: self.references]
        started = time.perf_counter()
        photos = [known.photos[i].movedim(-1, 0) for i in near]
        made = self.fix(shown, photos, camera)
        for _ in range(self.passes - 1):
            made = self.fix(torch.cat([made.rgb, shown[3:]]), photos, camera)
        self.spent.seconds += time.perf_counter() - started
        self.spent.calls += self.passes
        checked = inputs.trusted_of(shown) & (inputs.alpha_of(shown) >= self.guard.opaque)
        verdict = guard.judge(shown[:3], made.rgb, inputs.borrowed_of(shown), checked, self.guard)
        self.spent.checked += verdict.checked
        self.spent.accepted += verdict.accepted
        return Repair(shown[:3].movedim(0, -1), made.rgb.movedim(0, -1), verdict.weight)


def before(rendering: Rendering, behind: Tensor | None, back: Colour) -> Rendering:
    """The rendering before another colour."""
    if behind is None:
        return rendering
    through = (1 - rendering.alpha)[..., None]
    return replace(rendering, rgb=rendering.rgb + through * (behind - behind.new_tensor(back)).to(rendering.rgb))


def of_fixer(fixer: Fixer) -> Fix:
    """A fixer, which does not care where the camera is."""
    return lambda shown, references, camera: fixer(shown, references)


def known_of(field_: Field, capture: Capture) -> Witnesses:
    """What a boxed capture's photos know of a field. A scene is empty before the mean of its photos, an object before its background."""
    photos = [v.image.read()[..., :3] for v in capture.views]
    valid = [validity(capture, i) for i in range(len(capture))]
    with torch.no_grad():
        return inputs.witnesses(field_, photos, capture.cameras(), behind(capture), valid)


def behind(capture: Capture) -> Tensor | None:
    """The mean colour [3] of a scene's photos; none for an object, whose background is known."""
    if capture.mask_role == "object":
        return None
    photos = [v.image.read()[..., :3] for v in capture.views]
    return torch.cat([p[validity(capture, i)] for i, p in enumerate(photos)]).mean(0)


def validity(capture: Capture, view: int) -> Tensor:
    """Where a photo says anything [H, W]: everywhere, unless a mask of validity says less."""
    shown = capture.views[view]
    if shown.mask is None or capture.mask_role != "valid":
        return torch.ones(shown.image.height, shown.image.width, dtype=torch.bool)
    return shown.mask.read_grey() > VALID


def background(capture: Capture) -> Colour:
    """The colour behind a scene: the object's own background, else white."""
    return capture.background or WHITE
