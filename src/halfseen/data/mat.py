"""Arrays of numbers in MATLAB 5 files (`save -v6` and `-v7`): DTU states its observed volumes so. Cells, structs and text are skipped.

A file is a header of 128 bytes and elements; an element is a tag (type, bytes) and data padded to 8 bytes, small ones in 8 bytes
altogether; compressed elements hold one whole element. Promised sizes are checked against what is there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halfseen.common.errors import UserError, from_os_error, quote

_HEADER, _TAG = 128, 8
_ENDIAN = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
# Types of numbers: 8 to 64 bit integers, single, double.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
# Classes of arrays that hold numbers: double, single, and integers of 8 to 64 bits.
_CLASSES = range(6, 16)
# DTU's largest observed volume takes 30 MB; an element that unpacks to more than this is refused.
MAX_BYTES = 1 << 30


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers by name, in their own shape; the file's type of number."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise from_os_error(error, path) from error
    endian = _ENDIAN.get(data[126:128], "")
    if not endian:
        raise _bad(path, "no MATLAB 5 header")
    try:
        return dict(_arrays(memoryview(data)[_HEADER:], endian))
    except (ValueError, IndexError, zlib.error) as error:
        raise _bad(path, str(error)) from error


def _arrays(data: memoryview, endian: str) -> Iterator[tuple[str, np.ndarray]]:
    for kind, body in _elements(data, endian):
        if kind == _COMPRESSED:
            unpacking = zlib.decompressobj()
            whole = unpacking.decompress(body, MAX_BYTES)
            if unpacking.unconsumed_tail:
                raise ValueError(f"an element of more than {MAX_BYTES >> 20} MiB")
            yield from _arrays(memoryview(whole), endian)
        elif kind == _MATRIX and (found := _array(body, endian)) is not None:
            yield found


def _elements(data: memoryview, endian: str) -> Iterator[tuple[int, memoryview]]:
    """(type, data) of elements one after the other."""
    while len(data) >= _TAG:
        kind, size = (int(v) for v in np.frombuffer(data[:_TAG], f"{endian}u4"))
        if kind >> 16:  # a small element: its size in the upper half of the type, its data in the tag
            yield kind & 0xFFFF, data[4 : 4 + min(kind >> 16, 4)]
            data = data[_TAG:]
            continue
        if size > len(data) - _TAG:
            raise ValueError(f"{size} bytes promised, {len(data) - _TAG} present")
        yield kind, data[_TAG : _TAG + size]
        # Compressed elements are not padded.
        data = data[_TAG + (size if kind == _COMPRESSED else -(-size // _TAG) * _TAG) :]


def _array(body: memoryview, endian: str) -> tuple[str, np.ndarray] | None:
    """(name, values) of one array; None if it holds no numbers."""
    parts = list(_elements(body, endian))
    if len(parts) < 4 or int(np.frombuffer(parts[0][1][:4], f"{endian}u4")[0]) & 0xFF not in _CLASSES:
        return None
    shape = tuple(int(n) for n in np.frombuffer(parts[1][1], f"{endian}i4"))
    kind, values = parts[3]
    if kind not in _NUMBERS:
        raise ValueError(f"numbers of type {kind}")
    array = np.frombuffer(values, endian + _NUMBERS[kind])
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return bytes(parts[2][1]).decode("ascii", "replace"), array.reshape(shape, order="F")


def _bad(path: Path, got: str) -> UserError:
    return UserError(
        f"{quote(path.name)} cannot be read",
        got=got[:200],
        accepted="a MATLAB file of version 5 to 7.2 with arrays of numbers",
        do="Copy it again.",
    )
