"""The joints between an arm's base and its flange, read from a URDF: forward, Jacobian, inverse.

A serial chain of fixed, revolute, continuous and prismatic joints, nothing else: no mimics and no
loops. Frames: B is the base link, E the tip link. Conventions are the URDF's own: fixed-axis
roll-pitch-yaw, axes in the joint's frame. The inverse is damped least squares (Wampler 1986)
started at the present joints, so that it finds the nearest answer or says that there is none.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handful.rig.arm import ArmError
from handful.rig.geometry import Matrix, hat, log_so3, pose

#: A pose missed by more than this is out of reach.
POSITION_TOLERANCE_M = 1.0e-4
ROTATION_TOLERANCE_RAD = 1.0e-3

_GOOD_ENOUGH = 1.0e-8  # squared norm of the error [m, rad] at which iterating ends
_ITERATIONS = 100
_DAMPING = 1.0e-3
_POSTURE_PULL = 0.05  # share of the way to the posture one solution goes, where the tip allows it
_POSTURE_STEP_RAD = 0.01  # and no further than this
_LARGEST_TURN = 0.2  # of a joint in one iteration [rad or m]: beyond it the Jacobian is no guide

_MOVING = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True)
class Joint:
    """One joint of the chain, its origin in the parent link and its limits [rad, or m]."""

    name: str
    kind: str
    X_PJ: Matrix
    axis: Matrix
    lower: float
    upper: float
    speed: float


class Chain:
    """A serial chain; joints of length N are those that move, base first.

    names: (N,) of them. q_min, q_max: (N,) limits [rad, or m], infinite where there are none.
    speed_max: (N,) [rad/s or m/s]. posture_rad: (N,) joints that a redundant arm is drawn to
    while its tip does what it is told; None leaves the elbow where it happens to be.
    """

    def __init__(self, joints: list[Joint], posture_rad: ArrayLike | None = None) -> None:
        self._joints = joints
        moving = [joint for joint in joints if joint.kind in _MOVING]
        if not moving:
            raise ArmError("chain: no joint between base and tip moves")
        self.names = tuple(joint.name for joint in moving)
        self.q_min = np.array([joint.lower for joint in moving])
        self.q_max = np.array([joint.upper for joint in moving])
        self.speed_max = np.array([joint.speed for joint in moving])
        self.posture_rad = None if posture_rad is None else self._checked(posture_rad, "posture")

    @property
    def dof(self) -> int:
        """N, the number of joints that move."""
        return len(self.names)

    def forward(self, q_rad: ArrayLike) -> Matrix:
        """X_BE (4, 4) for joints (N,)."""
        return self._walk(self._checked(q_rad, "joints"))[0]

    def jacobian(self, q_rad: ArrayLike) -> Matrix:
        """(6, N): velocity of E's origin [m/s] over its turning [rad/s], in B, a joint speed."""
        X_BE, axes, origins, slides = self._walk(self._checked(q_rad, "joints"))
        return _jacobian(X_BE, axes, origins, slides)

    def solve(self, X_BE: Matrix, q_rad: ArrayLike, max_joint_step_rad: float) -> Matrix:
        """Joints (N,) inside the limits that put E at ``X_BE``, near ``q_rad`` (N,).

        Raises:
            ArmError: no such joints were found, or one of them is more than ``max_joint_step_rad``
                away from ``q_rad``; the message names the pose, the miss or the joint.
        """
        start = self._checked(q_rad, "joints")
        if np.shape(X_BE) != (4, 4) or not np.isfinite(X_BE).all():
            raise ArmError(f"chain: a goal must be a finite pose (4, 4), got {X_BE!r}")
        q, miss_m, miss_rad = self._descend(np.asarray(X_BE, np.float64), start)
        if miss_m > POSITION_TOLERANCE_M or miss_rad > ROTATION_TOLERANCE_RAD:
            at = [
                name
                for name, value, low, high in zip(
                    self.names, q, self.q_min, self.q_max, strict=True
                )
                if value - low < 1e-6 or high - value < 1e-6
            ]
            raise ArmError(
                f"chain: {self._goal(X_BE)} is out of reach, missed by {miss_m:.4f} m and "
                f"{miss_rad:.3f} rad" + (f" with {', '.join(at)} at its limit" if at else "")
            )
        step = np.abs(q - start)
        widest = int(np.argmax(step))
        if step[widest] > max_joint_step_rad:
            raise ArmError(
                f"chain: {self._goal(X_BE)} would turn {self.names[widest]} by "
                f"{step[widest]:.3f} rad at once, allowed are {max_joint_step_rad}"
            )
        return q

    def _descend(self, X_BE: Matrix, start: Matrix) -> tuple[Matrix, float, float]:
        # A start a hair outside its limits, as encoders report, counts as at the limit.
        q = np.clip(start, self.q_min, self.q_max)
        pull = np.zeros(self.dof)
        if self.posture_rad is not None:
            pull = _POSTURE_PULL * (self.posture_rad - q)
            pull *= min(1.0, _POSTURE_STEP_RAD / max(float(np.abs(pull).max()), 1e-12))
        for last in (False,) * _ITERATIONS + (True,):
            X_now, axes, origins, slides = self._walk(q)
            error = np.concatenate(
                [X_BE[:3, 3] - X_now[:3, 3], log_so3(X_BE[:3, :3] @ X_now[:3, :3].T)]
            )
            if last or (not pull.any() and error @ error < _GOOD_ENOUGH**2):
                break
            step = self._step(_jacobian(X_now, axes, origins, slides), error, q, pull)
            pull = np.zeros(self.dof)  # once: pulled at every iteration the tip never comes to rest
            q = np.clip(q + step, self.q_min, self.q_max)
        return q, float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))

    def _step(self, jacobian: Matrix, error: Matrix, q: Matrix, pull: Matrix) -> Matrix:
        free = np.ones(self.dof, bool)
        while True:  # a joint at its limit is left out, and the others do its share
            J, pull = jacobian * free, pull * free
            normal = J @ J.T + _DAMPING**2 * np.eye(6)
            step = pull + J.T @ np.linalg.solve(normal, error - J @ pull)
            step *= min(1.0, _LARGEST_TURN / max(float(np.abs(step).max()), 1e-12))
            stuck = free & (((q >= self.q_max) & (step > 0)) | ((q <= self.q_min) & (step < 0)))
            if not stuck.any():
                return step
            free &= ~stuck

    def _walk(self, q: Matrix) -> tuple[Matrix, Matrix, Matrix, NDArray[np.bool_]]:
        X = np.eye(4)
        axes, origins = np.empty((self.dof, 3)), np.empty((self.dof, 3))
        slides = np.zeros(self.dof, bool)
        k = 0
        for joint in self._joints:
            X = X @ joint.X_PJ
            if joint.kind == "fixed":
                continue
            axes[k], origins[k] = X[:3, :3] @ joint.axis, X[:3, 3]
            if joint.kind == "prismatic":
                slides[k] = True
                X[:3, 3] += axes[k] * q[k]
            else:
                X[:3, :3] = X[:3, :3] @ _turn(joint.axis, float(q[k]))
            k += 1
        return X, axes, origins, slides

    def _checked(self, q_rad: ArrayLike, what: str) -> Matrix:
        q = np.array(q_rad, np.float64)
        if q.shape != (self.dof,) or not np.isfinite(q).all():
            raise ArmError(
                f"chain: {what} must be {self.dof} finite numbers ({', '.join(self.names)}), "
                f"got {q_rad!r}"
            )
        return q

    @staticmethod
    def _goal(X_BE: Matrix) -> str:
        return f"a flange at {X_BE[:3, 3].round(3).tolist()} m"


