"""A small still life, ray traced analytically: balls and boxes with painted patterns on a tiled table under a soft sky.

It is the sample capture of `halfseen demo` and the ground truth of many tests: poses, depth and masks are exact.
World frame: z up, the table at z = 0, objects within about one unit of the origin. Everything follows from the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import paths, rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, Depth, PictureArray, Split, View
from halfseen.images import color, resize

# Each pixel is the mean of this many rays squared.
_SUPERSAMPLE = 2
_FAR = 1e9
_SUN = (0.45, -0.35, 0.82)
_AMBIENT = 0.45
# Half width of the table; beyond it is the sky.
_TABLE = 2.2
_TILE = 0.22
_STRIPE = 0.09
_HASH, _HASH_SCALE = (12.9898, 78.233), 43758.5453
_SKY_LOW, _SKY_HIGH = (0.86, 0.83, 0.78), (0.42, 0.55, 0.72)
_TILE_DARK, _TILE_LIGHT = (0.36, 0.30, 0.27), (0.72, 0.68, 0.60)
# Standard views: distance, elevation in degrees, focal length in picture widths.
_DISTANCE, _ELEVATION, _FOCAL = 2.6, 28.0, 1.1
_FOCUS_HEIGHT = 0.22


@dataclass(frozen=True)
class Ball:
    """A striped ball."""

    centre: tuple[float, float, float]
    radius: float
    colours: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Box:
    """A chequered box standing on the table."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    turn: float  # radians about z
    colours: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class StillLife:
    """The objects on the table."""

    things: tuple[Ball | Box, ...]


def arrange(seed: int) -> StillLife:
    """Place three balls and two boxes around the origin, apart from one another."""
    rng = generator(seed, "still-life")

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=rng))

    things: list[Ball | Box] = []
    for i in range(5):
        angle = 2 * math.pi * (i + draw(-0.2, 0.2)) / 5
        reach = draw(0.35, 0.6)
        x, y = reach * math.cos(angle), reach * math.sin(angle)
        hue = draw(0, 1)
        colours = (_hue(hue), _hue(hue + draw(0.25, 0.75)))
        if i % 2 == 0:
            radius = draw(0.16, 0.26)
            things.append(Ball((x, y, radius), radius, colours))
        else:
            half = (draw(0.1, 0.18), draw(0.1, 0.18), draw(0.14, 0.34))
            things.append(Box((x, y, half[2]), half, draw(0, math.pi), colours))
    return StillLife(tuple(things))


def render(scene: StillLife, camera: Cameras) -> tuple[Tensor, Tensor, Tensor]:
    """Picture [H, W, 3], z-depth [H, W] (0 on the sky) and object mask [H, W] at one camera (batch of one)."""
    width, height = camera.size()
    fine = camera.resized(width * _SUPERSAMPLE, height * _SUPERSAMPLE).to(torch.float64)
    rgb, _, thing = _trace(scene, fine)
    _, depth, _ = _trace(scene, camera.to(torch.float64))
    return (
        resize.resize(rgb.float(), width, height),
        depth.float(),
        resize.resize(thing.float()[..., None], width, height)[..., 0],
    )


def ring(count: int, size: tuple[int, int], degrees: float = 360.0) -> Cameras:
    """`count` cameras around the table: evenly over the whole circle, or over an arc of fewer degrees with both ends."""
    focus = torch.tensor([0, 0, _FOCUS_HEIGHT], dtype=torch.float64)
    up = torch.tensor([0, 0, 1], dtype=torch.float64)
    steps = count if degrees >= 360 else round(360 / degrees * (count - 1))
    poses = paths.orbit(focus, up, _DISTANCE, _ELEVATION, steps)[:count]
    width, height = size
    return cams.make(poses, (_FOCAL * width, _FOCAL * width, width / 2, height / 2), size)


def capture(seed: int, cameras: Cameras, inputs: tuple[int, ...], *, masks: bool = False) -> Capture:
    """A capture of the still life at these cameras; `inputs` become the stated split, the rest is held out.

    With masks, the table and the sky are replaced by white, as in captures of single objects.
    """
    scene = arrange(seed)
    views = []
    for i in range(len(cameras)):
        rgb, depth, mask = render(scene, cameras[i])
        picture = color.over(rgb, mask, color.WHITE) if masks else rgb
        view = View(
            f"images/{i:03d}.png", PictureArray(picture), cameras[i], depth=Depth(depth, depth.shape[1], depth.shape[0])
        )
        views.append(
            view if not masks else View(view.name, view.image, view.camera, mask=PictureArray(mask), depth=view.depth)
        )
    test = tuple(i for i in range(len(cameras)) if i not in inputs)
    split = Split(f"train_test_split_{len(inputs)}", inputs, test)
    role, background = ("object", color.WHITE) if masks else (None, None)
    return Capture(tuple(views), "world", Path(), splits=(split,), mask_role=role, background=background)  # type: ignore[arg-type]


