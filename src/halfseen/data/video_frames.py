"""A video as a capture: frames spread evenly over time, in each stretch the sharpest. No cameras."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from halfseen.common.errors import UserError, quote
from halfseen.data import build, emit
from halfseen.data.capture import Capture, VideoFrame, View
from halfseen.images import resize, video

NAME = "video"
FILE = "video.mp4"
# How many frames are taken unless the caller says otherwise: the most photos that the methods are made for.
DEFAULT_COUNT = 10
# Sharpness is compared at this size, where it measures blur rather than noise.
_SHARPNESS_SIZE = 256
_WRITTEN_FPS = 10.0


def find(folder: Path) -> bool:
    """Whether this folder holds exactly a video."""
    return _video(folder) is not None


def read(folder: Path) -> Capture:
    """Read the video in a folder."""
    path = _video(folder)
    assert path is not None
    return read_file(path)


def read_file(path: Path, count: int = DEFAULT_COUNT) -> Capture:
    """Pick `count` frames: the video is cut into equal stretches and the sharpest frame of each is taken."""
    info = video.info(path)
    scores = []
    for frame in video.frames(path):
        small = resize.resize(frame, *resize.fit(info.width, info.height, _SHARPNESS_SIZE))
        scores.append(resize.sharpness(small))
    if not scores:
        raise UserError(
            f"video {quote(path.name)} has no frames",
            got="an empty stream",
            accepted="a whole video",
            do="Convert it to mp4.",
        )
    picked = pick_sharp(scores, count)
    build.check_count(len(picked), path.name)
    views = tuple(View(f"{path.name}#{i:06d}", VideoFrame(path, i, info.width, info.height)) for i in picked)
    note = f"{len(picked)} of {len(scores)} frames were taken, the sharpest of equal stretches"
    return Capture(views, NAME, path.parent, notes=(note,))


def pick_sharp(scores: list[float], count: int) -> list[int]:
    """Indices of the sharpest frame in each of `count` equal stretches."""
    count = max(1, min(count, len(scores)))
    edges = [round(i * len(scores) / count) for i in range(count + 1)]
    return [max(range(a, b), key=lambda i: scores[i]) for a, b in pairwise(edges)]


def write(capture: Capture, folder: Path) -> list[str]:
    """Write all pictures, at the first one's size, as a video; returns what was lost."""
    width, height = capture.views[0].image.width, capture.views[0].image.height
    pictures = (resize.resize(v.image.read()[..., :3], width, height) for v in capture.views)
    video.write_mp4(folder / FILE, pictures, _WRITTEN_FPS)
    return [*emit.losses(capture, ()), "pictures are compressed with loss"]


def _video(folder: Path) -> Path | None:
    found = (
        sorted(p for p in folder.iterdir() if p.suffix.lower() in video.VIDEO_SUFFIXES and p.is_file())
        if folder.is_dir()
        else []
    )
    return found[0] if len(found) == 1 else None
