"""Members of families as captures: render a seed from a layout, with exact cameras, depth and masks, and optional imperfections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.common.rng import derive_seed, generator
from halfseen.data.capture import Capture, Depth, PictureArray, View
from halfseen.images import color
from halfseen.worlds import corrupt, layouts
from halfseen.worlds.clearance import step_clear
from halfseen.worlds.families import Family
from halfseen.worlds.layouts import SRN_FOCAL, Stage
from halfseen.worlds.render import Background, Model, Picture, World, prepare, render

# A surface counts as seen from another view when nothing is nearer than it by this share of its distance (rays are single precision).
_VISIBLE = 1e-3
# What covers less of a pixel than this has no colour of its own there.
_THIN = 1 / 255
# Users' meshes fill a sphere of radius 0.75, seen from 2 units away, as SRN's chairs.
USER_STAGE = Stage((0.0, 0.0, 0.0), 2.0, SRN_FOCAL)


@dataclass(frozen=True)
class Imperfect:
    """What real captures have and worlds have not: poses a little wrong, light that changes from photo to photo."""

    pose_degrees: float = 0.0
    pose_distance: float = 0.0  # world units
    exposure: float = 0.0  # standard deviation of log2 brightness between views
    photo: corrupt.Camera | None = None  # what else a camera does to each picture


@dataclass(frozen=True)
class Shot:
    """A world, where the cameras truly stood, and the capture that came of it."""

    world: World
    cameras: Cameras
    capture: Capture
    stops: tuple[float, ...]  # exposure of each view


def cameras_for(
    family: Family, seed: int, layout: str | None, views: int, size: tuple[int, int], world: World
) -> Cameras:
    """The cameras of one member; none stands inside a thing."""
    stage = family.stage(seed)
    name = layout or family.layout
    chosen = layouts.LAYOUTS[name](stage, views, size, seed)
    return step_clear(world.geometry, chosen, stage, layouts.TOGETHER.get(name, 1))


def views_of(world: World, family: Family, cameras: Cameras) -> list[Picture]:
    """Render every camera."""
    return [render(world, cameras[i], family.background) for i in range(len(cameras))]


def shoot(
    family: Family,
    seed: int,
    *,
    layout: str | None = None,
    views: int,
    size: tuple[int, int],
    imperfect: Imperfect | None = None,
) -> Shot:
    """Photograph one member. Objects on white carry masks; all views carry depth."""
    world = prepare(family.make(seed))
    cameras = cameras_for(family, seed, layout, views, size, world)
    return _shot(world, family.background, cameras, seed, imperfect or Imperfect())


def capture(
    family: Family,
    seed: int,
    *,
    layout: str | None = None,
    views: int,
    size: tuple[int, int],
    imperfect: Imperfect | None = None,
) -> Capture:
    """One member as a capture."""
    return shoot(family, seed, layout=layout, views=views, size=size, imperfect=imperfect).capture


def shoot_at(family: Family, seed: int, world: World, cameras: Cameras) -> Shot:
    """Photograph one member, which was prepared, by cameras of one's own."""
    return _shot(world, family.background, cameras, seed, Imperfect())


def shoot_model(
    model: Model, layout: str, views: int, size: tuple[int, int], seed: int, imperfect: Imperfect | None = None
) -> Shot:
    """Photograph a user's model, alone on white, with masks and depth."""
    world = prepare(model)
    cameras = layouts.LAYOUTS[layout](USER_STAGE, views, size, seed)
    return _shot(world, "white", cameras, seed, imperfect or Imperfect())


def _shot(world: World, background: Background, cameras: Cameras, seed: int, flaws: Imperfect) -> Shot:
    rng = np.random.Generator(np.random.PCG64(derive_seed(seed, "exposure")))
    stops = flaws.exposure * rng.normal(size=len(cameras))
    taken = _as_capture(world, background, cameras, seed, flaws, np.exp2(stops))
    return Shot(world, cameras, taken, tuple(stops.tolist()))


