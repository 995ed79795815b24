"""Difix's autoencoder: Stable Diffusion's, whose decoder sees what the encoder saw, with a low-rank addition to the decoder.

encoder activations before each down block, last first, through 1 x 1 convolutions, are added before each up block
W = W_0 + 2 B A      in 43 layers of the decoder (rank 4, alpha 8)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

# Stable Diffusion 2.1's autoencoder, as Difix's folder states it.
CONFIG: Mapping[str, Any] = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "act_fn": "silu", "sample_size": 768, "scaling_factor": 0.18215,
}  # fmt: skip
# What a folder's config.json may say of the skips and additions, where it says anything: nothing else was ever published.
MEANT: Mapping[str, Any] = {"lora_rank": 4, "gamma": 1.0, "ignore_skip": False}
# Keys of a folder's config.json that our graph understands; others are unread.
KNOWN = frozenset(CONFIG) | {"force_upcast", "use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"}
RANK, ALPHA, ADAPTER = 4, 8, "vae_skip"
SCALE = ALPHA / RANK
_SKIP, _SKIPS = "skip_conv_", 4
# Logarithms of the posterior's variance stay between these, as they did when the autoencoder was trained.
_LOG_VARIANCE = (-30.0, 20.0)
# What the skips are before anything is learned.
_FIRST = 1e-5
# Ends of the names of layers that have a low-rank addition.
_ENDS = ("conv1", "conv2", "conv_in", "conv_shortcut", "conv", "conv_out", "to_q", "to_k", "to_v", "to_out.0")


def build(config: Mapping[str, Any] = CONFIG) -> AutoencoderKL:
    """An untrained autoencoder with skips."""
    vae = AutoencoderKL(**dict(config))
    wide = tuple(vae.config.block_out_channels)
    inside = (wide[0], *wide[:-1])[::-1]
    outside = (wide[-1], *wide[:0:-1])
    for i, (a, b) in enumerate(zip(inside, outside, strict=True), 1):
        skip = nn.Conv2d(a, b, 1, bias=False)
        nn.init.constant_(skip.weight, _FIRST)
        setattr(vae.decoder, f"{_SKIP}{i}", skip)
    return vae


def encode(vae: AutoencoderKL, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, list[Tensor]]:
    """(scaled latents [B, 4, H/8, W/8], what the decoder is shown) of pictures [B, 3, H, W] in [-1, 1].

    The mean of the posterior; with a generator, a draw from it, as the paper trains.
    """
    encoder = vae.encoder
    h, kept = encoder.conv_in(x), []
    for block in encoder.down_blocks:
        kept.append(h)
        h = block(h)
    h = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(h))))
    mean, log_variance = (vae.quant_conv(h) if vae.quant_conv is not None else h).chunk(2, 1)
    if generator is not None:
        spread = torch.exp(0.5 * log_variance.clamp(*_LOG_VARIANCE))
        mean = mean + spread * torch.randn(mean.shape, generator=generator).to(mean)
    return mean * vae.config.scaling_factor, kept


def decode(vae: AutoencoderKL, z: Tensor, kept: list[Tensor] | None) -> Tensor:
    """Pictures [B, 3, H, W] in [-1, 1] of scaled latents; without `kept` as the stock decoder."""
    decoder = vae.decoder
    h = z / vae.config.scaling_factor
    h = vae.post_quant_conv(h) if vae.post_quant_conv is not None else h
    h = decoder.mid_block(decoder.conv_in(h), None)
    for i, block in enumerate(decoder.up_blocks):
        if kept is not None:
            h = h + skips(vae)[i](kept[-1 - i])
        h = block(h, None)
    return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(h))).clamp(-1, 1)


def skips(vae: AutoencoderKL) -> list[nn.Module]:
    """The convolutions between encoder and decoder, coarsest first."""
    return [getattr(vae.decoder, f"{_SKIP}{i}") for i in range(1, _SKIPS + 1)]


def adapted_names(vae: AutoencoderKL) -> list[str]:
    """Names, inside the decoder, of the layers that have a low-rank addition."""
    ends = (*_ENDS, *(f"{_SKIP}{i}" for i in range(1, _SKIPS + 1)))
    layers = vae.decoder.named_modules()
    return [
        n
        for n, m in layers
        if isinstance(m, nn.Conv2d | nn.Linear) and any(n == e or n.endswith(f".{e}") for e in ends)
    ]


class Adapted(nn.Module):
    """A layer with a low-rank addition, by the names that the published files have for its parts."""

    def __init__(self, base: nn.Conv2d | nn.Linear, rank: int = RANK) -> None:
        super().__init__()
        self.base_layer = base
        down: nn.Module
        up: nn.Module
        if isinstance(base, nn.Conv2d):
            shape: dict[str, Any] = {"stride": base.stride, "padding": base.padding, "bias": False}
            down = nn.Conv2d(base.in_channels, rank, base.kernel_size, **shape)  # type: ignore[arg-type]
            up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        else:
            down, up = nn.Linear(base.in_features, rank, bias=False), nn.Linear(rank, base.out_features, bias=False)
        nn.init.normal_(down.weight, std=1 / rank)
        nn.init.zeros_(up.weight)
        self.lora_A, self.lora_B = nn.ModuleDict({ADAPTER: down}), nn.ModuleDict({ADAPTER: up})

    def forward(self, x: Tensor) -> Tensor:
        """W_0 x + 2 B A x."""
        return self.base_layer(x) + SCALE * self.lora_B[ADAPTER](self.lora_A[ADAPTER](x))


def adapt(vae: AutoencoderKL) -> AutoencoderKL:
    """Give the decoder its low-rank additions, for training; what is not one of them or a skip is frozen."""
    vae.requires_grad_(requires_grad=False)
    for name in adapted_names(vae):
        path, _, leaf = name.rpartition(".")
        parent = vae.decoder.get_submodule(path)
        layer = Adapted(parent.get_submodule(leaf))
        layer.base_layer.requires_grad_(requires_grad=name.startswith(_SKIP))
        setattr(parent, leaf, layer)
    return vae


def fold(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Tensors of an adapted autoencoder as those of `build`, and how many additions were folded in."""
    out, folds = {}, 0
    for name, value in tensors.items():
        if ".lora_" in name:
            continue
        if ".base_layer." not in name:
            out[name] = value
            continue
        plain = name.replace(".base_layer.", ".")
        stem = name.partition(".base_layer.")[0]
        if name.endswith(".weight"):
            a, b = (tensors[f"{stem}.lora_{part}.{ADAPTER}.weight"].float() for part in "AB")
            added = torch.einsum("or,rikl->oikl", b[..., 0, 0], a) if a.ndim == 4 else b @ a
            value, folds = (value.float() + SCALE * added).to(value), folds + 1
        out[plain] = value
    return out, folds
