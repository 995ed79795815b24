"""Slow twins of Gaussian splatting, in plain torch: whatever the device, and differentiable by torch itself.

See `kernels/splat_project.py` and `kernels/splat_raster.py` for what is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from halfseen.cameras.rotations import quaternion_to_matrix
from halfseen.fields import harmonics
from halfseen.fields.kernels.splat_project import BLUR, LEAST
from halfseen.fields.kernels.splat_raster import MOST, STOP

if TYPE_CHECKING:
    from halfseen.fields.splats import Layout, Lists, Projected


def project(
    xyz: Tensor, scale: Tensor, turn: Tensor, opacity: Tensor, sh: Tensor, bands: int, world: Tensor, lens: Tensor,
    limit: Tensor, near: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """(mean [N, 2], conic [N, 3], reach [N, 2], features [N, 4]); what is out of sight reaches nowhere."""
    p = xyz @ world[:, :3].T + world[:, 3]
    seen = p[:, 2] > near
    z = torch.where(seen, p[:, 2], 1.0)
    tx = torch.minimum(torch.maximum(p[:, 0], limit[0] * z), limit[1] * z)
    ty = torch.minimum(torch.maximum(p[:, 1], limit[2] * z), limit[3] * z)
    zero = torch.zeros_like(z)
    j = torch.stack([lens[0] / z, zero, -lens[0] * tx / z**2, zero, lens[1] / z, -lens[1] * ty / z**2], -1)
    v = j.reshape(-1, 2, 3) @ world[:, :3] @ (quaternion_to_matrix(turn) * scale.exp()[:, None, :])
    cov = v @ v.transpose(1, 2) + BLUR * torch.eye(2).to(v)
    xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
    det = xx * yy - xy * xy
    mean = torch.stack([lens[0] * p[:, 0] / z + lens[2], lens[1] * p[:, 1] / z + lens[3]], -1)
    depth = 2 * (opacity.detach() / LEAST).log().clamp_min(0)
    shown = seen & (opacity.detach() > LEAST)
    reach = torch.where(shown[:, None], (depth[:, None] * torch.stack([xx, yy], -1).detach()).sqrt(), 0.0)
    centre = -world[:, :3].T @ world[:, 3]
    directions = torch.nn.functional.normalize(xyz - centre, dim=-1)
    values = harmonics.basis(directions, bands)
    colour = (0.5 + (values[:, :, None] * sh[:, : bands * bands]).sum(1)).clamp_min(0)
    return mean, torch.stack([yy / det, -xy / det, xx / det], -1), reach, torch.cat([colour, p[:, 2:]], -1)


def blend(projected: Projected, opacity: Tensor, layout: Layout, found: Lists) -> tuple[Tensor, Tensor, Tensor]:
    """Tile by tile."""
    device, count = opacity.device, len(layout.xy)
    parts, order = [], []
    for t in range(len(layout.first) - 1):
        index = layout.index[layout.first[t] : layout.first[t + 1]].reshape(-1)
        index = index[index >= 0]
        if len(index):
            near_to_far = found.listed[found.begin[t] : found.begin[t + 1]].to(device)
            parts.append(at_pixels(projected, opacity, near_to_far, layout.xy[index].to(opacity)))
            order.append(index)
    back = torch.empty(count, dtype=torch.long, device=device)
    back[torch.cat(order).to(device)] = torch.arange(count, device=device)
    out, alpha, median = (torch.cat([p[i] for p in parts])[back] for i in range(3))
    return out, alpha, median


def at_pixels(projected: Projected, opacity: Tensor, near_to_far: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All of the listed Gaussians at all of the pixels [P, 2]: [P, K] values at once."""
    a, b, c = projected.conic[near_to_far].unbind(-1)
    dx, dy = (xy[:, None] - projected.mean[near_to_far][None]).unbind(-1)
    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    shade = (opacity[near_to_far] * power.exp()).clamp(max=MOST)
    shade = torch.where((shade >= LEAST) & (power <= 0), shade, 0.0)
    through = torch.cumprod(torch.cat([torch.ones_like(shade[:, :1]), 1 - shade], 1), 1)
    live = through[:, :-1] >= STOP
    weight = torch.where(live, shade * through[:, :-1], 0.0)
    out = weight @ projected.features[near_to_far]
    alpha = weight.sum(1)
    passed = 1 - weight.detach().cumsum(1)
    crossed = (passed <= 0.5).long()
    first = crossed.argmax(1) if crossed.shape[1] else torch.zeros(len(xy), dtype=torch.long, device=xy.device)
    z = projected.features[near_to_far, -1].detach()
    median = torch.where(crossed.any(1), z[first], 0.0) if len(z) else torch.zeros_like(alpha)
    return out, alpha, median
