"""Messages to the words of ``handful.contract`` and back: pure functions, no node, no rospy.

Whatever comes off the wire is copied, so that it may be kept. A message that does not say what its
type promises raises ``ValueError`` with its topic, what it held and what would have been right.
Tools point straight down: R_BT = Rz(yaw) Rx(pi); quaternions are xyzw, as in ROS itself.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import ArrayLike, NDArray

import handful.msg as wire
from handful.contract import ArmState, Command
from handful.rig.geometry import from_quat_xyzw
from handful.rig.guard import Status
from handful.wire.pictures import (
    Intrinsics,
    array_to_image,
    camera_info,
    depth_to_image,
    frame,
    image_to_array,
    image_to_depth,
    intrinsics,
    pinhole,
)
from handful.wire.stamps import header, seconds, stamp

__all__ = [
    "BASE_FRAME",
    "STATUS",
    "Intrinsics",
    "Judged",
    "action",
    "arm_state",
    "array_to_image",
    "camera_info",
    "command",
    "depth_to_image",
    "frame",
    "header",
    "image_to_array",
    "image_to_depth",
    "intrinsics",
    "pinhole",
    "pose",
    "position_m",
    "position_yaw",
    "seconds",
    "stamp",
    "to_action",
    "to_arm_state",
    "to_command",
    "to_verdict",
    "verdict",
]

BASE_FRAME = "panda_link0"

STATUS: dict[str, int] = {
    **{status.value: getattr(wire.Verdict, status.name) for status in Status},
    "held": wire.Verdict.HELD,
    "refused": wire.Verdict.REFUSED,
}
"""Name of a verdict's status (``rig.guard.Status``, or held, or refused) -> its number."""
_STATUS_NAMES = {number: name for name, number in STATUS.items()}


@dataclass(frozen=True)
class Judged:
    """What the guard made of one action, as it travels: ``Verdict.msg`` in our own words.

    status: a key of ``STATUS``. executed: (A,) float32, what was sent, as an action; empty when the
    action had the wrong length. command: the target now. step_m: (3,) how far it moved [m].
    observed_s: the action's stamp [s]. stamp_s: when it was judged [s].
    """

    sequence: int
    source: str
    status: str
    reason: str
    executed: NDArray[np.float32]
    command: Command
    step_m: NDArray[np.float64]
    observed_s: float
    stamp_s: float


def pose(p_m: ArrayLike, yaw_rad: float) -> Pose:
    """A tool tip at ``p_m`` (3,) that points straight down, turned by ``yaw_rad`` about z."""
    x, y, z = np.asarray(p_m, np.float64).tolist()
    turn = Quaternion(math.cos(0.5 * yaw_rad), math.sin(0.5 * yaw_rad), 0.0, 0.0)
    return Pose(position=Point(x, y, z), orientation=turn)


def position_m(message: Point | Vector3) -> NDArray[np.float64]:
    """(3,) of a point or a vector."""
    return np.array([message.x, message.y, message.z])


def position_yaw(message: Pose) -> tuple[NDArray[np.float64], float]:
    """(3,) position [m] and yaw in [-pi, pi] [rad]: the inverse of ``pose``, up to whole turns.

    The yaw is where the tool's x axis points, seen from above, also when the tool is tilted.

    Raises:
        ValueError: no orientation (zero or not finite), or an x axis that points up or down.
    """
    q = message.orientation
    R = from_quat_xyzw([q.x, q.y, q.z, q.w])
    if math.hypot(R[0, 0], R[1, 0]) < 1e-6:
        raise ValueError("a tool whose x axis points up or down has no yaw; expected it level")
    return position_m(message.position), math.atan2(R[1, 0], R[0, 0])


def arm_state(message: wire.ArmState) -> ArmState:
    """``ArmState.msg`` to the contract; ``command``, ``holding`` and ``fault`` stay in the message.

    Numbers are not judged here: what is not finite arrives as it was sent, for the guard to see.
    """
    return ArmState(
        stamp_s=seconds(message.header.stamp),
        p_BT_m=position_m(message.tool.position),
        yaw_rad=message.yaw_rad,
        gripper_m=message.gripper_m,
        v_BT_m_s=position_m(message.velocity),
        q_rad=np.array(message.q_rad, np.float64),
        target_p_BT_m=position_m(message.target.position),
        target_yaw_rad=message.target_yaw_rad,
        target_gripper_m=message.target_gripper_m,
    )


