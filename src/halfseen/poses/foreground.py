"""What of a photo is the object: GrabCut (Rother et al. 2004) from a frame that the object is taken not to touch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from halfseen.common.errors import UserError
from halfseen.data import build, normalise
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
# A ground is of one colour where no pixel of the rim differs more from its mean; and what differs more than this is the object.
_EVEN, _STANDS_OUT = 0.02, 0.05
# Pixels of the ring by which specks are taken off, and how far from the middle a piece counts (half pictures).
_SPECK, _MIDDLE = 3, 0.35


# A window of a picture: left, top, right and bottom in its sides.
Box = tuple[float, float, float, float]


def cut(photo: Tensor, box: Box | None = None) -> Tensor:
    """Coverage [H, W] of the one object in a photo [H, W, 3] with everything else around it; always the same for one photo. Where the object
    lies in a `box` that it does not touch, that is where it is looked for; else in frames around the picture's middle."""
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
    for window in (*([box] if box else []), *((rim, rim, 1 - rim, 1 - rim) for rim in _RIMS)):
        found, touches = _within(pixels, window)
        if touches <= _TOUCHES and bool(found.any()):
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


def even(photo: Tensor) -> Tensor | None:
    """Coverage [H, W] of what stands before a ground of one colour, as renderings and cut-outs have it; None where the rim is not of one colour,
    or little or nearly all stands out. Openings stay open, which a cut by regions would fill."""
    rgb = photo[..., :3]
    rim = color.rim(rgb)
    sides = torch.cat([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    if float((sides - rim).abs().max()) > _EVEN:
        return None
    apart = (rgb - rim).abs().amax(-1)[None, None]
    found = (apart > _STANDS_OUT).float()
    # Of pixels at the outline, which show a part of both, those that are more of the object's colour than of the ground's.
    outline = F.max_pool2d(1 - found, 3, 1, 1)
    half = apart >= F.max_pool2d(apart, 3, 1, 1) / 2
    found = (found * torch.where(outline > 0, half, 1))[0, 0]
    return found if _LEAST <= float(found.mean()) <= _MOST else None


def _within(pixels: np.ndarray, box: Box) -> tuple[np.ndarray, float]:
    """The object within a window [H, W], and the share of the window's inner edge that it touches."""
    high, wide = pixels.shape[:2]
    left, top = (max(1, round(share * n)) for share, n in zip(box[:2], (wide, high), strict=True))
    right, bottom = (min(n - 1, round(share * n)) for share, n in zip(box[2:], (wide, high), strict=True))
    labels, back, fore = np.zeros((high, wide), np.uint8), np.zeros((1, _MIXTURE)), np.zeros((1, _MIXTURE))
    # Its Gaussians begin at means drawn from a generator of OpenCV's own.
    cv2.setRNGSeed(0)
    cv2.grabCut(pixels, labels, (left, top, right - left, bottom - top), back, fore, _ROUNDS, cv2.GC_INIT_WITH_RECT)
    found = _middle_most(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8))
    inner = found[top:bottom, left:right]
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


def boxes(capture: Capture) -> list[Box | None]:
    """For each photo of a posed capture, the window around a ball where all cameras look, as large as photos show it whole."""
    cameras = capture.cameras()
    focus = normalise.measure(capture).focus.double()
    local = cameras.c2w.double().inverse() @ torch.cat([focus, torch.ones(1, dtype=torch.float64)])
    focal, centre, sizes = (t.double() for t in (cameras.intrinsics[:, :2], cameras.intrinsics[:, 2:], cameras.sizes))
    at = focal * local[:, :2] / local[:, 2:3] + centre
    shown = (local[:, 2] > 0) & (at > 0).all(-1) & (at < sizes).all(-1)
    reach = (torch.minimum(at, sizes - at) / focal).amin(-1) * local[:, 2]
    if not bool(shown.any()):
        return [None] * len(capture)
    half = reach[shown].median() * focal / local[:, 2:3]
    low, high = ((at - half) / sizes).clamp(_RIMS[0], 1), ((at + half) / sizes).clamp(0, 1 - _RIMS[0])
    windows = torch.cat([low, high], -1).tolist()
    return [(w[0], w[1], w[2], w[3]) if there else None for w, there in zip(windows, shown.tolist(), strict=True)]


def stated(view: View) -> tuple[Picture | None, str] | None:
    """What of a photo is the object as the photo itself says it, and how; None for the picture where its own transparency does. None where
    nothing says it."""
    if view.mask is not None:
        return view.mask, "the object is cut out by its mask"
    path = view.image.path if isinstance(view.image, PictureFile) else None
    beside = None if path is None else path.with_name(path.stem + build.MASK_BESIDE)
    if beside is not None and beside.is_file():
        found = build.picture(beside)
        build.check_aspect((found.width, found.height), view.image, beside.name)
        return found, f"the object is cut out by {beside.name}"
    pixels = view.image.read()
    if pixels.shape[-1] == 4 and bool((pixels[..., 3] < 1).any()):
        return None, "the object is cut out by the picture's transparency"
    if (apart := even(pixels)) is not None:
        return PictureArray(apart), "the object is what stands out from a ground of one colour"
    return None


def alone(capture: Capture) -> bool:
    """Whether every photo says by itself what is the object."""
    if capture.mask_role is not None:
        return capture.mask_role == "object"
    return all(stated(view) is not None for view in capture.views)


def mask_of(view: View, box: Box | None = None) -> tuple[Picture | None, str]:
    """What of a photo is the object, and who said so (see `stated`). Where nothing does it is cut out."""
    if (found := stated(view)) is not None:
        return found
    around = "the picture's middle" if box is None else "where all cameras look"
    return (
        PictureArray(cut(view.image.read()[..., :3], box)),
        f"the object was cut out by GrabCut, which took what is around {around} for background (look at the mask; a better one is read from {PurePosixPath(view.name).stem}{build.MASK_BESIDE} beside the photo)",
    )


def masks(capture: Capture, ids: Collection[int]) -> dict[int, tuple[Picture | None, str]]:
    """`mask_of` some views; of photos with cameras the object is where all of them look."""
    windows = boxes(capture) if capture.posed and len(capture) > 1 else [None] * len(capture)
    return {i: mask_of(capture.views[i], windows[i]) for i in sorted(ids)}


def said(found: Mapping[int, tuple[Picture | None, str]]) -> tuple[str, ...]:
    """By what objects were cut out, in sentences."""
    words = [w for _, w in found.values()]
    return tuple(f"{words.count(w)} of {len(words)} photos: {w}" for w in dict.fromkeys(words))


def cut_out(capture: Capture, ids: Collection[int]) -> Capture:
    """The capture with a mask of the object for each of some views, where no view says anything of it; its notes say by what."""
    if capture.mask_role is not None or any(v.mask is not None for v in capture.views):
        return capture
    found = masks(capture, ids)
    if all(mask is None for mask, _ in found.values()):
        return capture
    views = list(capture.views)
    for i, (mask, _) in found.items():
        own = PictureArray(views[i].image.read()[..., 3]) if mask is None else mask
        views[i] = replace(views[i], mask=own)
    return replace(capture, views=tuple(views), mask_role="object", background=color.WHITE).noted(*said(found))
