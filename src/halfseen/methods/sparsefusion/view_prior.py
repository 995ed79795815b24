"""The trained networks in use: what photos tell of views, and views that are imagined from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import generator
from halfseen.methods.sparsefusion import inputs, latents, networks, telling, vldm
from halfseen.methods.sparsefusion.eft import Eft
from halfseen.methods.sparsefusion.inputs import Inputs
from halfseen.methods.sparsefusion.latents import LatentSpace
from halfseen.methods.sparsefusion.networks import EFT, VLDM
from halfseen.methods.sparsefusion.training_config import Config as Trained
from halfseen.priors import samplers, weights
from halfseen.priors.contract import Denoiser, NoiseLevel, noised
from halfseen.priors.networks.autoencoder import Config as AutoencoderConfig

# Views that go through the networks at once.
_AT_ONCE = 8
# The time that every sample ends at; the last look is taken before it.
_CLEAN = 0.0


@dataclass
class ViewPrior:
    """The networks, and how often the denoiser was asked of one view."""

    config: Trained
    eft: Eft
    denoiser: Denoiser | None
    autoencoder: LatentSpace | None
    device: torch.device
    calls: int = 0

    @property
    def side(self) -> int:
        """Cells of a view's side."""
        return self.config.size // (self.autoencoder.config if self.autoencoder else AutoencoderConfig()).factor


@dataclass(frozen=True)
class Told:
    """What photos tell of N views."""

    rgb: Tensor  # [N, 3, s, s] in [0, 1], smooth
    alpha: Tensor | None  # [N, 1, s, s] where the transformer tells it
    told: Tensor | None  # [N, C, h, w] for the denoiser


def load(name: str, device: torch.device, guidance: float | None = None) -> ViewPrior:
    """The prior of a name or a folder, with the autoencoder that it was trained beside; `guidance` in the place of its own."""
    stored, config = networks.stored(name, EFT)
    whole = any(k.startswith(f"{VLDM}.") for k in stored.weights)
    nets = networks.networks(replace(config, stage="joint" if whole else "eft"))
    weights.fill(nets, stored)
    for net in nets.values():
        net.to(device).train(mode=False)
    eft = nets[EFT]
    assert isinstance(eft, Eft)
    if not whole:
        return ViewPrior(config, eft, None, None, device)
    guided = config.vldm if guidance is None else replace(config.vldm, guidance=guidance)
    denoiser = vldm.denoiser_of(guided, nets[VLDM])
    autoencoder = latents.load(config.autoencoder, device, config.autoencoder_is)
    return ViewPrior(config, eft, denoiser, autoencoder, device)


def diffuses(prior: ViewPrior, name: str) -> tuple[Denoiser, LatentSpace]:
    """The denoiser and the autoencoder, which have to be there."""
    if prior.denoiser is None or prior.autoencoder is None:
        raise UserError(
            f"the prior {quote(name)} has no diffusion model",
            got="an epipolar transformer alone",
            accepted="weights of a training of stage joint or vldm",
            do="Use --variant eft, or name another prior with --prior views=NAME.",
        )
    return prior.denoiser, prior.autoencoder


def tell(prior: ViewPrior, seen: Inputs, c2w: Tensor, lenses: Tensor) -> Told:
    """What photos tell of views at cameras [N, 4, 4] of the box frame with lenses [N, 4]."""
    parts = []
    with torch.no_grad():
        for poses, some in zip(c2w.split(_AT_ONCE), lenses.split(_AT_ONCE), strict=True):
            asked = inputs.query(seen, poses, some)
            photos = seen.photos.expand(len(poses), -1, -1, -1, -1)
            found = prior.eft(photos, asked, prior.side, prior.side)
            told = None
            if prior.autoencoder is not None:
                told = telling.told(prior.config.vldm, prior.autoencoder, photos, asked, found)
            alpha = None if found.alpha is None else _smooth(found.alpha, prior)
            parts.append(Told(_smooth(found.rgb, prior), alpha, told))
    return Told(torch.cat([p.rgb for p in parts]), _joined([p.alpha for p in parts]), _joined([p.told for p in parts]))


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    known = [p for p in parts if p is not None]
    return torch.cat(known) if known else None


def imagined(
    prior: ViewPrior,
    name: str,
    told: Tensor,
    shown: Tensor | None,
    when: tuple[float, int],
    sampler: str,
    rng: torch.Generator,
) -> Tensor:
    """Views [N, 3, s, s] in [0, 1]: what is `shown` [N, 3, s, s] noised to a time and denoised in so many looks, `when` says which (None: noise
    alone)."""
    denoise, autoencoder = diffuses(prior, name)
    grid = [v.to(told) for v in vldm.levels(when[0], _CLEAN, when[1] + 1)[:-1]]
    eps = torch.randn((len(told), prior.config.vldm.latent, prior.side, prior.side), generator=rng).to(told)
    out = []
    with torch.no_grad():
        for i in range(0, len(told), _AT_ONCE):
            z = eps[i : i + _AT_ONCE]
            if shown is not None:
                clean = autoencoder.encode(2 * shown[i : i + _AT_ONCE].to(told) - 1)
                z = noised(clean, z, grid[0].expand(len(z)))
            cond = {vldm.CONDITION: told[i : i + _AT_ONCE]}
            out.append(
                ((autoencoder.decode(_sampled(prior, denoise, z, grid, sampler, cond, rng)) + 1) / 2).clamp(0, 1)
            )
    return torch.cat(out)


def _sampled(
    prior: ViewPrior,
    denoise: Denoiser,
    z: Tensor,
    grid: list[NoiseLevel],
    sampler: str,
    cond: dict[str, Tensor],
    rng: torch.Generator,
) -> Tensor:
    """Clean latents; the looks are counted."""

    def counted(x: Tensor, level: NoiseLevel, cond: Mapping[str, Tensor] | None = None) -> Tensor:
        prior.calls += len(x)
        return denoise(x, level, cond)

    if sampler == "ddim":
        return samplers.ddim(counted, z, grid, cond=cond)
    return samplers.ancestral_plms(counted, z, grid, rng=rng, cond=cond, most=vldm.MOST)


def fresh(seed: int, name: str, step: int = 0) -> torch.Generator:
    """Noise of a round."""
    return generator(seed, f"sparsefusion/{name}", step)


def _smooth(cells: Tensor, prior: ViewPrior) -> Tensor:
    size = (prior.config.size, prior.config.size)
    return F.interpolate(cells, size, mode="bilinear", align_corners=False)
