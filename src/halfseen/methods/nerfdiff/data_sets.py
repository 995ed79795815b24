"""Objects from folders instead of worlds: ShapeNet-SRN, ABO (as downloaded, or in SRN's layout), CLEVR3D, and a user's own meshes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from halfseen.common.errors import UserError, quote
from halfseen.common.rng import generator
from halfseen.data import abo, clevr3d, protocols, srn
from halfseen.data import load as loading
from halfseen.data.capture import Capture, PictureArray, View
from halfseen.images import color
from halfseen.worlds import sample, user_meshes
from halfseen.worlds.objects import Made

# Of a table of CLEVR3D, the split that is trained on and the one that is judged; of ABO's the same.
_SPLITS = {"train": "train", "held-out": "test"}


@dataclass(frozen=True)
class Folder:
    """Pictures of objects in a folder, at so many pixels; so many views of each, or those that are named (see `_chosen` where an object
    has fewer)."""

    path: str
    size: int
    views: int
    purpose: str = "train"  # or held-out
    only: tuple[int, ...] | None = None
    layout: str = "hemisphere"  # of a user's meshes, which are rendered here


@dataclass(frozen=True)
class Listed:
    """What a folder holds: how many objects, and a way to read each."""

    count: int
    read: Callable[[int], Capture]
    on_white: bool = True


def of_folder(order: Folder, number: int) -> Made:
    """One object of a folder, over and over (this runs in workers)."""
    found = _listed(order)
    capture = found.read(number % found.count)
    chosen = _chosen(order, len(capture), number)
    views = [_square(_shown(capture.views[i], order.size, capture), order.size) for i in chosen]
    rgb = np.stack([(v.image.read()[..., :3] * 255 + 0.5).to(torch.uint8).numpy() for v in views])
    cameras = capture.select(chosen).cameras()
    masks = [torch.ones(order.size, order.size) if v.mask is None else v.mask.read_grey() for v in views]
    mask = np.stack([(m * 255 + 0.5).to(torch.uint8).numpy() for m in masks])
    intrinsics = np.stack([v.camera.intrinsics[0].numpy() for v in views if v.camera is not None])
    return Made(rgb, mask, cameras.c2w.numpy(), intrinsics, found.on_white)


def _chosen(order: Folder, there: int, number: int) -> list[int]:
    """Views of an object, the photo first where they are named."""
    if order.only is not None:
        if max(order.only) < there:
            return list(order.only)
        # ABO has 91 views of an object at most, CLEVR3D three of a scene: the first is the photo, others are spread over the rest.
        return [0, *protocols.spread(range(1, there), min(len(order.only), there) - 1)] if there > 1 else [0]
    return torch.randperm(there, generator=generator(0, "nerfdiff/views", number))[: order.views].tolist()


@lru_cache(4)
def _listed(order: Folder) -> Listed:
    """What a folder holds, by what is in it."""
    folder = Path(order.path)
    if not folder.is_dir():
        raise UserError("the data set is not there", got=quote(order.path), accepted="a folder", do="Check the path.")
    instances = srn.instances(folder)
    if instances:
        return Listed(len(instances), lambda n: srn.read(instances[n]))
    if clevr3d.find(folder):
        scenes = clevr3d.table(folder)
        numbers = clevr3d.numbers(scenes, _SPLITS[order.purpose])
        if numbers:
            return Listed(len(numbers), lambda n: clevr3d.read_scene(scenes, numbers[n]), on_white=False)
    split = _SPLITS[order.purpose] if (folder / abo.SPLITS).is_file() else None
    lights = abo.scenes(folder, split)
    if lights:
        return Listed(len(lights), lambda n: abo.read(lights[n]))
    meshes = user_meshes.find(folder)
    if meshes:
        return Listed(len(meshes), lambda n: _of_mesh(meshes[n], order, n))
    raise UserError(
        f"{quote(order.path)} holds no objects",
        got="none of the known layouts",
        accepted="ShapeNet-SRN instances, ABO items, CLEVR3D, or mesh files",
        do="Name the folder that holds the objects' own folders.",
    )


def _of_mesh(path: Path, order: Folder, number: int) -> Capture:
    """A user's mesh, photographed; each from other places where it is to be learned from."""
    views = order.views if order.only is None else max(order.only) + 1
    seed = number if order.only is None else 0
    loaded = user_meshes.load(path)
    return sample.shoot_model(loaded.model, order.layout, views, (order.size, order.size), seed).capture


def _shown(view: View, size: int, capture: Capture) -> View:
    """A view whose shorter side is `size`, over white where it is an object."""
    shorter = min(view.image.width, view.image.height)
    if shorter < size:
        raise UserError(
            f"pictures of {quote(capture.folder.name)} are smaller than what is trained",
            got=f"{view.image.width} x {view.image.height} pixels, size={size}",
            accepted=f"{size} or more on the shorter side",
            do=f"Train with --set size={shorter} or less, or take larger pictures.",
        )
    longer = round(size * max(view.image.width, view.image.height) / shorter)
    small, _ = loading.load_view(view, longer, color.WHITE)
    if small.mask is None or capture.on_background:
        return small
    return replace(
        small, image=PictureArray(color.over(small.image.read()[..., :3], small.mask.read_grey(), color.WHITE))
    )


def _square(view: View, size: int) -> View:
    """The middle of a view."""
    assert view.camera is not None
    width, height = view.image.width, view.image.height
    left, top = (width - size) // 2, (height - size) // 2
    cut = (slice(top, top + size), slice(left, left + size))
    mask = None if view.mask is None else PictureArray(view.mask.read_grey()[cut])
    return replace(
        view, image=PictureArray(view.image.read()[cut]), mask=mask, camera=view.camera.cropped(left, top, size, size)
    )
