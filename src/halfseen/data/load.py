"""From picture sources to pixels: decode, shrink, undistort, composite. The only place where a capture becomes heavy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from halfseen.cameras import lens as lenses
from halfseen.cameras.cameras import Cameras
from halfseen.cameras.lens import Lens
from halfseen.common.errors import UserError, quote
from halfseen.data.capture import Capture, Colour, Depth, MaskRole, PictureArray, VideoFrame, View
from halfseen.images import color, resize, video

# Outside an object's mask a picture counts as one constant colour when nearly all pixels are within three 8-bit steps of it;
# the rest may be the object's own antialiased border.
CONSTANT_TOLERANCE = 3 / 255
CONSTANT_SHARE = 0.95
# A mask pixel counts as outside below this value, away from antialiased borders.
_OUTSIDE = 0.01
# A mask for evaluation counts from here: 255, up to the rounding of a grey mean.
WHOLE = 1 - 1e-6


def load(capture: Capture, max_size: int) -> Capture:
    """Decode all views at no more than `max_size` pixels on the longer side, undistorted, objects over their background.

    Afterwards every picture is an array, every lens is a pinhole, and cameras fit their pictures exactly. Loading what was
    loaded before changes nothing. Masks for evaluation are left behind, so that no fit sees them: `evaluation_masks` has them.
    """
    if capture.mask_role == "evaluation":
        capture = replace(capture, views=tuple(replace(v, mask=None) for v in capture.views), mask_role=None)
    capture = with_frames(capture)
    behind = capture.background or color.WHITE
    decoded = [load_view(v, max_size, behind) for v in capture.views]
    views, cut = tuple(v for v, _ in decoded), any(c for _, c in decoded)
    meaning = _mask_meaning(capture, views, cut)
    if meaning.composite and meaning.background is not None:
        views = tuple(_composite(v, meaning.background) for v in views)
    loaded = replace(
        capture,
        views=views,
        mask_role=meaning.role,
        background=meaning.background,
        on_background=meaning.role == "object",
    )
    return loaded.noted(meaning.note) if meaning.note else loaded


def evaluation_masks(capture: Capture, max_size: int) -> list[Tensor] | None:
    """Where each view is measured, bool [H, W] at the pixels that `load` gives it; None where masks are not for that, or not all there.

    The nearest mask pixel counts, and only a whole one (255): what a border shares belongs to nobody.
    """
    masks = [v.mask for v in capture.views if v.mask is not None]
    if capture.mask_role != "evaluation" or len(masks) < len(capture):
        return None
    out = []
    for view, mask in zip(capture.views, masks, strict=True):
        assert view.camera is not None
        whole = Depth(mask.read_grey(), mask.width, mask.height)
        source = view.camera.resized(*resize.fit(view.image.width, view.image.height, max_size))
        found = _depth_on(whole, source, view.lens, lenses.pinhole_for(source, view.lens))
        out.append(torch.from_numpy(found.read()) >= WHOLE)
    return out


def with_frames(capture: Capture) -> Capture:
    """The capture with frames of videos decoded, each video read once."""
    wanted = {v.image.path for v in capture.views if isinstance(v.image, VideoFrame)}
    frames = {}
    for path in sorted(wanted):
        numbers = {v.image.index for v in capture.views if isinstance(v.image, VideoFrame) and v.image.path == path}
        frames.update({(path, i): f for i, f in enumerate(video.frames(path)) if i in numbers})
    views = []
    for view in capture.views:
        key = (view.image.path, view.image.index) if isinstance(view.image, VideoFrame) else None
        views.append(replace(view, image=PictureArray(frames[key])) if key in frames else view)
    return replace(capture, views=tuple(views))


def load_view(view: View, max_size: int, background: Colour) -> tuple[View, bool]:
    """Decode one view, and say whether it was cut out by transparency. Without a camera it is only shrunk.

    Transparent pixels have no colour, so they are put over the background before anything is averaged; what covers them
    becomes the mask. A picture that is opaque everywhere is an ordinary one, whatever channels its file has.
    """
    pixels = view.image.read()
    mask = None if view.mask is None else view.mask.read_grey()
    cut = pixels.shape[-1] == 4 and bool((pixels[..., 3] < 1).any())
    if cut:
        alpha = pixels[..., 3] if mask is None else pixels[..., 3] * mask
        pixels, mask = color.over(pixels[..., :3], alpha, background), alpha
    width, height = resize.fit(view.image.width, view.image.height, max_size)
    pixels = resize.resize(pixels[..., :3], width, height)
    small = None if mask is None else PictureArray(resize.resize(mask[..., None], width, height)[..., 0])
    shrunk = replace(view, image=PictureArray(pixels), mask=small)
    if view.camera is None:
        return shrunk, cut
    source = view.camera.resized(width, height)
    return relens(shrunk, source, lenses.pinhole_for(source, view.lens)), cut


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
    values[~resize.inside(at, depth.width, depth.height)] = 0
    return Depth(values, values.shape[1], values.shape[0])


@dataclass(frozen=True)
class _Meaning:
    """What the masks of a capture mean, the colour behind an object, and whether pictures must still be put over it."""

    role: MaskRole | None
    background: Colour | None
    composite: bool = False
    note: str | None = None


def _mask_meaning(capture: Capture, views: tuple[View, ...], cut: bool) -> _Meaning:
    """Stated roles win; transparency cuts out an object; else pictures that are constant outside their masks show one."""
    if all(v.mask is None for v in views):
        return _Meaning(None, capture.background)
    meaning = _meaning_of_masks(capture, views, cut)
    if meaning.role == "object":
        _check_complete(views)
    return meaning


def _meaning_of_masks(capture: Capture, views: tuple[View, ...], cut: bool) -> _Meaning:
    constant = None if cut else _constant_outside(views)
    if capture.mask_role == "valid":
        return _Meaning("valid", None)
    if cut:
        note = None if capture.mask_role else "transparent pictures are taken as cut-out objects"
        return _Meaning("object", capture.background or color.WHITE, note=note)
    if capture.mask_role == "object":
        background = capture.background or constant or color.WHITE
        done = capture.on_background or (constant is not None and _same_colour(constant, background))
        return _Meaning("object", background, composite=not done)
    if constant is not None:
        rgb = ", ".join(f"{c:.2f}" for c in constant)
        note = f"masks are taken as the object, because all pictures are ({rgb}) outside them"
        return _Meaning("object", constant, note=note)
    note = 'masks are taken as the usable part of each photo (black is ignored); state "mask_role": "object" if they cut out the object'
    return _Meaning("valid", None, note=note)


def _check_complete(views: tuple[View, ...]) -> None:
    """An object must be cut out of every photo: where its outline is unknown, all that is around it would be taken for it."""
    without = [v.name for v in views if v.mask is None]
    if without:
        raise UserError(
            f"{len(without)} of {len(views)} photos of an object have no mask",
            got=f"none for {quote(without[0])}",
            accepted="a mask for every photo, or transparency that cuts the object out",
            do="Add the masks, leave these photos out with --view-ids, or remove all masks to rebuild the whole place.",
        )


def _same_colour(a: Colour, b: Colour) -> bool:
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= CONSTANT_TOLERANCE


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
