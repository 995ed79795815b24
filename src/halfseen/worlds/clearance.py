"""Room for the photographer: cameras of a layout that would stand inside a wall or a cupboard step towards the middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from halfseen.cameras.cameras import Cameras
from halfseen.worlds.geometry import Geometry
from halfseen.worlds.layouts import Stage
from halfseen.worlds.light import sphere_directions
from halfseen.worlds.mesh import Array

# Nothing is nearer to a camera than this (metres); looking around takes this many directions.
CLEAR = 0.2
_LOOKS = 128
# Someone who sees the backs of this share of all surfaces around stands inside a thing.
_INSIDE = 0.5
# Each step goes this share of the way that is left to the middle of the place; after so many steps one is there.
_STEP, _STEPS = 0.2, 16


def step_clear(geometry: Geometry, cameras: Cameras, stage: Stage, together: int = 1) -> Cameras:
    """The cameras of a place that can be walked, none inside a thing; they keep their gaze.

    Cameras of one rig, `together` one after the other, move as one. Who finds no room on the way to the middle goes to the
    nearest place where someone else stands.
    """
    if stage.half is None:
        return cameras
    eye = cameras.centres.to(torch.float64).numpy().copy()
    # The middle of a place at the height of eyes: above tables.
    middle = np.array([*stage.focus[:2], stage.eye])
    rig = np.arange(len(eye)) // together
    for _ in range(_STEPS):
        stuck = _stuck(geometry, eye, rig)
        if not stuck.any():
            break
        eye[stuck[rig]] += _STEP * (middle - _centres(eye, rig))[rig][stuck[rig]]
    stuck = _stuck(geometry, eye, rig)
    if stuck.any() and not stuck.all():
        centres, free = _centres(eye, rig), np.flatnonzero(np.logical_not(stuck))
        for one in np.flatnonzero(stuck):
            nearest = free[np.argmin(np.linalg.norm(centres[free] - centres[one], axis=1))]
            eye[rig == one] = eye[rig == nearest][: int((rig == one).sum())]
    c2w = cameras.c2w.clone()
    c2w[:, :3, 3] = torch.from_numpy(eye).to(c2w)
    return replace(cameras, c2w=c2w)


def _stuck(geometry: Geometry, eye: Array, rig: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether any camera of each rig stands inside a thing: [R] booleans."""
    return np.bincount(rig, np.logical_not(is_clear(geometry, eye))) > 0


def _centres(eye: Array, rig: NDArray[np.int64]) -> Array:
    """Mean places of rigs: [R, 3]."""
    sums = np.stack([np.bincount(rig, eye[:, k]) for k in range(3)], -1)
    means: Array = sums / np.bincount(rig)[:, None]
    return means


def is_clear(geometry: Geometry, eye: Array) -> Array:
    """Whether each place [V, 3] is outside of things and has air around it: [V] booleans."""
    around = sphere_directions(_LOOKS)
    directions = np.tile(around, (len(eye), 1))
    hits = geometry.first_hits(np.repeat(eye, _LOOKS, 0), directions)
    found = hits.face >= 0
    a, b, c = (geometry.mesh.xyz[geometry.mesh.faces[np.maximum(hits.face, 0), k]] for k in range(3))
    behind = found & ((np.cross(b - a, c - a) * directions).sum(1) > 0)
    near = np.where(found, hits.t, np.inf).reshape(-1, _LOOKS).min(1)
    clear: Array = (near > CLEAR) & (behind.reshape(-1, _LOOKS).mean(1) < _INSIDE)
    return clear