def _as_capture(
    world: World, background: Background, cameras: Cameras, seed: int, flaws: Imperfect, gains: NDArray[np.float64]
) -> Capture:
    pictures = [render(world, cameras[i], background) for i in range(len(cameras))]
    stated = cameras
    if flaws.pose_degrees or flaws.pose_distance:
        stated = layouts.with_pose_noise(cameras, flaws.pose_degrees, flaws.pose_distance, seed)
    out = []
    on_white = background == "white"
    for i, picture in enumerate(pictures):
        graded = _graded(picture, float(gains[i]), flaws, generator(seed, "photo", i), on_white)
        mask = PictureArray(picture.mask) if on_white else None
        height, width = picture.depth.shape
        depth = Depth(picture.depth, width, height)
        out.append(View(f"images/{i:03d}.png", PictureArray(graded), stated[i], mask=mask, depth=depth))
    if not on_white:
        return Capture(tuple(out), "world", Path())
    return Capture(tuple(out), "world", Path(), mask_role="object", background=color.WHITE, on_background=True)


def seen_by(world: World, cameras: Cameras, witnesses: Cameras | None = None) -> list[Tensor]:
    """For each view, how many of the witnesses (all the views) see each of its pixels' surface points: [H, W], by shadow rays.

    A view behind a surface does not see it, however thin the thing is: both cameras must be on the same side of the face.
    """
    out = []
    others = cameras if witnesses is None else witnesses
    centres, eyes = others.centres.to(torch.float64), cameras.centres.to(torch.float64)
    for i in range(len(cameras)):
        width, height = cameras.size(i)
        ray = rays.cast_all(cameras[i])
        hits = world.geometry.first_hits(ray.origins.numpy(), ray.directions.numpy())
        found = torch.from_numpy(hits.face >= 0)
        points = ray.origins + torch.from_numpy(hits.t).double()[:, None] * ray.directions
        normal = torch.from_numpy(_face_normals(world, hits.face))
        front = ((eyes[i] - points) * normal).sum(-1) > 0
        count = torch.zeros(width * height, dtype=torch.long)
        for j in range(len(others)):
            same_side = (((centres[j] - points) * normal).sum(-1) > 0) == front
            count += found & same_side & _visible(world, points, centres[j], others[j])
        out.append(count.reshape(height, width))
    return out


def _face_normals(world: World, faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Normals [P, 3] of the planes of faces [P], not normalised; a miss gets any."""
    mesh = world.geometry.mesh
    a, b, c = (mesh.xyz[mesh.faces[np.maximum(faces, 0), k]] for k in range(3))
    return np.cross(b - a, c - a).astype(np.float64)


def _visible(world: World, points: Tensor, centre: Tensor, camera: Cameras) -> Tensor:
    """Whether a camera sees points [P, 3]: inside its picture, with nothing in front of them."""
    pixels, z = rays.project(camera, points)
    inside = rays.in_frame(camera, pixels, z)[0]
    away = points - centre
    distance = away.norm(dim=-1)
    hits = world.geometry.first_hits(centre.expand_as(points).numpy(), (away / distance[:, None]).numpy())
    nearest = torch.from_numpy(hits.t).double()
    return inside & (nearest >= distance * (1 - _VISIBLE))


def _graded(picture: Picture, gain: float, flaws: Imperfect, rng: torch.Generator, on_white: bool) -> Tensor:
    """What the camera made of a picture [H, W, 3]."""
    mask = picture.mask if on_white else None
    rgb = _apart(picture.rgb, mask, lambda own: _exposed(own, gain)) if flaws.exposure else picture.rgb
    return photographed(rgb, mask, flaws.photo, rng) if flaws.photo is not None else rgb


def photographed(rgb: Tensor, mask: Tensor | None, camera: corrupt.Camera, rng: torch.Generator) -> Tensor:
    """A picture [H, W, 3] as a camera might have taken it; of an object on white with its `mask` [H, W]."""
    return _apart(rgb, mask, lambda own: corrupt.photograph(own, camera, rng))


def _apart(rgb: Tensor, mask: Tensor | None, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Colours changed. The white behind an object is put there afterwards, so it stays white."""
    if mask is None:
        return change(rgb)
    alpha = mask[..., None]
    return color.over(change(((rgb - (1 - alpha)) / alpha.clamp_min(_THIN)).clamp(0, 1)), mask, color.WHITE)


def _exposed(rgb: Tensor, gain: float) -> Tensor:
    """The picture as a camera would take it with another exposure."""
    return color.srgb_from_linear((color.linear_from_srgb(rgb) * gain).clamp(0, 1))
