"""What a task puts on the table: free boxes, and fixtures of boxes, a part of which may move.

A fixture stands where an episode puts it and does not give way: a tray, a cabinet with its drawer,
a lamp's switch. It becomes one multibody whose boxes are links of their own, because compound
shapes spoil a restored state (upstream issue 4387) and links do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pybullet
from numpy.typing import NDArray

from handful.rig.geometry import from_quat_xyzw, to_quat_xyzw

Vector = tuple[float, float, float]
Pose = tuple[NDArray[np.float64], NDArray[np.float64]]
_LEVEL = (0.0, 0.0, 0.0, 1.0)
_LINK_KG = 0.05  # of links that cannot move; the solver wants some mass


@dataclass(frozen=True)
class Box:
    """A free box of a task. size_m: full edges (3,) [m]; mass_kg; rgb in 0..1; Coulomb friction."""

    size_m: Vector
    mass_kg: float
    rgb: Vector
    friction: float = 1.0


@dataclass(frozen=True)
class Part:
    """One box of a fixture. size_m: full edges [m]; centre_m, quat_xyzw: in the frame it is fixed
    to; solid: False for paint and for what nothing can get at, which is seen but not felt."""

    size_m: Vector
    rgb: Vector
    centre_m: Vector = (0.0, 0.0, 0.0)
    quat_xyzw: tuple[float, float, float, float] = _LEVEL
    solid: bool = True


@dataclass(frozen=True)
class Moving:
    """The part of a fixture that moves on one joint.

    name: how tasks call its frame. axis, origin_m: of the joint, in the fixture's frame; at
    position 0 the moving frame lies at ``origin_m`` unturned. lower, upper, friction: [rad], [Nm]
    of a hinge, [m], [N] of a slide; the friction is dry. mass_kg: of all its parts together.
    """

    name: str
    kind: Literal["hinge", "slide"]
    parts: tuple[Part, ...]
    axis: Vector
    origin_m: Vector
    lower: float
    upper: float
    friction: float
    mass_kg: float


@dataclass(frozen=True)
class Fixture:
    """Boxes that are rigid on the table for an episode, with at most one moving part.

    parts: in the frame O of the fixture, whose z = 0 is the table. friction: Coulomb, of all.
    """

    parts: tuple[Part, ...]
    friction: float = 0.5
    moving: Moving | None = None


Body = Box | Fixture


class Carrier(NamedTuple):
    """Which Bullet body and link carries a frame; link -1 is the base."""

    body: int
    link: int


def shapes(bodies: dict[str, Body]) -> dict[str, tuple[Part, ...]]:
    """Carrier name -> the boxes rigid in it, in the order in which frames are drawn and reported.

    Raises:
        ValueError: two frames of one name.
    """
    found: dict[str, tuple[Part, ...]] = {}
    for name, body in bodies.items():
        parts = (Part(body.size_m, body.rgb),) if isinstance(body, Box) else body.parts
        new = {name: parts}
        if isinstance(body, Fixture) and body.moving is not None:
            new[body.moving.name] = body.moving.parts
        for frame, boxes in new.items():
            if frame in found:
                raise ValueError(f"two things of a task are called {frame!r}")
            found[frame] = boxes
    return found


def placed(part: Part, where: Pose) -> Pose:
    """Position (3,) and quaternion (4,) of a part whose frame is at ``where``."""
    p_m, quat_xyzw = where
    R = from_quat_xyzw(quat_xyzw)
    turned = to_quat_xyzw(R @ from_quat_xyzw(part.quat_xyzw))
    return p_m + R @ np.array(part.centre_m), turned


def add_box(
    client: int, size_m: Vector, mass_kg: float, rgb: Vector, p_m: Vector, friction: float
) -> int:
    """A box in a physics client; of mass 0 it never moves. Returns Bullet's number of it."""
    half = [0.5 * edge for edge in size_m]
    look = pybullet.createVisualShape(
        pybullet.GEOM_BOX, halfExtents=half, rgbaColor=[*rgb, 1.0], physicsClientId=client
    )
    body = pybullet.createMultiBody(
        mass_kg, _box_shape(client, size_m), look, list(p_m), physicsClientId=client
    )
    pybullet.changeDynamics(body, -1, lateralFriction=friction, physicsClientId=client)
    return int(body)


