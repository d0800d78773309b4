"""The twin's arm, made of a URDF and its settings: frames, limits, fingers, what physics loads.

One path for every arm: the shipped Panda's numbers come from its URDF as another's do
(``kinematics`` explains the arrays). Of the Panda, ``pybullet_data``'s own file with box finger
pads; its <contact> stiffness and damping are kept, grasps get worse without. Renderers draw from
``visuals``, so physics loads no visual mesh.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.rig.geometry import exp_so3, invert, pose
from handful_twin import kinematics
from handful_twin.arm_settings import ArmSettings, panda
from handful_twin.urdf import Limb, Urdf

Array = NDArray[np.float64]

#: Where a posture is looked for when none is given, and what it should reach with the hand down.
_HOME_AT_M = (0.48, 0.0, 0.25)
_TRIES, _ITERATIONS, _MISS = 200, 100, 1e-4
_MARGIN = 0.15  # from every limit [rad, or m] of a posture that is found


@dataclass(frozen=True)
class Link:
    """A link that may be drawn: row of the frame that carries it (-1: B), and X_FL (4, 4)."""

    name: str
    frame: int
    X_FL: Array


@dataclass(frozen=True)
class ArmModel:
    """An arm of N joints and M finger joints, which may be none.

    joints, fingers: their names, in the order of all joint vectors. links: all below the base, and
    the base. X_BR: (4, 4) pose of the URDF's root. fixed, how, limits: see ``kinematics``. effort,
    speed: (N,) [Nm, or N; rad/s, or m/s]. closed, opened: (M,) positions of the fingers. urdf:
    what was read; physics: the file Bullet loads.
    """

    settings: ArmSettings
    urdf: Urdf
    physics: Path
    joints: tuple[str, ...]
    fingers: tuple[str, ...]
    links: tuple[Link, ...]
    X_BR: Array
    X_LH: Array
    fixed: Array
    how: NDArray[np.int64]
    limits: Array
    effort: Array
    speed: Array
    closed: Array
    opened: Array

    @property
    def dof(self) -> int:
        """N, the joints that move the hand."""
        return len(self.joints)

    @property
    def hand(self) -> int:
        """The hand's row among the frames; the tip's is the next."""
        return len(self.joints)

    @property
    def tip(self) -> int:
        """The tool tip's row among the frames."""
        return len(self.joints) + 1

    @property
    def home_rad(self) -> Array:
        """(N,) the posture that the elbow is drawn to."""
        return self.limits[2]

    @property
    def opening_m(self) -> float:
        """The widest opening; 0 without fingers."""
        gripper = self.settings.gripper
        return 0.0 if gripper is None else gripper.opening_m

    @property
    def drivers(self) -> int:
        """How many finger joints have a motor: two, or of a linkage the first alone."""
        return len(self.fingers) if len(self.fingers) <= 2 else 1

    @property
    def travel(self) -> Array:
        """(M,) how far each finger joint goes a metre of its finger's way: what turns one finger's
        speed [m/s] into its joint's, and a force [N] into its joint's effort, by dividing."""
        return 2.0 * np.abs(self._slope)

    def frames(self) -> Array:
        """Room for what ``forward`` writes: (N + 2 + M, 4, 4)."""
        return np.empty((len(self.fixed), 4, 4))

    def forward(self, q: Array, frames: Array) -> None:
        """Write the poses of all frames in B for joint positions (N + M,), or (N,) of the first."""
        kinematics.forward(
            self.fixed, self.how, q, frames[: self.tip + 1] if len(q) == self.dof else frames
        )

    def jacobian(self, frames: Array, out: Array) -> None:
        """Write the tip's Jacobian (6, N) for ``frames`` as ``forward`` left them."""
        kinematics.jacobian(self.how, frames, out)

    def solve_down(
        self, q: Array, p_BT_m: Array, yaw_rad: float, iterations: int, tolerance: float
    ) -> tuple[Array, float]:
        """Joints (N,) that put the tip there, pointing down, and the error that remains."""
        return kinematics.solve_down(
            self.fixed, self.how, self.limits, q, p_BT_m, yaw_rad, self.settings.hold_yaw,
            iterations, tolerance,
        )  # fmt: skip

    def opening(self, q: Array) -> float:
        """Between the pads [m], for joint positions (N + M,)."""
        return float(q[len(self.joints) :] @ self._share) + self._offset_m

    def finger_positions(self, opening_m: float) -> Array:
        """(M,) of an opening [m]."""
        return self.closed + opening_m * self._slope

    @cached_property
    def _slope(self) -> Array:
        """(M,) of the finger joints' positions over the opening [per m]."""
        return (self.opened - self.closed) / max(self.opening_m, 1e-9)

    @cached_property
    def _share(self) -> Array:
        """(M,) of the opening over the positions: each finger joint has the same say."""
        return 1.0 / (self._slope * max(len(self.fingers), 1))

    @cached_property
    def _offset_m(self) -> float:
        return -float(self.closed @ self._share)


