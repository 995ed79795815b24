"""Value noise in compiled code: a hash of lattice points, blended smoothly. The same numbers on every machine."""

from __future__ import annotations

import numpy as np

from halfseen.common.jit import kernel

# numba widens 32-bit products to 64 bits, so the arithmetic is 64-bit throughout and cut back by this mask.
_U = np.uint64
_MASK = _U(0xFFFFFFFF)
_A, _B, _C, _D = _U(0x8DA6B343), _U(0xD8163841), _U(0xCB1AB31F), _U(0x9E3779B1)
_M1, _M2 = _U(0x7FEB352D), _U(0x846CA68B)
_S16, _S15 = _U(16), _U(15)
_TO_UNIT = 1.0 / 4294967296.0


@kernel(inline=True)
def _mixed(h):  # type: ignore[no-untyped-def]
    """The last rounds of the hash, to [0, 1)."""
    h &= _MASK
    h ^= h >> _S16
    h = (h * _M1) & _MASK
    h ^= h >> _S15
    h = (h * _M2) & _MASK
    h ^= h >> _S16
    return h * _TO_UNIT


@kernel(inline=True)
def hashed(x, y, z, seed):  # type: ignore[no-untyped-def]
    """A number in [0, 1) from three integers and a seed."""
    return _mixed(_U(x) * _A ^ _U(y) * _B ^ _U(z) * _C ^ _U(seed) * _D)


@kernel()
def value(x: float, y: float, z: float, seed: int) -> float:
    """Smooth noise in [0, 1] with lattice spacing one."""
    rx, ry, rz = np.floor(x), np.floor(y), np.floor(z)
    fx, fy, fz = x - rx, y - ry, z - rz
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    # The products of `hashed` at the two values of each coordinate, shared by the eight corners.
    ax, bx = _U(int(rx)) * _A, _U(int(rx) + 1) * _A
    ay, by = _U(int(ry)) * _B, _U(int(ry) + 1) * _B
    s = _U(seed) * _D
    az, bz = _U(int(rz)) * _C ^ s, _U(int(rz) + 1) * _C ^ s
    a, b = _mixed(ax ^ ay ^ az), _mixed(bx ^ ay ^ az)
    c, d = _mixed(ax ^ by ^ az), _mixed(bx ^ by ^ az)
    low = (a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy
    a, b = _mixed(ax ^ ay ^ bz), _mixed(bx ^ ay ^ bz)
    c, d = _mixed(ax ^ by ^ bz), _mixed(bx ^ by ^ bz)
    high = (a + (b - a) * fx) * (1 - fy) + (c + (d - c) * fx) * fy
    return low + (high - low) * fz


@kernel()
def fractal(x: float, y: float, z: float, seed: int, octaves: int) -> float:
    """Sum of octaves of noise, each twice as fine and half as strong, in [0, 1]."""
    total, strength, norm = 0.0, 0.5, 0.0
    for o in range(octaves):
        total += strength * value(x, y, z, seed + o)
        norm += strength
        strength *= 0.5
        x, y, z = 2.03 * x + 17.1, 2.03 * y + 5.7, 2.03 * z + 31.3
    return total / norm
