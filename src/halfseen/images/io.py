"""Picture files in and out. Headers are read without decoding; pixels are bounded; EXIF orientation is always applied."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_bytes
from halfseen.images import deep_colour

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif")
_HEIF_SUFFIXES = (".heic", ".heif")

# Largest picture that is decoded: 200 megapixels is beyond any phone; a bomb promises far more.
MAX_PIXELS = 200_000_000
# EXIF orientations 5 to 8 swap width and height.
_TRANSPOSED = (5, 6, 7, 8)
_DEEP_GREY = ("I;16", "I;16L", "I;16B")
_INTEGER_MODES = (*_DEEP_GREY, "I", "L")
# Floating point and 32-bit integers have no white point, so they cannot be photos.
_NOT_A_PHOTO = ("F", "I")
# Decoders that are let near a file; Pillow has others that start foreign programs.
_FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_HEIF: tuple[str, ...] = ("HEIF",)
# What a viewer does for each EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_DEPTH_ACCEPTED = "one channel of 8, 16 or 32 bit integers"
# A full-frame sensor is 36 mm wide; EXIF's equivalent focal length refers to its 43.27 mm diagonal.
_FULL_FRAME_DIAGONAL = 43.267


def probe(path: Path) -> tuple[int, int]:
    """(width, height) after EXIF orientation, from the header alone."""
    with _open(path) as image:
        width, height = _stored_size(image)
        return (height, width) if _orientation(image) in _TRANSPOSED else (width, height)


def verify(path: Path) -> None:
    """Decode a picture and throw the pixels away; a truncated or damaged one is an error that names it."""
    with _open(path) as image:
        _decoded(path, image)


def probe_depth(path: Path) -> tuple[int, int]:
    """(width, height) of a depth picture, which must hold one channel of integers."""
    with _open(path) as image:
        if image.mode not in _INTEGER_MODES:
            raise _broken(path, f"a picture of mode {image.mode}", accepted=_DEPTH_ACCEPTED)
        return image.size


def read(path: Path) -> Tensor:
    """Decode to float32 [H, W, C] in [0, 1] with C = 3, or 4 when the file has transparency. 8 and 16 bit, grey or colour."""
    with _open(path) as image:
        upright = _decoded(path, image)
        if upright.mode in _NOT_A_PHOTO:
            raise _broken(path, f"pixels of kind {upright.mode} (32 bit)", accepted="8 or 16 bits in each channel")
        deep = deep_colour.is_deep(path, image)
        array = deep_colour.read(path, *image.size) if deep else _to_array(upright)
        if deep and _orientation(image) != 1:
            raise _broken(
                path, "a 16-bit colour picture that is stored turned", accepted="16-bit pictures that stand upright"
            )
    return torch.from_numpy(array)


def read_grey(path: Path) -> Tensor:
    """Decode a mask to float32 [H, W] in [0, 1]; a picture with transparency gives its alpha."""
    pixels = read(path)
    return pixels[..., 3] if pixels.shape[-1] == 4 else pixels.mean(-1)


def read_raw16(path: Path) -> np.ndarray:
    """Decode a one-channel integer picture (depth) without scaling: [H, W] as int64."""
    with _open(path) as image:
        array = np.array(_decoded(path, image))
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise _broken(path, f"{array.dtype} pixels of shape {array.shape}", accepted=_DEPTH_ACCEPTED)
    return array.astype(np.int64)


def write_png(path: Path, pixels: Tensor) -> None:
    """Write [H, W], [H, W, 3] or [H, W, 4] floats in [0, 1] as 8-bit PNG, atomically."""
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(pixels)).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def write_depth16(path: Path, units: np.ndarray) -> None:
    """Write integers [H, W] as 16-bit PNG, atomically."""
    buffer = io.BytesIO()
    Image.fromarray(units.astype(np.uint16)).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def to_bytes(pixels: Tensor) -> np.ndarray:
    """Floats in [0, 1] to uint8, rounded to nearest."""
    return (pixels.detach().cpu().clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def focal_from_exif(path: Path) -> float | None:
    """Focal length in pixels from EXIF's 35 mm equivalent, or None. It is a guess: cropping and zoom are not recorded."""
    with _open(path) as image:
        if image.format in ("PNG", "BMP"):
            return None
        try:
            millimetres = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
            width, height = image.size
            focal = float(millimetres) if millimetres else 0.0
        except (ValueError, TypeError, OSError, SyntaxError, ZeroDivisionError):
            return None
    return focal * float(np.hypot(width, height)) / _FULL_FRAME_DIAGONAL if focal > 0 else None


