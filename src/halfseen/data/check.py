"""What can be said of a capture before anything is fitted: numbers, and warnings that a person can act on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import generator
from halfseen.data import normalise
from halfseen.data.capture import Capture, PictureFile
from halfseen.images import io

# Points drawn in the unit ball to measure how much of the scene the views cover.
COVERAGE_POINTS = 4096
# A view that shares less than this part of its frustum with every other view looks apart.
MIN_SHARED = 0.05
# Neighbouring views further apart than this (degrees around the scene) rarely match.
MAX_NEIGHBOUR_ANGLE = 60.0
# Two cameras closer than this (relative to their distance from the scene) are the same place.
SAME_PLACE = 1e-4
# A spread below this (degrees around the scene) cannot fix depth.
MIN_BASELINE_ANGLE = 1.0
SPARSE_VIEWS = 2
# Captures of more views are measured on this many of them, spread evenly: pairs grow with the square.
MAX_MEASURED = 300
MAX_APART = 60
# The grid of pixels and the depths (as shares of the scene's distance) that stand for a frustum.
_FRUSTUM_GRID, _FRUSTUM_MARGIN, _FRUSTUM_DEPTHS = 7, 0.1, (0.5, 2.0)
_FAR_APART = 1e30
_FULL_TURN = 360.0


@dataclass(frozen=True)
class Geometry:
    """Numbers of a posed capture, in the user's frame and in degrees."""

    fov: tuple[float, float]
    focus: tuple[float, float, float]
    focus_source: str
    distance: float
    up: tuple[float, float, float]
    up_name: str
    spread: float  # largest angle between two views as seen from the focus
    neighbour: float  # median angle to the nearest other view
    box_min: tuple[float, float, float]
    box_max: tuple[float, float, float]
    seen_twice: float  # share of the unit ball around the focus in two or more frustums
    seen_once: float
    depth: tuple[float, float]


@dataclass(frozen=True)
class Report:
    """A capture in numbers and sentences."""

    layout: str
    views: int
    posed: bool
    sizes: tuple[tuple[int, int, int], ...]  # width, height, count
    masks: int
    depths: int
    points: int
    lens: int  # views with distortion
    units: str
    splits: tuple[str, ...]
    geometry: Geometry | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def decode_all(capture: Capture) -> None:
    """Decode every picture, mask and depth map once; a damaged one is an error that names it."""
    for view in capture.views:
        for picture in (view.image, view.mask):
            if isinstance(picture, PictureFile):
                io.verify(picture.path)
        if view.depth is not None:
            view.depth.read()


def check(capture: Capture) -> Report:
    """Inspect a capture. Never fails on a capture that a reader accepted."""
    sizes: dict[tuple[int, int], int] = {}
    for view in capture.views:
        key = (view.image.width, view.image.height)
        sizes[key] = sizes.get(key, 0) + 1
    geometry = _geometry(capture) if capture.posed else None
    return Report(
        capture.layout,
        len(capture),
        capture.posed,
        tuple((w, h, n) for (w, h), n in sizes.items()),
        sum(v.mask is not None for v in capture.views),
        sum(v.depth is not None for v in capture.views),
        0 if capture.points is None else len(capture.points.xyz),
        sum(v.lens.bends for v in capture.views),
        capture.units,
        tuple(f"{s.name}: {len(s.train)} inputs, {len(s.test)} held out" for s in capture.splits),
        geometry,
        capture.notes,
        tuple(_warnings(capture, sizes, geometry)),
    )


def _geometry(capture: Capture) -> Geometry:
    every = capture.cameras()
    cameras = every[_some(len(every), MAX_MEASURED)]
    frame = normalise.measure(capture)
    angles = view_angles(cameras, frame.focus)
    ranges = normalise.depth_ranges(capture)
    twice, once = coverage(cameras, frame)
    fov = cameras.field_of_view().median(0).values.tolist()
    half = 1 / frame.to_box.scale
    nearest = angles + torch.eye(len(cameras)) * _FULL_TURN
    return Geometry(
        (fov[0], fov[1]),
        _triple(frame.focus),
        frame.source,
        frame.distance,
        _triple(frame.up),
        axis_name(frame.up),
        float(angles.max()),
        float(nearest.min(-1).values.median()) if len(cameras) > 1 else 0.0,
        _triple(frame.focus - half),
        _triple(frame.focus + half),
        twice,
        once,
        (min(r[0] for r in ranges), max(r[1] for r in ranges)),
    )


def _some(count: int, most: int) -> list[int]:
    """All of `count` numbers, or `most` of them spread evenly."""
    return list(range(count)) if count <= most else [round(i * (count - 1) / (most - 1)) for i in range(most)]


