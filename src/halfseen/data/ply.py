"""Point clouds in PLY: ascii and binary in, binary little endian out. A header's promise is checked before memory is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_bytes
from halfseen.data.capture import Points

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_ENDIAN = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_MAX_HEADER = 1 << 22
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"))
# Points without colours are drawn in this grey.
_GREY = 128


def read_points(path: Path) -> Points:
    """Read x y z and, when present, red green blue of the vertex element (which must come first)."""
    return _to_points(path, read_table(path)[0])


def read_table(path: Path) -> tuple[np.ndarray, list[str]]:
    """All properties of the vertices as a structured array, and the header's comments."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise from_os_error(error, path) from error
    end = data.find(b"end_header", 0, _MAX_HEADER)
    newline = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or newline < 0:
        raise _bad(path, "no PLY header")
    header = data[:end].decode("ascii", "replace")
    layout, count, columns = _parse_header(path, header)
    body = data[newline + 1 :]
    if layout == "ascii":
        table = _ascii_rows(path, body, count, columns)
    else:
        dtype = np.dtype([(name, _ENDIAN[layout] + kind) for name, kind in columns])
        if count * dtype.itemsize > len(body):
            raise _bad(path, f"{count} points promised, {len(body) // dtype.itemsize} present")
        table = np.frombuffer(body, dtype, count)
    return table, [line[len("comment ") :] for line in header.splitlines() if line.startswith("comment ")]


def write_points(path: Path, points: Points) -> None:
    """Write a coloured point cloud."""
    table = np.zeros(len(points.xyz), [(n, "<f8") for n in "xyz"] + [(n, "u1") for n in _COLOURS[0]])
    for i, (axis, colour) in enumerate(zip("xyz", _COLOURS[0], strict=True)):
        table[axis], table[colour] = points.xyz[:, i], points.rgb[:, i]
    properties = "".join(f"property double {n}\n" for n in "xyz") + "".join(
        f"property uchar {n}\n" for n in _COLOURS[0]
    )
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment halfseen\nelement vertex {len(table)}\n{properties}end_header\n"
    )
    write_bytes(path, header.encode() + table.tobytes())


def _parse_header(path: Path, header: str) -> tuple[str, int, list[tuple[str, str]]]:
    layout, count, element = "", -1, ""
    columns: list[tuple[str, str]] = []
    for line in header.splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) > 1:
            layout = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdigit() and len(words[2]) < 16:
            if not element and words[1] != "vertex":
                raise _bad(path, f"element {quote(words[1])} before the vertices")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[0] == "property" and element == "vertex":
            if len(words) != 3 or words[1] not in _TYPES or words[2] in dict(columns):
                raise _bad(path, f"property line {quote(line)}")
            columns.append((words[2], _TYPES[words[1]]))
    if layout not in _ENDIAN or count < 0 or not {"x", "y", "z"} <= set(dict(columns)):
        raise _bad(path, "a header without format, vertex count or x y z")
    return layout, count, columns


def _ascii_rows(path: Path, body: bytes, count: int, columns: list[tuple[str, str]]) -> np.ndarray:
    lines = body.splitlines()
    if count > len(lines):
        raise _bad(path, f"{count} points promised, {len(lines)} present")
    table = np.zeros(count, [(name, "f8") for name, _ in columns])
    try:
        for i in range(count):
            table[i] = tuple(map(float, lines[i].split()[: len(columns)]))
    except ValueError as error:
        raise _bad(path, str(error)) from error
    return table


def _to_points(path: Path, table: np.ndarray) -> Points:
    names = table.dtype.names or ()
    xyz = np.stack([table[n].astype(np.float64) for n in "xyz"], -1)
    if not np.isfinite(xyz).all():
        raise _bad(path, "NaN or infinite positions")
    rgb = np.full(xyz.shape, _GREY, np.uint8)
    for colours in _COLOURS:
        if set(colours) <= set(names):
            rgb = np.stack([table[n].clip(0, 255).astype(np.uint8) for n in colours], -1)
    return Points(xyz, rgb)


def _bad(path: Path, got: str) -> UserError:
    return UserError(
        f"point cloud {quote(path.name)} cannot be read",
        got=got,
        accepted="a whole PLY file with x y z",
        do="Write it again or remove it.",
    )
