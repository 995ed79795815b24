"""Files of Gaussians: INRIA's PLY and .splat, in and out. All in the file's own frame.

PLY     x y z, normals (zeros), f_dc_0..2, f_rest_* (all of red, then green, then blue), opacity (logit), scale_0..2 (logarithms),
        rot_0..3 (wxyz); and `seen` (0 nobody, 1 one photo, 2 two or more), which other programs skip
.splat  32 bytes each: place and radii as floats, colour and opacity as bytes, quaternion as bytes; no view dependence
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfseen.common.errors import UserError, from_os_error, quote
from halfseen.common.files import write_bytes
from halfseen.data import ply

SUFFIXES = (".ply", ".splat")
# Constant of the first spherical harmonic: rgb = 1/2 + C0 f_dc.
C0 = 0.28209479177387814
# Numbers of f_rest by the number of bands, and what else every Gaussian of a PLY must have.
_REST = {0: 1, 9: 2, 24: 3, 45: 4}
_NEEDED = (
    "opacity",
    *(f"f_dc_{i}" for i in range(3)),
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
)
# Opacities below this, and those without a number, are dropped when reading, as viewers do.
_LEAST = 1 / 255
# Bytes of a quaternion: q * 128 + 128.
_TURN = 128.0
_RECORD = np.dtype([("xyz", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("turn", "u1", 4)])


@dataclass(frozen=True)
class Splats:
    """N Gaussians as files have them."""

    xyz: NDArray[np.float32]  # [N, 3]
    scale: NDArray[np.float32]  # [N, 3] logarithms of the radii
    turn: NDArray[np.float32]  # [N, 4] quaternion wxyz
    opacity: NDArray[np.float32]  # [N] logit
    sh: NDArray[np.float32]  # [N, K, 3] spherical harmonics
    seen: NDArray[np.uint8] | None = None  # [N] photos that see each, 2 for two or more
    comments: tuple[str, ...] = ()
    dropped: int = 0  # that were not readable as Gaussians, or too thin to see


def read(path: Path) -> Splats:
    """Read either kind by its suffix."""
    if path.suffix.lower() == ".splat":
        return read_splat(path)
    return read_ply(path)


def is_ply(path: Path) -> bool:
    """Whether a PLY file holds Gaussians rather than points or a mesh."""
    names = ply.read_table(path)[0].dtype.names or ()
    return set(_NEEDED) <= set(names)


def read_ply(path: Path) -> Splats:
    """Read INRIA's PLY, with or without normals and view dependence."""
    table, comments = ply.read_table(path)
    names = table.dtype.names or ()
    missing = [n for n in _NEEDED if n not in names]
    rest = [n for n in names if n.startswith("f_rest_")]
    if missing or len(rest) not in _REST or any(f"f_rest_{i}" not in names for i in range(len(rest))):
        raise UserError(
            f"{quote(path.name)} holds no Gaussians",
            got=f"no property {missing[0]}" if missing else f"{len(rest)} properties f_rest",
            accepted="a PLY file as INRIA's 3D Gaussian splatting writes it",
            do="Export it again as such.",
        )

    def stack(*columns: str) -> NDArray[np.float32]:
        return np.stack([table[c].astype(np.float32) for c in columns], -1)

    sh = stack(*(f"f_dc_{i}" for i in range(3)))[:, None]
    if rest:
        # Channels outside, functions inside.
        more = stack(*(f"f_rest_{i}" for i in range(len(rest)))).reshape(len(table), 3, -1).transpose(0, 2, 1)
        sh = np.concatenate([sh, more], 1)
    seen = table["seen"].astype(np.uint8) if "seen" in names else None
    parts = (stack("x", "y", "z"), stack(*(f"scale_{i}" for i in range(3))), stack(*(f"rot_{i}" for i in range(4))))
    return _clean(Splats(*parts, stack("opacity")[:, 0], sh, seen, tuple(comments)))


