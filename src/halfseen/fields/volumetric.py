"""Rendering of everything that has a density and a colour at every point. Which field it is does not matter here.

A first look without gradients finds the samples that a photo could show; only these get colours and gradients.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.rays import Rays
from halfseen.fields import operators, samplers, volume
from halfseen.fields.contract import Background, RaySamples, Rendering, Window
from halfseen.fields.operators import Marched
from halfseen.fields.samplers import Sampling

# Rays rendered at once when no gradient is needed; bounds memory to about 100 MB (four times as many: 320 MB, and no faster).
_CHUNK = 1024
# Samples of a ray that are looked at first; each further look takes twice as many. A ray is dark below this share of the least weight.
_FIRST_LOOK, _MARGIN = 24, 0.5
# Opacity below which a ray met nothing.
_NOTHING = 1e-6


class Medium(Protocol):
    """What a volumetric field gives."""

    @property
    def dtype_like(self) -> Tensor:
        """Any tensor of the field: its device and precision."""
        ...

    def sample(self, ray: Rays, generator: torch.Generator | None) -> Marched:
        """Packed samples of rays."""
        ...

    def look(self, xyz: Tensor) -> tuple[Tensor, Any]:
        """Density [S] at box points [S, 3] without gradients, and whatever saves work when some of them are asked for again."""
        ...

    def query(self, xyz: Tensor, known: Any, directions: Tensor, samples: Marched) -> tuple[Tensor, Tensor]:
        """(density [S], colour [S, 3]) with gradients, on rays with unit directions [P, 3]; `known` is from `look`, or None."""
        ...

    @property
    def sampling(self) -> Sampling:
        """How rays are sampled."""
        ...


def render(
    field: Medium,
    cameras: Cameras,
    *,
    window: Window | None,
    pixels: tuple[Tensor, Tensor] | None,
    background: Background,
    generator: torch.Generator | None,
) -> Rendering:
    """See `contract.Field.render`."""
    like = field.dtype_like
    cameras = cameras.to(like)
    if pixels is not None:
        return trace(field, rays.cast(cameras, *pixels), background, generator)
    left, top, width, height = window or (0, 0, *cameras.size())
    xy = rays.pixel_centres(width, height, like.device) + like.new_tensor([left, top])
    views = torch.zeros(len(xy), dtype=torch.long, device=like.device)
    back = torch.as_tensor(background, dtype=like.dtype, device=like.device).expand(len(xy), 3)
    parts = []
    for v, p, b in zip(*(t.split(_CHUNK) for t in (views, xy, back)), strict=True):
        part = trace(field, rays.cast(cameras, v, p), b, generator)
        # Samples of whole pictures are dropped at once: they would take a hundred times the memory of the picture.
        parts.append(replace(part, samples=None))
    rgb, depth, mean, alpha = (
        torch.cat([getattr(p, n) for p in parts]) for n in ("rgb", "depth", "mean_depth", "alpha")
    )
    shape = (height, width)
    return Rendering(rgb.reshape(*shape, 3), depth.reshape(shape), alpha.reshape(shape), mean.reshape(shape))


def trace(field: Medium, ray: Rays, background: Background, generator: torch.Generator | None) -> Rendering:
    """Render loose rays [P]."""
    samples = field.sample(ray, generator)
    xyz = _points(ray, samples)
    marched = len(xyz)
    with torch.no_grad():
        density, known, looked_at = _look_until_dark(field, xyz, samples)
        keep = operators.visible(density, samples, field.sampling.least_weight)
    chosen = keep.nonzero()[:, 0]
    samples, xyz = samples.kept(keep), xyz[chosen]
    density, colour = field.query(xyz, None if known is None else known[chosen], ray.directions, samples)
    if generator is not None and density.requires_grad and field.sampling.gradient_reach:
        scale = samplers.gradient_scale(ray, samples, field.sampling.gradient_reach)
        density.register_hook(lambda g: g * scale)
        colour.register_hook(lambda g: g * scale[:, None])
    weight, rgb, distance, alpha = operators.composite(density, colour, samples)
    back = torch.as_tensor(background, dtype=alpha.dtype, device=alpha.device)
    rgb = rgb + (1 - alpha)[..., None] * back
    mean = distance / alpha.clamp_min(_NOTHING) * ray.z_scale
    depth = median_distance(weight, samples) * ray.z_scale
    return Rendering(rgb, depth, alpha, mean, RaySamples(weight, samples, xyz, marched, looked_at))


def _look_until_dark(field: Medium, xyz: Tensor, samples: Marched) -> tuple[Tensor, Tensor | None, int]:
    """`field.look` at samples [S], some of each ray at a time, near to far: what no light reaches any more is not looked at.

    Returns densities, what `field.look` saved, and the number of samples that were looked at.
    Densities there are zero, and so are the weights that they would have had, but for what is too little to be kept anyway.
    """
    dark = _MARGIN * field.sampling.least_weight
    begin, end = samples.start[:-1], samples.start[1:]
    density, known, looked_at = xyz.new_zeros(len(xyz)), None, 0
    optical = xyz.new_zeros(len(begin))
    some = _FIRST_LOOK
    while True:
        lit = ((begin < end) & (torch.exp(-optical) > dark)).nonzero()[:, 0]
        if len(lit) == 0:
            return density, known, looked_at
        counts = torch.minimum(end[lit] - begin[lit], torch.full_like(lit, some))
        rays_of = lit.repeat_interleave(counts)
        within = torch.arange(len(rays_of), device=lit.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        at = begin[rays_of] + within
        found, kept = field.look(xyz[at])
        looked_at += len(at)
        density[at] = found
        if kept is not None:
            known = kept.new_zeros(len(xyz), *kept.shape[1:]) if known is None else known
            known[at] = kept
        optical.index_add_(0, rays_of, found * samples.delta[at])
        begin = begin.index_add(0, lit, counts)
        some *= 2


def normals(field: Medium, cameras: Cameras, depth: Tensor) -> Tensor:
    """Unit normals [H, W, 3] in the box, towards lower density, at the z-depths [H, W] of one camera; 0 where there is none."""
    height, width = depth.shape
    ray = rays.cast_all(cameras.to(field.dtype_like))
    z = depth.reshape(-1).to(ray.z_scale)
    out = []
    for at, there in zip(ray.at_depth(z).split(_CHUNK), (z > 0).split(_CHUNK), strict=True):
        with torch.enable_grad():
            xyz = at.detach().contiguous().requires_grad_()
            alone = samplers.packed(torch.zeros(len(xyz), 1), torch.ones(len(xyz), 1))
            density, _ = field.query(xyz, None, torch.zeros_like(xyz), alone)
            (slope,) = torch.autograd.grad(density.sum(), xyz)
        out.append(torch.where(there[:, None], -torch.nn.functional.normalize(slope, dim=-1), 0.0))
    return torch.cat(out).reshape(height, width, 3)


def median_distance(weight: Tensor, samples: Marched) -> Tensor:
    """Distance [P] at which half of the stopped light is stopped, linear within a sample; 0 where nothing stops any.

    Unlike the mean, it does not lie between a surface and the fog behind it. It carries no gradient.
    """
    weight = weight.detach()
    count = len(samples.start) - 1
    if len(weight) == 0:
        return weight.new_zeros(count)
    # Running sums over all samples, in double precision: those of one ray are differences of them.
    total = torch.cat([weight.new_zeros(1, dtype=torch.float64), torch.cumsum(weight.double(), 0)])
    first, last = total[samples.start[:-1]], total[samples.start[1:]]
    half = first + 0.5 * (last - first)
    index = torch.searchsorted(total, half).clamp(1, len(weight)) - 1
    index = torch.minimum(torch.maximum(index, samples.start[:-1]), (samples.start[1:] - 1).clamp_min(0))
    share = ((half - total[index]) / weight[index].double().clamp_min(_NOTHING)).clamp(0, 1).to(weight)
    at = samples.t[index] + (share - 0.5) * samples.delta[index]
    return torch.where(last - first > _NOTHING, at, torch.zeros_like(at))


def _points(ray: Rays, samples: Marched) -> Tensor:
    return ray.origins[samples.ray] + samples.t[:, None] * ray.directions[samples.ray]


def step_length(xyz: Tensor, step: float, cone: float) -> Tensor:
    """Length of a march's step at box points [N, 3], seen from about the box."""
    return (cone * xyz.norm(dim=-1)).clamp_min(step)


def normalised(xyz: Tensor, *, bounded: bool) -> Tensor:
    """Box points [S, 3] as positions in [0, 1]^3: of the cube, or of contracted space."""
    unit = (xyz + 1) / 2 if bounded else (volume.contract(xyz) / volume.CONTRACTED + 1) / 2
    return unit.clamp(0, 1)
