"""The compiled loops as differentiable torch functions. On the CPU they run the kernels, elsewhere their twins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from halfseen.fields.kernels import adam as adam_kernel
from halfseen.fields.kernels import decoder as decoder_kernel
from halfseen.fields.kernels import encoding as encoding_kernel
from halfseen.fields.kernels import planes as plane_kernel
from halfseen.fields.kernels import rays as ray_kernels
from halfseen.fields.reference import adam as adam_twin
from halfseen.fields.reference import encoding as encoding_twin
from halfseen.fields.reference import planes as plane_twin
from halfseen.fields.reference import rays as ray_twins

# Set while the slow twins are wanted on the CPU too: to be measured against, or to look for a fault.
_TWINS: ContextVar[bool] = ContextVar("twins", default=False)


@contextmanager
def twins() -> Iterator[None]:
    """Run the slow twins in this thread, whatever the device."""
    token = _TWINS.set(True)
    try:
        yield
    finally:
        _TWINS.reset(token)


def compiled(tensor: Tensor) -> bool:
    """Whether the compiled loops are to work on this tensor."""
    return tensor.device.type == "cpu" and not _TWINS.get()


@dataclass(frozen=True)
class Levels:
    """Layout of a hash grid's L levels in one table of T entries."""

    first: Tensor  # [L] first entry
    size: Tensor  # [L] number of entries
    cells: Tensor  # [L] cells along a side
    dense: Tensor  # [L] stored densely rather than hashed

    def coarsest(self, count: int) -> Levels:
        """The first `count` levels."""
        return Levels(self.first[:count], self.size[:count], self.cells[:count], self.dense[:count])

    def arrays(self) -> tuple[np.ndarray, ...]:
        """As the kernels take them."""
        return self.first.numpy(), self.size.numpy(), self.cells.numpy(), self.dense.numpy()


def levels(cells: list[int], most: int) -> Levels:
    """Lay out levels of so many cells a side; none has more than `most` entries (a power of two)."""
    corners = [(c + 1) ** 3 for c in cells]
    size = torch.tensor([min(n, most) for n in corners])
    first = torch.cat([torch.zeros(1, dtype=torch.long), size.cumsum(0)[:-1]])
    return Levels(first, size, torch.tensor(cells), torch.tensor([n <= most for n in corners]))


def encode(xyz: Tensor, table: Tensor, layout: Levels, ready: Tensor | None = None) -> Tensor:
    """Features [S, L * F] of positions [S, 3] in [0, 1]; `ready` are the features, where they are known already."""
    if not compiled(xyz):
        return encoding_twin.forward(xyz, table, layout.first, layout.size, layout.cells, layout.dense)
    out: Tensor = _Encode.apply(xyz, table, layout, ready)
    return out


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, xyz: Tensor, table: Tensor, layout: Levels, ready: Tensor | None) -> Tensor:
        ctx.save_for_backward(xyz, table)
        ctx.layout = layout
        if ready is not None:
            return ready.clone()
        out = torch.empty(len(xyz), table.shape[1] * len(layout.first), dtype=table.dtype)
        forward, _, _ = encoding_kernel.BY_FEATURES[table.shape[1]]
        forward(as_array(xyz), as_array(table), *layout.arrays(), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        xyz, table = ctx.saved_tensors
        _, backward_table, backward_xyz = encoding_kernel.BY_FEATURES[table.shape[1]]
        layout, g_xyz, g_table = ctx.layout.arrays(), None, None
        if ctx.needs_input_grad[0]:
            g_xyz = torch.zeros_like(xyz, memory_format=torch.contiguous_format)
            backward_xyz(as_array(xyz), as_array(table), as_array(grad), *layout, g_xyz.numpy())
        if ctx.needs_input_grad[1]:
            g_table = torch.zeros_like(table)
            backward_table(as_array(xyz), as_array(grad), *layout, g_table.numpy())
        return g_xyz, g_table, None, None


def of_planes(planes: Tensor, at: Tensor) -> Tensor:
    """Features [S, C] of positions [S, 3] in [-1, 1]^3 of planes [3, C, R, R]. CPU only; it has no gradient for positions."""
    out: Tensor = _OfPlanes.apply(planes, at)
    return out


class _OfPlanes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, at: Tensor) -> Tensor:
        ctx.save_for_backward(at)
        ctx.shape = planes.shape
        out = planes.new_empty(len(at), planes.shape[1])
        plane_kernel.forward(as_array(at), as_array(planes.permute(0, 2, 3, 1)), out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None]:
        (at,) = ctx.saved_tensors
        _, channels, rows, columns = ctx.shape
        found = grad.new_zeros(len(plane_twin.AXES), rows, columns, channels)
        plane_kernel.backward(as_array(at), as_array(grad), found.numpy())
        return found.permute(0, 3, 1, 2).contiguous(), None


