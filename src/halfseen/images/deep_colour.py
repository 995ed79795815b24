"""16-bit colour pictures. Pillow cuts them to 8 bits without a word, so ffmpeg decodes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from halfseen.common.errors import UserError, quote

# Offsets of bit depth and colour type in a PNG's header, and the colour types that have colour (2) and transparency too (6).
_PNG_DEPTH, _PNG_COLOUR, _COLOUR_TYPES = 24, 25, (2, 6)
_DEEP_BITS, _WHITE = 16, 65535
_HEADER = 33


def is_deep(path: Path, image: Image.Image) -> bool:
    """Whether a file holds colour of 16 bits in each channel."""
    if image.format == "PNG":
        with path.open("rb") as f:
            header = f.read(_HEADER)
        return len(header) == _HEADER and header[_PNG_DEPTH] == _DEEP_BITS and header[_PNG_COLOUR] in _COLOUR_TYPES
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,))
        return len(bits) >= 3 and max(bits) == _DEEP_BITS
    return False


def read(path: Path, width: int, height: int) -> NDArray[np.float32]:
    """Pixels [H, W, 3 or 4] in [0, 1]; four channels when the file has transparency."""
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgba64le", bits_per_pixel=64)
    try:
        next(reader)
        data = next(reader)
        array = np.frombuffer(data, "<u2").reshape(height, width, 4).astype(np.float32) / np.float32(_WHITE)
    except (OSError, StopIteration, ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"picture {quote(path.name)} cannot be decoded",
            got="damaged 16-bit colour",
            accepted="a whole picture of 8 or 16 bits",
            do="Copy the file again or save it with 8 bits.",
        ) from error
    finally:
        reader.close()
    return array if (array[..., 3] < 1).any() else np.ascontiguousarray(array[..., :3])
