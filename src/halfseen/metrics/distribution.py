"""Distances between two sets of pictures: do the renderings look like photos, wherever their details lie?

SWD is the sliced Wasserstein distance of Karras et al. 2018 (Progressive Growing of GANs, Section 5): 7x7 patches from each
level of a Laplacian pyramid, projected on random directions. FID and KID take features from `inception`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.common.rng import generator
from halfseen.metrics.image import blur
from halfseen.metrics.inputs import check_finite

# Side of a patch; pyramid levels end when the smaller side would fall below the coarsest (both Karras et al.).
PATCH, _COARSEST = 7, 16
# Patches of each set and level, and random directions. Karras et al. take 128 patches of each of 8192 pictures; with tens
# of pictures these numbers leave a relative error of a few percent.
PATCHES, DIRECTIONS = 4096, 256
# The binomial filter of the pyramid (Burt and Adelson 1983); doubling a side spreads each pixel over four.
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_SPREAD = 4.0
# KID's kernel is (x . y / D + 1)^3 (Binkowski et al. 2018).
_KID_POWER = 3
# Standard deviations below this are those of flat colour.
_FLAT = 1e-8


@dataclass(frozen=True)
class Swd:
    """Sliced Wasserstein distance in standard deviations of the truth's patches, finest level first."""

    mean: float
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """What SWD needs of the truth, made once for all sets that are compared with it; one entry a level, finest first."""

    statistics: tuple[tuple[Tensor, Tensor], ...]  # mean and deviation of each channel
    along: tuple[Tensor, ...]  # sorted projections [DIRECTIONS, PATCHES]
    seed: int


def reference(truth: Sequence[Tensor], *, seed: int = 0, levels: int | None = None) -> Reference:
    """The truth's side of `swd`, at as many levels as its pictures [H, W, 3] allow, or fewer."""
    statistics, along = [], []
    for level, patches in enumerate(_patches(truth, levels or _levels(truth), seed)):
        statistics.append(_statistics(patches))
        along.append(_along(_normalised(patches, statistics[-1]), _axes(seed, level, patches)))
    return Reference(tuple(statistics), tuple(along), seed)


def coarse(truth: Reference, directions: int) -> Reference:
    """The reference along its first directions alone: enough to tell which of several sets is nearest, in a fraction of the time."""
    return replace(truth, along=tuple(a[:directions] for a in truth.along))


def swd(pictures: Sequence[Tensor], truth: Sequence[Tensor], *, seed: int = 0, own_statistics: bool = False) -> Swd:
    """Distance between the patches of two sets of pictures [H, W, 3].

    At each level, patches are centred and scaled for each channel by the truth's mean and deviation, so that lost detail
    counts. `own_statistics` scales each set by its own, as Karras et al. do, which cannot see blur or contrast within a
    level. Patches of both sets lie at the same random places as far as sizes agree, so equal sets are at distance 0.
    """
    count = _levels([*pictures, *truth])
    return swd_to(pictures, reference(truth, seed=seed, levels=count), own_statistics=own_statistics)


def swd_to(pictures: Sequence[Tensor], truth: Reference, *, own_statistics: bool = False) -> Swd:
    """`swd` to a truth that was prepared; the pictures [H, W, 3] must allow its levels."""
    count = len(truth.along)
    distances = []
    for level, patches in enumerate(_patches(pictures, count, truth.seed)):
        points = _normalised(patches, _statistics(patches) if own_statistics else truth.statistics[level])
        along = _along(points, _axes(truth.seed, level, patches)[:, : len(truth.along[level])])
        distances.append(float((along - truth.along[level]).abs().mean()))
    return Swd(sum(distances) / count, tuple(distances))


def swd_floor(truth: Sequence[Tensor], *, seed: int = 0) -> Swd:
    """Distance between two halves of the truth (every second picture): what a perfect method can expect."""
    if len(truth) < 2:
        raise _too_few("an SWD floor", len(truth), 2)
    return swd(truth[::2], truth[1::2], seed=seed)


def normalised_swd(distance: float, floor: float, base: float) -> float:
    """(d - floor) / (base - floor): 1 is as far as the base row, 0 as near as two halves of the truth; it may fall below 0."""
    if not base > floor:
        raise UserError(
            "SWD cannot be normalised",
            got=f"a base row at {base:.4g}, not above the floor {floor:.4g}",
            accepted="a base row that is farther from the truth than its halves are from each other",
            do="Use more pictures, or report the plain distances.",
        )
    return (distance - floor) / (base - floor)


def sliced_distance(a: Tensor, b: Tensor, *, seed: int = 0, step: int = 0, directions: int = DIRECTIONS) -> float:
    """Mean over random unit directions of the 1D Wasserstein-1 distance between equally many points [N, D] in float64."""
    if a.shape != b.shape or a.dim() != 2:
        raise ValueError(
            f"sliced distance needs two sets of equal shape [N, D], not {tuple(a.shape)}, {tuple(b.shape)}"
        )
    axes = _axes(seed, step, a[:, None], directions)
    return float((_along(a, axes) - _along(b, axes)).abs().mean())


def laplacian_pyramid(picture: Tensor, levels: int) -> list[Tensor]:
    """[H, W, C] to `levels` planes [C, H', W'], finest first; the last is the low-pass rest. Their expanded sum is the picture."""
    current = picture.detach().double().permute(2, 0, 1)
    out = []
    for _ in range(levels - 1):
        smaller = _binomial(current)[:, ::2, ::2]
        out.append(current - expand(smaller, current.shape[1], current.shape[2]))
        current = smaller
    return [*out, current]


