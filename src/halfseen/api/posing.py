"""Cameras for photos that have none: from a file, from what photos share, or assumed for a single photo of an object."""

from __future__ import annotations

from pathlib import Path

from halfseen.common.errors import UserError
from halfseen.data.capture import Capture
from halfseen.methods.contract import Method
from halfseen.poses import given, one_photo, register
from halfseen.poses.register import Report


def with_cameras(
    capture: Capture, method: Method, fov: float | None, distance: float | None, poses: Path | None, seed: int
) -> Capture:
    """The capture with cameras. Of a single photo of an object what is missing is assumed, where the method can do with that; several photos
    without cameras are placed by what they share."""
    if poses is not None:
        if fov is not None or distance is not None:
            raise UserError(
                "--poses says how wide photos are and where they were taken",
                got="--poses with --fov or --distance",
                accepted="one of them",
                do="Leave the others out.",
            )
        return given.posed(capture, poses)
    if not capture.posed and len(capture) > 1 and distance is None and not any(v.camera for v in capture.views):
        return register.posed(capture, fov, seed)[0]
    asked = fov is not None or distance is not None
    if asked or (not capture.posed and len(capture) == 1 and method.one_photo):
        capture = one_photo.posed(capture, fov, distance)
    capture.cameras()
    return capture


def pose(capture: Capture, fov: float | None = None, seed: int = 0) -> tuple[Capture, Report]:
    """Place the photos of a capture by what they share, whatever cameras it has; and what became of each."""
    return register.posed(capture, fov, seed)
