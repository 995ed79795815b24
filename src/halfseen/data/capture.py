"""`View` and `Capture`: what every reader returns and every method takes.

A view is a picture with a camera and, where they exist, a lens, a mask and a depth map. Pictures are sources: they know their
size and decode when asked, so a capture of a thousand photos is cheap to inspect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from halfseen.cameras.cameras import Cameras, Intrinsics, concat
from halfseen.cameras.lens import PINHOLE, Lens
from halfseen.common.errors import UserError, quote
from halfseen.images import io, video

# A capture is a handful to a few thousand views; a file that lists more is a mistake or an attack.
MAX_VIEWS = 20_000

# A picture of what is known says so from here on.
_WHITE = 0.5
# Less than this and more than its rest are a lossy mask's noise: between levels 1 and 2 of 255.
_NOTHING = 1.5 / 255

# How a note begins that says where cameras are, which this capture has not.
ELSEWHERE = "poses lie"

Origin = Literal["captured", "generated"]
# object: the mask is the thing itself and the rest is background. valid: the rest is unknown and must be ignored. evaluation: the
# mask says where a rendering is measured (the object, as DTU's masks do), and nothing that is fitted may see it.
MaskRole = Literal["object", "valid", "evaluation"]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class PictureFile:
    """A picture on disk; width and height are those after EXIF orientation."""

    path: Path
    width: int
    height: int

    def read(self) -> Tensor:
        return io.read(self.path)

    def read_grey(self) -> Tensor:
        return io.read_grey(self.path)


@dataclass(frozen=True)
class NotWhite:
    """The mask of a rendered picture on white: 1 where any channel differs from pure white, or where it is not transparent."""

    path: Path
    width: int
    height: int

    def read(self) -> Tensor:
        return self.read_grey()

    def read_grey(self) -> Tensor:
        pixels = io.read(self.path)
        if pixels.shape[-1] == 4:
            return pixels[..., 3]
        return (pixels < 1).any(-1).float()


@dataclass(frozen=True)
class SharpMask:
    """A mask that was stored with loss: levels of at most 1 of 255 are 0, and of at least 254 are 1."""

    path: Path
    width: int
    height: int

    def read(self) -> Tensor:
        return self.read_grey()

    def read_grey(self) -> Tensor:
        grey = io.read_grey(self.path)
        return grey.masked_fill(grey < _NOTHING, 0.0).masked_fill(grey > 1 - _NOTHING, 1.0)


@dataclass(frozen=True)
class PictureArray:
    """A picture in memory: [H, W, C] float32, or [H, W] for masks."""

    pixels: Tensor

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def read(self) -> Tensor:
        return self.pixels

    def read_grey(self) -> Tensor:
        return self.pixels if self.pixels.dim() == 2 else self.pixels.mean(-1)


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video, decoded when read."""

    path: Path
    index: int
    width: int
    height: int

    def read(self) -> Tensor:
        for i, frame in enumerate(video.frames(self.path)):
            if i == self.index:
                return frame
        raise UserError(
            f"video {quote(self.path.name)} ends early",
            got=f"no frame {self.index}",
            accepted="the video as it was read",
            do="Read it again.",
        )

    def read_grey(self) -> Tensor:
        return self.read().mean(-1)


Picture = PictureFile | PictureArray | VideoFrame | NotWhite | SharpMask


