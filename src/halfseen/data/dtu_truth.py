"""What DTU's server offers to measure a surface against, below one folder (its `SampleSet/MVS Data` joined with `Points`):

Points/stl/stlNNN_total.ply      scanned points, millimetres
ObsMask/ObsMaskN_10.mat          ObsMask [X, Y, Z], its box BB [2, 3] and the spacing Res, millimetres
ObsMask/PlaneN.mat               P [4]: the plane that the object stands on
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfseen.common.errors import UserError, quote
from halfseen.data import mat, ply

_SCAN = re.compile(r"(?:dtu_)?scan_?(\d{1,3})")


@dataclass(frozen=True)
class Truth:
    """One scan, in DTU's world."""

    points: np.ndarray  # [M, 3] float64, mm
    mask: np.ndarray  # [X, Y, Z] bool
    low: np.ndarray  # [3] mm, where voxel (0, 0, 0) lies
    high: np.ndarray  # [3] mm
    spacing: float  # mm
    plane: np.ndarray  # [4]


def scan_number(folder: Path) -> int:
    """The number of a scan whose folder is called scanN."""
    found = _SCAN.fullmatch(folder.resolve().name)
    if found is None:
        raise UserError(
            "the number of the scan is not known",
            got=f"a folder called {quote(folder.resolve().name)}",
            accepted="scanN",
            do="Rename the folder.",
        )
    return int(found.group(1))


def read(folder: Path, scan: int) -> Truth:
    """Read what is needed of one scan."""
    observed = mat.read(folder / "ObsMask" / f"ObsMask{scan}_10.mat")
    plane = mat.read(folder / "ObsMask" / f"Plane{scan}.mat")
    mask, box, spacing = (_array(observed, n, s) for n, s in (("ObsMask", None), ("BB", 6), ("Res", 1)))
    if mask.ndim != 3 or box.shape != (2, 3) or not float(spacing.reshape(-1)[0]) > 0:
        raise _bad(f"ObsMask of shape {mask.shape}, BB of shape {box.shape}, Res {float(spacing.reshape(-1)[0]):g}")
    low, high = box
    return Truth(
        ply.read_points(folder / "Points" / "stl" / f"stl{scan:03d}_total.ply").xyz,
        mask != 0,
        low,
        high,
        float(spacing.reshape(-1)[0]),
        _array(plane, "P", 4).reshape(4),
    )


def _array(arrays: dict[str, np.ndarray], name: str, count: int | None) -> np.ndarray:
    """One array; those of a few numbers as finite float64."""
    if name not in arrays or (count is not None and arrays[name].size != count):
        raise _bad(f"{name} of shape {arrays[name].shape}" if name in arrays else f"no {name}")
    if count is None:
        return arrays[name]
    values = arrays[name].astype(np.float64)
    if not np.isfinite(values).all():
        raise _bad(f"{name} with NaN or infinity")
    return values


def _bad(got: str) -> UserError:
    return UserError(
        "DTU's observed volume is not usable",
        got=got,
        accepted="ObsMask [X, Y, Z], BB [2, 3], Res, P [4]",
        do="Copy the files again.",
    )
