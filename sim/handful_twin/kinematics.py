"""Where every link of an arm is for given joints, and which joints put its tip there; compiled.

An arm is two arrays (``arm_model`` makes them from a URDF). Its F frames in order: one for each of
N joints, base first, with z along the joint's axis; the hand H (row N); the tool tip T (row N + 1);
one for each finger joint. ``fixed`` (F, 3, 4) is where each stands in its parent before its joint
moves; ``how`` (F, 3) int has its parent's row (-1: B), its place among the joint positions (-1: it
does not move) and whether it slides. ``limits`` (3, N): lowest, highest and home positions.

The inverse is damped least squares on the *commanded* joints (Wampler 1986; Nakamura and Hanafusa
1986) with a null-space pull towards a home posture, so that the elbow does not wander and a pose
reached twice has nearly the same joints. Compiled by numba it tracks better than Bullet's
``calculateInverseKinematics``, in a fraction of the time.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

_DAMPING = 1e-4
_HOME_PULL = 0.2
_MAX_STEP_RAD = 0.2

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


@numba.njit(cache=True, nogil=True)
def forward(fixed: Array, how: Numbers, q: Array, frames: Array) -> None:
    """Write the poses in B of the first frames into ``frames`` (F or fewer, 4, 4).

    q: (N + fingers or more,) joint positions [rad, or m where a joint slides].
    """
    for i in range(len(frames)):
        parent, k, slides = how[i, 0], how[i, 1], how[i, 2]
        h, f = fixed[i], frames[i]
        tx, ty, tz = h[0, 3], h[1, 3], h[2, 3]
        l00, l01, l02 = h[0, 0], h[0, 1], h[0, 2]
        l10, l11, l12 = h[1, 0], h[1, 1], h[1, 2]
        l20, l21, l22 = h[2, 0], h[2, 1], h[2, 2]
        if k >= 0:
            if slides:
                tx, ty, tz = tx + l02 * q[k], ty + l12 * q[k], tz + l22 * q[k]
            else:
                c, s = math.cos(q[k]), math.sin(q[k])
                l00, l01 = l00 * c + l01 * s, l01 * c - l00 * s
                l10, l11 = l10 * c + l11 * s, l11 * c - l10 * s
                l20, l21 = l20 * c + l21 * s, l21 * c - l20 * s
        if parent >= 0:
            p = frames[parent]
            for a in range(3):
                r0, r1, r2 = p[a, 0], p[a, 1], p[a, 2]
                f[a, 0] = r0 * l00 + r1 * l10 + r2 * l20
                f[a, 1] = r0 * l01 + r1 * l11 + r2 * l21
                f[a, 2] = r0 * l02 + r1 * l12 + r2 * l22
                f[a, 3] = r0 * tx + r1 * ty + r2 * tz + p[a, 3]
        else:
            f[0, 0], f[0, 1], f[0, 2], f[0, 3] = l00, l01, l02, tx
            f[1, 0], f[1, 1], f[1, 2], f[1, 3] = l10, l11, l12, ty
            f[2, 0], f[2, 1], f[2, 2], f[2, 3] = l20, l21, l22, tz
        f[3, 0], f[3, 1], f[3, 2], f[3, 3] = 0.0, 0.0, 0.0, 1.0


@numba.njit(cache=True, nogil=True)
def jacobian(how: Numbers, frames: Array, out: Array) -> None:
    """Write the tip's geometric Jacobian (6, N), linear over angular, into ``out``.

    frames: (N + 2 or more, 4, 4) as ``forward`` left them. Of a joint that turns [m/rad, rad/rad],
    of one that slides [m/m, rad/m].
    """
    joints = out.shape[1]
    tip = joints + 1
    px, py, pz = frames[tip, 0, 3], frames[tip, 1, 3], frames[tip, 2, 3]
    for i in range(joints):
        ax, ay, az = frames[i, 0, 2], frames[i, 1, 2], frames[i, 2, 2]
        if how[i, 2]:
            out[0, i], out[1, i], out[2, i] = ax, ay, az
            out[3, i], out[4, i], out[5, i] = 0.0, 0.0, 0.0
        else:
            dx, dy, dz = px - frames[i, 0, 3], py - frames[i, 1, 3], pz - frames[i, 2, 3]
            out[0, i] = ay * dz - az * dy
            out[1, i] = az * dx - ax * dz
            out[2, i] = ax * dy - ay * dx
            out[3, i], out[4, i], out[5, i] = ax, ay, az


@numba.njit(cache=True, nogil=True)
def solve_down(
    fixed: Array,
    how: Numbers,
    limits: Array,
    q: Array,
    p_BT_m: Array,
    yaw_rad: float,
    hold_yaw: bool,
    iterations: int,
    tolerance: float,
) -> tuple[Array, float]:
    """Joints that put the tip at ``p_BT_m`` (3,), pointing straight down and turned by ``yaw_rad``.

    Starts at ``q`` (N,) and returns (joints (N,) within the limits, remaining error). The error
    is the norm of the 6 numbers (position [m], rotation [rad]); it is small only if the pose is in
    reach, so the caller decides what is too large. Without ``hold_yaw`` it is 5 numbers and the yaw
    is what it comes to, for an arm of five joints.
    """
    joints = limits.shape[1]
    tip = joints + 1
    q = q.copy()
    frames = np.empty((joints + 2, 4, 4))
    jac = np.empty((6, joints))
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    e = np.empty(6)
    normal = np.empty((6, 6))
    error = math.inf
    for k in range(iterations + 1):
        forward(fixed, how, q, frames)
        t = frames[tip]
        if not hold_yaw:
            yaw = math.atan2(t[0, 1], -t[1, 1])
            c, s = math.cos(yaw), math.sin(yaw)
        for i in range(3):
            e[i] = p_BT_m[i] - t[i, 3]
        # R_want = Rz(yaw) diag(1,-1,-1); half the sum of the axes' cross products is the small
        # rotation that takes the tip's axes onto the wanted ones.
        w = np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])
        e[3] = e[4] = e[5] = 0.0
        for j in range(3):
            e[3] += 0.5 * (t[1, j] * w[2, j] - t[2, j] * w[1, j])
            e[4] += 0.5 * (t[2, j] * w[0, j] - t[0, j] * w[2, j])
            e[5] += 0.5 * (t[0, j] * w[1, j] - t[1, j] * w[0, j])
        if not hold_yaw:
            e[5] = 0.0
        error = math.sqrt((e * e).sum())
        if k == iterations or (error < tolerance and k > 0):
            break
        jacobian(how, frames, jac)
        if not hold_yaw:
            jac[5] = 0.0
        for i in range(6):
            for j in range(6):
                total = _DAMPING**2 if i == j else 0.0
                for m in range(joints):
                    total += jac[i, m] * jac[j, m]
                normal[i, j] = total
        _factorise(normal)
        # dq = J+ e + (I - J+ J) pull = pull + J+ (e - J pull)
        pull = _HOME_PULL * (limits[2] - q)
        rest = e.copy()
        for i in range(6):
            for m in range(joints):
                rest[i] -= jac[i, m] * pull[m]
        _substitute(normal, rest)
        largest = 0.0
        for m in range(joints):
            for i in range(6):
                pull[m] += jac[i, m] * rest[i]
            largest = max(largest, abs(pull[m]))
        scale = min(1.0, _MAX_STEP_RAD / largest) if largest > 0.0 else 1.0
        for m in range(joints):
            q[m] = min(max(q[m] + scale * pull[m], limits[0, m]), limits[1, m])
    return q, error


@numba.njit(cache=True, nogil=True)
def _factorise(a: Array) -> None:
    """Cholesky in place, lower triangle, of a symmetric positive definite (6, 6)."""
    for i in range(6):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(total) if i == j else total / a[j, j]


@numba.njit(cache=True, nogil=True)
def _substitute(a: Array, b: Array) -> None:
    """Solve L L^T x = b in place for the L that ``_factorise`` left in ``a``."""
    for i in range(6):
        for k in range(i):
            b[i] -= a[i, k] * b[k]
        b[i] /= a[i, i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            b[i] -= a[k, i] * b[k]
        b[i] /= a[i, i]
