"""Difix (Wu et al. 2025), the paper's own graph: one step of a latent diffusion model from a bad rendering to a clean picture.

z = VAE(x)                                   no noise is added: the rendering plays the part of the noisy picture
e = U-Net(z, tau, "remove degradation")      views of a scene see each other
z_0 = (z - sqrt(1 - abar) e) / sqrt(abar)    abar of tau = 199
y = VAE^-1(z_0), shown what the encoder saw
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from halfseen.images import resize
from halfseen.priors.contract import x0_of
from halfseen.priors.one_step import difix_unet, difix_vae
from halfseen.priors.one_step.contract import Repaired
from halfseen.priors.schedules import scaled_linear

# The time of the released weights (the paper counts it from one: 200).
TAU = 199
# It was tuned on pictures of this width and height; sides are multiples of 8, better of 64.
WORK, MULTIPLE, BETTER = (1024, 576), 8, 64
# Shape of the embedding of a prompt: CLIP's tokens and width.
PROMPT = (77, 1024)


class Difix(nn.Module):
    """The trained parts, and the embedding of the constant prompt [77, 1024]."""

    def __init__(self, vae: AutoencoderKL, unet: UNet2DConditionModel, prompt: Tensor, tau: int = TAU) -> None:
        super().__init__()
        self.vae, self.unet, self.tau = vae, unet, tau
        self.register_buffer("prompt", prompt)
        self.schedule = scaled_linear()

    def forward(
        self, x: Tensor, *, tau: int | None = None, generator: torch.Generator | None = None, only: int | None = None
    ) -> Tensor:
        """Repaired views [B, V, 3, H, W] in [-1, 1] of views [B, V, 3, H, W], the rendering first; sides are multiples of 8.

        `only` decodes that view alone ([B, 1, 3, H, W]). With a generator latents are drawn from their posterior, as in training.
        """
        batch, views = x.shape[:2]
        z, kept = difix_vae.encode(self.vae, x.flatten(0, 1), generator)
        t = torch.full((batch * views,), self.tau if tau is None else tau, device=x.device)
        assert isinstance(self.prompt, Tensor)
        eps = difix_unet.noise(self.unet, z, t, self.prompt, views)
        z0 = x0_of(z, eps, self.schedule.level(t))
        if only is not None:
            z0, *kept = (h.unflatten(0, (batch, views))[:, only] for h in (z0, *kept))
        return difix_vae.decode(self.vae, z0, kept).unflatten(0, (batch, -1))


class DifixFixer:
    """A `Fixer` that looks at the rendering and photos alone, at the size that the weights were tuned at."""

    def __init__(
        self, network: Difix, work: tuple[int, int] = WORK, tau: int | None = None, *, photos: bool = True
    ) -> None:
        self.network, self.work, self.tau, self.photos = network, work, tau, photos

    def __call__(self, shown: Tensor, references: Sequence[Tensor]) -> Repaired:
        """See `Fixer`."""
        height, width = shown.shape[-2:]
        size = work_size(width, height, self.work)
        views = torch.stack([_fitted(v, size) for v in (shown[:3], *(references if self.photos else ()))])
        device = next(self.network.parameters()).device
        with torch.no_grad():
            out = self.network(2 * views[None].to(device) - 1, tau=self.tau, only=0)[0, 0]
        return Repaired(_fitted((out.float().cpu() + 1) / 2, (width, height)).clamp(0, 1))


def work_size(width: int, height: int, work: tuple[int, int] = WORK) -> tuple[int, int]:
    """The size at which a picture is worked on: inside `work` (or, upright, its transpose), its aspect about kept."""
    wide, high = work if width >= height else work[::-1]
    scale = min(wide / width, high / height)
    return _multiple(width * scale, wide), _multiple(height * scale, high)


def _multiple(side: float, most: int) -> int:
    """The nearest multiple of 64, or of 8 where that would change the side by more than an eighth."""
    near = round(side / BETTER) * BETTER
    if near == 0 or near > most or abs(near - side) > side / BETTER * MULTIPLE:
        near = round(side / MULTIPLE) * MULTIPLE
    return max(MULTIPLE, min(near, most // MULTIPLE * MULTIPLE))


def _fitted(picture: Tensor, size: tuple[int, int]) -> Tensor:
    return resize.resize(picture.movedim(0, -1), *size).movedim(-1, 0)
