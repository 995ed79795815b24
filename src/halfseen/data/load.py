"""From picture sources to pixels: decode, shrink, undistort, composite. The only place where a capture becomes heavy."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from halfseen.cameras import lens as lenses
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.lens import Lens
from halfseen.data.capture import Capture, Colour, Depth, MaskRole, PictureArray, View
from halfseen.images import color, resize

# Outside an object's mask a picture counts as one constant colour when nearly all pixels are within three 8-bit steps of it;
# the rest may be the object's own antialiased border.
CONSTANT_TOLERANCE = 3 / 255
CONSTANT_SHARE = 0.95
# A mask pixel counts as outside below this value, away from antialiased borders.
_OUTSIDE = 0.01


def load(capture: Capture, max_size: int) -> Capture:
    """Decode all views at no more than `max_size` pixels on the longer side, undistorted, objects over their background.

    Afterwards every picture is an array, every lens is a pinhole, and cameras fit their pictures exactly.
    """
    views = tuple(load_view(v, max_size) for v in capture.views)
    transparent = any(v.image.pixels.shape[-1] == 4 for v in views if isinstance(v.image, PictureArray))
    views = tuple(_split_alpha(v) for v in views)
    role, background, note = _mask_meaning(capture, views, transparent)
    if role == "object" and background is not None:
        views = tuple(_composite(v, background) for v in views)
    loaded = replace(capture, views=views, mask_role=role, background=background)
    return loaded.noted(note) if note else loaded


def load_view(view: View, max_size: int) -> View:
    """Decode one view; without a camera it is only shrunk. Transparency stays in the fourth channel."""
    pixels = view.image.read()
    width, height = resize.fit(view.image.width, view.image.height, max_size)
    pixels = resize.resize(pixels, width, height)
    mask = None if view.mask is None else resize.resize(view.mask.read_grey()[..., None], width, height)[..., 0]
    if view.camera is None:
        return replace(view, image=PictureArray(pixels), mask=None if mask is None else PictureArray(mask))
    source = view.camera.resized(width, height)
    return relens(
        replace(view, image=PictureArray(pixels), mask=None if mask is None else PictureArray(mask)),
        source,
        lenses.pinhole_for(source, view.lens),
    )


def relens(view: View, source: Cameras, target: Cameras) -> View:
    """Resample a view, whose picture fits the (distorted) camera `source`, to the pinhole camera `target` of the same pose.

    Where the target sees beyond the photo, the pixels are unknown: the mask says so.
    """
    depth = None if view.depth is None else _depth_on(view.depth, source, view.lens, target)
    bent = view.lens.bends or source is not target
    pixels = view.image.read()
    mask = None if view.mask is None else view.mask.read_grey()
    if bent:
        at = lenses.source_pixels(source, view.lens, target)
        known = resize.inside(at, *source.size())
        pixels = resize.sample(pixels, at)
        mask = None if mask is None else resize.sample(mask[..., None], at)[..., 0]
        if not known.all():
            mask = known.float() if mask is None else mask * known
    return replace(
        view,
        image=PictureArray(pixels),
        mask=None if mask is None else PictureArray(mask),
        depth=depth,
        camera=target,
        lens=Lens(),
    )


def stack_rgb(capture: Capture) -> Tensor:
    """All pixels of a loaded capture's pictures, one after the other: [P, 3]."""
    return torch.cat([v.image.read()[..., :3].reshape(-1, 3) for v in capture.views])


def stack_masks(capture: Capture) -> Tensor:
    """All mask pixels of a loaded capture [P]; views without a mask are all ones."""
    return torch.cat(
        [
            (torch.ones(v.image.height, v.image.width) if v.mask is None else v.mask.read_grey()).reshape(-1)
            for v in capture.views
        ]
    )


def aligned_depth(view: View) -> Depth | None:
    """The view's depth on its own picture's pixels, resampled when the depth camera has intrinsics of its own."""
    if view.depth is None or view.depth.intrinsics is None or view.camera is None:
        return view.depth
    return _depth_on(view.depth, view.camera, Lens(), view.camera)


def _depth_on(depth: Depth, source: Cameras, lens: Lens, target: Cameras) -> Depth:
    """Nearest depth for each pixel of `target`, through the depth camera's own intrinsics when it has them."""
    raw = torch.from_numpy(depth.read())
    if depth.intrinsics is not None:
        intrinsics = target.intrinsics.new_tensor([depth.intrinsics])
        at = lenses.source_pixels(replace(source, intrinsics=intrinsics), Lens(), target)
    else:
        at = (
            lenses.source_pixels(source, lens, target)
            * target.intrinsics.new_tensor([depth.width, depth.height])
            / source.sizes[0]
        )
    values = resize.sample(raw[..., None], at, mode="nearest")[..., 0].float()
    return Depth(values, values.shape[1], values.shape[0])


def _split_alpha(view: View) -> View:
    """Move transparency into the mask, where it joins a mask that is there already."""
    pixels = view.image.read()
    if pixels.shape[-1] != 4:
        return view
    alpha = pixels[..., 3] if view.mask is None else pixels[..., 3] * view.mask.read_grey()
    return replace(view, image=PictureArray(pixels[..., :3]), mask=PictureArray(alpha))


def _mask_meaning(
    capture: Capture, views: tuple[View, ...], transparent: bool
) -> tuple[MaskRole | None, Colour | None, str | None]:
    """What the masks mean, and the colour behind an object. Stated roles win; transparency means object over white."""
    if all(v.mask is None for v in views):
        return None, capture.background, None
    if transparent:
        return "object", capture.background or color.WHITE, None
    if capture.mask_role is not None:
        background = capture.background or color.WHITE
        return capture.mask_role, (background if capture.mask_role == "object" else None), None
    constant = _constant_outside(views)
    if constant is not None:
        rgb = ", ".join(f"{c:.2f}" for c in constant)
        return "object", constant, f"masks are taken as the object, because all pictures are ({rgb}) outside them"
    return (
        "valid",
        None,
        'masks are taken as the usable part of each photo (black is ignored); state "mask_role": "object" if they cut out the object',
    )


def _constant_outside(views: tuple[View, ...]) -> Colour | None:
    """The one colour that all pictures have outside their masks, or None."""
    outside = [v.image.read()[v.mask.read_grey() < _OUTSIDE] for v in views if v.mask is not None]
    pixels = torch.cat([p[..., :3] for p in outside])
    if len(pixels) == 0:
        return None
    middle = pixels.median(0).values
    if float(((pixels - middle).abs().amax(-1) <= CONSTANT_TOLERANCE).float().mean()) < CONSTANT_SHARE:
        return None
    r, g, b = (round(c, 3) for c in middle.tolist())
    return r, g, b


def _composite(view: View, background: Colour) -> View:
    if view.mask is None:
        return view
    alpha = view.mask.read_grey()
    return replace(view, image=PictureArray(color.over(view.image.read(), alpha, background)))
