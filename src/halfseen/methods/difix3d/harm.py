"""What few-view reconstructions suffer, done to splats of a world's true surfaces: in tens of milliseconds, without a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity
from halfseen.common.config import within
from halfseen.data.splat_files import C0
from halfseen.fields import gaussian_seeds, gaussians
from halfseen.fields.gaussians import Gaussians


@dataclass(frozen=True)
class Harm:
    """The worst of each kind; every pair draws how much of it, from nothing to this. Sources: ours, by looking at fits of three views."""

    # Depth of a photo's surface, off by this share of itself, over patches of 1/4 to 1/24 of the picture.
    depth: float = 0.06
    # Spread of a splat's place in its radii, of the logarithm of its radii, and of its colour.
    place: float = 1.2
    radius: float = 0.6
    colour: float = 0.06
    # Share of splats lost in blobs, and of those made thin.
    lost: float = 0.35
    thin: float = 0.5
    # Splats hanging between cameras and things, at most so many, of this radius as a share of their distance.
    floaters: int = 60
    floater_radius: float = 0.08
    # Photos are brighter or darker than each other by so many stops.
    stops: float = 0.15

    def __post_init__(self) -> None:
        within("harm.lost", self.lost, 0, 0.95)
        within("harm.floaters", self.floaters, 0, 10_000)


# Splats that pairs are made of, at most; what blobs that are lost measure as shares of the scene; opacity of what is whole.
_MOST, _BLOBS, _WHOLE = 20_000, 12, 0.95
# Radius of a whole splat in pixels of its photo; what covers less of a pixel than this has no colour of its own.
_RADIUS, _LEAST_COVER = 0.42, 0.05
# Cells of the grids on which depth is off: between these, over the picture's longer side.
_CELLS = (4, 24)
# Added to the logits of opacity of what is thin, and the logit of what is lost; splats among which a quantile is looked for.
_THIN, _GONE, _ASKED = 2 * math.log(0.25), -20.0, 4096
# Floaters: the share of the way to things at which the nearest hangs, and how much farther others do; least radius and its range in shares
# of the full one; mean logit of opacity; spread of colours; amounts are drawn to this further power.
_WAY, _LEAST_SIZE, _FAINT, _GAUDY, _FEW = (0.15, 0.7), 0.3, -0.5, 0.5, 2
# Amounts are uniform draws to this power: most are mild.
_MILD = 1.7


def splats(rgb: Tensor, depth: Tensor, cover: Tensor, cameras: Cameras, harm: Harm, rng: torch.Generator) -> Gaussians:
    """Splats at the surfaces that photos [V, H, W, 3] with z-depths and coverage [V, H, W] show, harmed. What covers a part of a
    pixel alone stands before white there, and is as thin."""
    much = (torch.rand(8, generator=rng) ** _MILD).tolist()
    own = ((rgb - (1 - cover[..., None])) / cover[..., None].clamp_min(_LEAST_COVER)).clamp(0, 1)
    parts = [
        _surface(own[i], _off(depth[i], much[0] * harm.depth, rng), cover[i], cameras[i], much[1] * harm.stops, rng)
        for i in range(len(rgb))
    ]
    seeds = gaussian_seeds.joined([p for p, _ in parts])
    config = gaussians.Config(start=_MOST, most=_MOST, bands=1, first_radius=_RADIUS)
    found = gaussian_seeds.Seeds(
        seeds.xyz, torch.cat([seeds.rgb, torch.cat([c for _, c in parts])[:, None]], 1), seeds.radius
    )
    thinned = gaussian_seeds.thinned(found, _MOST, rng)
    field = gaussians.create(
        Similarity.identity(),
        config,
        int(torch.randint(2**31, (), generator=rng)),
        rgb.device,
        seeds=gaussian_seeds.Seeds(thinned.xyz, thinned.rgb[:, :3], thinned.radius),
    )
    with torch.no_grad():
        field.values["opacity"].copy_(torch.logit(_WHOLE * thinned.rgb[:, 3].clamp(_LEAST_COVER, 1)))
        _shaken(field, harm, much, rng)
        return _joined(field, _floaters(field, cameras, harm, much[6], rng))


def _surface(
    rgb: Tensor, depth: Tensor, cover: Tensor, camera: Cameras, stops: float, rng: torch.Generator
) -> tuple[gaussian_seeds.Seeds, Tensor]:
    """A splat for each pixel that shows something, in a photo's own exposure, and how much of the pixel it covers."""
    z = depth.reshape(-1)
    has, ray = z > 0, rays.cast_all(camera)
    gain = 2 ** (stops * float(torch.randn((), generator=rng)))
    xyz = ray.at_depth(z.to(ray.z_scale))[has]
    colour = (rgb.reshape(-1, 3)[has] * gain).clamp(0, 1)
    radius = (z[has] / float(camera.intrinsics[0, 0])).float()
    return gaussian_seeds.Seeds(xyz.float(), colour.float(), radius), cover.reshape(-1)[has]


