"""Gaussians onto a camera's plane, forward and backward: where each falls, how it spreads, how far it reaches, its colour.

N Gaussians with middle `xyz`, logarithms of three radii `scale`, rotation `turn` (quaternion wxyz, any length), spherical harmonics
`sh` [N, K, 3]. The camera is `world` [3, 4] (world to camera: x right, y down, z forward) and `lens` (fx, fy, cx, cy) in pixels.

    p = R x + t;  mean = (fx p_x / p_z + cx, fy p_y / p_z + cy)
    V = J R Q diag(exp scale);  cov = V V^T + blur I;  conic = cov^-1 as (a, b, c) of a dx^2 + 2 b dx dy + c dy^2
    colour = max(0, 1/2 + sum_k Y_k(direction) sh_k)

J is the derivative of the projection at p, where p is kept within `limit` (left, right, top, bottom in shares of p_z): far outside of
the picture it means nothing (Kerbl et al. 2023). Every Gaussian is the work of one thread.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from halfseen.common.jit import kernel

# Constants of real spherical harmonics, as in `fields/harmonics.py`.
_C0, _C1 = 0.28209479177387814, 0.48860251190291987
_C2 = (1.0925484305920792, 0.94617469575755997, 0.31539156525251999, 0.54627421529603959)
_C3 = (0.59004358992664352, 2.8906114426405538, 0.45704579946446572, 0.3731763325901154, 1.4453057213202769)
# Opacity below which a Gaussian leaves no trace in 8 bits: where it falls below this, it ends.
LEAST = 1 / 255
# Spread that is added to every Gaussian on the plane, in square pixels: none slips between pixel centres.
BLUR = 0.3


@kernel(inline=True)
def rotation(turn, n, q):  # type: ignore[no-untyped-def]
    """The matrix q [9] of a quaternion, and one over its length."""
    w, x, y, z = turn[n, 0], turn[n, 1], turn[n, 2], turn[n, 3]
    inverse = 1 / np.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    q[0], q[1], q[2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    q[3], q[4], q[5] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    q[6], q[7], q[8] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return inverse


@kernel(inline=True)
def slopes(px, py, z, lens, limit, u):  # type: ignore[no-untyped-def]
    """J of a place as u = (J00, J02, J11, J12), and whether each axis was kept within its limit."""
    left, right = px < limit[0] * z, px > limit[1] * z
    over, under = py < limit[2] * z, py > limit[3] * z
    tx = limit[0] * z if left else (limit[1] * z if right else px)
    ty = limit[2] * z if over else (limit[3] * z if under else py)
    u[0], u[1], u[2], u[3] = lens[0] / z, -lens[0] * tx / (z * z), lens[1] / z, -lens[1] * ty / (z * z)
    return left or right, over or under


@kernel(inline=True)
def spread(u, world, q, scale, n, v):  # type: ignore[no-untyped-def]
    """V [6] (two rows of three) of a Gaussian: J R Q diag(exp scale)."""
    for j in range(3):
        s = np.exp(scale[n, j])
        m0 = world[0, 0] * q[j] + world[0, 1] * q[3 + j] + world[0, 2] * q[6 + j]
        m1 = world[1, 0] * q[j] + world[1, 1] * q[3 + j] + world[1, 2] * q[6 + j]
        m2 = world[2, 0] * q[j] + world[2, 1] * q[3 + j] + world[2, 2] * q[6 + j]
        v[j] = s * (u[0] * m0 + u[1] * m2)
        v[3 + j] = s * (u[2] * m1 + u[3] * m2)


@kernel(inline=True)
def harmonics(x, y, z, bands, value):  # type: ignore[no-untyped-def]
    """Values of the first `bands` squared functions at a unit direction."""
    value[0] = _C0
    if bands > 1:
        value[1], value[2], value[3] = -_C1 * y, _C1 * z, -_C1 * x
    if bands > 2:
        value[4], value[5], value[6] = _C2[0] * x * y, -_C2[0] * y * z, _C2[1] * z * z - _C2[2]
        value[7], value[8] = -_C2[0] * x * z, _C2[3] * (x * x - y * y)
    if bands > 3:
        value[9], value[10] = _C3[0] * y * (y * y - 3 * x * x), _C3[1] * x * y * z
        value[11], value[12] = _C3[2] * y * (1 - 5 * z * z), _C3[3] * z * (5 * z * z - 3)
        value[13], value[14] = _C3[2] * x * (1 - 5 * z * z), _C3[4] * z * (x * x - y * y)
        value[15] = _C3[0] * x * (3 * y * y - x * x)


@kernel(inline=True)
def harmonics_back(x, y, z, bands, g):  # type: ignore[no-untyped-def]
    """Gradient (gx, gy, gz) of sum_k g_k Y_k with respect to the direction, as a polynomial of three free variables."""
    gx, gy, gz = 0.0 * x, 0.0 * x, 0.0 * x
    if bands > 1:
        gx, gy, gz = gx - _C1 * g[3], gy - _C1 * g[1], gz + _C1 * g[2]
    if bands > 2:
        gx += _C2[0] * (y * g[4] - z * g[7]) + 2 * _C2[3] * x * g[8]
        gy += _C2[0] * (x * g[4] - z * g[5]) - 2 * _C2[3] * y * g[8]
        gz += _C2[0] * (-y * g[5] - x * g[7]) + 2 * _C2[1] * z * g[6]
    if bands > 3:
        gx += -6 * _C3[0] * x * y * g[9] + _C3[1] * y * z * g[10] + _C3[2] * (1 - 5 * z * z) * g[13]
        gx += 2 * _C3[4] * x * z * g[14] + _C3[0] * 3 * (y * y - x * x) * g[15]
        gy += _C3[0] * 3 * (y * y - x * x) * g[9] + _C3[1] * x * z * g[10] + _C3[2] * (1 - 5 * z * z) * g[11]
        gy += -2 * _C3[4] * y * z * g[14] + 6 * _C3[0] * x * y * g[15]
        gz += _C3[1] * x * y * g[10] - 10 * _C3[2] * z * (y * g[11] + x * g[13])
        gz += _C3[3] * (15 * z * z - 3) * g[12] + _C3[4] * (x * x - y * y) * g[14]
    return gx, gy, gz


@kernel(parallel=True)
def forward(xyz, scale, turn, opacity, sh, bands, world, lens, limit, near, mean, conic, reach, features):  # type: ignore[no-untyped-def]
    """mean [N, 2], conic [N, 3], half extents `reach` [N, 2] (0: not in sight) and features [N, 4] = (colour, z-depth)."""
    kind = xyz.dtype
    for n in prange(len(xyz)):
        q, u, v, value = np.empty(9, kind), np.empty(4, kind), np.empty(6, kind), np.empty(16, kind)
        px, py, z = place(xyz, world, n)
        features[n, 3] = z
        reach[n, 0] = 0
        if z <= near:
            continue
        rotation(turn, n, q)
        slopes(px, py, z, lens, limit, u)
        spread(u, world, q, scale, n, v)
        xx = v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + kind.type(BLUR)
        yy = v[3] * v[3] + v[4] * v[4] + v[5] * v[5] + kind.type(BLUR)
        xy = v[0] * v[3] + v[1] * v[4] + v[2] * v[5]
        det = xx * yy - xy * xy
        mean[n, 0], mean[n, 1] = lens[0] * px / z + lens[2], lens[1] * py / z + lens[3]
        conic[n, 0], conic[n, 1], conic[n, 2] = yy / det, -xy / det, xx / det
        if opacity[n] > LEAST:
            # alpha falls to the least one where half the quadratic form is this.
            depth = 2 * np.log(opacity[n] / LEAST)
            reach[n, 0], reach[n, 1] = np.sqrt(depth * xx), np.sqrt(depth * yy)
        x, y, w = towards(xyz, world, n)
        harmonics(x, y, w, bands, value)
        for c in range(3):
            colour = kind.type(0.5)
            for k in range(bands * bands):
                colour += value[k] * sh[n, k, c]
            features[n, c] = max(colour, kind.type(0))


@kernel(inline=True)
def place(xyz, world, n):  # type: ignore[no-untyped-def]
    """A Gaussian's middle in the camera's frame."""
    x, y, z = xyz[n, 0], xyz[n, 1], xyz[n, 2]
    return (
        world[0, 0] * x + world[0, 1] * y + world[0, 2] * z + world[0, 3],
        world[1, 0] * x + world[1, 1] * y + world[1, 2] * z + world[1, 3],
        world[2, 0] * x + world[2, 1] * y + world[2, 2] * z + world[2, 3],
    )


@kernel(inline=True)
def towards(xyz, world, n):  # type: ignore[no-untyped-def]
    """Unit direction from the camera to a Gaussian, in the world."""
    px, py, pz = place(xyz, world, n)
    x = world[0, 0] * px + world[1, 0] * py + world[2, 0] * pz
    y = world[0, 1] * px + world[1, 1] * py + world[2, 1] * pz
    z = world[0, 2] * px + world[1, 2] * py + world[2, 2] * pz
    inverse = 1 / np.sqrt(x * x + y * y + z * z)
    return x * inverse, y * inverse, z * inverse


@kernel(parallel=True)
def backward(  # type: ignore[no-untyped-def]
    xyz, scale, turn, sh, bands, world, lens, limit, reach, conic, features, g_mean, g_conic, g_features,
    g_xyz, g_scale, g_turn, g_sh,
):  # fmt: skip
    """Gradients of `forward`; Gaussians out of sight get none."""
    kind = xyz.dtype
    for n in prange(len(xyz)):
        if reach[n, 0] <= 0:
            continue
        q, u, v, gv = np.empty(9, kind), np.empty(4, kind), np.empty(6, kind), np.empty(6, kind)
        gq, gu, value = np.empty(9, kind), np.empty(6, kind), np.empty(16, kind)
        px, py, z = place(xyz, world, n)
        inverse = rotation(turn, n, q)
        flat_x, flat_y = slopes(px, py, z, lens, limit, u)
        spread(u, world, q, scale, n, v)
        _conic_back(conic, g_conic, n, v, gv)
        _spread_back(u, world, q, scale, n, v, gv, gq, gu, g_scale)
        _turn_back(turn, inverse, n, gq, g_turn)
        # Through J: J02 = -fx tx / z^2, where tx is p_x, or a share of z beyond the limit.
        gx, gy, gz = kind.type(0), kind.type(0), g_features[n, 3]
        gz -= (gu[0] * u[0] + gu[4] * u[2]) / z
        gx += kind.type(0) if flat_x else -gu[2] * lens[0] / (z * z)
        gz -= gu[2] * u[1] * (1 if flat_x else 2) / z
        gy += kind.type(0) if flat_y else -gu[5] * lens[1] / (z * z)
        gz -= gu[5] * u[3] * (1 if flat_y else 2) / z
        gx += g_mean[n, 0] * u[0]
        gy += g_mean[n, 1] * u[2]
        gz -= (g_mean[n, 0] * lens[0] * px + g_mean[n, 1] * lens[1] * py) / (z * z)
        dx, dy, dz = _colour_back(xyz, sh, bands, world, n, features, g_features, g_sh, value)
        g_xyz[n, 0] = world[0, 0] * gx + world[1, 0] * gy + world[2, 0] * gz + dx
        g_xyz[n, 1] = world[0, 1] * gx + world[1, 1] * gy + world[2, 1] * gz + dy
        g_xyz[n, 2] = world[0, 2] * gx + world[1, 2] * gy + world[2, 2] * gz + dz


@kernel(inline=True)
def _conic_back(conic, g_conic, n, v, gv):  # type: ignore[no-untyped-def]
    """Gradient of V from that of the conic Q: g_cov = -Q G Q, g_V = 2 g_cov V."""
    a, b, c = conic[n, 0], conic[n, 1], conic[n, 2]
    ga, gb, gc = g_conic[n, 0], g_conic[n, 1] / 2, g_conic[n, 2]
    # rows of G Q, then of Q G Q.
    g00, g01, g10, g11 = ga * a + gb * b, ga * b + gb * c, gb * a + gc * b, gb * b + gc * c
    xx, xy, yy = -(a * g00 + b * g10), -(a * g01 + b * g11), -(b * g01 + c * g11)
    for j in range(3):
        gv[j] = 2 * (xx * v[j] + xy * v[3 + j])
        gv[3 + j] = 2 * (xy * v[j] + yy * v[3 + j])


@kernel(inline=True)
def _spread_back(u, world, q, scale, n, v, gv, gq, gu, g_scale):  # type: ignore[no-untyped-def]
    """Gradients of Q, of J (gu [6], two rows of three) and of the radii, from that of V = J R Q diag(s)."""
    for i in range(6):
        gu[i] = 0
    for j in range(3):
        s = np.exp(scale[n, j])
        g_scale[n, j] = gv[j] * v[j] + gv[3 + j] * v[3 + j]
        g0, g1 = s * gv[j], s * gv[3 + j]
        # Column j of R Q gets J^T g, and J gets g times that column.
        c0, c1, c2 = u[0] * g0, u[2] * g1, u[1] * g0 + u[3] * g1
        m0 = world[0, 0] * q[j] + world[0, 1] * q[3 + j] + world[0, 2] * q[6 + j]
        m1 = world[1, 0] * q[j] + world[1, 1] * q[3 + j] + world[1, 2] * q[6 + j]
        m2 = world[2, 0] * q[j] + world[2, 1] * q[3 + j] + world[2, 2] * q[6 + j]
        gu[0] += g0 * m0
        gu[2] += g0 * m2
        gu[4] += g1 * m1
        gu[5] += g1 * m2
        gq[j] = world[0, 0] * c0 + world[1, 0] * c1 + world[2, 0] * c2
        gq[3 + j] = world[0, 1] * c0 + world[1, 1] * c1 + world[2, 1] * c2
        gq[6 + j] = world[0, 2] * c0 + world[1, 2] * c1 + world[2, 2] * c2


@kernel(inline=True)
def _turn_back(turn, inverse, n, g, g_turn):  # type: ignore[no-untyped-def]
    """Gradient of the quaternion, through its normalisation."""
    w, x, y, z = turn[n, 0] * inverse, turn[n, 1] * inverse, turn[n, 2] * inverse, turn[n, 3] * inverse
    gw = 2 * (-z * g[1] + y * g[2] + z * g[3] - x * g[5] - y * g[6] + x * g[7])
    gx = 2 * (y * g[1] + z * g[2] + y * g[3] - 2 * x * g[4] - w * g[5] + z * g[6] + w * g[7] - 2 * x * g[8])
    gy = 2 * (-2 * y * g[0] + x * g[1] + w * g[2] + x * g[3] + z * g[5] - w * g[6] + z * g[7] - 2 * y * g[8])
    gz = 2 * (-2 * z * g[0] - w * g[1] + x * g[2] + w * g[3] - 2 * z * g[4] + y * g[5] + x * g[6] + y * g[7])
    along = gw * w + gx * x + gy * y + gz * z
    g_turn[n, 0], g_turn[n, 1] = (gw - along * w) * inverse, (gx - along * x) * inverse
    g_turn[n, 2], g_turn[n, 3] = (gy - along * y) * inverse, (gz - along * z) * inverse


@kernel(inline=True)
def _colour_back(xyz, sh, bands, world, n, features, g_features, g_sh, value):  # type: ignore[no-untyped-def]
    """Gradients of the harmonics, and of the middle through the direction: colours that were cut at zero pass nothing."""
    x, y, z = towards(xyz, world, n)
    harmonics(x, y, z, bands, value)
    g0 = g_features[n, 0] if features[n, 0] > 0 else 0 * x
    g1 = g_features[n, 1] if features[n, 1] > 0 else 0 * x
    g2 = g_features[n, 2] if features[n, 2] > 0 else 0 * x
    for k in range(bands * bands):
        g_sh[n, k, 0], g_sh[n, k, 1], g_sh[n, k, 2] = value[k] * g0, value[k] * g1, value[k] * g2
        value[k] = sh[n, k, 0] * g0 + sh[n, k, 1] * g1 + sh[n, k, 2] * g2
    gx, gy, gz = harmonics_back(x, y, z, bands, value)
    px, py, pz = place(xyz, world, n)
    inverse = 1 / np.sqrt(px * px + py * py + pz * pz)
    along = gx * x + gy * y + gz * z
    return (gx - along * x) * inverse, (gy - along * y) * inverse, (gz - along * z) * inverse
