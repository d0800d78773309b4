"""From the settings of the arm node to the parts that drive one arm."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rospy

from handful.rig.arm import ArmError
from handful.rig.chain import Chain, read_urdf
from handful.rig.geometry import Matrix, exp_so3, pose
from handful.wire.arms import grippers, motions, settings, sources, trajectory, watches
from handful.wire.arms.door import Cell, Gripper, Motion, Source, Watch


@dataclass(frozen=True)
class Parts:
    """One arm: everything that ``handful.wire.arm`` calls."""

    source: Source
    motion: Motion
    gripper: Gripper
    watches: tuple[Watch, ...]
    X_ET: Matrix
    chain: Chain | None

    @property
    def all(self) -> tuple[Watch, ...]:
        """Every part that can complain."""
        return (self.source, self.motion, self.gripper, *self.watches)


def build(node: settings.ArmNodeSettings) -> Parts:
    """Subscribe and advertise; rospy must be initialised.

    Raises:
        ArmError: no usable URDF, a message package that is missing, or a class of yours that is.
    """
    cell = Cell(node.base_frame, None if node.chain is None else _chain(node.chain))
    return Parts(
        source=_make(node.source, cell),
        motion=_make(node.motion, cell),
        gripper=_make(node.gripper, node.grip if node.gripper.kind != "own" else cell),
        watches=tuple(_make(watch, cell) for watch in node.watches),
        X_ET=_tool(node.tool),
        chain=cell.chain,
    )


def _make(part: Any, context: Any) -> Any:
    if isinstance(part, settings.OwnPart):
        return _own(part)(context, part.options)
    if isinstance(part, settings.TrajectoryMotion):
        by = trajectory.ByTopic if part.by == "topic" else trajectory.ByAction
        return by(part, context)
    return _KINDS[type(part)](part, context)


_KINDS: dict[type, Any] = {
    settings.JointSource: sources.Joints,
    settings.FrankaSource: sources.Franka,
    settings.TfSource: sources.Tf,
    settings.PoseMotion: motions.EquilibriumPose,
    settings.TwistMotion: motions.TwistTowards,
    settings.JointVelocityMotion: motions.JointVelocity,
    settings.NoGripper: grippers.Fixed,
    settings.FrankaGripper: grippers.Franka,
    settings.CommandGripper: grippers.Command,
    settings.RobotiqGripper: grippers.Robotiq,
    settings.UrWatch: watches.Ur,
    settings.FrankaWatch: watches.FrankaErrors,
}


def _own(part: settings.OwnPart) -> Any:
    module, name = part.python.split(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArmError(
            f"arm_node: own part {part.python!r} cannot be imported: {error}; it must be "
            "MODULE:CLASS on the Python path"
        ) from None


def _chain(chain: settings.ChainSettings) -> Chain:
    if chain.urdf:
        path = Path(chain.urdf).expanduser()
        if not path.is_file():
            raise ArmError(f"arm_node: chain.urdf: there is no file {path}")
        text = path.read_text(encoding="utf-8")
    else:
        name = rospy.search_param("robot_description")
        if name is None:
            raise ArmError(
                "arm_node: there is no parameter robot_description; load the arm's URDF into it, "
                "or name a file as chain.urdf"
            )
        text = rospy.get_param(name)
    return read_urdf(text, chain.base_link, chain.tip_link, chain.posture_rad or None)


def _tool(tool: settings.ToolSettings) -> Matrix:
    roll, pitch, yaw = tool.rpy_ET_rad
    return pose(
        exp_so3([0.0, 0.0, yaw]) @ exp_so3([0.0, pitch, 0.0]) @ exp_so3([roll, 0.0, 0.0]),
        tool.p_ET_m,
    )
