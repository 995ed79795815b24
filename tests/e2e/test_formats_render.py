"""What is rendered at a photo's pose agrees with that photo, whatever format the capture came in.

The poses are the world's own: how the cameras were placed, and not what our readers make of a file. What each format's documents
say of its poses is written out here by hand, so that an error which reader and writer share does not cancel. All eight keep the
world's frame and scale.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import SMALL_FIT, cli

import halfseen as hs
from halfseen.data import formats
from halfseen.data.load import load
from halfseen.metrics.image import psnr
from halfseen.worlds import still_life

# Formats that carry poses.
POSED = [n for n in formats.names() if n not in ("photos", "video")]


def _agrees(folder: Path, tmp_path: Path, cameras: Path) -> None:
    """Fit all photos, render at the cameras of a user-frame file: each picture fits its own photo best, and only unshifted."""
    assert (
        cli("reconstruct", folder, "--out", tmp_path / "run", "--steps", 300, *SMALL_FIT, "--view-ids", "0,1,2,3,4")
        == 0
    )
    assert cli("render", tmp_path / "run", "--cameras", cameras, "--out", tmp_path / "frames") == 0
    photos = [v.image.read()[..., :3] for v in load(hs.load(folder), 48).views]
    frames = json.loads(cameras.read_text())["frames"]
    assert len(frames) == len(photos)
    for i, photo in enumerate(photos):
        shown = torch.from_numpy(np.asarray(Image.open(tmp_path / "frames" / "rgb" / f"{i:05d}.png"), np.float32) / 255)
        scores = {
            (dx, dy): psnr(torch.roll(shown, (dy, dx), (0, 1))[3:-3, 3:-3], photo[3:-3, 3:-3])
            for dx in (-2, 0, 2)
            for dy in (-2, 0, 2)
        }
        assert max(scores, key=scores.__getitem__) == (0, 0), (i, scores)
        assert psnr(torch.flip(shown, (1,)), photo) < scores[0, 0] - 2


# The cameras that `still_life_folder` was taken with, OpenCV camera-to-world (x right, y down, z forward).
SIZE = (48, 36)
WORLD = still_life.ring(5, SIZE, 60.0)
# nerfstudio: OpenGL camera-to-world, whose y is up and whose z is backward.
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def _placed(rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, centre
    return out


def _matrices(folder: Path) -> list[np.ndarray]:
    """7-Scenes and SRN: a text file of 16 numbers for each picture, OpenCV camera-to-world."""
    return [np.array(p.read_text().split(), float).reshape(4, 4) for p in sorted(folder.iterdir()) if _is_pose(p)]


def _is_pose(path: Path) -> bool:
    return path.suffix == ".txt" and "intrinsics" not in path.name


def _transforms(folder: Path) -> list[np.ndarray]:
    frames = json.loads((folder / "transforms.json").read_text())["frames"]
    return [np.array(f["transform_matrix"]) @ OPENGL for f in sorted(frames, key=lambda f: f["file_path"])]


def _llff(folder: Path) -> list[np.ndarray]:
    """A row is a 3x5 matrix (columns: down, right, backward, centre, picture and focal length), near and far."""
    rows = np.load(folder / "poses_bounds.npy")[:, :15].reshape(-1, 3, 5)
    return [_placed(np.stack([row[:, 1], row[:, 0], -row[:, 2]], 1), row[:, 3]) for row in rows]


def _colmap(numbers: list[tuple[str, list[float]]]) -> list[np.ndarray]:
    """QW QX QY QZ TX TY TZ of each picture by name: world-to-camera, as COLMAP's documentation has it."""
    out = []
    for _, (w, x, y, z, *t) in sorted(numbers):
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        out.append(np.linalg.inv(_placed(rotation, np.array(t))))
    return out


def _colmap_text(folder: Path) -> list[np.ndarray]:
    """Two lines a picture: IMAGE_ID, the seven numbers, CAMERA_ID, NAME; then its points."""
    lines = [n for n in (folder / "sparse/0/images.txt").read_text().splitlines() if not n.startswith("#")]
    words = [line.split() for line in lines[::2] if line]
    return _colmap([(w[9], [float(v) for v in w[1:8]]) for w in words])