def view_angles(cameras: Cameras, focus: torch.Tensor) -> torch.Tensor:
    """Angles in degrees between all pairs of views [V, V], as seen from the focus."""
    to_camera = torch.nn.functional.normalize(cameras.centres - focus, dim=-1)
    return torch.rad2deg(torch.acos((to_camera @ to_camera.T).clamp(-1, 1)))


def coverage(cameras: Cameras, frame: normalise.Frame) -> tuple[float, float]:
    """Shares of the unit ball around the focus that lie in two or more frustums, and in exactly one. Nothing is occluded."""
    draw = torch.randn(COVERAGE_POINTS, 3, generator=generator(0, "coverage"), dtype=torch.float64)
    radius = torch.rand(COVERAGE_POINTS, 1, generator=generator(0, "coverage-radius"), dtype=torch.float64) ** (1 / 3)
    points = frame.to_box.inverse().points(radius * torch.nn.functional.normalize(draw, dim=-1))
    pixels, z = rays.project(cameras, points)
    count = rays.in_frame(cameras, pixels, z).sum(0)
    return float((count >= 2).double().mean()), float((count == 1).double().mean())


def axis_name(up: torch.Tensor) -> str:
    """The nearest axis of the user's frame, with its deviation."""
    axis = int(up.abs().argmax())
    sign = "+" if up[axis] > 0 else "-"
    degrees = float(torch.rad2deg(torch.acos(up[axis].abs().clamp(max=1))))
    return f"{sign}{'xyz'[axis]} (off by {degrees:.0f} degrees)"


def _warnings(capture: Capture, sizes: dict[tuple[int, int], int], geometry: Geometry | None) -> list[str]:
    out = []
    if len(sizes) > 1:
        out.append(f"pictures have {len(sizes)} different sizes; make sure that no photo was cropped")
    if geometry is None:
        guessed = sum(v.focal_guess is not None for v in capture.views)
        out.append(f"no camera poses; a focal length is known from EXIF for {guessed} of {len(capture)} photos")
        return out
    if any("guessed" in note and "focal" in note for note in capture.notes):
        out.append("the focal length is a guess: geometry will be stretched if it is wrong")
    if len(capture) < SPARSE_VIEWS:
        out.append("one view: nothing is triangulated, so depth will be a guess")
    else:
        out += _pose_warnings(capture, geometry)
    return out


def _pose_warnings(capture: Capture, geometry: Geometry) -> list[str]:
    out = []
    chosen = capture.select(_some(len(capture), MAX_MEASURED))
    cameras = chosen.cameras()
    gaps = torch.cdist(cameras.centres, cameras.centres) + torch.eye(len(cameras)) * _FAR_APART
    twins = [(i, int(gaps[i].argmin())) for i in range(len(cameras)) if gaps[i].min() < SAME_PLACE * geometry.distance]
    if twins:
        a, b = twins[0]
        out.append(
            f"{len(twins)} views stand where another one stands (such as {chosen.views[a].name} and {chosen.views[b].name})"
        )
    if geometry.spread < MIN_BASELINE_ANGLE:
        out.append(f"all views lie within {geometry.spread:.1f} degrees: depth cannot be measured")
    if geometry.neighbour > MAX_NEIGHBOUR_ANGLE:
        out.append(f"neighbouring views are {geometry.neighbour:.0f} degrees apart: surfaces will be seen once only")
    apart = [chosen.views[i].name for i in _looking_apart(cameras, normalise.measure(capture))]
    if apart:
        out.append(
            f"{len(apart)} of {len(cameras)} cameras look apart from all others ({', '.join(apart[:3])}): wrong axes, or photos that do not overlap"
        )
    return out


def _looking_apart(cameras: Cameras, frame: normalise.Frame) -> list[int]:
    """Views whose frustum, down to twice the distance of the scene, is hardly in any other view."""
    fractions = torch.linspace(*_FRUSTUM_DEPTHS, _FRUSTUM_GRID, dtype=torch.float64) * frame.distance
    share = torch.linspace(_FRUSTUM_MARGIN, 1 - _FRUSTUM_MARGIN, _FRUSTUM_GRID, dtype=torch.float64)
    grid = torch.cartesian_prod(share, share)
    apart = []
    for i in _some(len(cameras), MAX_APART):
        width, height = cameras.size(i)
        pixels = grid * torch.tensor([width, height])
        ray = rays.cast(cameras, torch.full((len(pixels),), i), pixels)
        points = (ray.origins[:, None] + fractions[:, None] * ray.directions[:, None]).reshape(-1, 3)
        at, z = rays.project(cameras, points)
        seen = rays.in_frame(cameras, at, z)
        seen[i] = False
        if seen.double().mean(-1).max() < MIN_SHARED:
            apart.append(i)
    return apart


def _triple(values: torch.Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