def arm_model(settings: ArmSettings | None = None) -> ArmModel:
    """The arm of these settings, the shipped Panda by default; made once a process.

    Raises:
        ConfigError: settings and URDF do not fit together; the message says which key.
        MeshError: a mesh, or the shipped URDF, is missing.
        OSError: the cache cannot be written.
    """
    return _made((settings or panda()).model_dump_json())


@lru_cache(maxsize=16)
def _made(text: str) -> ArmModel:
    settings = ArmSettings.model_validate_json(text)
    urdf = Urdf(settings.urdf)
    way = urdf.way(settings.base.link, settings.hand.link)
    arm = [limb for limb in way if limb.moves]
    if not arm:
        raise ConfigError(
            f"twin.arm: no joint moves between {settings.base.link!r} and {settings.hand.link!r}"
        )
    fingers = _fingers(settings, urdf)
    closed, opened = _ends(settings, fingers)
    hand = settings.hand
    X_LH = pose(_turned(hand.rpy_rad), hand.position_m)
    X_BL = pose(_turned((0.0, 0.0, settings.base.yaw_rad)), settings.base.position_m)
    above = [limb for limb in urdf.limbs if limb.child == settings.base.link]
    X_BR = X_BL
    while above:
        X_BR = X_BR @ invert(above[0].joint.X_PJ)
        above = [limb for limb in urdf.limbs if limb.child == above[0].parent]
    fixed, how, links = _frames(settings, urdf, arm, fingers, X_BL, X_LH)
    limits = _limits(settings, arm)
    model = ArmModel(
        settings=settings,
        urdf=urdf,
        physics=urdf.for_physics(
            {} if settings.gripper is None else settings.gripper.pads
        ),
        joints=tuple(limb.joint.name for limb in arm),
        fingers=tuple(limb.joint.name for limb in fingers),
        links=links, X_BR=X_BR, X_LH=X_LH, fixed=fixed, how=how, limits=limits,
        effort=_given(settings.effort, [limb.effort for limb in arm], arm, "effort"),
        speed=_given(settings.speed_rad_s, [limb.joint.speed for limb in arm], arm, "speed_rad_s"),
        closed=closed, opened=opened,
    )  # fmt: skip
    if not settings.home_rad:
        limits[2] = _found_home(model)
    for array in (fixed, how, limits, model.effort, model.speed, closed, opened):
        array.setflags(write=False)
    return model


def _frames(
    settings: ArmSettings, urdf: Urdf, arm: list[Limb], fingers: list[Limb],
    X_BL: Array, X_LH: Array,
) -> tuple[Array, NDArray[np.int64], tuple[Link, ...]]:  # fmt: skip
    """fixed, how, and where every link below the base is bolted on."""
    count = len(arm)
    rows = {limb.joint.name: i for i, limb in enumerate(arm)}
    rows |= {limb.joint.name: count + 2 + i for i, limb in enumerate(fingers)}
    fixed = np.empty((count + 2 + len(fingers), 3, 4))
    how = np.full((len(fixed), 3), -1, np.int64)
    how[:, 2] = 0
    links = {settings.base.link: Link(settings.base.link, -1, X_BL)}
    for limb in urdf.below(settings.base.link):
        parent, joint = links[limb.parent], limb.joint
        X_FJ = parent.X_FL @ joint.X_PJ
        row = rows.get(joint.name)
        if row is None:  # fixed, or a joint that is held where it is 0
            links[limb.child] = Link(limb.child, parent.frame, X_FJ)
            continue
        X_JZ = pose(_onto_z(joint.axis), np.zeros(3))
        fixed[row] = (X_FJ @ X_JZ)[:3]
        how[row] = parent.frame, row if row < count else row - 2, joint.kind == "prismatic"
        links[limb.child] = Link(limb.child, row, invert(X_JZ))
    carrier = links[settings.hand.link]
    fixed[count], how[count, 0] = (carrier.X_FL @ X_LH)[:3], carrier.frame
    fixed[count + 1] = pose(np.eye(3), [0.0, 0.0, settings.hand.tip_m])[:3]
    how[count + 1, 0] = count
    return fixed, how, tuple(links.values())


