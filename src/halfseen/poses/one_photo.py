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
from halfseen.cameras.rotations import rotation_between
from halfseen.common.errors import UserError
from halfseen.data.capture import Capture, Picture, View
from halfseen.images import color
from halfseen.poses import foreground

# Horizontal opening angle of a photo that tells none, as of phones held upright and zoomed a little (degrees); distance in units of
# its own, as SRN has chairs; and how far above the object photos are taken (degrees).
_FOV, _DISTANCE, _ELEVATION = 50.0, 2.0, 20.0
_FOVS = (1.0, 170.0)
# A pixel belongs to the object from here on.
_COVERED = 0.5


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
    notes = (
        told,
        f"the camera is taken to be {away:g} units away from the object" + (", as --distance says" if distance else ""),
        f"the camera is taken to look {_ELEVATION:g} degrees down",
        source,
    )
    camera = _camera(view, mask, angle, away)
    kept = replace(view, camera=camera, mask=mask)
    return replace(capture, views=(kept,), mask_role="object", background=color.WHITE).noted(*notes)


def before_its_rim(loaded: Capture) -> Capture:
    """Views of which nothing tells what is behind the object, as after `loading.load`: what is behind is taken to be the mean colour of the
    first photo's rim, as it is in training (CLEVR's floor)."""
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
    what = "transparency of the photo" if mask is None else "mask"
    ray = _middle(coverage, width, height, what) - torch.tensor([width / 2, height / 2], dtype=torch.float64)
    towards = torch.nn.functional.normalize(torch.cat([ray / focal, torch.ones(1, dtype=torch.float64)]), dim=0)
    height_angle = math.radians(_ELEVATION)
    eye = away * torch.tensor([[math.cos(height_angle), 0.0, math.sin(height_angle)]], dtype=torch.float64)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    straight = paths.look_at(eye, torch.zeros_like(eye), up)[0]
    c2w = straight.clone()
    # What is seen along `towards` must be seen along the straight camera's axis.
    c2w[:3, :3] = straight[:3, :3] @ rotation_between(towards, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    return cams.make(c2w, (focal, focal, width / 2, height / 2), (width, height))


def _middle(coverage: Tensor, width: int, height: int, what: str) -> Tensor:
    """Middle (x, y) of the rectangle around an object, in pixels of a picture of width x height."""
    shown = (coverage > _COVERED).nonzero().double()
    if len(shown) == 0:
        raise UserError(
            f"the {what} leaves nothing of it",
            got=f"{_COVERED:g} or less everywhere",
            accepted="more where the object is: white in a mask, opaque in a photo",
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