def _open(path: Path) -> Image.Image:
    if path.suffix.lower() in _HEIF_SUFFIXES:
        _enable_heif(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_FORMATS + (_HEIF if path.suffix.lower() in _HEIF_SUFFIXES else ()))
    except UnidentifiedImageError as error:
        raise _broken(path, "a file that is no picture") from error
    except Image.DecompressionBombError as error:
        raise _bomb(path, "a decompression bomb") from error
    except OSError as error:
        raise (from_os_error(error, path) if error.errno else _broken(path, str(error))) from error
    except (ValueError, SyntaxError, EOFError, OverflowError, MemoryError, TypeError) as error:
        raise _broken(path, str(error) or type(error).__name__) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise _bomb(path, f"{width} x {height} pixels")
    return image


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Size before orientation. Some versions of Pillow already swap the size of TIFF files; the tags are unambiguous."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        return int(tags[TiffImagePlugin.IMAGEWIDTH]), int(tags[TiffImagePlugin.IMAGELENGTH])
    return image.size


def _orientation(image: Image.Image) -> int:
    """EXIF orientation as the header states it. A PNG may hide one behind its pixels; that one is not looked for."""
    try:
        exif = image.info.get("exif") if image.format == "PNG" else image.getexif()
        if isinstance(exif, bytes):
            raw, exif = exif, Image.Exif()
            exif.load(raw)
        return int(exif.get(ExifTags.Base.Orientation, 1)) if exif else 1
    except (ValueError, TypeError, OSError, SyntaxError):
        return 1


def _decoded(path: Path, image: Image.Image) -> Image.Image:
    """All pixels, upright."""
    turn = _TURNS.get(_orientation(image))
    try:
        image.load()
        if image.format == "TIFF":
            # Pillow may have turned a TIFF while loading; its own function knows.
            return ImageOps.exif_transpose(image)
        return image if turn is None else image.transpose(turn)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise _broken(path, str(error) or type(error).__name__) from error


def _to_array(image: Image.Image) -> np.ndarray:
    """Pixels as float32 in [0, 1], [H, W, 3 or 4]."""
    if image.mode in _DEEP_GREY:
        grey = np.asarray(image).astype(np.float32) / np.float32(65535)
        return np.repeat(grey.clip(0, 1)[..., None], 3, -1)
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    array = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    return array.astype(np.float32) / np.float32(255)


def _enable_heif(path: Path) -> None:
    try:
        import pillow_heif  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise UserError(
            f"{quote(path.name)} needs the HEIC library",
            got="a HEIC photo without it",
            accepted="JPEG, PNG, WebP, TIFF, BMP",
            do="Run 'pip install pillow-heif', or convert the photo to JPEG.",
        ) from error
    pillow_heif.register_heif_opener()


def _broken(path: Path, got: str, accepted: str = "a whole JPEG, PNG, WebP, TIFF, BMP or HEIC picture") -> UserError:
    return UserError(
        f"picture {quote(path.name)} cannot be decoded",
        got=got,
        accepted=accepted,
        do="Copy the file again or leave it out.",
    )


def _bomb(path: Path, got: str) -> UserError:
    return UserError(
        f"picture {quote(path.name)} is too large",
        got=got,
        accepted=f"up to {MAX_PIXELS // 10**6} megapixels",
        do="Scale it down first.",
    )
