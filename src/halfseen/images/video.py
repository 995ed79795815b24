"""Video files through the ffmpeg that comes with imageio-ffmpeg: frames in, mp4 out."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from halfseen.common.errors import UserError, quote
from halfseen.images.io import MAX_PIXELS, to_bytes

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
# Pictures a second that a video may have.
FPS_RANGE = (0.1, 240.0)
# x264 quality of written videos, on imageio-ffmpeg's scale of 0 to 10.
_QUALITY = 8.0


@dataclass(frozen=True)
class VideoInfo:
    """What the container says."""

    width: int
    height: int
    fps: float
    frames: int


def info(path: Path) -> VideoInfo:
    """Read a video's header. The number of frames is estimated from duration and rate."""
    reader = _reader(path)
    try:
        meta = next(reader)
    except (OSError, StopIteration, ValueError, KeyError, IndexError) as error:
        raise _broken(path, error) from error
    finally:
        reader.close()
    width, height = meta["size"]
    fps, duration = float(meta.get("fps") or 0), float(meta.get("duration") or 0)
    if width * height > MAX_PIXELS or width < 1 or height < 1 or fps <= 0:
        raise _broken(path, f"{width} x {height} pixels at {fps} frames a second")
    return VideoInfo(width, height, fps, max(1, round(fps * duration)))


def frames(path: Path) -> Iterator[Tensor]:
    """All frames in order as float32 [H, W, 3] in [0, 1]."""
    reader = _reader(path)
    try:
        meta = next(reader)
        width, height = meta["size"]
        for data in reader:
            array = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            yield torch.from_numpy(array.astype(np.float32) / np.float32(255))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _broken(path, error) from error
    finally:
        reader.close()


def check_fps(fps: float) -> None:
    """Refuse a rate that no video has."""
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        accepted = f"{FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}"
        raise UserError("the rate of pictures is not usable", got=f"{fps:g}", accepted=accepted, do="Change --fps.")


def write_mp4(path: Path, pictures: Iterable[Tensor], fps: float, comment: str = "") -> int:
    """Write [H, W, 3] pictures as H.264; odd sizes lose their last row or column, as the codec needs. Returns the count.

    `comment` becomes metadata of the file.
    """
    import imageio_ffmpeg

    check_fps(fps)
    partial = path.with_name(f".{path.stem}.partial.mp4")
    writer, count = None, 0
    try:
        for picture in pictures:
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            if writer is None:
                size = (even.shape[1], even.shape[0])
                said = ["-metadata", f"comment={comment}"] if comment else None
                writer = imageio_ffmpeg.write_frames(
                    str(partial), size, fps=fps, quality=_QUALITY, macro_block_size=2, output_params=said
                )
                writer.send(None)
            writer.send(np.ascontiguousarray(to_bytes(even)))
            count += 1
        if writer is not None:
            writer.close()
            os.replace(partial, path)  # noqa: PTH105
    finally:
        partial.unlink(missing_ok=True)
    return count


def _reader(path: Path) -> Generator[Any, None, None]:
    import imageio_ffmpeg

    return imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")


def _broken(path: Path, got: object) -> UserError:
    first = str(got).strip().splitlines()[-1] if str(got).strip() else type(got).__name__
    return UserError(
        f"video {quote(path.name)} cannot be decoded",
        got=first,
        accepted=", ".join(VIDEO_SUFFIXES),
        do="Convert it to mp4 (H.264).",
    )