def _trace(scene: StillLife, camera: Cameras) -> tuple[Tensor, Tensor, Tensor]:
    """First hits: colour [H, W, 3], z-depth [H, W], whether it is a thing [H, W]."""
    width, height = camera.size()
    ray = rays.cast_all(camera)
    t, normal, colour, thing = _table(ray)
    for item in scene.things:
        hit = _ball(item, ray) if isinstance(item, Ball) else _box(item, ray)
        nearer = hit[0] < t
        t = torch.where(nearer, hit[0], t)
        normal = torch.where(nearer[:, None], hit[1], normal)
        colour = torch.where(nearer[:, None], hit[2], colour)
        thing = thing | nearer
    sun = torch.nn.functional.normalize(normal.new_tensor(_SUN), dim=0)
    light = _AMBIENT + (1 - _AMBIENT) * (normal @ sun).clamp_min(0)
    lit = t < _FAR
    rgb = torch.where(lit[:, None], colour * light[:, None], _sky(ray.directions))
    depth = torch.where(lit, t * ray.z_scale, torch.zeros_like(t))
    return rgb.reshape(height, width, 3), depth.reshape(height, width), thing.reshape(height, width)


def _table(ray: rays.Rays) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    o, d = ray.origins, ray.directions
    t = -o[:, 2] / d[:, 2]
    at = o + t[:, None] * d
    hit = (t > 0) & (at[:, :2].abs().amax(-1) < _TABLE)
    tile = torch.floor(at[:, :2] / _TILE)
    # A hash of the tile's place: every tile has its own shade, so that no two places look alike.
    shade = (torch.sin(tile @ at.new_tensor(_HASH)) * _HASH_SCALE).remainder(1)[:, None]
    colour = at.new_tensor(_TILE_DARK) * (1 - shade) + at.new_tensor(_TILE_LIGHT) * shade
    normal = at.new_tensor([0, 0, 1]).expand_as(at)
    return torch.where(hit, t, torch.full_like(t, _FAR)), normal, colour, torch.zeros_like(hit)


def _ball(ball: Ball, ray: rays.Rays) -> tuple[Tensor, Tensor, Tensor]:
    centre = ray.origins.new_tensor(ball.centre)
    to = ray.origins - centre
    b = (to * ray.directions).sum(-1)
    root = b * b - (to * to).sum(-1) + ball.radius**2
    t = -b - root.clamp_min(0).sqrt()
    normal = (to + t[:, None] * ray.directions) / ball.radius
    stripes = torch.floor((normal[:, 2] + 0.5 * normal[:, 0]) * ball.radius / _STRIPE).remainder(2) < 1
    return torch.where((root > 0) & (t > 0), t, torch.full_like(t, _FAR)), normal, _two(stripes, ball.colours, normal)


def _box(box: Box, ray: rays.Rays) -> tuple[Tensor, Tensor, Tensor]:
    """Slab test in the box's own frame."""
    c, s = math.cos(box.turn), math.sin(box.turn)
    turn = ray.origins.new_tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    o, d = (ray.origins - ray.origins.new_tensor(box.centre)) @ turn.T, ray.directions @ turn.T
    half = o.new_tensor(box.half)
    a, b = (-half - o) / d, (half - o) / d
    enter, leave = torch.minimum(a, b), torch.maximum(a, b).amin(-1)
    t, axis = enter.max(-1)
    face = torch.nn.functional.one_hot(axis, 3).to(d) * -torch.sign(d)
    at = (o + t[:, None] * d) / _STRIPE
    checks = (torch.floor(at[:, 0]) + torch.floor(at[:, 1]) + torch.floor(at[:, 2])).remainder(2) < 1
    hit = (t > 0) & (t < leave)
    return torch.where(hit, t, torch.full_like(t, _FAR)), face @ turn, _two(checks, box.colours, face)


def _two(which: Tensor, colours: tuple[tuple[float, float, float], tuple[float, float, float]], like: Tensor) -> Tensor:
    return torch.where(which[:, None], like.new_tensor(colours[0]), like.new_tensor(colours[1]))


def _sky(directions: Tensor) -> Tensor:
    height = ((directions[:, 2:] + 0.3) / 1.3).clamp(0, 1)
    return directions.new_tensor(_SKY_LOW) * (1 - height) + directions.new_tensor(_SKY_HIGH) * height


def _hue(h: float) -> tuple[float, float, float]:
    """A strong colour; hues repeat every 1."""
    r, g, b = (0.55 + 0.4 * math.cos(2 * math.pi * (h - shift)) for shift in (0.0, 1 / 3, 2 / 3))
    return r, g, b
