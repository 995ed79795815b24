"""Helpers of the tests: random cameras, and captures whose pictures show where known 3D points are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from halfseen.cameras import cameras as cams
from halfseen.cameras import lens as lenses
from halfseen.cameras import paths
from halfseen.cameras.cameras import Cameras, Intrinsics
from halfseen.cameras.lens import PINHOLE, Lens
from halfseen.cli.main import main
from halfseen.common.rng import generator
from halfseen.data.capture import Capture, Depth, PictureArray, Points, Split, View
from halfseen.worlds.layouts import SRN_FOCAL

_UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)

# World points that every camera of `dotted` sees, each drawn in its own colour channel.
POINTS = torch.tensor([[0.25, 0.1, 0.05], [-0.3, -0.05, 0.2], [0.05, -0.25, -0.15]], dtype=torch.float64)
# Radius of a drawn dot in pixels (standard deviation).
SPOT = 1.6


def looking_from(eye: tuple[float, float, float], size: int = 16) -> Cameras:
    """A camera that looks at the origin, as SRN's."""
    at = torch.tensor([eye], dtype=torch.float64)
    f = SRN_FOCAL * size
    return cams.make(paths.look_at(at, torch.zeros_like(at), _UP), (f, f, size / 2, size / 2), (size, size))


def random_poses(count: int, seed: int) -> Tensor:
    """`count` random rigid camera-to-world matrices."""
    rng = generator(seed, "poses")
    q, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=rng, dtype=torch.float64))
    q = q * torch.sign(torch.det(q))[:, None, None]
    out = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    out[:, :3, :3], out[:, :3, 3] = q, 3 * torch.randn(count, 3, generator=rng, dtype=torch.float64)
    return out


def random_cameras(count: int, seed: int) -> Cameras:
    """Random poses with off-centre principal points, different focal lengths, and a picture that is not square."""
    rng = generator(seed, "intrinsics")
    jitter = torch.rand(count, 4, generator=rng, dtype=torch.float64)
    base = torch.tensor([90.0, 110.0, 50.0, 30.0], dtype=torch.float64)
    return Cameras(random_poses(count, seed), base + 10 * jitter, torch.tensor([[101, 67]]).repeat(count, 1))


def dotted(
    *,
    intrinsics: Intrinsics = (150.0, 150.0, 80.0, 60.0),
    size: tuple[int, int] = (160, 120),
    lens: Lens = PINHOLE,
    count: int = 4,
) -> Capture:
    """A capture whose pictures show `POINTS` as coloured dots, through the lens, with depth maps of the dots' planes.

    The world frame is turned, shifted and scaled, so that a lost scale or a lost axis shows.
    """
    eye = torch.tensor([[2.0, 0.3, 0.9], [1.2, 1.7, 0.5], [-0.4, 2.1, 0.7], [1.9, -0.9, 1.2]], dtype=torch.float64)[
        :count
    ]
    poses = paths.look_at(eye, torch.zeros(3, dtype=torch.float64), torch.tensor([0.1, 0.2, 1.0], dtype=torch.float64))
    cameras = cams.make(poses, intrinsics, size)
    views = []
    for i in range(len(cameras)):
        camera = cameras[i]
        picture = draw_dots(camera, lens)
        z = (camera.w2c[0] @ torch.cat([POINTS[0], torch.ones(1, dtype=torch.float64)]))[2]
        depth = Depth(torch.full((size[1], size[0]), float(z)), *size)
        views.append(
            View(f"images/{i:03d}.png", PictureArray(picture), camera, lens=lens, depth=depth, near_far=(0.8, 4.0))
        )
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
    split = Split("train_test_split_2", (0, 2), (1, 3)[: max(0, count - 2)])
    return Capture(tuple(views), "world", Path(), points=Points(POINTS.numpy(), colours.numpy()), splits=(split,))


def draw_dots(camera: Cameras, lens: Lens) -> Tensor:
    """Dark picture [H, W, 3] with one Gaussian dot for each point, point i in channel i."""
    width, height = camera.size()
    x, y = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
    picture = torch.zeros(height, width, 3)
    for channel, (u, v) in enumerate(distorted_pixels(camera, lens).tolist()):
        picture[..., channel] = torch.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * SPOT**2))
    return picture


def distorted_pixels(camera: Cameras, lens: Lens, points: Tensor = POINTS) -> Tensor:
    """Where points [N, 3] land in the raw picture [N, 2], written out without the library's `project`."""
    w2c = torch.linalg.inv(camera.c2w[0])
    local = points @ w2c[:3, :3].T + w2c[:3, 3]
    xy = lenses.distort(lens, local[:, :2] / local[:, 2:])
    return xy * camera.intrinsics[0, :2] + camera.intrinsics[0, 2:]


def dot_centres(picture: Tensor) -> Tensor:
    """Centre of mass [3, 2] of the dot in each channel, by its bright core."""
    height, width = picture.shape[:2]
    x, y = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
    centres = []
    for channel in range(3):
        weight = (picture[..., channel] - 0.2).clamp_min(0)
        centres.append([float((weight * x).sum() / weight.sum()), float((weight * y).sum() / weight.sum())])
    return torch.tensor(centres, dtype=torch.float64)


def as_bytes(capture: Capture) -> Capture:
    """The capture with pictures rounded to 8 bits, as any file has them."""
    views = (replace(v, image=PictureArray((v.image.read() * 255).round() / 255)) for v in capture.views)
    return replace(capture, views=tuple(views))


# A small grid for fits of seconds, which is enough to tell places apart.
SMALL_FIT = tuple(
    word
    for setting in (
        "work=13000",
        "least_rays=128",
        "hashgrid.levels=4",
        "hashgrid.finest=128",
        "hashgrid.log2_entries=13",
        "hashgrid.occupancy.side=24",
    )
    for word in ("--set", setting)
)


def cli(*arguments: object) -> int:
    """Run the command line in this process."""
    return main([str(a) for a in arguments])


def checkpoint(run: Path) -> dict[str, str]:
    """Hashes of the last checkpoint's files (of bytes, a failed comparison would be explained for minutes)."""
    (*_, last) = sorted((run / "checkpoints").iterdir())
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in last.iterdir()}
