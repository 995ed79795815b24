"""Between a field of Gaussians in the box and splats of a file in the user's frame. Spherical harmonics turn with the frame."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras.rotations import matrix_to_quaternion, quaternion_to_matrix
from halfseen.cameras.similarity import Similarity
from halfseen.data.splat_files import Splats
from halfseen.fields import gaussians, harmonics
from halfseen.fields.gaussians import Gaussians


def splats_of(field: Gaussians, seen: Tensor | None = None, comments: tuple[str, ...] = ()) -> Splats:
    """The field in the user's frame; `seen` [N] is how many photos see each Gaussian."""
    v = {k: t.detach().cpu() for k, t in field.values.items()}
    moved = _moved({**v, "sh": torch.cat([v["sh0"], v["sh"]], 1)}, field.to_user)
    views = None if seen is None else seen.clamp(max=2).to(torch.uint8).numpy()
    xyz, scale, turn, opacity, sh = (moved[k].float().numpy() for k in ("xyz", "scale", "turn", "opacity", "sh"))
    return Splats(xyz, scale, turn, opacity, sh, views, comments)


def field_of(splats: Splats, to_user: Similarity) -> Gaussians:
    """A field, in the box that `to_user` leads out of, of splats in the user's frame."""
    parts = (splats.xyz, splats.scale, splats.turn, splats.opacity, splats.sh)
    values = {
        k: torch.from_numpy(np.array(a)) for k, a in zip(("xyz", "scale", "turn", "opacity", "sh"), parts, strict=True)
    }
    moved = _moved(values, to_user.inverse())
    count, functions = moved["sh"].shape[:2]
    tensors = {**moved, "sh0": moved["sh"][:, :1], "sh": moved["sh"][:, 1:]}
    tensors |= {"push": torch.zeros(count), "sights": torch.zeros(count), "progress": torch.ones(())}
    config = gaussians.Config(start=count, most=max(count, 1), bands=math.isqrt(functions))
    return Gaussians({k: t.float().contiguous() for k, t in tensors.items()}, to_user, config)


def _moved(values: dict[str, Tensor], by: Similarity) -> dict[str, Tensor]:
    """Gaussians (all of `sh` together) under a similarity; places in double precision, because users' frames may be far away."""
    turn = by.rotation @ quaternion_to_matrix(values["turn"].double())
    return {
        "xyz": by.points(values["xyz"].double()),
        "scale": values["scale"] + math.log(by.scale),
        "turn": matrix_to_quaternion(turn),
        "opacity": values["opacity"],
        "sh": harmonics.rotate(values["sh"], by.rotation),
    }
