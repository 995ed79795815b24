"""Render a field at cameras of the user's frame and write what the command-line contract promises.

DIR/rgb/00000.png   DIR/depth/00000.npy (float32 z-depth in the capture's units, 0 = nothing)
DIR/alpha/00000.png DIR/seen/00000.png  (0 nothing, 85 invented, 170 one view, 255 two or more)
"""

from __future__ import annotations

import io as bytes_io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.common.files import new_folder, write_bytes
from halfseen.common.jsonfile import write_json
from halfseen.data import transforms_camera
from halfseen.data.capture import Capture
from halfseen.fields import seen
from halfseen.fields.contract import Field
from halfseen.images import io, video

# Below this opacity a pixel has no depth.
_NO_DEPTH = 0.5


@dataclass(frozen=True)
class Frame:
    """One rendered frame in the user's units."""

    rgb: Tensor  # [H, W, 3]
    depth: Tensor  # [H, W]
    alpha: Tensor  # [H, W]
    seen: Tensor | None  # [H, W] uint8


def render(
    field: Field, captured: Capture | None, cameras: Cameras, background: tuple[float, float, float]
) -> Iterator[Frame]:
    """Render at user-frame cameras. `captured` are the input views in the user's frame; without them no seen picture is made."""
    to_box = field.to_user.inverse()
    witness = None if captured is None else witness_of(field, captured)
    boxed = to_box.cameras(cameras)
    for i in range(len(boxed)):
        with torch.no_grad():
            picture = field.render(boxed[i], background=background)
        depth = torch.where(
            picture.alpha < _NO_DEPTH, torch.zeros_like(picture.depth), picture.depth * field.to_user.scale
        )
        map_ = None if witness is None else seen.seen_map(witness, picture, boxed[i])
        yield Frame(picture.rgb.cpu(), depth.cpu(), picture.alpha.cpu(), map_)


def witness_of(field: Field, captured: Capture) -> seen.Witness:
    """What the input views (user's frame) saw of a field: where a photo's mask says that it is not valid, it saw nothing."""
    role = captured.mask_role
    valid = [v.mask.read_grey() if v.mask is not None and role == "valid" else None for v in captured.views]
    return seen.witness(field, field.to_user.inverse().cameras(captured.cameras()), valid)


def write(frames: Iterator[Frame], cameras: Cameras, folder: Path, *, fps: float | None = None) -> Iterator[Frame]:
    """Write frames into a new folder that appears when all are there; yields each.

    cameras.json says where each was taken (`render --cameras` reads it back); `fps` adds video.mp4.
    """
    with new_folder(folder) as partial:
        write_json(partial / "cameras.json", transforms_camera.document(cameras))
        count = 0
        for i, frame in enumerate(frames):
            io.write_png(partial / "rgb" / f"{i:05d}.png", frame.rgb)
            io.write_png(partial / "alpha" / f"{i:05d}.png", frame.alpha)
            _write_npy(partial / "depth" / f"{i:05d}.npy", frame.depth)
            if frame.seen is not None:
                io.write_png(partial / "seen" / f"{i:05d}.png", frame.seen.float() / 255)
            count = i + 1
            yield frame
        if fps is not None:
            # From the files, so that a long video never lies in memory.
            pictures = (io.read(partial / "rgb" / f"{i:05d}.png") for i in range(count))
            video.write_mp4(partial / "video.mp4", pictures, fps)


def seen_shares(frames: Sequence[Frame]) -> dict[str, float]:
    """Shares of all pixels that two or more photos saw, one saw, none saw, and that show nothing."""
    values = torch.cat([f.seen.reshape(-1) for f in frames if f.seen is not None])
    names = {"two or more": seen.TWO_VIEWS, "one": seen.ONE_VIEW, "none": seen.INVENTED, "nothing there": seen.NOTHING}
    return {name: float((values == value).float().mean()) for name, value in names.items()}


def _write_npy(path: Path, depth: Tensor) -> None:
    buffer = bytes_io.BytesIO()
    np.save(buffer, depth.numpy().astype(np.float32))
    write_bytes(path, buffer.getvalue())