def write_ply(path: Path, splats: Splats) -> None:
    """Write INRIA's PLY, with `seen` at the end if it is known."""
    count, functions = splats.sh.shape[:2]
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(3 * (functions - 1))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    rest = splats.sh[:, 1:].transpose(0, 2, 1).reshape(count, -1)
    normals = np.zeros((count, 3), np.float32)
    columns: list[NDArray[np.float32]] = [
        splats.xyz,
        normals,
        splats.sh[:, 0],
        rest,
        splats.opacity[:, None],
        splats.scale,
        splats.turn,
    ]
    kinds = [(n, "<f4") for n in names] + ([("seen", "u1")] if splats.seen is not None else [])
    table = np.zeros(count, kinds)
    for name, column in zip(names, np.concatenate(columns, 1).T, strict=True):
        table[name] = column
    if splats.seen is not None:
        table["seen"] = splats.seen
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {c}" for c in splats.comments),
        f"element vertex {count}",
    ]
    lines += [f"property float {n}" for n in names] + (["property uchar seen"] if splats.seen is not None else [])
    write_bytes(path, ("\n".join([*lines, "end_header"]) + "\n").encode() + table.tobytes())


def read_splat(path: Path) -> Splats:
    """Read .splat."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise from_os_error(error, path) from error
    if not data or len(data) % _RECORD.itemsize:
        raise UserError(
            f"{quote(path.name)} holds no Gaussians",
            got=f"{len(data)} bytes",
            accepted=f"whole records of {_RECORD.itemsize} bytes",
            do="Export it again.",
        )
    table = np.frombuffer(data, _RECORD)
    alpha = table["rgba"][:, 3].astype(np.float32) / 255
    colour = (table["rgba"][:, :3].astype(np.float32) / 255 - 0.5) / C0
    with np.errstate(divide="ignore", invalid="ignore"):
        scale, opacity = np.log(table["scale"]), np.log(alpha / (1 - alpha))
    turn = (table["turn"].astype(np.float32) - _TURN) / _TURN
    # Full opacity has no logit: it is taken for the largest that bytes tell from it.
    opacity = np.where(alpha >= 1, np.float32(np.log(2 * 255)), opacity)
    sh = colour[:, None].astype(np.float32)
    return _clean(Splats(table["xyz"].copy(), scale, turn.astype(np.float32), opacity.astype(np.float32), sh))


def write_splat(path: Path, splats: Splats) -> None:
    """Write .splat, the largest and most opaque first, as viewers stream them. View dependence is lost."""
    alpha = 1 / (1 + np.exp(-splats.opacity.astype(np.float64)))
    order = np.argsort(-np.exp(splats.scale.sum(1)) * alpha, kind="stable")
    table = np.zeros(len(order), _RECORD)
    table["xyz"], table["scale"] = splats.xyz[order], np.exp(splats.scale[order])
    colour = 0.5 + C0 * splats.sh[order, 0]
    table["rgba"] = _bytes(255 * np.concatenate([colour, alpha[order, None]], 1))
    turn = splats.turn[order] / np.linalg.norm(splats.turn[order], axis=1, keepdims=True)
    table["turn"] = _bytes(turn * _TURN + _TURN)
    write_bytes(path, table.tobytes())


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _clean(splats: Splats) -> Splats:
    """Without what is no number or cannot be seen; how many that were is kept."""
    numbers = (splats.xyz, splats.scale, splats.turn, splats.opacity[:, None], splats.sh.reshape(len(splats.sh), -1))
    good = np.isfinite(np.concatenate(numbers, 1)).all(1) & (np.abs(splats.turn).max(1) > 0)
    with np.errstate(over="ignore"):
        good &= 1 / (1 + np.exp(-splats.opacity)) >= _LEAST
    seen = None if splats.seen is None else splats.seen[good]
    kept = (splats.xyz[good], splats.scale[good], splats.turn[good], splats.opacity[good], splats.sh[good])
    return Splats(*kept, seen, splats.comments, int((~good).sum()))
