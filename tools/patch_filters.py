"""A trained patch prior beside classical filters, on real pictures with depth that it never saw.

patch_filters.py CAPTURE PRIOR      # a capture with depth maps, and the name or folder of a prior

Patches of colour and disparity get noise of each judged sigma. What is compared is how far from the truth each denoiser ends: the
prior in one look, a joint bilateral filter and non-local means. The filters' settings are the best of a grid for each sigma and
each kind of channel, chosen on the very patches that are judged: what is best for them is allowed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.rng import generator
from halfseen.data import formats
from halfseen.data import load as loading
from halfseen.methods.diffusionerf import patch_prior
from halfseen.methods.diffusionerf.training import JUDGED
from halfseen.priors import patches
from halfseen.priors.contract import level_from_sigma, noised

# Longer side of the pictures (the size that the prior is trained at), side of patches, how many of each view, and of how many views.
SIZE, SIDE, OF_VIEW, VIEWS = 256, 48, 6, 24
# A patch is judged if this share of its pixels has a depth.
KNOWN = 0.97
# Grids: spread in pixels and in colour times the noise; window of non-local means, its patch and its strength times the noise.
BILATERAL = tuple(itertools.product((0.7, 1.0, 1.5, 2.5), (1.0, 1.5, 2.0, 3.0, 5.0, 8.0)))
NON_LOCAL = tuple(itertools.product((3, 5), (1, 2), (0.4, 0.6, 0.8, 1.1, 1.5)))
RADIUS = 4

Filter = Callable[[Tensor, float], Tensor]


def main() -> None:
    """Print a table."""
    prior = patch_prior.load(sys.argv[2], torch.device("cpu"))
    clean, known = _patches(Path(sys.argv[1]), prior.rule)
    print(f"{len(clean)} patches of {SIDE} px; root mean square error, and the prior's against the better filter's\n")
    heads = ("sigma", "channels", "noisy", "bilateral", "non-local", "prior", "below the better filter")
    print("| " + " | ".join(heads) + " |" + "\n|" + "---|" * len(heads))
    for sigma in JUDGED:
        level = level_from_sigma(torch.full((len(clean),), sigma))
        x = noised(clean, torch.randn(clean.shape, generator=generator(0, "filters", round(1000 * sigma))), level)
        straight = x / level.alpha[:, None, None, None]
        strength = float(level.sigma[0] / level.alpha[0])
        with torch.no_grad():
            guess = torch.cat([prior.denoiser(a, level_from_sigma(torch.full((len(a),), sigma))) for a in x.split(32)])
        for name, part in (("colour", slice(0, 3)), ("disparity", slice(3, 4))):
            error = {"noisy": _error(straight, clean, known, part), "prior": _error(guess, clean, known, part)}
            error["bilateral"] = min(_error(bilateral(straight, *s, strength), clean, known, part) for s in BILATERAL)
            error["non-local"] = min(_error(non_local(straight, *s, strength), clean, known, part) for s in NON_LOCAL)
            best = min(error["bilateral"], error["non-local"])
            cells = " | ".join(f"{error[k]:.4f}" for k in ("noisy", "bilateral", "non-local", "prior"))
            print(f"| {sigma} | {name} | {cells} | {100 * (1 - error['prior'] / best):.0f} % |", flush=True)


def bilateral(x: Tensor, spread: float, tolerance: float, strength: float) -> Tensor:
    """Joint bilateral filter of [B, 4, H, W]: every channel weighted by how near all four are, after a small blur of the guide."""
    guide = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    total, weights = torch.zeros_like(x), x.new_zeros(len(x), 1, *x.shape[2:])
    for dy, dx, there, other in _shifts(x, guide):
        near = torch.exp(torch.tensor(-(dx * dx + dy * dy) / (2 * spread**2)))
        alike = torch.exp(-((other - guide) ** 2).mean(1, keepdim=True) / (2 * (tolerance * strength) ** 2))
        total, weights = total + near * alike * there, weights + near * alike
    return total / weights


def non_local(x: Tensor, window: int, half: int, share: float, strength: float) -> Tensor:
    """Non-local means of [B, 4, H, W] (Buades et al. 2005), patches of all four channels."""
    total, weights = torch.zeros_like(x), x.new_zeros(len(x), 1, *x.shape[2:])
    for _, _, there, _ in _shifts(x, x, window):
        apart = ((there - x) ** 2).mean(1, keepdim=True)
        apart = F.avg_pool2d(F.pad(apart, (half,) * 4, mode="reflect"), 2 * half + 1, stride=1)
        weight = torch.exp(-(apart - 2 * strength**2).clamp_min(0) / (share * strength) ** 2)
        total, weights = total + weight * there, weights + weight
    return total / weights


def _shifts(x: Tensor, guide: Tensor, radius: int = RADIUS) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    padded = [F.pad(t, (radius,) * 4, mode="reflect") for t in (x, guide)]
    height, width = x.shape[2:]
    for dy, dx in itertools.product(range(-radius, radius + 1), repeat=2):
        rows, columns = slice(radius + dy, radius + dy + height), slice(radius + dx, radius + dx + width)
        yield dy, dx, padded[0][:, :, rows, columns], padded[1][:, :, rows, columns]


def _error(guess: Tensor, clean: Tensor, known: Tensor, part: slice) -> float:
    """Root mean square error where depth is known."""
    where = known[:, None].expand(-1, guess[:, part].shape[1], -1, -1)
    return float(((guess - clean)[:, part][where] ** 2).mean().sqrt())


def _patches(folder: Path, rule: patches.Rule) -> tuple[Tensor, Tensor]:
    """(patches [B, 4, H, W], where depth is known [B, H, W])."""
    capture = formats.read([folder])
    step = max(1, len(capture) // VIEWS)
    out, kept, rng = [], [], generator(0, "filters/crops")
    for view in loading.load(capture.select(tuple(range(0, len(capture), step))), SIZE).views:
        assert view.depth is not None
        rgb, z = view.image.read()[..., :3], torch.as_tensor(view.depth.read()).float()
        for _ in range(OF_VIEW):
            top, left = (int(torch.rand((), generator=rng) * (n - SIDE + 1)) for n in z.shape)
            crop = slice(top, top + SIDE), slice(left, left + SIDE)
            if float((z[crop] > 0).float().mean()) < KNOWN:
                continue
            out.append(patches.encode(rgb[crop][None], _filled(z[crop])[None], rule)[0])
            kept.append(z[crop] > 0)
    return torch.stack(out), torch.stack(kept)


def _filled(z: Tensor) -> Tensor:
    """Holes of a depth map [H, W] take the mean of what is next to them: a hole is no surface at infinity."""
    while bool((z <= 0).any()):
        there = (z > 0).float()
        sums = [F.avg_pool2d(t[None, None], 3, stride=1, padding=1)[0, 0] for t in (z * there, there)]
        z = torch.where((z <= 0) & (sums[1] > 0), sums[0] / sums[1].clamp_min(1e-6), z)
    return z


if __name__ == "__main__":
    main()
