"""The Panda's geometry: where every link is for given joints, and which joints put the tip there.

Forward kinematics uses the modified (Craig) DH parameters that Franka publishes for the arm
("Robot and interface specifications", Denavit-Hartenberg table): flange 0.107 m beyond joint 7, the
hand turned by -45 degrees, the tool tip 0.105 m beyond the hand (``panda_grasptarget`` in
pybullet_data's URDF). It agrees with Bullet's own link frames to 1e-7 m (a test holds that).

The inverse is damped least squares on the *commanded* joints (Wampler 1986; Nakamura and Hanafusa
1986) with a null-space pull towards a home posture, so that the elbow does not wander and a pose
reached twice has nearly the same joints. Compiled by numba: about 10 us a call, against 90 us for
``calculateInverseKinematics``, and it tracks better.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

JOINTS = 7
#: Frames written by ``forward``: link 1..7, then the hand, then the tool tip T.
FRAMES = 9
HAND, TIP = 7, 8

#: Lower and upper joint limits [rad], from the URDF's <limit> tags.
Q_MIN_RAD = np.array([-2.9671, -1.8326, -2.9671, -3.1416, -2.9671, -0.0873, -2.9671])
Q_MAX_RAD = np.array([2.9671, 1.8326, 2.9671, 0.0, 2.9671, 3.8223, 2.9671])
#: Joint effort [Nm] and speed [rad/s] limits, from the same tags.
EFFORT_NM = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
SPEED_RAD_S = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])
#: A posture with the hand pointing down above the middle of the table, away from every limit.
Q_HOME_RAD = np.array([0.0, -0.15, 0.0, -2.35, 0.0, 2.2, math.pi / 4])

_A_M = np.array([0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088])
_D_M = np.array([0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0])
_ALPHA = np.array([0.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0]) * (math.pi / 2)
_COS_ALPHA = np.round(np.cos(_ALPHA), 12)
_SIN_ALPHA = np.round(np.sin(_ALPHA), 12)
_FLANGE_M = 0.107
_TIP_M = 0.105
_HAND_COS = math.cos(-math.pi / 4)
_HAND_SIN = math.sin(-math.pi / 4)

_DAMPING = 1e-4
_HOME_PULL = 0.2
_MAX_STEP_RAD = 0.2

Array = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def forward(q_rad: Array, frames: Array) -> None:
    """Write the poses of links 1..7, hand and tip in B into ``frames`` (9, 4, 4) for q (>= 7,)."""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0
    x, y, z = 0.0, 0.0, 0.0
    for i in range(FRAMES):
        if i < JOINTS:
            c, s = math.cos(q_rad[i]), math.sin(q_rad[i])
            ca, sa = _COS_ALPHA[i], _SIN_ALPHA[i]
            tx, ty, tz = _A_M[i], -sa * _D_M[i], ca * _D_M[i]
            l00, l01, l02 = c, -s, 0.0
            l10, l11, l12 = s * ca, c * ca, -sa
            l20, l21, l22 = s * sa, c * sa, ca
        elif i == HAND:
            tx, ty, tz = 0.0, 0.0, _FLANGE_M
            l00, l01, l02 = _HAND_COS, -_HAND_SIN, 0.0
            l10, l11, l12 = _HAND_SIN, _HAND_COS, 0.0
            l20, l21, l22 = 0.0, 0.0, 1.0
        else:
            tx, ty, tz = 0.0, 0.0, _TIP_M
            l00, l01, l02, l10, l11, l12, l20, l21, l22 = (
                1.0,
                0.0,
                0.0,
                0.0,
                1.0,
                0.0,
                0.0,
                0.0,
                1.0,
            )
        x, y, z = (
            x + r00 * tx + r01 * ty + r02 * tz,
            y + r10 * tx + r11 * ty + r12 * tz,
            z + r20 * tx + r21 * ty + r22 * tz,
        )
        r00, r01, r02, r10, r11, r12, r20, r21, r22 = (
            r00 * l00 + r01 * l10 + r02 * l20,
            r00 * l01 + r01 * l11 + r02 * l21,
            r00 * l02 + r01 * l12 + r02 * l22,
            r10 * l00 + r11 * l10 + r12 * l20,
            r10 * l01 + r11 * l11 + r12 * l21,
            r10 * l02 + r11 * l12 + r12 * l22,
            r20 * l00 + r21 * l10 + r22 * l20,
            r20 * l01 + r21 * l11 + r22 * l21,
            r20 * l02 + r21 * l12 + r22 * l22,
        )
        f = frames[i]
        f[0, 0], f[0, 1], f[0, 2], f[0, 3] = r00, r01, r02, x
        f[1, 0], f[1, 1], f[1, 2], f[1, 3] = r10, r11, r12, y
        f[2, 0], f[2, 1], f[2, 2], f[2, 3] = r20, r21, r22, z
        f[3, 0], f[3, 1], f[3, 2], f[3, 3] = 0.0, 0.0, 0.0, 1.0


@numba.njit(cache=True, nogil=True)
def jacobian(frames: Array, out: Array) -> None:
    """Write the tip's geometric Jacobian (6, 7), linear [m/rad] over angular, into ``out``.

    frames: (9, 4, 4) as ``forward`` left them.
    """
    px, py, pz = frames[TIP, 0, 3], frames[TIP, 1, 3], frames[TIP, 2, 3]
    for i in range(JOINTS):
        ax, ay, az = frames[i, 0, 2], frames[i, 1, 2], frames[i, 2, 2]
        dx, dy, dz = px - frames[i, 0, 3], py - frames[i, 1, 3], pz - frames[i, 2, 3]
        out[0, i] = ay * dz - az * dy
        out[1, i] = az * dx - ax * dz
        out[2, i] = ax * dy - ay * dx
        out[3, i], out[4, i], out[5, i] = ax, ay, az


@numba.njit(cache=True, nogil=True)
def solve_down(
    q_rad: Array, p_BT_m: Array, yaw_rad: float, iterations: int, tolerance: float
) -> tuple[Array, float]:
    """Joints that put the tip at ``p_BT_m`` (3,), pointing straight down and turned by ``yaw_rad``.

    Starts at ``q_rad`` (7,) and returns (joints (7,) within the limits, remaining error). The error
    is the norm of the 6 numbers (position [m], rotation [rad]); it is small only if the pose is in
    reach, so the caller decides what is too large.
    """
    q = q_rad.copy()
    frames = np.empty((FRAMES, 4, 4))
    jac = np.empty((6, JOINTS))
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    e = np.empty(6)
    normal = np.empty((6, 6))
    error = math.inf
    for k in range(iterations + 1):
        forward(q, frames)
        t = frames[TIP]
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
        error = math.sqrt((e * e).sum())
        if k == iterations or (error < tolerance and k > 0):
            break
        jacobian(frames, jac)
        for i in range(6):
            for j in range(6):
                total = _DAMPING**2 if i == j else 0.0
                for m in range(JOINTS):
                    total += jac[i, m] * jac[j, m]
                normal[i, j] = total
        _factorise(normal)
        # dq = J+ e + (I - J+ J) pull = pull + J+ (e - J pull)
        pull = _HOME_PULL * (Q_HOME_RAD - q)
        rest = e.copy()
        for i in range(6):
            for m in range(JOINTS):
                rest[i] -= jac[i, m] * pull[m]
        _substitute(normal, rest)
        largest = 0.0
        for m in range(JOINTS):
            for i in range(6):
                pull[m] += jac[i, m] * rest[i]
            largest = max(largest, abs(pull[m]))
        scale = min(1.0, _MAX_STEP_RAD / largest) if largest > 0.0 else 1.0
        for m in range(JOINTS):
            q[m] = min(max(q[m] + scale * pull[m], Q_MIN_RAD[m]), Q_MAX_RAD[m])
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
