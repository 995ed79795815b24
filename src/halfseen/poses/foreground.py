"""What of a photo is the object: GrabCut (Rother et al. 2004) from a frame that the object is taken not to touch."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from halfseen.common.errors import UserError
from halfseen.data.capture import Picture, PictureArray
from halfseen.images import resize

# The frame around the object, as a share of the picture's sides; rounds; and the longer side that is cut (pixels): what is
# larger is cut small, and its outline made large again.
_RIM, _ROUNDS, _SIZE = 0.04, 8, 512
# Of the picture an object covers at least, and at most.
_LEAST, _MOST = 0.01, 0.95
# Pixels of the ring by which holes and specks are closed.
_SPECK = 5


def cut(photo: Tensor) -> Tensor:
    """Coverage [H, W] of the one object in a photo [H, W, 3] with everything else around it; always the same for one photo."""
    height, width = photo.shape[:2]
    small = resize.resize(photo[..., :3], *resize.fit(width, height, _SIZE))
    pixels = (small.numpy()[..., ::-1] * 255 + 0.5).astype(np.uint8).copy()
    high, wide = pixels.shape[:2]
    left, top = max(1, round(_RIM * wide)), max(1, round(_RIM * high))
    labels, back, fore = np.zeros((high, wide), np.uint8), np.zeros((1, 65)), np.zeros((1, 65))
    # Its Gaussians begin at means drawn from a generator of OpenCV's own.
    cv2.setRNGSeed(0)
    rectangle = (left, top, wide - 2 * left, high - 2 * top)
    cv2.grabCut(pixels, labels, rectangle, back, fore, _ROUNDS, cv2.GC_INIT_WITH_RECT)
    found = _largest(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))
    share = float(found.mean())
    if not _LEAST <= share <= _MOST:
        raise UserError(
            "no object can be told from what is around it",
            got=f"{100 * share:.0f} % of the photo",
            accepted="one object on a plain ground that does not touch the rim",
            do="Give a mask (PHOTO.mask.png beside the photo, white where the object is) or a picture with transparency.",
        )
    return resize.resize(torch.from_numpy(found)[..., None].float(), width, height)[..., 0].clamp(0, 1)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask, without its holes and specks."""
    ring = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK, _SPECK))
    closed = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_OPEN, ring), cv2.MORPH_CLOSE, ring)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return np.zeros_like(mask)
    return (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)


def picture(image: Picture) -> PictureArray:
    """`cut` of a picture, as a mask."""
    return PictureArray(cut(image.read()[..., :3]))
