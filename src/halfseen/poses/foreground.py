"""What of a photo is the object: GrabCut (Rother et al. 2004) from a frame that the object is taken not to touch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from halfseen.common.errors import UserError
from halfseen.data import build
from halfseen.data.capture import Capture, Picture, PictureArray, PictureFile, View
from halfseen.images import color, resize

# Frames around the object, as shares of the picture's sides, of which the widest counts that the object does not touch: at most so much of
# the frame's inner edge may be object. A table that reaches to the picture's rim is background of the next frame.
_RIMS, _TOUCHES = (0.04, 0.1, 0.16, 0.22, 0.28), 0.05
# Rounds of the cut, and the longer side that is cut (pixels): what is larger is cut small, and its outline made large again.
_ROUNDS, _SIZE = 5, 384
# Of the picture an object covers at least, and at most.
_LEAST, _MOST = 0.01, 0.95
# Pixels of a side at least; and numbers of each of OpenCV's two mixtures of five Gaussians.
_LEAST_SIDE, _MIXTURE = 16, 65
# Pixels of the ring by which specks are taken off, and how far from the middle a piece counts (half pictures).
_SPECK, _MIDDLE = 3, 0.35


def cut(photo: Tensor) -> Tensor:
    """Coverage [H, W] of the one object in a photo [H, W, 3] with everything else around it; always the same for one photo."""
    height, width = photo.shape[:2]
    wide, high = resize.fit(width, height, _SIZE)
    if min(wide, high) < _LEAST_SIDE:
        raise UserError(
            "the photo is too small or too narrow to tell an object from what is around it",
            got=f"{width} x {height} pixels",
            accepted=f"at least {_LEAST_SIDE} on the shorter side when the longer has {_SIZE} at most",
            do="Give a mask (PHOTO.mask.png beside the photo, white where the object is) or a larger photo.",
        )
    small = resize.resize(photo[..., :3], wide, high)
    pixels = (small.numpy()[..., ::-1] * 255 + 0.5).astype(np.uint8).copy()
    found = np.zeros(pixels.shape[:2], np.uint8)
    for rim in _RIMS:
        found, touches = _within(pixels, rim)
        if touches <= _TOUCHES:
            break
    share = float(found.mean())
    if not _LEAST <= share <= _MOST:
        raise UserError(
            "no object can be told from what is around it",
            got=f"{100 * share:.0f} % of the photo",
            accepted="one object on a plain ground that does not touch the rim",
            do="Give a mask (PHOTO.mask.png beside the photo, white where the object is) or a picture with transparency.",
        )
    return resize.resize(torch.from_numpy(found)[..., None].float(), width, height)[..., 0].clamp(0, 1)


def _within(pixels: np.ndarray, rim: float) -> tuple[np.ndarray, float]:
    """The object within a frame [H, W], and the share of the frame's inner edge that it touches."""
    high, wide = pixels.shape[:2]
    left, top = max(1, round(rim * wide)), max(1, round(rim * high))
    labels, back, fore = np.zeros((high, wide), np.uint8), np.zeros((1, _MIXTURE)), np.zeros((1, _MIXTURE))
    # Its Gaussians begin at means drawn from a generator of OpenCV's own.
    cv2.setRNGSeed(0)
    cv2.grabCut(
        pixels, labels, (left, top, wide - 2 * left, high - 2 * top), back, fore, _ROUNDS, cv2.GC_INIT_WITH_RECT
    )
    found = _middle_most(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))
    inner = found[top : high - top, left : wide - left]
    edge = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    return found, float(edge.mean())


def _middle_most(mask: np.ndarray) -> np.ndarray:
    """The piece of a mask that has most of the picture's middle, without its specks."""
    ring = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK, _SPECK))
    count, labels, _, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(mask, cv2.MORPH_OPEN, ring))
    if count < 2:
        return np.zeros_like(mask)
    y, x = (np.linspace(-1, 1, n) for n in mask.shape)
    near = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * _MIDDLE**2))
    weight = np.bincount(labels.reshape(-1), near.reshape(-1), count)
    return (labels == 1 + int(weight[1:].argmax())).astype(np.uint8)


def picture(image: Picture) -> PictureArray:
    """`cut` of a picture, as a mask."""
    return PictureArray(cut(image.read()[..., :3]))


def mask_of(view: View) -> tuple[Picture | None, str]:
    """What of a photo is the object, and who said so; None where the picture's own transparency does."""
    if view.mask is not None:
        return view.mask, "the object is cut out by its mask"
    path = view.image.path if isinstance(view.image, PictureFile) else None
    beside = None if path is None else path.with_name(path.stem + build.MASK_BESIDE)
    if beside is not None and beside.is_file():
        found = build.picture(beside)
        build.check_aspect((view.image.width, view.image.height), found, beside.name)
        return found, f"the object is cut out by {beside.name}"
    pixels = view.image.read()
    if pixels.shape[-1] == 4 and bool((pixels[..., 3] < 1).any()):
        return None, "the object is cut out by the picture's transparency"
    return picture(
        view.image
    ), "the object was cut out by GrabCut, which took what is around the picture's middle for background"


def cut_out(capture: Capture, ids: Collection[int]) -> Capture:
    """The capture with a mask of the object for each of some views, where no view says anything of it; its notes say by what."""
    if capture.mask_role is not None or any(v.mask is not None for v in capture.views):
        return capture
    found = {i: mask_of(capture.views[i]) for i in sorted(ids)}
    if all(mask is None for mask, _ in found.values()):
        return capture
    views = list(capture.views)
    for i, (mask, _) in found.items():
        own = PictureArray(views[i].image.read()[..., 3]) if mask is None else mask
        views[i] = replace(views[i], mask=own)
    said = {words: sum(w == words for _, w in found.values()) for _, words in found.values()}
    notes = (f"{count} of {len(found)} photos: {words}" for words, count in said.items())
    return replace(capture, views=tuple(views), mask_role="object", background=color.WHITE).noted(*notes)
