"""Render a world: primary rays through Embree with regular supersampling, light from the bake, any of three backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from halfseen.cameras import rays
from halfseen.cameras.cameras import Cameras
from halfseen.images.color import srgb_from_linear
from halfseen.worlds.geometry import Geometry
from halfseen.worlds.light import Baked, Light, bake, sky_radiance
from halfseen.worlds.materials import Material, table
from halfseen.worlds.mesh import Mesh
from halfseen.worlds.shade import kernel_arguments, shade

Background = Literal["white", "black", "environment"]
# Every pixel is the mean of this many rays squared.
SUPERSAMPLE = 2


@dataclass(frozen=True)
class Model:
    """What a family makes: a mesh, its materials, and the light that it stands in."""

    mesh: Mesh
    materials: Sequence[Material]
    light: Light
    ghosts: frozenset[int] = frozenset()  # materials that are seen but cast no shadow
    images: tuple[
        NDArray[np.float32], ...
    ] = ()  # linear textures [H, W, 3] of materials of kind IMAGE (p1 is the number)


@dataclass(frozen=True)
class World:
    """A model ready to be rendered: in Embree, with its light baked."""

    model: Model
    geometry: Geometry
    baked: Baked
    rows: NDArray[np.float32]
    buffers: tuple[NDArray, ...]  # faces, normals, tex, uv as the kernel takes them, and the faces' materials
    lights: tuple[NDArray[np.float32], NDArray[np.float32]]  # sun (direction, colour) and sky
    texels: NDArray[np.float32]  # all textures' pixels [T, 3], one after the other
    places: NDArray[np.int64]  # first texel, width, height of each texture


@dataclass(frozen=True)
class Picture:
    """One rendered view."""

    rgb: Tensor  # [H, W, 3] sRGB over the background
    depth: Tensor  # [H, W] z-depth at pixel centres, 0 where nothing is
    mask: Tensor  # [H, W] coverage in [0, 1]
    normal: Tensor  # [H, W, 3] world, at pixel centres
    albedo: Tensor  # [H, W, 3] linear, at pixel centres


def prepare(model: Model) -> World:
    """Build the ray structure and bake the light, once for all views."""
    geometry = Geometry(model.mesh)
    solid = geometry
    if model.ghosts:
        kept = ~np.isin(model.mesh.material, list(model.ghosts))
        solid = Geometry(replace(model.mesh, faces=model.mesh.faces[kept], material=model.mesh.material[kept]))
    mesh, light = model.mesh, model.light
    buffers = (mesh.faces, *(kernel_arguments(a) for a in (mesh.normal, mesh.tex, mesh.uv)), mesh.material)
    direction = np.asarray(light.sun_direction) / np.linalg.norm(light.sun_direction)
    sun = np.concatenate([direction, np.asarray(light.sun) * light.sun_strength])
    sky = np.concatenate([light.horizon, light.zenith, light.ground])
    lights = (kernel_arguments(sun), kernel_arguments(sky))
    baked, rows = bake(solid, light), table(model.materials)
    return World(model, geometry, baked, rows, buffers, lights, *_pack(model.images))


def _pack(images: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Textures as one list of texels and where each begins; never empty, because compiled code wants a type."""
    texels = [i.reshape(-1, 3) for i in images] or [np.zeros((1, 3), np.float32)]
    starts = np.cumsum([0, *(len(t) for t in texels)])[:-1]
    sizes = [(i.shape[1], i.shape[0]) for i in images] or [(1, 1)]
    places = np.array([(s, w, h) for s, (w, h) in zip(starts, sizes, strict=True)], np.int64)
    return kernel_arguments(np.concatenate(texels)), places


def render(world: World, camera: Cameras, background: Background, *, supersample: int = SUPERSAMPLE) -> Picture:
    """One view of a batch-of-one camera. Depth, normal and albedo are those of the middle ray: nothing is mixed at edges."""
    width, height = camera.size()
    fine = camera.resized(width * supersample, height * supersample)
    rgb, mask, directions = _linear(world, fine)
    if background == "environment":
        missed = mask == 0
        rgb[missed] = sky_radiance(directions[missed], world.model.light)
    elif background == "white":
        rgb = rgb + (1 - mask[:, None])
    mean = _box(rgb, width, height, supersample)
    coverage = _box(mask[:, None], width, height, supersample)[..., 0]
    albedo, normal, depth = _surface(world, camera)
    shape = (height, width, 3)
    return Picture(
        srgb_from_linear(torch.from_numpy(mean).float().clamp(0, 1)),
        torch.from_numpy(depth.reshape(height, width)),
        torch.from_numpy(coverage).float(),
        torch.from_numpy(normal.reshape(shape)),
        torch.from_numpy(albedo.reshape(shape)),
    )


def _linear(world: World, camera: Cameras) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Linear colours [P, 3] (0 where nothing is hit), hit mask [P], and directions [P, 3]."""
    origins, directions, forward = _rays(camera)
    shaded = _shade(world, origins, directions, forward)
    return shaded[0].astype(np.float64), (shaded[3] > 0).astype(np.float64), directions


def _surface(world: World, camera: Cameras) -> tuple[NDArray[np.float32], ...]:
    """Albedo, normal and z-depth of the middle ray of every pixel."""
    _, albedo, normal, depth = _shade(world, *_rays(camera))
    return albedo, normal, depth


def _rays(camera: Cameras) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    ray = rays.cast_all(camera)
    return ray.origins.numpy(), ray.directions.numpy(), camera.forward[0].numpy()


def _shade(world: World, origins: NDArray, directions: NDArray, forward: NDArray) -> tuple[NDArray[np.float32], ...]:
    """Shade the first hits of rays: linear rgb, albedo, normal, z-depth."""
    hits = world.geometry.first_hits(origins, directions)
    faces, normals, tex, uv, material = world.buffers
    light = (world.baked.irradiance, world.baked.sun)
    along = (kernel_arguments(directions), kernel_arguments(forward))
    surface = (faces, normals, tex, uv, *light, material, world.rows)
    shaded: tuple[NDArray[np.float32], ...] = shade(
        hits.face, hits.u, hits.v, hits.t, *along, *surface, *world.lights, world.texels, world.places
    )
    return shaded


def _box(values: NDArray[np.float64], width: int, height: int, factor: int) -> NDArray[np.float64]:
    """Mean over the rays of each pixel: [H, W, C]."""
    return values.reshape(height, factor, width, factor, -1).mean((1, 3))
