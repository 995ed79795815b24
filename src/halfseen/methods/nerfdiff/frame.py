"""The frame of a photo of an object: a cube before its camera, of which the planes that a network predicts are the middle planes.

    q = (x, y, z - d) / s,   s = d W / (2 f)

for a point (x, y, z) before the camera (OpenCV), whose object is d away: [-1, 1]^2 at z = d is the picture. All sides are equal
(a similarity, not one length for each axis), so that fields and cameras are used in it as in any other box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.cameras.similarity import Similarity


def to_world(source: Cameras, distance: float) -> Similarity:
    """From the cube's frame of a batch-of-one camera, whose object is `distance` before it, to the world's."""
    width, height = source.size()
    focal = float(source.intrinsics[0, :2].mean())
    rotation = source.c2w[0, :3, :3].double()
    ahead = rotation @ torch.tensor([0.0, 0.0, distance], dtype=torch.float64)
    return Similarity(distance * max(width, height) / (2 * focal), rotation, source.centres[0].double() + ahead)


def distance_of(source: Cameras, focus: Tensor) -> float:
    """How far before a camera its object's middle [3] is."""
    return float((focus.to(source.c2w) - source.centres[0]) @ source.forward[0])
