"""What an advised photo would show, with what no photo saw marked, beside a plan of all places from above."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from halfseen.fields import seen
from halfseen.images.io import to_bytes
from halfseen.poses.candidates import Place

_SIDE, _DOT, _GAP = 320, 7, 8
_PAPER, _SOFT, _INK, _BEST, _PHOTO = (250, 249, 246), (225, 222, 216), (30, 30, 34), (196, 84, 34), (60, 130, 200)
# Tints of what no photo and of what a single one has shown, and how much of them.
_TINTS, _TINT = {seen.INVENTED: (196, 84, 34), seen.ONE_VIEW: (220, 180, 60)}, 0.45
_RIGHT_ANGLE = 90.0


def draw(
    rgb: Tensor, map_: Tensor | None, gains: Sequence[tuple[Place, float]], photos: Sequence[Place], best: Place
) -> Tensor:
    """[H, W, 3] in [0, 1]: the rendering [h, w, 3] with its seen map, and the plan."""
    left = Image.fromarray(to_bytes(_tinted(rgb, map_)))
    height = max(1, round(_SIDE * left.height / left.width))
    sheet = Image.new("RGB", (2 * _SIDE + _GAP, max(_SIDE, height)), _PAPER)
    sheet.paste(left.resize((_SIDE, height)), (0, (sheet.height - height) // 2))
    sheet.paste(_plan(gains, photos, best), (_SIDE + _GAP, (sheet.height - _SIDE) // 2))
    return torch.from_numpy(np.asarray(sheet).copy()).float() / 255


def _tinted(rgb: Tensor, map_: Tensor | None) -> Tensor:
    if map_ is None:
        return rgb
    out = rgb.cpu().clone()
    for value, tint in _TINTS.items():
        there = map_ == value
        out[there] = (1 - _TINT) * out[there] + _TINT * out.new_tensor(tint) / 255
    return out


def _plan(gains: Sequence[tuple[Place, float]], photos: Sequence[Place], best: Place) -> Image.Image:
    """From above: places are darker the more would be gained, and nearer to the middle the higher they are."""
    plan = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    pen = ImageDraw.Draw(plan)
    most = max(g for _, g in gains) or 1.0
    for place, gain in gains:
        share = gain / most
        colour = tuple(round(s + (b - s) * share) for s, b in zip(_SOFT, _BEST, strict=True))
        _dot(pen, place, _DOT, fill=colour)
    for photo in photos:
        _dot(pen, photo, _DOT - 2, fill=_PHOTO, outline=_INK)
    _dot(pen, best, _DOT + 2, outline=_INK)
    return plan


def _dot(pen: ImageDraw.ImageDraw, place: Place, size: int, **how: object) -> None:
    reach = (_SIDE / 2 - 2 * _DOT) * (1 - max(0.0, place.height) / _RIGHT_ANGLE)
    turn = math.radians(place.azimuth)
    x, y = _SIDE / 2 + reach * math.cos(turn), _SIDE / 2 - reach * math.sin(turn)
    pen.ellipse((x - size, y - size, x + size, y + size), **how)  # type: ignore[arg-type]