@dataclass(frozen=True)
class Depth:
    """A z-depth map: stored values times `unit` are capture units; 0 and `invalid` mean nothing is known."""

    source: Path | Tensor  # 16-bit PNG, .npy, or [H, W] in memory
    width: int
    height: int
    unit: float = 1.0
    invalid: tuple[int, ...] = ()
    # fx, fy, cx, cy in the depth map's own pixels when the depth camera differs from the colour camera.
    intrinsics: Intrinsics | None = None
    halves: bool = False  # whether the 16-bit words of a PNG are half floats (CO3D)
    known: Path | None = None  # a picture that is white where depth counts

    def read(self) -> np.ndarray:
        """Depth in capture units [H, W], float64, 0 where nothing is known."""
        raw = self._stored()
        if raw.shape != (self.height, self.width):
            got = f"{raw.shape[1]} x {raw.shape[0]}" if raw.ndim == 2 else str(raw.shape)
            raise UserError(
                "a depth map has the wrong size",
                got=got,
                accepted=f"{self.width} x {self.height}",
                do="Write it again.",
            )
        known = np.isfinite(raw) & (raw > 0) & ~np.isin(raw, self.invalid)
        if self.known is not None:
            white = io.read_grey(self.known).numpy()
            if white.shape != raw.shape:
                raise UserError(
                    f"{quote(self.known.name)} does not fit its depth map",
                    got=f"{white.shape[1]} x {white.shape[0]}",
                    accepted=f"{self.width} x {self.height}",
                    do="Copy it again.",
                )
            known &= white > _WHITE
        return np.where(known, raw, 0.0) * self.unit

    def _stored(self) -> np.ndarray:
        if isinstance(self.source, Tensor):
            return self.source.numpy().astype(np.float64)
        if self.source.suffix == ".npy":
            return read_npy(self.source, "f").astype(np.float64)
        words = io.read_raw16(self.source)
        return words.astype(np.uint16).view(np.float16).astype(np.float64) if self.halves else words.astype(np.float64)


@dataclass(frozen=True)
class View:
    """One photo and all that is known of it."""

    name: str  # unique within the capture, the path that its file was listed under
    image: Picture
    camera: Cameras | None = None  # a batch of one; None when poses are unknown
    lens: Lens = PINHOLE
    mask: Picture | None = None
    depth: Depth | None = None
    near_far: tuple[float, float] | None = None  # z range of the scene in capture units
    focal_guess: float | None = None  # pixels, from EXIF, for photos without cameras
    origin: Origin = "captured"


@dataclass(frozen=True)
class Points:
    """Sparse scene points."""

    xyz: np.ndarray  # [N, 3] float64, capture frame
    rgb: np.ndarray  # [N, 3] uint8


@dataclass(frozen=True)
class Split:
    """Which views are inputs and which are held out, and who said so."""

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Capture:
    """Views in the user's own frame and scale, and what the files said around them."""

    views: tuple[View, ...]
    layout: str  # name of the format it was read from
    folder: Path
    points: Points | None = None
    splits: tuple[Split, ...] = ()
    mask_role: MaskRole | None = None  # None: no masks, or not stated
    background: Colour | None = None  # constant colour behind an object
    on_background: bool = False  # whether the pictures already show the object over that colour
    units: str = "unknown"
    unkept: tuple[str, ...] = ()  # what the files held and this record does not, for writers to name as lost
    notes: tuple[str, ...] = field(default=())  # what was assumed, dropped or guessed, one sentence each

    def __len__(self) -> int:
        return len(self.views)

    @property
    def posed(self) -> bool:
        """Whether every view has a camera."""
        return bool(self.views) and all(v.camera is not None for v in self.views)

    def cameras(self) -> Cameras:
        """All cameras as one batch; an error when poses are unknown."""
        batch = [v.camera for v in self.views if v.camera is not None]
        if len(batch) != len(self.views) or not batch:
            raise UserError(
                "the capture has no camera poses",
                got=f"{len(self.views)} photos, {len(batch)} of them with a pose",
                accepted="transforms.json, COLMAP sparse/0, LLFF poses_bounds.npy or RGB-D pose files beside the photos",
                do=next(
                    (f"Note: {n}." for n in self.notes if n.startswith(ELSEWHERE)),
                    "Add a pose file (COLMAP can make one).",
                ),
            )
        return concat(batch)

    def select(self, ids: Sequence[int]) -> Capture:
        """The capture with only these views, in this order. Splits no longer apply."""
        return replace(self, views=tuple(self.views[i] for i in ids), splits=())

    def noted(self, *notes: str) -> Capture:
        """The capture with further notes."""
        return replace(self, notes=self.notes + notes)


def read_npy(path: Path, kinds: str) -> np.ndarray:
    """Load a .npy file without pickle; the header's promise is checked against the file size before anything is allocated."""
    try:
        size = path.stat().st_size
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise UserError(
            f"{quote(path.name)} cannot be read",
            got=str(error)[:200] or "a broken file",
            accepted="a numpy .npy file",
            do="Write it again.",
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.nbytes > size:
        raise UserError(
            f"{quote(path.name)} holds the wrong data",
            got=f"{getattr(array, 'dtype', type(array))}",
            accepted="real numbers",
            do="Write it again.",
        )
    return np.array(array)