def expand(planes: Tensor, height: int, width: int) -> Tensor:
    """Double the sides of [C, H', W'] to [C, height, width] (twice H', W', or one less): zeros between, then the binomial."""
    channels, rows, columns = planes.shape
    spread = planes.new_zeros(channels, 2 * rows, 2 * columns)
    spread[:, ::2, ::2] = _SPREAD * planes
    return _binomial(spread[:, :height, :width])


def fid(features: Tensor, truth: Tensor) -> float:
    """Frechet distance of features [N, D] and [M, D] (Heusel et al. 2017): |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), in float64.

    It is biased upwards for few pictures: always state N and M beside it, and prefer `kid` below some thousands.
    """
    a, b = _features(features, truth, what="FID")
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    # tr (C C')^(1/2) = tr (R C' R)^(1/2) with R = C^(1/2); the right side is symmetric, so its eigenvalues are real.
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0)
    return float(mean + cov_a.trace() + cov_b.trace() - 2 * inner.sqrt().sum())


def kid(features: Tensor, truth: Tensor) -> float:
    """Kernel distance of features [N, D] and [M, D]: unbiased squared MMD with k(x, y) = (x . y / D + 1)^3, over all pairs.

    Binkowski et al. 2018 average it over subsets; all pairs have the same expectation and less noise. It may fall below 0.
    """
    a, b = _features(features, truth, what="KID")
    within_a, within_b = _kernel(a, a), _kernel(b, b)
    n, m = len(a), len(b)
    same_a = (within_a.sum() - within_a.diagonal().sum()) / (n * (n - 1))
    same_b = (within_b.sum() - within_b.diagonal().sum()) / (m * (m - 1))
    return float(same_a + same_b - 2 * _kernel(a, b).mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** _KID_POWER


def _features(a: Tensor, b: Tensor, *, what: str) -> tuple[Tensor, Tensor]:
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"{what} needs features [N, D] and [M, D], not {tuple(a.shape)} and {tuple(b.shape)}")
    if min(len(a), len(b)) < 2:
        raise _too_few(what, min(len(a), len(b)), 2)
    for features in (a, b):
        check_finite(features, what=what)
    return a.detach().double(), b.detach().double()


def _levels(pictures: Sequence[Tensor]) -> int:
    """Pyramid levels that all pictures allow: sides halve, rounded up, while the smaller one stays at 16 or more."""
    if not pictures:
        raise _too_few("SWD", 0, 1)
    for picture in pictures:
        check_finite(picture, what="SWD")
        if picture.dim() != 3 or picture.shape[-1] != 3 or min(picture.shape[:2]) < PATCH:
            raise UserError(
                "SWD cannot take this picture",
                got=f"shape {tuple(picture.shape)}",
                accepted=f"[H, W, 3] with sides of at least {PATCH} pixels",
                do="Measure larger pictures or leave SWD out.",
            )
    side, count = min(min(p.shape[:2]) for p in pictures), 1
    while (side + 1) // 2 >= _COARSEST:
        side, count = (side + 1) // 2, count + 1
    return count


def _patches(pictures: Sequence[Tensor], levels: int, seed: int) -> list[Tensor]:
    """For each level, PATCHES patches [PATCHES, 3, 7 * 7] from random places, equally many from each picture (to one)."""
    if not pictures:
        raise _too_few("SWD", 0, 1)
    found: list[list[Tensor]] = [[] for _ in range(levels)]
    share = [PATCHES // len(pictures) + (i < PATCHES % len(pictures)) for i in range(len(pictures))]
    for i, picture in enumerate(pictures):
        rng = generator(seed, "metrics/swd/places", i)
        for level, planes in enumerate(laplacian_pyramid(picture, levels)):
            windows = planes.unfold(1, PATCH, 1).unfold(2, PATCH, 1)
            rows, columns = windows.shape[1:3]
            place = torch.randint(rows * columns, (share[i],), generator=rng).to(planes.device)
            patches = windows[:, place // columns, place % columns]
            found[level].append(patches.transpose(0, 1).reshape(share[i], 3, PATCH * PATCH))
    return [torch.cat(f) for f in found]


def _axes(seed: int, step: int, patches: Tensor, directions: int = DIRECTIONS) -> Tensor:
    """Random unit directions [D, directions] for patches [N, ..., d] of D numbers in all, float64."""
    rng = generator(seed, "metrics/swd/directions", step)
    axes = torch.randn(patches[0].numel(), directions, generator=rng, dtype=torch.float64)
    return (axes / axes.norm(dim=0)).to(patches.device)


def _along(points: Tensor, axes: Tensor) -> Tensor:
    """Sorted projections [directions, N] of points [N, D]."""
    along = (points.double() @ axes).T.contiguous()
    # numpy sorts such rows in a quarter of the time that torch takes.
    return torch.from_numpy(np.sort(along.numpy(), axis=1)) if along.device.type == "cpu" else along.sort().values


def _statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, [1, 3, 1] both."""
    mean = patches.mean((0, 2), keepdim=True)
    return mean, ((patches - mean) ** 2).mean((0, 2), keepdim=True).sqrt().clamp_min(_FLAT)


def _normalised(patches: Tensor, statistics: tuple[Tensor, Tensor]) -> Tensor:
    return ((patches - statistics[0]) / statistics[1]).reshape(len(patches), -1)


def _binomial(planes: Tensor) -> Tensor:
    """Smooth [C, H, W]; the border is mirrored about the outermost pixel."""
    weights = planes.new_tensor(_BINOMIAL)
    half = len(_BINOMIAL) // 2
    return blur(F.pad(planes[None], (half,) * 4, mode="reflect")[0], weights)


def _too_few(what: str, got: int, needed: int) -> UserError:
    return UserError(
        f"{what} needs more pictures", got=str(got), accepted=f"at least {needed}", do="Measure more views."
    )
