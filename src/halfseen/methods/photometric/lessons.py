"""Views that a prior made as something to learn from, and the term that they add to every step of a fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras, concat
from halfseen.data.capture import PictureArray, View
from halfseen.fields.gaussians import Gaussians
from halfseen.methods.photometric import behind, pictures
from halfseen.methods.photometric.config import Config
from halfseen.methods.photometric.fit import Fit
from halfseen.runs.snapshot import State

# Views of a lesson that a picture of it shows.
_SHOWN = 4
_KEYS = ("rgb", "weight", "c2w", "intrinsics", "sizes", "round")


@dataclass(frozen=True)
class Lesson:
    """Views, all of one size, in the box frame."""

    rgb: Tensor  # [N, H, W, 3]
    weight: Tensor  # [N, H, W] in [0, 1]: where they are believed
    cameras: Cameras
    round: Tensor  # [N] when each was made, from 1

    def to_plain(self) -> dict[str, Tensor]:
        """As tensors of a checkpoint."""
        c = self.cameras
        return dict(zip(_KEYS, (self.rgb, self.weight, c.c2w, c.intrinsics, c.sizes, self.round), strict=True))

    def views(self) -> tuple[View, ...]:
        """As views that a watcher may show."""
        names = (f"repaired-{int(r):03d}-{i:02d}" for i, r in enumerate(self.round))
        return tuple(
            View(name, PictureArray(rgb), self.cameras[i], origin="generated")
            for i, (name, rgb) in enumerate(zip(names, self.rgb, strict=True))
        )

    def sheet(self) -> Tensor:
        """The newest few, above where they are believed [2 H, N W, 3]."""
        weights = self.weight[-_SHOWN:, ..., None].expand(-1, -1, -1, 3)
        rows = (self.rgb[-_SHOWN:].clamp(0, 1), weights)
        return torch.cat([torch.cat(list(row), 1) for row in rows], 0)


def restored(state: State | None, group: str) -> Lesson | None:
    """The lesson of a checkpoint."""
    if state is None or group not in state:
        return None
    stored = state[group]
    cameras = Cameras(stored["c2w"], stored["intrinsics"], stored["sizes"])
    return Lesson(stored["rgb"], stored["weight"], cameras, stored["round"])


def joined(old: Lesson | None, new: Lesson, keep: int) -> Lesson:
    """The newest rounds' views; pictures of another size begin anew."""
    if old is None or old.rgb.shape[1:] != new.rgb.shape[1:]:
        return new
    use = (old.round > int(new.round.max()) - keep).nonzero()[:, 0].tolist()
    return Lesson(
        torch.cat([old.rgb[use], new.rgb]),
        torch.cat([old.weight[use], new.weight]),
        concat([old.cameras[use], new.cameras]) if use else new.cameras,
        torch.cat([old.round[use], new.round]),
    )


def term(
    going: Fit, lesson: Lesson, share: float, factor: float, fitted: Config, rng: torch.Generator
) -> dict[str, Tensor]:
    """The term of a step, weighed by a factor: on random pixels of all views, so many that they are a share of the work, or for Gaussians
    on one picture in at most every step. `fitted` says how photos are learned from, and so lessons."""
    if isinstance(going.field, Gaussians):
        return _picture(going.field, going, lesson, share, factor, fitted, rng)
    assert going.shown is not None
    count = max(1, round(len(going.shown.alpha) * share / (1 - share)))
    views, height, width = lesson.weight.shape
    pick = torch.randint(views * height * width, (count,), generator=rng)
    view, at = pick // (height * width), pick % (height * width)
    xy = rays.pixel_centres(width, height)[at]
    device = going.photos.rgb.device
    wanted, weight = (t.flatten(0, 2)[pick].to(device) for t in (lesson.rgb, lesson.weight[..., None]))
    back = behind.colours(going.capture, fitted.grey, count, rng).to(wanted)
    cameras = lesson.cameras.to(torch.float32).to(device)
    pixels = (view.to(device), xy.to(device))
    shown = going.field.render(cameras, pixels=pixels, background=back, generator=rng)
    return {"repaired": factor * (weight * (shown.rgb - wanted) ** 2).mean()}


def _picture(
    field: Gaussians, going: Fit, lesson: Lesson, share: float, factor: float, fitted: Config, rng: torch.Generator
) -> dict[str, Tensor]:
    """L1 and D-SSIM on one lesson, as photos have them; what is not believed asks for nothing."""
    draw, which = torch.rand(2, generator=rng).tolist()
    if draw >= share / (1 - share):
        return {}
    i = int(which * len(lesson.rgb))
    back = behind.colours(going.capture, fitted.grey, 1, rng)[0].to(field.values["xyz"])
    shown = field.render(lesson.cameras[i], background=back, generator=rng).rgb
    wanted, weight = lesson.rgb[i].to(shown), lesson.weight[i].to(shown)
    asked = torch.where(weight[..., None] > 0, shown, wanted)
    error = torch.stack(list(pictures.likeness(asked, wanted, fitted).values())).sum()
    return {"repaired": factor * error}