def to_arm_state(
    state: ArmState,
    *,
    command: int = 0,
    holding: bool = False,
    fault: str = "",
    frame_id: str = BASE_FRAME,
) -> wire.ArmState:
    """The contract's state as ``ArmState.msg``; command: sequence of the last one accepted."""
    return wire.ArmState(
        header=header(state.stamp_s, frame_id),
        tool=pose(state.p_BT_m, state.yaw_rad),
        velocity=Vector3(*state.v_BT_m_s.tolist()),
        yaw_rad=float(state.yaw_rad),
        gripper_m=float(state.gripper_m),
        q_rad=state.q_rad.tolist(),
        target=pose(state.target_p_BT_m, state.target_yaw_rad),
        target_yaw_rad=float(state.target_yaw_rad),
        target_gripper_m=float(state.target_gripper_m),
        command=command,
        holding=holding,
        fault=fault,
    )


def command(message: wire.Command | wire.Verdict) -> Command:
    """The goal that a command or a verdict carries; its numbers are not judged here."""
    return Command(position_m(message.tool.position), message.yaw_rad, message.gripper_m)


def to_command(
    goal: Command,
    *,
    stamp_s: float,
    sequence: int,
    valid_s: float,
    hold: bool = False,
    reason: str = "",
    frame_id: str = BASE_FRAME,
) -> wire.Command:
    """A goal as ``Command.msg``: valid_s [s] is how long the arm may go on without another."""
    return wire.Command(
        header=header(stamp_s, frame_id),
        sequence=sequence,
        tool=pose(goal.p_BT_m, goal.yaw_rad),
        yaw_rad=float(goal.yaw_rad),
        gripper_m=float(goal.gripper_m),
        hold=hold,
        valid_s=valid_s,
        reason=reason,
    )


def action(message: wire.Action) -> NDArray[np.float32]:
    """The values (A,) float32 of ``Action.msg``; empty for a rest. The guard judges them."""
    return np.array(message.values, np.float32)


def to_action(
    values: ArrayLike,
    *,
    stamp_s: float,
    sequence: int,
    source: str,
    rest: bool = False,
    parts_s: Iterable[float] = (),
    frame_id: str = "",
) -> wire.Action:
    """Values (A,) as ``Action.msg``; stamp_s: capture of the oldest part of its observation [s].

    parts_s: capture of every part, each camera of the rig and then the arm's state.
    """
    return wire.Action(
        header=header(stamp_s, frame_id),
        sequence=sequence,
        source=source,
        values=[] if rest else np.asarray(values, np.float32).tolist(),
        parts=[stamp(part_s) for part_s in parts_s],
        rest=rest,
    )


def verdict(message: wire.Verdict) -> Judged:
    """``Verdict.msg`` in our own words. Raises ``ValueError`` for a status that does not exist."""
    if message.status not in _STATUS_NAMES:
        raise ValueError(
            f"guard/verdict {message.sequence}: status {message.status} does not exist; "
            f"there are 0 to {max(_STATUS_NAMES)}"
        )
    return Judged(
        sequence=message.sequence,
        source=message.source,
        status=_STATUS_NAMES[message.status],
        reason=message.reason,
        executed=np.array(message.executed, np.float32),
        command=command(message),
        step_m=np.array(message.step_m, np.float64),
        observed_s=seconds(message.observed),
        stamp_s=seconds(message.header.stamp),
    )


def to_verdict(judged: Judged, frame_id: str = BASE_FRAME) -> wire.Verdict:
    """``Verdict.msg`` of what was judged. Raises ``ValueError`` for an unknown status."""
    if judged.status not in STATUS:
        raise ValueError(f"status {judged.status!r} does not exist; there are {', '.join(STATUS)}")
    return wire.Verdict(
        header=header(judged.stamp_s, frame_id),
        sequence=judged.sequence,
        source=judged.source,
        observed=stamp(judged.observed_s),
        status=STATUS[judged.status],
        reason=judged.reason,
        executed=np.asarray(judged.executed, np.float32).tolist(),
        step_m=np.asarray(judged.step_m, np.float64).tolist(),
        tool=pose(judged.command.p_BT_m, judged.command.yaw_rad),
        yaw_rad=float(judged.command.yaw_rad),
        gripper_m=float(judged.command.gripper_m),
    )
