"""Real spherical harmonics of directions."""

from __future__ import annotations

import torch
from torch import Tensor

from halfseen.common.rng import generator as make_generator

# Bands that are written out below.
MAX_DEGREE = 4
# Directions for each function that a rotation is found from.
_WITNESSES = 8


def basis(directions: Tensor, degree: int) -> Tensor:
    """Values [N, degree^2] of the first `degree` bands at unit directions [N, 3], without the constant factors' product with
    any field: the order is (l, m) with m from -l to l, signs as in graphics (Sloan 2008)."""
    if degree == 0:
        return directions[:, :0]
    x, y, z = directions.unbind(-1)
    xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
    one = torch.ones_like(x)
    bands = [
        0.28209479177387814 * one,
        -0.48860251190291987 * y, 0.48860251190291987 * z, -0.48860251190291987 * x,
        1.0925484305920792 * xy, -1.0925484305920792 * yz, 0.94617469575755997 * zz - 0.31539156525251999 * one,
        -1.0925484305920792 * xz, 0.54627421529603959 * (xx - yy),
        0.59004358992664352 * y * (yy - 3 * xx), 2.8906114426405538 * xy * z, 0.45704579946446572 * y * (1 - 5 * zz),
        0.3731763325901154 * z * (5 * zz - 3), 0.45704579946446572 * x * (1 - 5 * zz),
        1.4453057213202769 * z * (xx - yy), 0.59004358992664352 * x * (3 * yy - xx),
    ]  # fmt: skip
    return torch.stack(bands[: degree * degree], -1)


def rotate(sh: Tensor, rotation: Tensor) -> Tensor:
    """Coefficients [N, K, C] of functions that are turned by `rotation` [3, 3]: what was seen along d is then seen along R d.

    A band of turned functions is a mixture of the same band's functions; the mixture is read off at a few directions.
    """
    out = sh.clone()
    rotation = rotation.double()
    for band in range(1, MAX_DEGREE):
        rows = slice(band * band, (band + 1) * (band + 1))
        if sh.shape[1] < rows.stop:
            break
        spread = torch.randn(_WITNESSES * rows.stop, 3, generator=make_generator(0, "harmonics"), dtype=torch.float64)
        d = torch.nn.functional.normalize(spread, dim=-1)
        there, here = basis(d, band + 1)[:, rows], basis(d @ rotation, band + 1)[:, rows]
        mixture = torch.linalg.lstsq(there, here).solution
        out[:, rows] = torch.einsum("ij,njc->nic", mixture.to(sh), sh[:, rows])
    return out
