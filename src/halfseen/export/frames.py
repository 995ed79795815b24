"""Render a field at cameras of the user's frame and write what the command-line contract promises.

DIR/rgb/00000.png   DIR/depth/00000.npy (float32 z-depth in the capture's units, 0 = nothing)
DIR/alpha/00000.png DIR/seen/00000.png  (0 nothing, 85 invented, 170 one view, 255 two or more)
DIR/cameras.json    where each was taken (`render --cameras` reads it back)
DIR/provenance.json where they came from, and how much of them was invented
"""

from __future__ import annotations

import io as bytes_io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from halfseen.cameras.cameras import Cameras
from halfseen.common.files import new_folder, write_bytes
from halfseen.common.jsonfile import write_json
from halfseen.data import transforms_camera
from halfseen.data.capture import Capture, Colour
from halfseen.export import provenance
from halfseen.fields import seen
from halfseen.fields.contract import After, Field
from halfseen.images import io, video
from halfseen.runs.run import Run

# Names in the folder.
CAMERAS, VIDEO = "cameras.json", "video.mp4"
# Below this opacity a pixel has no depth.
_NO_DEPTH = 0.5
# What was empty and is changed by more than this was filled in.
_FILLED = 2 / 255
# Values that a seen picture may have.
_LEVELS = 256


@dataclass(frozen=True)
class Frame:
    """One rendered frame in the user's units."""

    rgb: Tensor  # [H, W, 3]
    depth: Tensor  # [H, W]
    alpha: Tensor  # [H, W]
    seen: Tensor | None  # [H, W] uint8


def render(
    field: Field, captured: Capture | None, cameras: Cameras, background: Colour, after: After | None = None
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
        rgb = picture.rgb.cpu() if after is None else after(picture, boxed[i], background)
        map_ = None if witness is None else seen.seen_map(witness, picture, boxed[i])
        if map_ is not None and after is not None:
            filled = (map_ == seen.NOTHING) & ((rgb - picture.rgb.cpu()).abs().amax(-1) > _FILLED)
            map_ = torch.where(filled, torch.tensor(seen.INVENTED, dtype=torch.uint8), map_)
        yield Frame(rgb, depth.cpu(), picture.alpha.cpu(), map_)


def witness_of(field: Field, captured: Capture) -> seen.Witness:
    """What the input views (user's frame) saw of a field: where a photo's mask says that it is not valid, it saw nothing."""
    role = captured.mask_role
    valid = [v.mask.read_grey() if v.mask is not None and role == "valid" else None for v in captured.views]
    return seen.witness(field, field.to_user.inverse().cameras(captured.cameras()), valid)


def write(
    frames: Iterator[Frame],
    cameras: Cameras,
    folder: Path,
    run: Run,
    *,
    fps: float | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Frame]:
    """Write frames of a run into a new folder that appears when all are there; yields each. `fps` adds a video, `more` is told
    beside what the run says of itself."""
    with new_folder(folder) as partial:
        write_json(partial / CAMERAS, transforms_camera.document(cameras))
        tallied, count = no_pixels(), 0
        for i, frame in enumerate(frames):
            io.write_png(partial / "rgb" / f"{i:05d}.png", frame.rgb)
            io.write_png(partial / "alpha" / f"{i:05d}.png", frame.alpha)
            _write_npy(partial / "depth" / f"{i:05d}.npy", frame.depth)
            if frame.seen is not None:
                io.write_png(partial / "seen" / f"{i:05d}.png", frame.seen.float() / 255)
            tallied, count = tallied + tally(frame), i + 1
            yield frame
        facts = {**provenance.of(run, content_shares(tallied)), **more}
        write_json(partial / provenance.FILE, facts)
        if fps is not None:
            # From the files, so that a long video never lies in memory.
            pictures = (io.read(partial / "rgb" / f"{i:05d}.png") for i in range(count))
            video.write_mp4(partial / VIDEO, pictures, fps, provenance.argument(facts))


def write_video(
    frames: Iterable[Frame], path: Path, run: Run, fps: float, more: Mapping[str, Any] = MappingProxyType({})
) -> Tensor:
    """Write a video of a run, which says where it came from; returns the tally of its pixels [256]."""
    tallied, pictures = no_pixels(), []
    for frame in frames:
        tallied += tally(frame)
        # The file's comment comes before its pictures, and tells how much of them was invented: they wait as bytes.
        pictures.append(torch.from_numpy(io.to_bytes(frame.rgb)))
    comment = provenance.argument({**provenance.of(run, content_shares(tallied)), **more})
    video.write_mp4(path, (p.float() / 255 for p in pictures), fps, comment)
    return tallied


def no_pixels() -> Tensor:
    """An empty tally."""
    return torch.zeros(_LEVELS, dtype=torch.long)


def tally(frame: Frame) -> Tensor:
    """How many pixels of a frame have each value of a seen picture [256]."""
    return no_pixels() if frame.seen is None else torch.bincount(frame.seen.reshape(-1).long(), minlength=_LEVELS)


def content_shares(tallied: Tensor) -> dict[str, float]:
    """Of the pixels that show something, the shares by how many photos saw them, in the words of provenance."""
    counts = [int(tallied[v]) for v in (seen.INVENTED, seen.ONE_VIEW, seen.TWO_VIEWS)]
    return {name: c / max(sum(counts), 1) for name, c in zip(provenance.CLASSES, counts, strict=True)}


def seen_shares(tallied: Tensor) -> dict[str, float]:
    """Shares of all pixels that two or more photos saw, one saw, none saw, and that show nothing."""
    names = {"two or more": seen.TWO_VIEWS, "one": seen.ONE_VIEW, "none": seen.INVENTED, "nothing there": seen.NOTHING}
    return {name: int(tallied[value]) / max(int(tallied.sum()), 1) for name, value in names.items()}


def _write_npy(path: Path, depth: Tensor) -> None:
    buffer = bytes_io.BytesIO()
    np.save(buffer, depth.numpy().astype(np.float32))
    write_bytes(path, buffer.getvalue())
