"""Small corrections of the photos' cameras while a field is fitted to them: Gauss-Newton on six numbers of a camera, as they say together
with how small they are likely to be.

    c2w' = c2w exp(xi),   xi = (turn in radians, shift in box units), in the camera's own axes
    (J^T J / s_c^2 + P) step = J^T (photo - rendering) / s_c^2 - P xi,   P = 1 / (s_turn^2, s_shift^2)

J, the change of colours with xi, is taken by central differences, so that every kind of field will do. The first photo stays where it is:
it says where the scene is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras, concat
from halfseen.common.config import within
from halfseen.data.pixels import Pixels
from halfseen.fields import kinds

# What xi is moved by for a difference: half a pixel or so of a photo of 128 px.
_TURN, _SHIFT = 5e-3, 5e-3
_NUMBERS = 6


@dataclass(frozen=True)
class Turning:
    """How cameras are corrected (ours). Photos whose cameras were found by what they share may be off by a degree."""

    # A photo is looked at after so many steps (0: cameras stay as they are), in this stretch of the fit.
    every: int = 0
    since: float = 0.1
    until: float = 0.9
    # Pixels of a look, what their colours are likely to be off by, and how much of a step is taken.
    rays: int = 256
    colour: float = 0.1
    rate: float = 0.5
    # What cameras are likely to be off by, in radians and box units.
    turn: float = 0.02
    shift: float = 0.02

    def __post_init__(self) -> None:
        within("turning.every", self.every, 0, 10**7)
        within("turning.since", self.since, 0, 1)
        within("turning.until", self.until, self.since, 1)
        within("turning.rays", self.rays, 1, 10**6)
        within("turning.rate", self.rate, 0, 1)
        for name in ("colour", "turn", "shift"):
            within(f"turning.{name}", getattr(self, name), 1e-9, 1e9)

    def due(self, step: int, steps: int) -> bool:
        """Whether a camera is looked at after a step (from 1)."""
        return self.every > 0 and step % self.every == 0 and self.since * steps <= step <= self.until * steps


def moved(cameras: Cameras, by: Tensor) -> Cameras:
    """Cameras [V] turned and shifted by xi [V, 6] in their own axes."""
    x, y, z = by[:, :3].unbind(1)
    none = torch.zeros_like(x)
    generator = torch.stack([none, -z, y, z, none, -x, -y, x, none], 1).reshape(-1, 3, 3)
    own = torch.eye(4).to(by).repeat(len(by), 1, 1)
    own[:, :3, :3] = torch.linalg.matrix_exp(generator)
    own[:, :3, 3] = by[:, 3:]
    return Cameras((cameras.c2w.to(by) @ own).to(cameras.c2w), cameras.intrinsics, cameras.sizes)


def better(
    field: kinds.AnyField,
    photos: Pixels,
    given: Cameras,
    by: Tensor,
    view: int,
    back: tuple[float, float, float],
    cfg: Turning,
    rng: torch.Generator,
) -> Tensor:
    """The corrections [V, 6] (float64, of cameras as they were given) after one look at a photo."""
    at = (photos.views == view).nonzero()[:, 0]
    if len(at) == 0:
        return by
    at = at[torch.randint(len(at), (cfg.rays,), generator=rng).to(at.device)]
    camera, xi = given[view], by[view]
    apart = torch.tensor([_TURN] * 3 + [_SHIFT] * 3).to(by)
    tried = torch.cat([xi[None], xi + torch.diag(apart), xi - torch.diag(apart)])
    rgb = _colours(field, concat([moved(camera, t[None]) for t in tried]), photos.xy[at], back).to(by)
    change = (rgb[1 : 1 + _NUMBERS] - rgb[1 + _NUMBERS :]) / (2 * apart[:, None, None])
    jacobian, left = change.flatten(1).T, (photos.rgb[at].to(rgb) - rgb[0]).flatten()
    likely = torch.tensor([cfg.turn] * 3 + [cfg.shift] * 3).to(by) ** -2
    normal = jacobian.T @ jacobian / cfg.colour**2 + torch.diag(likely)
    step = torch.linalg.solve(normal, jacobian.T @ left / cfg.colour**2 - likely * xi)
    out = by.clone()
    out[view] = xi + cfg.rate * step
    return out


def _colours(field: kinds.AnyField, cameras: Cameras, xy: Tensor, back: tuple[float, float, float]) -> Tensor:
    """Renderings [N, P, 3] of the same pixels [P, 2] by N cameras."""
    views = torch.arange(len(cameras), device=xy.device).repeat_interleave(len(xy))
    with torch.no_grad():
        found = field.render(cameras.to(xy), pixels=(views, xy.repeat(len(cameras), 1)), background=back)
    return found.rgb.reshape(len(cameras), len(xy), 3)
