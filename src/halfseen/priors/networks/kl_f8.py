"""Stable Diffusion's autoencoder (kl-f8), whose latents SparseFusion's paper works in: a folder in diffusers' layout, never a pickle.

FOLDER/{config.json, diffusion_pytorch_model.safetensors}     such as the `vae` folder of a published pipeline
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL
from torch import Tensor, nn

from halfseen.common.errors import UserError, quote

WEIGHTS = "diffusion_pytorch_model.safetensors"
# What latents are multiplied by (the released code's 0.18215) where the folder does not say it.
_SCALE = 0.18215


@dataclass(frozen=True)
class Config:
    """Pixels of a latent's side, and its channels."""

    factor: int
    latent: int
    scale: float


class KlF8(nn.Module):
    """Pictures [N, 3, H, W] in [-1, 1]; latents [N, C, H / factor, W / factor]: the means, scaled."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        levels = len(vae.config.block_out_channels)
        scale = float(vae.config.get("scaling_factor") or _SCALE)
        self.config = Config(2 ** (levels - 1), vae.config.latent_channels, scale)

    def encode(self, pictures: Tensor) -> Tensor:
        """Scaled latents."""
        found: Tensor = self.vae.encode(pictures.clamp(-1, 1)).latent_dist.mode()
        return self.config.scale * found

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of scaled latents."""
        found: Tensor = self.vae.decode(latents / self.config.scale).sample
        return found


def load(folder: Path) -> KlF8:
    """The autoencoder of a folder, frozen. Nothing is fetched, and nothing in the folder is executed."""
    try:
        vae = AutoencoderKL.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(
            f"{quote(folder.name)} is no autoencoder in diffusers' layout",
            got=str(error)[:200],
            accepted=f"config.json of an AutoencoderKL and {WEIGHTS}",
            do="Name such a folder.",
        ) from error
    return KlF8(vae).train(mode=False).requires_grad_(requires_grad=False)


def untrained(widths: tuple[int, ...], groups: int) -> KlF8:
    """The layout with random weights, for counting and for trying."""
    down, up = ("DownEncoderBlock2D",) * len(widths), ("UpDecoderBlock2D",) * len(widths)
    vae = AutoencoderKL(
        down_block_types=down,
        up_block_types=up,
        block_out_channels=widths,
        layers_per_block=2,
        norm_num_groups=groups,
        sample_size=512,
    )
    return KlF8(vae)