def _colmap_binary(folder: Path) -> list[np.ndarray]:
    """Little endian: count (uint64); for each picture its id (uint32), seven doubles, camera (uint32), name, 0, points (uint64)."""
    data = (folder / "sparse/0/images.bin").read_bytes()
    (count,), at, found = struct.unpack_from("<Q", data), 8, []
    for _ in range(count):
        end = data.index(0, at + 64)
        found.append((data[at + 64 : end].decode(), list(struct.unpack_from("<7d", data, at + 4))))
        (points,) = struct.unpack_from("<Q", data, end + 1)
        # A point is two doubles and an id (int64).
        at = end + 9 + 24 * points
    return _colmap(found)


def _projected(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """Matrices K [R | t] of a world point's pixel, counted from the first one's centre; K is known here."""
    focal = WORLD.intrinsics[0, 0].item()
    k = np.array([[focal, 0, SIZE[0] / 2 - 0.5], [0, focal, SIZE[1] / 2 - 0.5], [0, 0, 1]])
    found = [np.linalg.inv(k) @ m for m in matrices]
    return [np.linalg.inv(_placed(m[:, :3], m[:, 3])) for m in found]


def _idr(folder: Path) -> list[np.ndarray]:
    """world_mat_i scale_mat_i is the projection from the unit sphere's frame, which is here the world's."""
    with np.load(folder / "cameras.npz") as archive:
        count = sum(name.startswith("world_mat_") for name in archive.files)
        return _projected([(archive[f"world_mat_{i}"] @ archive[f"scale_mat_{i}"])[:3] for i in range(count)])


def _dtu(folder: Path) -> list[np.ndarray]:
    """One 3x4 projection as text for each picture, counted from 1."""
    files = sorted((folder / "Calibration" / "cal18").glob("pos_*.txt"))
    return _projected([np.loadtxt(f) for f in files])


def _co3d(folder: Path) -> list[np.ndarray]:
    """X_cam = X_world R + T for rows, with x to the left and y up."""
    frames = json.loads(gzip.decompress((folder / "object" / "frame_annotations.jgz").read_bytes()))
    turned, out = np.diag([-1.0, -1.0, 1.0]), []
    for frame in sorted(frames, key=lambda f: f["image"]["path"]):
        r, t = (np.array(frame["viewpoint"][k]) for k in ("R", "T"))
        out.append(np.linalg.inv(_placed(turned @ r.T, turned @ t)))
    return out


STATED: dict[str, Callable[[Path], list[np.ndarray]]] = {
    "transforms": _transforms,
    "colmap": _colmap_binary,
    "colmap-text": _colmap_text,
    "llff": _llff,
    "idr": _idr,
    "dtu": _dtu,
    "rgbd": _matrices,
    "srn": lambda folder: _matrices(folder / "pose"),
    "co3d": _co3d,
}


def _worlds_own(path: Path) -> Path:
    """The world's cameras as a user would write them for `render --cameras`."""
    focal = WORLD.intrinsics[0, 0].item()
    frames = [{"transform_matrix": (pose @ OPENGL).tolist()} for pose in WORLD.c2w.numpy()]
    centre = {"cx": SIZE[0] / 2, "cy": SIZE[1] / 2, "w": SIZE[0], "h": SIZE[1]}
    path.write_text(json.dumps({"fl_x": focal, "fl_y": focal, **centre, "frames": frames}))
    return path


@pytest.mark.parametrize("name", POSED)
def test_renders_agree_with_the_photos_of_every_format(name: str, still_life_folder: Path, tmp_path: Path) -> None:
    assert cli("data", "convert", still_life_folder, "--to", name, "--out", tmp_path / "c") == 0
    np.testing.assert_allclose(STATED[name](tmp_path / "c"), WORLD.c2w.numpy(), atol=1e-6)
    _agrees(tmp_path / "c", tmp_path, _worlds_own(tmp_path / "cameras.json"))
