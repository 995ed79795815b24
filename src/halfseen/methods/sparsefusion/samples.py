"""What a step of training sees: a view of an object that is asked for, and a few photos of it, all in the query's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.methods.sparsefusion import cropped, frame
from halfseen.methods.sparsefusion.epipolar import Query
from halfseen.priors.contract import Batch
from halfseen.worlds.objects import Views

# What is in pixels of a sample, in order.
_PICTURES = ("photos", "target", "mask", "valid")


@dataclass(frozen=True)
class Asked:
    """Queries of one object, with the same photos."""

    query: Query  # of N queries, K photos each
    photos: Tensor  # [N, K, 3, s, s] in [0, 1], over black
    target: Tensor  # [N, 3, s, s]
    mask: Tensor  # [N, 1, s, s] how much of it is the object's
    valid: Tensor  # [N, 1, s, s] where the camera's own frame shows something


def asked(views: Views, queries: list[int], photos: list[int], size: int, shaken: float, rng: torch.Generator) -> Asked:
    """Some views of an object as queries, and some as photos, all cropped as their masks say."""
    which = [*queries, *photos]
    rgb, mask = cropped.on_black(views, which)
    crop = cropped.shaken(cropped.around(mask), shaken, rng)
    held = torch.ones_like(mask) if views.known is None else views.known[which].float()[:, None] / 255
    shown, valid = cropped.cut(rgb, crop, size), cropped.cut(held, crop, size)
    lenses = cropped.lenses(views.cameras[which], crop)
    c2w, count = views.cameras.c2w[which], len(queries)
    middle = frame.middle(c2w[count:], lenses[count:])
    unit = frame.half(c2w[count:], lenses[count:], middle)
    each = [frame.query(c2w[i], lenses[i], c2w[count:], lenses[count:], unit, middle) for i in range(count)]
    told = shown[count:].expand(count, -1, -1, -1, -1)
    return Asked(frame.joined(each), told, shown[:count], cropped.cut(mask, crop, size)[:count], valid[:count])


def mirrored(sample: Asked) -> Asked:
    """The same in a mirror: x points the other way in every camera's frame, and so do all pictures."""
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    query = Query(
        _turned(sample.query.intrinsics),
        flip @ sample.query.photo_to_query @ flip,
        _turned(sample.query.photo_intrinsics),
        sample.query.near_far,
        sample.query.middle @ flip[:3, :3],
    )
    return Asked(query, *(getattr(sample, k).flip(-1) for k in _PICTURES))


def _turned(lenses: Tensor) -> Tensor:
    """Lenses whose middle is as far from the other side."""
    out = lenses.clone()
    out[..., 2] = 1 - out[..., 2]
    return out


def recoloured(sample: Asked, order: Tensor) -> Asked:
    """The same with its colour channels in another order."""
    return replace(sample, photos=sample.photos[:, :, order], target=sample.target[:, order])


def to_plain(sample: Asked) -> dict[str, Tensor]:
    """As tensors of a batch, of one query."""
    query = {f"query_{k}": v[0] for k, v in vars(sample.query).items()}
    return {**query, **{k: getattr(sample, k)[0] for k in _PICTURES}}


def from_plain(plain: Batch) -> Asked:
    """The samples of a batch."""
    return Asked(query_of(plain), *(plain[k] for k in _PICTURES))


def on(sample: Asked, device: torch.device) -> Asked:
    """The same on a device."""
    query = Query(*(v.to(device) for v in vars(sample.query).values()))
    return Asked(query, *(getattr(sample, k).to(device) for k in _PICTURES))


def query_of(plain: Batch) -> Query:
    """The queries of a batch."""
    return Query(**{k.removeprefix("query_"): v for k, v in plain.items() if k.startswith("query_")})