def add_fixture(
    client: int, fixture: Fixture, p_m: Vector, rests_on: Sequence[int]
) -> tuple[int, int | None]:
    """A fixture in a physics client: Bullet's number of it, and of its moving link if it has one.

    rests_on: bodies it never collides with, so that standing on them costs nothing.
    """
    links: list[tuple[Part | None, int, int, float]] = [  # box, parent, joint, mass
        (part, 0, pybullet.JOINT_FIXED, _LINK_KG) for part in fixture.parts if part.solid
    ]
    moving, carrier = fixture.moving, None
    if moving is not None:
        kind = pybullet.JOINT_REVOLUTE if moving.kind == "hinge" else pybullet.JOINT_PRISMATIC
        felt = [part for part in moving.parts if part.solid]
        carrier = len(links)
        share_kg = moving.mass_kg / (len(felt) + 1)
        links.append((None, 0, kind, share_kg))
        links += [(part, carrier + 1, pybullet.JOINT_FIXED, share_kg) for part in felt]
    origin = moving.origin_m if moving is not None else (0.0, 0.0, 0.0)
    axis = moving.axis if moving is not None else (0.0, 0.0, 1.0)
    count = len(links)
    body = pybullet.createMultiBody(
        baseMass=0.0,
        baseCollisionShapeIndex=-1,
        basePosition=list(p_m),
        linkMasses=[mass for *_, mass in links],
        linkCollisionShapeIndices=[
            -1 if part is None else _box_shape(client, part.size_m) for part, *_ in links
        ],
        linkVisualShapeIndices=[-1] * count,
        linkPositions=[origin if part is None else part.centre_m for part, *_ in links],
        linkOrientations=[_LEVEL if part is None else part.quat_xyzw for part, *_ in links],
        linkInertialFramePositions=[(0.0, 0.0, 0.0)] * count,
        linkInertialFrameOrientations=[_LEVEL] * count,
        linkParentIndices=[parent for _, parent, *_ in links],
        linkJointTypes=[kind for _, _, kind, _ in links],
        linkJointAxis=[axis] * count,
        physicsClientId=client,
    )
    for link in range(count):
        pybullet.changeDynamics(
            body, link, lateralFriction=fixture.friction, physicsClientId=client
        )
        for other in rests_on:
            pybullet.setCollisionFilterPair(body, other, link, -1, 0, physicsClientId=client)
    if moving is not None and carrier is not None:
        pybullet.changeDynamics(
            body,
            carrier,
            jointLowerLimit=moving.lower,
            jointUpperLimit=moving.upper,
            physicsClientId=client,
        )
        # A motor that wants to stand still and is only so strong: dry friction.
        pybullet.setJointMotorControl2(
            body,
            carrier,
            pybullet.VELOCITY_CONTROL,
            targetVelocity=0.0,
            force=moving.friction,
            physicsClientId=client,
        )
    return int(body), carrier


def frame_pose(client: int, frame: Carrier) -> Pose:
    """p_BO_m (3,) and quat_xyzw (4,) of a frame."""
    if frame.link < 0:
        p_m, quat_xyzw = pybullet.getBasePositionAndOrientation(frame.body, physicsClientId=client)
    else:
        state = pybullet.getLinkState(
            frame.body, frame.link, computeForwardKinematics=1, physicsClientId=client
        )
        p_m, quat_xyzw = state[4], state[5]
    return np.array(p_m), np.array(quat_xyzw)


def _box_shape(client: int, size_m: Vector) -> int:
    half = [0.5 * edge for edge in size_m]
    return int(
        pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    )