@dataclass(frozen=True)
class Networks:
    """The weights that `kernels/decoder.py` knows: density.0, density.1, colour.0, colour.1, colour.2."""

    density: tuple[Tensor, Tensor]
    colour: tuple[Tensor, Tensor, Tensor]


def look(
    features: Tensor, density: tuple[Tensor, Tensor], offset: Tensor, activation: Literal["exp", "softplus"]
) -> Tensor:
    """Density [S] of features [S, C] by its two weights, without gradients; `offset` [S] or [1] is added to what the activation takes. CPU only."""
    out = torch.empty(len(features), dtype=features.dtype)
    weights = (as_array(w) for w in density)
    decoder_kernel.look(as_array(features), *weights, as_array(offset), activation == "softplus", out.numpy())
    return out


def decode(
    features: Tensor, basis: Tensor, samples: Marched, networks: Networks, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """(density [S], colour [S, 3]) of features [S, C]; `basis` [P, D] goes into colour beside the geometry. CPU only."""
    weights = (*networks.density, *networks.colour)
    out: tuple[Tensor, Tensor] = _Decode.apply(features, basis, samples, offset, *weights)
    return out


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, basis: Tensor, samples: Marched, offset: Tensor, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        density, colour = features.new_empty(len(features)), features.new_empty(len(features), 3)
        known = (
            as_array(features),
            as_array(basis),
            samples.ray.numpy(),
            samples.start.numpy(),
            *(as_array(w) for w in weights),
        )
        decoder_kernel.forward(*known, as_array(offset), density.numpy(), colour.numpy())
        ctx.save_for_backward(features, basis, offset, density, colour, *weights)
        ctx.samples = samples
        return density, colour

    @staticmethod
    def backward(ctx: Any, g_density: Tensor, g_colour: Tensor) -> tuple[Tensor | None, ...]:
        features, basis, offset, density, colour, *weights = ctx.saved_tensors
        samples: Marched = ctx.samples
        tasks = -(-len(basis) // decoder_kernel.RAYS)
        g_features = torch.empty_like(features)
        g_weights = [w.new_zeros(tasks, *w.shape) for w in weights]
        known = (
            as_array(features),
            as_array(basis),
            samples.ray.numpy(),
            samples.start.numpy(),
            *(as_array(w) for w in weights),
        )
        found = (as_array(offset), as_array(density), as_array(colour), as_array(g_density), as_array(g_colour))
        decoder_kernel.backward(*known, *found, g_features.numpy(), *(g.numpy() for g in g_weights))
        # The logarithm of density is a sum with the offset, so both have one gradient.
        g_offset = g_density * density if len(offset) > 1 else None
        return g_features, None, None, g_offset, *(g.sum(0) for g in g_weights)


@dataclass(frozen=True)
class Marched:
    """Packed samples of P rays: those of ray p are `start[p]` to `start[p + 1]`."""

    t: Tensor  # [S] distance of the middle
    delta: Tensor  # [S] length
    ray: Tensor  # [S]
    start: Tensor  # [P + 1]

    def kept(self, keep: Tensor) -> Marched:
        """The samples marked true [S]."""
        counts = torch.bincount(self.ray[keep], minlength=len(self.start) - 1)
        return Marched(self.t[keep], self.delta[keep], self.ray[keep], starts(counts))


def starts(counts: Tensor) -> Tensor:
    """[P + 1] first samples of rays with so many samples [P] each."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def march(
    origins: Tensor, directions: Tensor, reach: tuple[Tensor, Tensor], offset: Tensor,
    steps: tuple[float, float], occupied: Tensor, *, bounded: bool,
) -> Marched:  # fmt: skip
    """Samples where the grid `occupied` [G^3] is set. `reach` is (near, far) [P]; `steps` is (least, share of the distance)."""
    side = round(len(occupied) ** (1 / 3))
    if not compiled(origins):
        t, delta, ray = ray_twins.march(
            origins, directions, *reach, offset, steps[0], steps[1], occupied.to(origins.device), side, bounded
        )
        begin = starts(torch.bincount(ray, minlength=len(origins)))
        return Marched(t.to(origins.dtype), delta.to(origins.dtype), ray, begin)
    count = torch.empty(len(origins), dtype=torch.long)
    known = tuple(as_array(v) for v in (origins, directions, *reach, offset))
    where = (*steps, as_array(occupied), side, bounded)
    ray_kernels.march_count(*known, *where, count.numpy())
    begin = starts(count)
    total = int(begin[-1])
    t, delta = torch.empty(total, dtype=origins.dtype), torch.empty(total, dtype=origins.dtype)
    ray = torch.empty(total, dtype=torch.long)
    ray_kernels.march_write(*known, *where, begin.numpy(), t.numpy(), delta.numpy(), ray.numpy())
    return Marched(t, delta, ray, begin)


def visible(density: Tensor, samples: Marched, least: float) -> Tensor:
    """Which samples [S] have a weight above `least`."""
    if not compiled(density):
        return ray_twins.weights(density, samples.delta, samples.start) > least
    keep = torch.empty(len(density), dtype=torch.bool)
    ray_kernels.visible(as_array(density), as_array(samples.delta), samples.start.numpy(), least, keep.numpy())
    return keep


def composite(density: Tensor, colour: Tensor, samples: Marched) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(weight [S], sum of w c [P, 3], sum of w t [P], alpha [P]), differentiable in density and colour."""
    if not compiled(density):
        return ray_twins.composite(density, samples.delta, colour, samples.t, samples.start)
    out: tuple[Tensor, Tensor, Tensor, Tensor] = _Composite.apply(density, colour, samples)
    return out


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, density: Tensor, colour: Tensor, samples: Marched) -> tuple[Tensor, ...]:
        rays = len(samples.start) - 1
        weight = torch.empty_like(density)
        rgb, depth, alpha = density.new_empty(rays, 3), density.new_empty(rays), density.new_empty(rays)
        known = (
            as_array(density),
            as_array(samples.delta),
            as_array(colour),
            as_array(samples.t),
            samples.start.numpy(),
        )
        ray_kernels.composite(*known, weight.numpy(), rgb.numpy(), depth.numpy(), alpha.numpy())
        ctx.save_for_backward(density, colour, weight)
        ctx.samples = samples
        return weight, rgb, depth, alpha

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        density, colour, weight = ctx.saved_tensors
        samples: Marched = ctx.samples
        g_density, g_colour = torch.empty_like(density), torch.empty_like(colour, memory_format=torch.contiguous_format)
        known = (
            as_array(density),
            as_array(samples.delta),
            as_array(colour),
            as_array(samples.t),
            samples.start.numpy(),
            as_array(weight),
        )
        ray_kernels.composite_backward(*known, *(as_array(g) for g in grads), g_density.numpy(), g_colour.numpy())
        return g_density, g_colour, None


def distortion(weight: Tensor, samples: Marched) -> Tensor:
    """Distortion of each ray [P] (mip-NeRF 360), in one pass over its sorted samples."""
    if not compiled(weight):
        return ray_twins.distortion(weight, samples.t, samples.delta, samples.start)
    out: Tensor = _Distortion.apply(weight, samples)
    return out


class _Distortion(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, samples: Marched) -> Tensor:
        out = weight.new_empty(len(samples.start) - 1)
        known = (as_array(weight), as_array(samples.t), as_array(samples.delta), samples.start.numpy())
        ray_kernels.distortion(*known, out.numpy())
        ctx.save_for_backward(weight)
        ctx.samples = samples
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        samples: Marched = ctx.samples
        out = torch.empty_like(weight)
        known = (as_array(weight), as_array(samples.t), as_array(samples.delta), samples.start.numpy())
        ray_kernels.distortion_backward(*known, as_array(grad), out.numpy())
        return out, None


def adam_step(
    value: Tensor, grad: Tensor, moments: tuple[Tensor, Tensor], rate: float,
    betas: tuple[float, float], epsilon: float, *, skip_zero: bool,
) -> None:  # fmt: skip
    """One step of Adam in place; `rate` holds the bias corrections."""
    tensors = (value, grad.contiguous(), *moments)
    if not compiled(value):
        adam_twin.step(*tensors, rate, *betas, epsilon, skip_zero)
        return
    flat = (t.detach().reshape(-1).numpy() for t in tensors)
    adam_kernel.step(*flat, np.float32(rate), *(np.float32(b) for b in betas), np.float32(epsilon), skip_zero)


def as_array(tensor: Tensor) -> Any:
    """What kernels take: the values without their history, in one piece."""
    return tensor.detach().contiguous().numpy()