def _off(depth: Tensor, amount: float, rng: torch.Generator) -> Tensor:
    """Depth [H, W] times a smooth field around one."""
    height, width = depth.shape
    low, high = (math.log(c) for c in _CELLS)
    cells = math.exp(low + (high - low) * float(torch.rand((), generator=rng)))
    grid = torch.randn(1, 1, max(2, round(cells * height / width)), max(2, round(cells)), generator=rng)
    field = F.interpolate(grid, (height, width), mode="bicubic", align_corners=True)[0, 0]
    return depth * torch.exp(amount * field)


def _shaken(field: Gaussians, harm: Harm, much: list[float], rng: torch.Generator) -> None:
    """Places, radii, colours and opacities off; some thin, some lost in blobs."""
    v, n = field.values, len(field)
    radius = v["scale"].mean(1, keepdim=True).exp()
    v["xyz"] += much[2] * harm.place * radius * torch.randn(n, 3, generator=rng)
    v["scale"] += much[3] * harm.radius * (torch.randn(n, 3, generator=rng) + torch.randn(n, 1, generator=rng))
    v["sh0"] += much[4] * harm.colour / C0 * torch.randn(n, 1, 3, generator=rng)
    thin = torch.rand(n, generator=rng) < much[5] * harm.thin
    v["opacity"][thin] += _THIN
    centres = v["xyz"][torch.randint(n, (_BLOBS,), generator=rng)]
    spread = (v["xyz"] - v["xyz"].mean(0)).norm(dim=-1).median()
    near = torch.cdist(v["xyz"], centres).min(1).values
    share = float(torch.rand((), generator=rng)) * harm.lost
    lost = (near < torch.quantile(near[:: max(1, n // _ASKED)], share)) & (near < spread)
    v["opacity"][lost] = _GONE


def _floaters(field: Gaussians, cameras: Cameras, harm: Harm, much: float, rng: torch.Generator) -> Gaussians | None:
    """Large faint splats on the way from cameras to things, in the things' colours."""
    count = int(much**_FEW * harm.floaters)
    if count == 0:
        return None
    at = torch.randint(len(field), (count,), generator=rng)
    of = torch.randint(len(cameras), (count,), generator=rng)
    centre = cameras.centres[of].float()
    way = _WAY[0] + _WAY[1] * torch.rand(count, 1, generator=rng)
    xyz = centre + way * (field.values["xyz"][at] - centre)
    size = (xyz - centre).norm(dim=-1, keepdim=True) * harm.floater_radius
    draw = torch.rand(count, 3, generator=rng) + _LEAST_SIZE
    own = {k: t[at].clone() for k, t in field.values.items()}
    own |= {
        "xyz": xyz,
        "scale": (size * draw).log(),
        "opacity": torch.randn(count, generator=rng) + _FAINT,
        "sh0": own["sh0"] + _GAUDY * torch.randn(count, 1, 3, generator=rng),
    }
    return _of(own, field)


def _joined(field: Gaussians, more: Gaussians | None) -> Gaussians:
    if more is None:
        return field
    return _of({k: torch.cat([field.values[k], more.values[k]]) for k in field.values}, field)


def _of(values: dict[str, Tensor], like: Gaussians) -> Gaussians:
    """Gaussians of these values."""
    count = len(values["xyz"])
    state = {k: v.detach() for k, v in values.items()}
    state |= {k: torch.zeros(count) for k in ("push", "sights")} | {"progress": torch.ones(())}
    return Gaussians(state, like.to_user, replace(like.config, most=max(count, like.config.most)))
