"""How a population of Gaussians changes: split where photos pull, moved where much is, pruned where nothing is.

`values` are the parameters by name, [N, ...] each. A new population comes with `origin` [N']: the old row that a new one goes on
from, or -1 for one whose optimiser starts anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rotations import quaternion_to_matrix

# A Gaussian that is split becomes two of this share of its size (Kerbl et al. 2023: 1 / 1.6).
_SHRUNK = 1 / 1.6
# At most so many copies of one Gaussian at a time when others are moved to it.
_COPIES = 50
# Noise falls with opacity around this value, this steeply (Kheradmand et al. 2024).
_FIRM, _STEEP = 0.995, 100.0
_TINY = 1e-7


@dataclass(frozen=True)
class Limits:
    """See `gaussians.Config`."""

    most: int
    pull: float
    large: float
    thin: float
    more: float


Values = dict[str, Tensor]


def kept(values: Values, thin: float, largest: float, nearest: float, cameras: Cameras | None) -> Tensor:
    """Which Gaussians [N] stay: opaque enough, not too large, and not right in front of a camera that sees them."""
    xyz = values["xyz"]
    # What is far away may be large: sizes count at the distance of the box.
    size = values["scale"].amax(1).exp() / xyz.norm(dim=-1).clamp_min(1)
    keep = (torch.sigmoid(values["opacity"]) >= thin) & (size <= largest)
    if cameras is not None and nearest:
        pixels, z = rays.project(cameras.to(xyz), xyz)
        limit = nearest * cameras.centres.norm(dim=-1).to(xyz)[:, None]
        keep &= ~(rays.in_frame(cameras, pixels, z) & (z < limit)).any(0)
    return keep


def split(
    values: Values, keep: Tensor, pull: Tensor, limits: Limits, generator: torch.Generator
) -> tuple[Values, Tensor]:
    """Clone small ones and split large ones whose place is pulled at (`pull` [N]); drop what is not kept."""
    wanted = keep & (pull > limits.pull)
    room = max(limits.most - int(keep.sum()), 0)
    if int(wanted.sum()) > room:
        # The hardest pulled go first.
        order = torch.where(wanted, pull, -torch.inf).argsort(descending=True, stable=True)[:room]
        wanted = torch.zeros_like(wanted).index_fill_(0, order, True)
    large = values["scale"].amax(1).exp() > limits.large
    cloned, halved = (wanted & ~large).nonzero()[:, 0], (wanted & large).nonzero()[:, 0]
    stay = (keep & ~(wanted & large)).nonzero()[:, 0]
    rows = torch.cat([stay, cloned, halved, halved])
    out = {k: v.detach()[rows].clone() for k, v in values.items()}
    fresh = len(stay) + len(cloned)
    out["xyz"][fresh:] += _offsets(values, torch.cat([halved, halved]), generator)
    out["scale"][fresh:] += math.log(_SHRUNK)
    origin = torch.cat([stay, torch.full((len(rows) - len(stay),), -1, device=stay.device)])
    return out, origin


def relocate(values: Values, keep: Tensor, limits: Limits, generator: torch.Generator) -> tuple[Values, Tensor]:
    """Move the thin ones to where opacity is, and add a share of new ones there; what all copies show stays about the same
    (Kheradmand et al. 2024, equation 9)."""
    opacity = torch.sigmoid(values["opacity"].detach())
    alive = keep & (opacity > limits.thin)
    stay = alive.nonzero()[:, 0]
    count = min(limits.most, math.ceil((1 + limits.more) * len(alive)))
    if len(stay) == 0 or count <= len(stay):
        return {k: v.detach()[stay].clone() for k, v in values.items()}, stay
    drawn = torch.multinomial(opacity[stay].cpu(), count - len(stay), replacement=True, generator=generator).to(stay)
    copies = torch.bincount(drawn, minlength=len(stay)).clamp(max=_COPIES) + 1
    new_opacity, shrink = shares(opacity[stay], copies)
    out = {k: v.detach()[stay].clone() for k, v in values.items()}
    touched = copies > 1
    out["opacity"] = torch.where(touched, torch.logit(new_opacity.clamp(limits.thin, 1 - _TINY)), out["opacity"])
    out["scale"] = torch.where(touched[:, None], out["scale"] + shrink.clamp_min(_TINY).log()[:, None], out["scale"])
    rows = torch.cat([torch.arange(len(stay), device=stay.device), drawn])
    origin = torch.cat([torch.where(touched, -1, stay), torch.full_like(drawn, -1)])
    return {k: v[rows] for k, v in out.items()}, origin


def shares(opacity: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:
    """(opacity, factor of the radii) of each of `copies` [N] Gaussians in one place that together look like one of `opacity` [N]."""
    new = 1 - (1 - opacity) ** (1 / copies)
    total = torch.zeros_like(opacity)
    for i in range(1, int(copies.max()) + 1):
        term = torch.zeros_like(opacity)
        for k in range(i):
            term += math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1)
        total += torch.where(i <= copies, term, 0.0)
    return new, (opacity / total.clamp_min(_TINY)).clamp(max=1.0)


def shake(values: Values, strength: float, generator: torch.Generator) -> None:
    """Noise on the places of thin Gaussians, as wide as they are (Kheradmand et al. 2024, equation 8)."""
    opacity = torch.sigmoid(values["opacity"])
    loose = torch.sigmoid(_STEEP * ((1 - opacity) - _FIRM))[:, None]
    everyone = torch.arange(len(opacity), device=opacity.device)
    values["xyz"].data.add_(strength * loose * _offsets(values, everyone, generator))


def _offsets(values: Values, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Random offsets [K, 3], distributed as the Gaussians of the rows themselves."""
    noise = torch.randn(len(rows), 3, generator=generator).to(values["xyz"])
    spread = values["scale"].detach()[rows].exp() * noise
    return (quaternion_to_matrix(values["turn"].detach()[rows]) @ spread[..., None])[..., 0]