def _fingers(settings: ArmSettings, urdf: Urdf) -> list[Limb]:
    if settings.gripper is None:
        return []
    moving = [limb for limb in urdf.below(settings.hand.link) if limb.moves]
    names = {limb.joint.name for limb in moving}
    wanted = set(settings.gripper.joints) or names
    if not wanted or not wanted <= names:
        raise ConfigError(
            f"twin.arm.gripper.joints: {', '.join(sorted(wanted - names)) or 'none'} below "
            f"{settings.hand.link!r}; what moves there is {', '.join(sorted(names)) or 'nothing'}"
        )
    return [limb for limb in moving if limb.joint.name in wanted]


def _ends(settings: ArmSettings, fingers: list[Limb]) -> tuple[Array, Array]:
    if settings.gripper is None:
        return np.empty(0), np.empty(0)
    ends = []
    for key in ("closed", "opened"):
        value = getattr(settings.gripper, key)
        if isinstance(value, tuple) and len(value) != len(fingers):
            names = ", ".join(limb.joint.name for limb in fingers)
            raise ConfigError(
                f"twin.arm.gripper.{key}: {len(value)} numbers for {len(fingers)} joints ({names})"
            )
        ends.append(np.broadcast_to(np.array(value, np.float64), len(fingers)).copy())
    if (np.abs(ends[1] - ends[0]) < 1e-6).any():
        raise ConfigError("twin.arm.gripper: closed and opened must differ for every joint")
    return ends[0], ends[1]


def _limits(settings: ArmSettings, arm: list[Limb]) -> Array:
    limits = np.zeros((3, len(arm)))
    limits[0] = [limb.joint.lower for limb in arm]
    limits[1] = [limb.joint.upper for limb in arm]
    if settings.home_rad:
        limits[2] = home = _given(settings.home_rad, [], arm, "home_rad")
        if ((home < limits[0]) | (home > limits[1])).any():
            raise ConfigError(f"twin.arm.home_rad: {list(settings.home_rad)} is beyond the limits")
    return limits


def _given(own: tuple[float, ...], of_urdf: list[float], arm: list[Limb], key: str) -> Array:
    values = np.array(own or of_urdf, np.float64)
    names = ", ".join(limb.joint.name for limb in arm)
    if len(values) != len(arm):
        raise ConfigError(f"twin.arm.{key}: must be {len(arm)} numbers, of {names}")
    if key != "home_rad" and not ((values > 0.0) & np.isfinite(values)).all():
        raise ConfigError(
            f"twin.arm: the URDF's {key} of {names} is {values.tolist()}; give twin.arm.{key}"
        )
    return values


def _found_home(model: ArmModel) -> Array:
    """A posture with the hand down over the table, far from limits, with the least turned joints.

    Raises:
        ConfigError: there is none; the arm does not reach so far, or cannot point its hand down.
    """
    rng = np.random.default_rng(0)
    low, high = np.clip(model.limits[:2], -math.pi, math.pi)
    best, least, frames = None, math.inf, model.frames()
    for _ in range(_TRIES):
        start = rng.uniform(low, high)
        limits = np.array([*model.limits[:2], np.clip(0.0, low, high)])
        q, miss = kinematics.solve_down(
            model.fixed, model.how, limits, start, np.array(_HOME_AT_M), 0.0,
            model.settings.hold_yaw, _ITERATIONS, 1e-9,
        )  # fmt: skip
        margin = np.minimum(q - model.limits[0], model.limits[1] - q).min()
        model.forward(q, frames)
        upright = frames[: model.hand, 2, 3].min() >= -0.05
        turned = float(np.linalg.norm(q))
        if miss < _MISS and margin > _MARGIN and upright and turned < least:
            best, least = q, turned
    if best is None:
        at = ", ".join(f"{x:g}" for x in _HOME_AT_M)
        raise ConfigError(
            f"twin.arm: no joints put the tip at ({at}) m with the hand down; see where "
            "twin.arm.base stands and how hand is turned, or give twin.arm.home_rad"
        )
    return best


def _onto_z(axis: Array) -> Array:
    """A rotation (3, 3) whose z is ``axis``, as little turned as can be."""
    x, y, z = axis
    if abs(z - 1.0) < 1e-12:
        return np.eye(3)
    if abs(z + 1.0) < 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    across = np.array([-y, x, 0.0])
    return exp_so3(across / np.linalg.norm(across) * math.acos(z))


def _turned(rpy_rad: tuple[float, float, float]) -> Array:
    roll, pitch, yaw = rpy_rad
    return exp_so3([0.0, 0.0, yaw]) @ exp_so3([0.0, pitch, 0.0]) @ exp_so3([roll, 0.0, 0.0])
