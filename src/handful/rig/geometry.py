"""Poses as 4 x 4 matrices X_AB (the pose of B in A): compose, invert, exponential and logarithm.

Letters must match: ``X_BT = X_BE @ X_ET``, and composing is Python's own ``@``. Quaternions are
always xyzw. Twists are (6,): v first [m], then w [rad], as in Murray, Li and Sastry, "A
Mathematical Introduction to Robotic Manipulation" (1994), chapter 2.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

_SMALL_RAD = 1.0e-6  # below this the series is more exact than the closed form


def pose(R_AB: ArrayLike, p_AB_m: ArrayLike) -> Matrix:
    """X_AB (4, 4) from a rotation (3, 3) and a position (3,) [m]."""
    X_AB = np.eye(4)
    X_AB[:3, :3] = R_AB
    X_AB[:3, 3] = p_AB_m
    return X_AB


def invert(X_AB: Matrix) -> Matrix:
    """X_BA, by transposing the rotation; X_AB must be rigid."""
    R_BA = X_AB[:3, :3].T
    return pose(R_BA, -R_BA @ X_AB[:3, 3])


def apply(X_AB: Matrix, p_B_m: ArrayLike) -> Matrix:
    """Points (..., 3) [m] given in B, expressed in A."""
    return np.asarray(p_B_m, np.float64) @ X_AB[:3, :3].T + X_AB[:3, 3]


def exp_so3(w_rad: ArrayLike) -> Matrix:
    """R (3, 3) that turns by |w| [rad] about w (3,): Rodrigues' formula."""
    w = np.asarray(w_rad, np.float64)
    angle_rad = float(np.linalg.norm(w))
    W = hat(w)
    if angle_rad < _SMALL_RAD:
        return np.eye(3) + W + 0.5 * W @ W
    a = math.sin(angle_rad) / angle_rad
    b = 2.0 * (math.sin(0.5 * angle_rad) / angle_rad) ** 2  # (1 - cos) / angle^2, no cancellation
    return np.eye(3) + a * W + b * W @ W


def log_so3(R: Matrix) -> Matrix:
    """w (3,) [rad] with |w| <= pi and ``exp_so3(w) = R``, exact near 0 and pi alike."""
    quat_xyzw = to_quat_xyzw(R)
    half_sine = float(np.linalg.norm(quat_xyzw[:3]))
    if half_sine == 0.0:
        return np.zeros(3)
    angle_rad = 2.0 * math.atan2(half_sine, float(quat_xyzw[3]))
    w: Matrix = quat_xyzw[:3] * (angle_rad / half_sine)
    return w


def exp(twist: ArrayLike) -> Matrix:
    """X (4, 4) reached by following a constant twist (6,) [m, rad] for one unit of time."""
    v, w = np.split(np.asarray(twist, np.float64), 2)
    return pose(exp_so3(w), _left_jacobian(w) @ v)


def log(X_AB: Matrix) -> Matrix:
    """The twist (6,) [m, rad] of A to B: ``exp(log(X)) = X`` for turns below pi."""
    w = log_so3(X_AB[:3, :3])
    v = np.linalg.solve(_left_jacobian(w), X_AB[:3, 3])
    return np.concatenate([v, w])


def from_quat_xyzw(quat_xyzw: ArrayLike) -> Matrix:
    """R (3, 3) of a quaternion (4,), which need not be of unit length.

    Raises:
        ValueError: the quaternion is zero or not finite.
    """
    q = np.asarray(quat_xyzw, np.float64)
    length = float(np.linalg.norm(q))
    if not 0.0 < length < math.inf:
        raise ValueError(f"a rotation needs a finite quaternion other than zero, got {q.tolist()}")
    v, w = q[:3] / length, float(q[3]) / length
    V = hat(v)
    return np.eye(3) + 2.0 * w * V + 2.0 * V @ V


def to_quat_xyzw(R: Matrix) -> Matrix:
    """The unit quaternion (4,) of R (3, 3) with w >= 0.

    Built from the largest of the four squared components, so nothing is divided by something small
    (Shepperd, "Quaternion from rotation matrix", 1978).
    """
    squares = np.array(  # 4 x^2, 4 y^2, 4 z^2, 4 w^2
        [
            1.0 + R[0, 0] - R[1, 1] - R[2, 2],
            1.0 - R[0, 0] + R[1, 1] - R[2, 2],
            1.0 - R[0, 0] - R[1, 1] + R[2, 2],
            1.0 + R[0, 0] + R[1, 1] + R[2, 2],
        ]
    )
    largest = int(np.argmax(squares))
    minus = (R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1])  # 4wx, 4wy, 4wz
    if largest == 3:
        quat = np.array([*minus, squares[3]])
    else:
        quat = np.array(
            [R[largest, k] + R[k, largest] if k != largest else squares[k] for k in range(3)]
            + [minus[largest]]
        )
    quat /= np.linalg.norm(quat)
    return -quat if quat[3] < 0.0 else quat


def hat(w: Matrix) -> Matrix:
    """The matrix (3, 3) of the cross product: ``hat(w) @ p == np.cross(w, p)``."""
    x, y, z = w
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _left_jacobian(w: Matrix) -> Matrix:
    angle_rad = float(np.linalg.norm(w))
    W = hat(w)
    if angle_rad < _SMALL_RAD:
        return np.eye(3) + 0.5 * W + W @ W / 6.0
    a = 2.0 * (math.sin(0.5 * angle_rad) / angle_rad) ** 2
    b = (angle_rad - math.sin(angle_rad)) / angle_rad**3
    return np.eye(3) + a * W + b * W @ W
