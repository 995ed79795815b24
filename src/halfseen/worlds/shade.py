"""Shading of first hits in one compiled pass: interpolate, evaluate the material, light it, add highlight and reflection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfseen.common.jit import kernel
from halfseen.worlds import materials as M
from halfseen.worlds.noise import fractal, value
from halfseen.worlds.patterns import evaluate

# Fresnel's share grows from `mirror` to this at grazing angles.
_GRAZING = 0.75
# A material that mirrors more than this is a metal.
_METAL = 0.25
# Scratches: their spacing and how long they are along the surface, in world units.
_SCRATCH, _SCRATCH_LENGTH = 0.012, 0.12


@kernel()
def shade(  # type: ignore[no-untyped-def]
    face,
    bu,
    bv,
    t,
    directions,
    forward,
    faces,
    normals,
    tex,
    uvs,
    irradiance,
    sun_seen,
    face_material,
    rows,
    sun,
    sky,
    texels,
    places,
):
    """Colours and surface buffers of P rays.

    Returns linear rgb [P, 3], albedo [P, 3], normal [P, 3], z-depth [P] (0 where nothing is hit). `sun` is direction then
    colour (6 numbers), `sky` is horizon, zenith, ground (9 numbers), all linear; `forward` is the camera's axis.
    """
    count = len(face)
    rgb, albedo = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    normal, depth = np.zeros((count, 3), np.float32), np.zeros(count, np.float32)
    n, p, light = np.zeros(3), np.zeros(3), np.zeros(3)
    for i in range(count):
        f = face[i]
        if f < 0:
            continue
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        wb, wc = bu[i], bv[i]
        wa = 1 - wb - wc
        for k in range(3):
            n[k] = wa * normals[a, k] + wb * normals[b, k] + wc * normals[c, k]
            p[k] = wa * tex[a, k] + wb * tex[b, k] + wc * tex[c, k]
            light[k] = wa * irradiance[a, k] + wb * irradiance[b, k] + wc * irradiance[c, k]
        length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-12
        facing = 0.0
        for k in range(3):
            n[k] /= length
            facing += n[k] * directions[i, k]
        if facing > 0:
            for k in range(3):
                n[k] = -n[k]
            facing = -facing
        u = wa * uvs[a, 0] + wb * uvs[b, 0] + wc * uvs[c, 0]
        v = wa * uvs[a, 1] + wb * uvs[b, 1] + wc * uvs[c, 1]
        row = rows[face_material[f]]
        second, third, bright = evaluate(row, p[0], p[1], p[2], u, v)
        bright *= _irregular(row, p, u, v)
        seen = wa * sun_seen[a] + wb * sun_seen[b] + wc * sun_seen[c]
        # Highlight of the sun and reflection of the sky about the normal.
        toward, up = 0.0, directions[i, 2] - 2 * facing * n[2]
        for k in range(3):
            toward += (directions[i, k] - 2 * facing * n[k]) * sun[k]
        highlight = row[M.GLOSS] * seen * max(toward, 0.0) ** row[M.SHARPNESS]
        fresnel = row[M.MIRROR] + (_GRAZING - row[M.MIRROR]) * (1 + facing) ** 5 * min(1.0, 4 * row[M.MIRROR])
        depth[i] = t[i] * (
            directions[i, 0] * forward[0] + directions[i, 1] * forward[1] + directions[i, 2] * forward[2]
        )
        for k in range(3):
            base = row[M.COLOUR_A + k] * max(0.0, 1 - second - third)
            base += row[M.COLOUR_B + k] * second + row[M.COLOUR_C + k] * third
            if row[M.KIND] == M.IMAGE:
                base *= _texel(texels, places[int(row[M.P1])], u, v, k)
            elif row[M.KIND] == M.VERTEX:
                base *= p[k]
            base = min(base * bright, 1.0)
            # Metals (more than a quarter mirror) colour what they reflect; glass and glaze do not.
            tint = base if row[M.MIRROR] > _METAL else 1.0
            reflected = _sky(up, sky, k) * tint
            rgb[i, k] = base * light[k] * (1 - fresnel) + fresnel * reflected + highlight * sun[3 + k] * tint
            albedo[i, k], normal[i, k] = base, n[k]
    return rgb, albedo, normal, depth


@kernel()
def _texel(texels, place, u, v, k):  # type: ignore[no-untyped-def]
    """Channel k of a texture at (u, v), repeated beyond [0, 1], v upwards, bilinear between texel centres."""
    first, width, height = place[0], place[1], place[2]
    x, y = (u - np.floor(u)) * width - 0.5, (1 - (v - np.floor(v))) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - x0, y - y0
    total = 0.0
    for j in range(2):
        row = first + ((y0 + j) % height) * width
        wy = fy if j else 1 - fy
        total += wy * ((1 - fx) * texels[row + x0 % width, k] + fx * texels[row + (x0 + 1) % width, k])
    return total


@kernel(inline=True)
def _sky(up, sky, k):  # type: ignore[no-untyped-def]
    """Channel k of the sky at height `up` in [-1, 1], as `light.sky_radiance` has it."""
    if up < 0:
        return sky[6 + k]
    high = up**0.6
    return sky[k] * (1 - high) + sky[3 + k] * high


@kernel()
def _irregular(row, p, u, v):  # type: ignore[no-untyped-def]
    """Brightness of fine grain, stains and scratches, around 1."""
    seed = int(row[M.SEED]) + 57
    g = row[M.GRAIN_SCALE]
    out = 1 + row[M.GRAIN] * (2 * fractal(p[0] / g, p[1] / g, p[2] / g, seed, 2) - 1)
    wear = row[M.WEAR]
    if wear > 0:
        stain = fractal(p[0] * 3, p[1] * 3, p[2] * 3, seed + 5, 3)
        out *= 1 - wear * max(0.0, stain - 0.45)
        line = value(u / _SCRATCH + 3 * stain, v / _SCRATCH_LENGTH, 0.3, seed + 9)
        if line > 0.82 and stain > 0.5:
            out *= 1 + 1.2 * wear * (line - 0.82)
    return out


def kernel_arguments(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """Contiguous float32, as the kernel expects."""
    return np.ascontiguousarray(array, np.float32)
