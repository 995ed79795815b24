"""Cameras for a few photos that have none: which photos could be placed, how sure that is, and what to do about the rest.

The frame: z is up as the photos were held, the origin is the middle of what they show, and the two cameras that are farthest apart are 1 apart.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from halfseen.cameras import cameras as cams
from halfseen.cameras.cameras import Cameras, concat
from halfseen.cameras.rotations import rotation_between
from halfseen.cameras.similarity import Similarity
from halfseen.common.errors import UserError
from halfseen.data import normalise
from halfseen.data.capture import Capture, Points, View
from halfseen.images import io, resize
from halfseen.poses import sfm
from halfseen.poses.sfm import Placed

# Longer side at which photos are looked at.
_SIZE = 1024
# Focal lengths that are tried where nobody knows one, in longer sides, the likeliest first: phones, then what is held before small things.
_GUESSES = (0.8, 1.1, 1.7)
# A result is sure from here on: points that each photo knows, the widest angle of their rays (degrees), their mean error (pixels), and what
# rotations differ by between two tries (degrees).
_KNOWN, _ANGLE, _ERROR, _DOUBT = 40, 4.0, 1.2, 3.0
# Two photos alone do not tell a focal length: where nobody stated it so many have to be placed.
_TELL_FOCAL = 3
# Of points, whose colours nobody looked up.
_GREY = 128


@dataclass(frozen=True)
class Photo:
    """What became of a photo."""

    name: str
    placed: bool
    points: int  # that it shows, of those that two photos show
    matches: int  # with the photo that it shares most with
    partner: str  # the name of that one
    why: str = ""  # it was left out, and what to do


@dataclass(frozen=True)
class Report:
    """What became of all photos."""

    photos: tuple[Photo, ...]
    focal: float  # mean, in longer sides of the photos
    focal_by: str
    error: float  # pixels of pictures of 1,024
    angle: float  # degrees
    doubt: float | None  # degrees by which rotations differ between two tries; none: only one try placed these photos
    sure: bool

    @property
    def _doubt(self) -> str:
        return "nobody knows how much: only one placed them" if self.doubt is None else f"{self.doubt:.1f} degrees"

    @property
    def sentences(self) -> tuple[str, ...]:
        """For people."""
        kept = [p for p in self.photos if p.placed]
        sure = "sure" if self.sure else "unsure: look at the result before you trust it"
        return (
            f"cameras of {len(kept)} of {len(self.photos)} photos were found from what they share (points are off by {self.error:.1f} px, their rays meet at {self.angle:.0f} degrees, two tries differ by {self._doubt}; {sure})",
            f"the focal length is {self.focal:.2f} of the longer side, {self.focal_by}",
            *(p.why for p in self.photos if not p.placed),
        )


def posed(capture: Capture, fov: float | None, seed: int) -> tuple[Capture, Report]:
    """The capture of the photos that could be placed, with cameras and the points that they share; and what became of all of them."""
    focals, by = _focals(capture, fov)
    alike = (
        len(
            {
                (v.image.width, v.image.height, round(f[0]))
                for v, f in zip(capture.views, zip(*focals, strict=True), strict=True)
            }
        )
        == 1
    )
    with tempfile.TemporaryDirectory() as folder:
        pictures, scales = _written(capture, Path(folder) / "photos")
        work = Path(folder) / "work"
        work.mkdir()
        tried = [[f * s for f, s in zip(each, scales, strict=True)] for each in focals]
        found = sfm.place(pictures, tried, alike=alike, work=work, seed=seed)
    if found is None:
        raise _nothing(capture)
    report = _report(capture, found, scales, by, stated=len(focals) == 1)
    return _with_cameras(capture, found, scales).noted(*report.sentences), report


def _focals(capture: Capture, fov: float | None) -> tuple[list[list[float]], str]:
    """Focal lengths to try, of each photo in its own pixels, and who said so."""
    longer = [max(v.image.width, v.image.height) for v in capture.views]
    if fov is not None:
        widths = [v.image.width for v in capture.views]
        return [[w / (2 * math.tan(math.radians(fov) / 2)) for w in widths]], "as --fov says, and adjusted"
    guesses = [v.focal_guess for v in capture.views]
    told = [g for g in guesses if g is not None]
    if len(told) == len(guesses):
        return [told], "as EXIF data say, and adjusted"
    return [
        [g * n for n in longer] for g in _GUESSES
    ], "which nobody stated: it was tried and adjusted (--fov says otherwise)"


def _written(capture: Capture, folder: Path) -> tuple[list[Path], list[float]]:
    """The photos as pictures of one size in a folder, and how much smaller each is."""
    folder.mkdir()
    paths, scales = [], []
    for i, view in enumerate(capture.views):
        width, height = resize.fit(view.image.width, view.image.height, _SIZE)
        path = folder / f"{i:04d}.png"
        io.write_png(path, resize.resize(view.image.read()[..., :3], width, height))
        paths.append(path)
        scales.append(max(width, height) / max(view.image.width, view.image.height))
    return paths, scales


def _with_cameras(capture: Capture, found: Placed, scales: Sequence[float]) -> Capture:
    """Cameras and points in the frame of the module."""
    order = sorted(found.c2w)
    views = [capture.views[i] for i in order]
    cameras = concat([_camera(v, found, i, scales[i]) for v, i in zip(views, order, strict=True)])
    to_frame = _frame(cameras, found.xyz)
    placed = to_frame.cameras(cameras)
    kept = tuple(replace(v, camera=placed[i]) for i, v in enumerate(views))
    xyz = to_frame.points(torch.from_numpy(found.xyz)).numpy()
    grey = np.full((len(xyz), 3), _GREY, np.uint8)
    points = Points(xyz, grey) if len(xyz) else None
    return replace(capture, views=kept, points=points, splits=())


def _camera(view: View, found: Placed, number: int, scale: float) -> Cameras:
    focal = found.focal[number] / scale
    width, height = view.image.width, view.image.height
    pose = torch.from_numpy(found.c2w[number])[None]
    return cams.make(pose, (focal, focal, width / 2, height / 2), (width, height))


def _frame(cameras: Cameras, xyz: np.ndarray) -> Similarity:
    centres = cameras.centres.double()
    scale = 1 / float(torch.cdist(centres, centres).max())
    rotation = rotation_between(normalise.up_axis(cameras).double(), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    middle = torch.from_numpy(np.median(xyz, 0)) if len(xyz) else centres.mean(0)
    return Similarity(scale, rotation, -scale * (rotation @ middle))


def _report(capture: Capture, found: Placed, scales: Sequence[float], by: str, *, stated: bool) -> Report:
    photos = tuple(_photo(capture, found, i) for i in range(len(capture)))
    longer = [max(v.image.width, v.image.height) for v in capture.views]
    focal = fmean(found.focal[i] / scales[i] / longer[i] for i in found.c2w)
    few = min(len(found.seen[i]) for i in found.c2w)
    told = stated or len(found.c2w) >= _TELL_FOCAL
    sure = told and few >= _KNOWN and found.angle >= _ANGLE and found.error <= _ERROR and found.doubt <= _DOUBT
    doubt = found.doubt if math.isfinite(found.doubt) else None
    return Report(photos, focal, by, found.error, found.angle, doubt, sure)


def _photo(capture: Capture, found: Placed, number: int) -> Photo:
    row = found.matches[number]
    best = int(row.argmax())
    name, partner, most = capture.views[number].name, capture.views[best].name, int(row[best])
    if number in found.c2w:
        return Photo(name, True, len(found.seen[number]), most, partner)
    least = sfm.EFFORTS[-1].matches
    if most < least:
        why = f"photo {name} was left out: it shares nothing with the others; take one that shows the same from between it and them"
    else:
        why = f"photo {name} was left out: it shares {most} points with {partner}, too few that a third photo knows; take another between the two"
    return Photo(name, False, 0, most, partner, why)


def _nothing(capture: Capture) -> UserError:
    return UserError(
        "the photos share nothing by which their cameras could be found",
        got=f"{len(capture)} photos without two that overlap",
        accepted="sharp photos that show the same things from places a few steps apart",
        do="Take photos that overlap by two thirds, give poses (--poses FILE), or name one photo alone.",
    )
