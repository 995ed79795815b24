"""A camera for a single photo of an object: what nobody can measure is assumed, and said.

The world's origin is the object's middle, z is up. The camera stands `distance` away from it and looks a little down.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras
from halfseen.common.errors import UserError
from halfseen.data import normalise
from halfseen.data.capture import Capture, Picture, View
from halfseen.images import color
from halfseen.poses import foreground

# Horizontal opening angle of a photo that tells none, as of phones held upright and zoomed a little (degrees); distance in units of
# its own, as SRN has chairs; and how far above the object photos are taken (degrees).
_FOV, _DISTANCE, _ELEVATION = 50.0, 2.0, 20.0
_FOVS = (1.0, 170.0)
# A pixel belongs to the object from here on; and an object that fills more of a photo than this is likely none.
_COVERED, _MOST = 0.5, 0.95


def posed(capture: Capture, fov: float | None, distance: float | None) -> Capture:
    """The capture of one photo with a camera and a mask; its notes say what was assumed."""
    if capture.posed:
        raise UserError(
            "the capture has its own cameras",
            got="--fov or --distance",
            accepted="these for a photo without a camera",
            do="Leave them out.",
        )
    if len(capture) != 1:
        raise UserError(
            "the photos have no camera poses",
            got=f"{len(capture)} photos",
            accepted="one photo, or poses for several",
            do="Name one photo, or add poses.",
        )
    view = capture.views[0]
    angle, told = _angle(view, fov)
    away = _checked("--distance", _DISTANCE if distance is None else distance, 0.0, math.inf)
    mask, source = foreground.mask_of(view)
    if mask is not None and float((mask.read_grey() > _COVERED).float().mean()) > _MOST:
        source += f", which covers more than {100 * _MOST:g} % of the photo: is it black where the object is not?"
    notes = (
        told,
        f"the camera is taken to be {away:g} units away from the object" + (", as --distance says" if distance else ""),
        f"the camera is taken to look {_ELEVATION:g} degrees down",
        source,
    )
    camera = _camera(view, mask, angle, away)
    kept = replace(view, camera=camera, mask=mask)
    return replace(capture, views=(kept,), mask_role="object", background=color.WHITE).noted(*notes)


def as_photo(loaded: Capture) -> Capture:
    """One photo of an object as it is used, after `loading.load`: where an object's middle is, the depth of what it shows does not say; the
    origin does, if the camera sees it. Of views of which nothing tells what is behind, that is taken to be the mean colour of the first
    photo's rim, as it is in training (CLEVR's floor)."""
    if len(loaded) == 1 and normalise.sees_origin(loaded.cameras()):
        view = replace(loaded.views[0], depth=None, near_far=None)
        loaded = replace(loaded, views=(view,), points=None)
    if len(loaded) > 1:
        first = loaded.views[0].name
        loaded = loaded.noted(
            f"{first} alone is looked at; {len(loaded) - 1} more photos count where photos refine the result, if at all"
        )
    if loaded.background is not None:
        return loaded
    red, green, blue = color.rim(loaded.views[0].image.read()[..., :3]).tolist()
    return replace(loaded, background=(red, green, blue)).noted(
        "what is behind the object is taken to be the mean colour of the photo's rim"
    )


def _angle(view: View, fov: float | None) -> tuple[float, str]:
    """Horizontal opening angle in degrees, and who said so."""
    if fov is not None:
        return _checked("--fov", fov, *_FOVS), f"the photo is {fov:g} degrees wide, as --fov says"
    if view.focal_guess:
        angle = math.degrees(2 * math.atan(view.image.width / (2 * view.focal_guess)))
        return angle, f"the photo is {angle:.0f} degrees wide, as its EXIF data say"
    return _FOV, f"the photo is taken to be {_FOV:g} degrees wide (--fov says otherwise)"


def _camera(view: View, mask: Picture | None, angle: float, away: float) -> Cameras:
    """A camera before whose middle of the object the world's origin lies."""
    width, height = view.image.width, view.image.height
    focal = width / (2 * math.tan(math.radians(angle) / 2))
    coverage = view.image.read()[..., 3] if mask is None else mask.read_grey()
    what = f"transparency of {view.name}" if mask is None else f"mask of {view.name}"
    ray = _middle(coverage, width, height, what) - torch.tensor([width / 2, height / 2], dtype=torch.float64)
    towards = torch.nn.functional.normalize(torch.cat([ray / focal, torch.ones(1, dtype=torch.float64)]), dim=0)
    c2w = _level(towards, math.radians(_ELEVATION), away)
    return cams.make(c2w, (focal, focal, width / 2, height / 2), (width, height))


def _level(towards: Tensor, elevation: float, away: float) -> Tensor:
    """The pose [4, 4] of a level camera so far `away` from the origin and so high above it, which it sees along `towards` [3] of its own
    frame: turned down until that ray falls as it must, and then about z."""
    x, y, z = towards.tolist()
    # Far to the side of a very wide photo no level camera sees anything so steeply.
    elevation = min(elevation, math.asin(math.hypot(y, z)))
    down = math.asin(math.sin(elevation) / math.hypot(y, z)) - math.atan2(y, z)
    ahead = z * math.cos(down) - y * math.sin(down)
    about = math.atan2(x, ahead)
    eye = torch.tensor([math.cos(elevation), 0.0, math.sin(elevation)], dtype=torch.float64)
    forward = torch.tensor([-math.cos(down), 0.0, -math.sin(down)], dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)
    turn[:2, :2] = turn.new_tensor([[math.cos(about), -math.sin(about)], [math.sin(about), math.cos(about)]])
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    pose = paths.look_at(torch.zeros(1, 3, dtype=torch.float64), forward[None], up)[0]
    pose[:3, :3] = turn @ pose[:3, :3]
    pose[:3, 3] = away * eye
    return pose


def _middle(coverage: Tensor, width: int, height: int, what: str) -> Tensor:
    """Middle (x, y) of the rectangle around an object, in pixels of a picture of width x height."""
    shown = (coverage > _COVERED).nonzero().double()
    if len(shown) == 0:
        raise UserError(
            f"the {what} leaves nothing of it",
            got="black everywhere" if what.startswith("mask") else "nothing opaque",
            accepted="white in a mask, opaque in a photo, where the object is",
            do=f"Correct the {what}.",
        )
    middle = (shown.amin(0) + shown.amax(0) + 1).flip(0) / 2
    return middle * torch.tensor([width / coverage.shape[1], height / coverage.shape[0]], dtype=torch.float64)


def _checked(name: str, value: float, low: float, high: float) -> float:
    if not (math.isfinite(value) and low < value < high):
        raise UserError(
            f"{name} cannot be used",
            got=f"{value:g}",
            accepted=f"more than {low:g}, less than {high:g}",
            do="Change it.",
        )
    return value