def read_urdf(
    text: str, base_link: str, tip_link: str, posture_rad: ArrayLike | None = None
) -> Chain:
    """The chain from ``base_link`` to ``tip_link`` of the robot that ``text`` describes.

    Raises:
        ArmError: not a URDF, an unknown link, no way from base to tip, or a joint on the way that
            a serial chain cannot have; the message names it.
    """
    try:
        robot = ET.fromstring(text)
    except ET.ParseError as error:
        raise ArmError(f"chain: the robot description is not XML: {error}") from None
    links = sorted(str(link.get("name")) for link in robot.findall("link"))
    for link in (base_link, tip_link):
        if link not in links:
            raise ArmError(
                f"chain: the robot description has no link {link!r}; it has {', '.join(links)}"
            )
    above = {_link_of(joint, "child"): joint for joint in robot.findall("joint")}
    joints: list[Joint] = []
    link = tip_link
    while link != base_link:
        if link not in above or len(joints) > len(above):
            raise ArmError(
                f"chain: {tip_link!r} does not hang below {base_link!r}; going up from it ends "
                f"at {link!r}"
            )
        joints.insert(0, read_joint(above[link]))
        link = _link_of(above[link], "parent")
    return Chain(joints, posture_rad)


def read_joint(element: ET.Element, mimics: bool = False) -> Joint:
    """A URDF's <joint>; one that mimics another is refused unless ``mimics``.

    Raises:
        ArmError: a kind that a chain cannot have, or numbers that are none; the message names it.
    """
    name, kind = str(element.get("name")), str(element.get("type"))
    if kind not in (*_MOVING, "fixed"):
        raise ArmError(f"chain: joint {name!r} is {kind}; a serial chain has {', '.join(_MOVING)}")
    if not mimics and element.find("mimic") is not None:
        raise ArmError(f"chain: joint {name!r} mimics another; choose a tip link before it")
    origin = element.find("origin")
    xyz = _numbers(element, origin, "xyz", "0 0 0")
    roll, pitch, yaw = _numbers(element, origin, "rpy", "0 0 0")
    X_PJ = pose(
        _turn(np.array([0.0, 0.0, 1.0]), yaw)
        @ _turn(np.array([0.0, 1.0, 0.0]), pitch)
        @ _turn(np.array([1.0, 0.0, 0.0]), roll),
        xyz,
    )
    axis = _numbers(element, element.find("axis"), "xyz", "1 0 0")
    length = float(np.linalg.norm(axis))
    if kind != "fixed" and length == 0.0:
        raise ArmError(f"chain: joint {name!r} has an axis of no length")
    limit = element.find("limit")
    lower, upper, speed = -math.inf, math.inf, math.inf
    if kind in ("revolute", "prismatic"):
        if limit is None:
            raise ArmError(f"chain: joint {name!r} is {kind} and has no <limit>")
        lower = float(_numbers(element, limit, "lower", "0")[0])
        upper = float(_numbers(element, limit, "upper", "0")[0])
        if not lower <= upper:
            raise ArmError(f"chain: joint {name!r} has limits {lower} > {upper}")
    if limit is not None:
        speed = float(_numbers(element, limit, "velocity", "inf")[0])
    return Joint(name, kind, X_PJ, axis / (length or 1.0), lower, upper, speed)


def _numbers(joint: ET.Element, element: ET.Element | None, key: str, default: str) -> Matrix:
    words = (default if element is None else str(element.get(key, default))).split()
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.empty(0)
    if values.size != len(default.split()) or np.isnan(values).any():
        raise ArmError(f"chain: joint {joint.get('name')!r}: {key} cannot be {' '.join(words)!r}")
    return values


def _link_of(joint: ET.Element, role: str) -> str:
    element = joint.find(role)
    return "" if element is None else str(element.get("link"))


def _turn(axis: Matrix, angle_rad: float) -> Matrix:
    K = hat(axis)
    return np.eye(3) + math.sin(angle_rad) * K + (1.0 - math.cos(angle_rad)) * K @ K


def _jacobian(X_BE: Matrix, axes: Matrix, origins: Matrix, slides: NDArray[np.bool_]) -> Matrix:
    J = np.empty((6, len(axes)))
    J[:3] = np.where(slides[:, None], axes, np.cross(axes, X_BE[:3, 3] - origins)).T
    J[3:] = np.where(slides[:, None], 0.0, axes).T
    return J
