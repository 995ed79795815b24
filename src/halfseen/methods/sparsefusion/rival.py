"""What SparseFusion is shown beside: pixelNeRF (Yu et al. 2021) of a few photos. A network gives features of each photo, every sample of a ray
looks up those that it falls on, and their mean over photos gives density and colour.

    L = mean |C(r) - x(r)|^2 + w mean |alpha(r) - mask(r)|^2   over rays r of a query, over black

Its frame is a cube with the axes of the first photo's camera, around the object's middle, in lengths of `frame`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.common.config import within
from halfseen.common.rng import generator
from halfseen.fields import batched, projection
from halfseen.fields.batched import Many
from halfseen.fields.samplers import Sampling
from halfseen.methods.sparsefusion.epipolar import Query
from halfseen.methods.sparsefusion.samples import Asked
from halfseen.priors.networks import blocks, unet

# Channels of a photo: colours, which features carry on as they are and loud enough to be heard, and where pixels are.
_COLOURS, _SHOWN, _LOUD = 3, 5, 6.0
# Rays of a whole picture that are traced at once.
_AT_ONCE = 1024


@dataclass(frozen=True)
class Config:
    """Sizes: about as many parameters as the transformer and the latent diffusion model have together."""

    unet: unet.Config = field(
        default_factory=lambda: unet.Config(
            inside=_SHOWN, outside=48, widths=(48, 96, 128), blocks=1, block=2, attention=(2,)
        )
    )
    layers: projection.Layers = field(default_factory=lambda: projection.Layers(octaves=6, width=96, blocks=3))
    sampling: Sampling = field(default_factory=lambda: Sampling("proposed", uniform=32, resampled=24))
    rays: int = 128  # of a query, in a step
    opacity: float = 0.1

    def __post_init__(self) -> None:
        within("rival.rays", self.rays, 1, 1 << 20)
        within("rival.opacity", self.opacity, 0, 1e6)

    @property
    def channels(self) -> int:
        """Of the features."""
        return self.unet.outside + _COLOURS


class PhotosToField(nn.Module):
    """Features [B, K, C, H, W] of photos [B, K, 3, H, W] in [0, 1], and the layers that read them."""

    def __init__(self, config: Config, seed: int) -> None:
        super().__init__()
        self.config = config
        self.unet = unet.Unet(config.unet)
        start = projection.create_layers(config.layers, config.channels, generator(seed, "sparsefusion/rival"))
        # Names of parameters have no dots.
        self.layers = nn.ParameterDict({k.replace(".", "_"): nn.Parameter(v) for k, v in start.items()})

    def forward(self, photos: Tensor) -> Tensor:
        """See the class."""
        flat = 2 * photos.flatten(0, 1) - 1
        found = torch.cat([self.unet(torch.cat([flat, blocks.places(flat)], 1)).float(), _LOUD * flat], 1)
        return found.unflatten(0, photos.shape[:2])

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the layers, by the names that fields have for them."""
        return {k.replace("_", "."): v for k, v in self.layers.items()}

    def fields(self, encoded: Tensor, query: Query) -> Many:
        """The fields of encoded photos, in their frames."""
        into, pinhole, _ = placed(query)
        return projection.many_of(encoded, into, pinhole, self.weights, self.config.layers)


def placed(query: Query) -> tuple[Tensor, Tensor, Tensor]:
    """What takes positions of the fields' frame into the photos' [B, K, 3, 4], the photos' pinholes there [B, K, 6], and the query's pose in the
    fields' frame [B, 3, 4]."""
    turn, eyes = query.photo_to_query[..., :3, :3], query.photo_to_query[..., :3, 3]
    first, middle = turn[:, 0], query.middle
    into = turn.transpose(-1, -2) @ first[:, None]
    into = torch.cat([into, torch.zeros_like(eyes)[..., None]], -1)
    eye = (turn.transpose(-1, -2) @ (eyes - middle[:, None])[..., None])[..., 0]
    lens = query.photo_intrinsics
    pinhole = torch.cat([eye, lens[..., :2].mean(-1, keepdim=True), lens[..., 2:]], -1)
    pose = torch.cat([first.transpose(-1, -2), -(first.transpose(-1, -2) @ middle[..., None])], -1)
    return into, pinhole, pose


def rays_of(query: Query, at: Tensor) -> tuple[Tensor, Tensor]:
    """(origins, unit directions) [B, P, 3], in the fields' frame, of rays through places [B, P, 2] of the queries, which are 1 wide."""
    pose = placed(query)[2]
    slope = (at - query.intrinsics[:, None, 2:]) / query.intrinsics[:, None, :2]
    towards = F.normalize(torch.cat([slope, torch.ones_like(slope[..., :1])], -1), dim=-1)
    directions = towards @ pose[..., :3].transpose(-1, -2)
    return pose[:, None, :, 3].expand_as(directions), directions


def loss(network: nn.Module, asked: Asked, rng: torch.Generator) -> dict[str, Tensor]:
    """See the module; rays go through random pixels that the queries' own frames hold."""
    found = network(asked.photos)
    own = unwrapped(network)
    config, size = own.config, asked.target.shape[-1]
    shape = (len(asked.target), config.rays)
    at = torch.randint(size * size, shape, generator=rng).to(asked.target.device)
    xy = torch.stack([at % size, at // size], -1) + 0.5
    origins, directions = rays_of(asked.query, xy / size)
    black = torch.zeros(len(at), _COLOURS, device=at.device)
    traced = batched.trace(own.fields(found, asked.query), origins, directions, config.sampling, black, rng)
    rgb, mask, valid = (_at(t, at) for t in (asked.target, asked.mask, asked.valid))
    colour = ((traced.rgb - rgb).square() * valid).mean()
    opacity = ((traced.alpha - mask[..., 0]).square() * valid[..., 0]).mean()
    return {"loss": colour + config.opacity * opacity, "colour": colour, "opacity": opacity}


def pictures(network: nn.Module, asked: Asked) -> Tensor:
    """Whole pictures [B, 3, s, s] of queries over black."""
    own, size = unwrapped(network), asked.target.shape[-1]
    at = rays.pixel_centres(size, size, asked.target.device)[None] / size
    origins, directions = rays_of(asked.query, at.expand(len(asked.target), -1, -1))
    scene = own.fields(network(asked.photos), asked.query)
    black = torch.zeros(len(origins), _COLOURS, device=at.device)
    parts = [
        batched.trace(scene, o, d, own.config.sampling, black).rgb
        for o, d in zip(origins.split(_AT_ONCE, 1), directions.split(_AT_ONCE, 1), strict=True)
    ]
    return torch.cat(parts, 1).movedim(1, -1).unflatten(-1, (size, size)).clamp(0, 1)


def unwrapped(network: nn.Module) -> PhotosToField:
    """The network itself, whatever several processes wrapped around it."""
    found = getattr(network, "module", network)
    assert isinstance(found, PhotosToField)
    return found


def _at(pictures: Tensor, at: Tensor) -> Tensor:
    """Pixels [B, P, C] of pictures [B, C, s, s] by their numbers [B, P]."""
    flat = pictures.flatten(2)
    return flat.gather(2, at[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)
