"""Difix's U-Net: Stable Diffusion 2.1's, whose self-attention sees all views of a scene at once. No weight is added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

CONFIG: Mapping[str, Any] = {
    "sample_size": 64, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 1024, "use_linear_projection": True,
    "block_out_channels": (320, 640, 1280, 1280), "attention_head_dim": (5, 10, 20, 20), "layers_per_block": 2,
    "norm_num_groups": 32,
}  # fmt: skip
# Keys of a folder's config.json that our graph understands.
KNOWN = frozenset(CONFIG) | {
    "act_fn", "center_input_sample", "down_block_types", "up_block_types", "downsample_padding", "dual_cross_attention",
    "flip_sin_to_cos", "freq_shift", "mid_block_scale_factor", "mid_block_type", "norm_eps", "only_cross_attention",
    "resnet_time_scale_shift", "upcast_attention",
}  # fmt: skip
_VIEWS = "views"


class Mixing:
    """Self-attention over the joined tokens of the views of each picture: (b v) n d -> b (v n) d and back."""

    def __init__(self) -> None:
        self.inner = AttnProcessor2_0()

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, views: int = 1, **others: Any) -> Tensor:
        """See `AttnProcessor2_0`; the view index of [B V, n, d] runs fastest."""
        joined = hidden_states.unflatten(0, (-1, views)).flatten(1, 2)
        out = self.inner(attn, joined, *args, **others)
        return out.unflatten(1, (views, -1)).flatten(0, 1)


class PerView:
    """Attention to the prompt, view by view."""

    def __init__(self) -> None:
        self.inner = AttnProcessor2_0()

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, views: int = 1, **others: Any) -> Tensor:
        """See `AttnProcessor2_0`."""
        del views
        return self.inner(attn, hidden_states, *args, **others)


def build(config: Mapping[str, Any] = CONFIG) -> UNet2DConditionModel:
    """An untrained U-Net that mixes views."""
    unet = UNet2DConditionModel(**dict(config))
    own = {name: Mixing() if ".attn1." in name else PerView() for name in unet.attn_processors}
    unet.set_attn_processor(own)
    return unet


def noise(unet: UNet2DConditionModel, z: Tensor, t: Tensor, prompt: Tensor, views: int) -> Tensor:
    """The noise [B V, 4, h, w] that it sees in latents at times [B V], views of a scene beside each other."""
    text = prompt.to(z).expand(len(z), *prompt.shape[-2:])
    return unet(z, t, text, cross_attention_kwargs={_VIEWS: views}, return_dict=False)[0]
