"""What can be set about the arm node: which controller, which gripper, where the state comes from.

``config/node/arm/*.yaml`` are the manual, one file an arm; ``docs/arms.md`` says what was tested.
``kind`` chooses the adapter, and with it the other keys of its group.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from handful.config import Settings
from handful.rig.arm_settings import GripSettings, ObeySettings

Three = tuple[float, float, float]


class ToolSettings(Settings):
    """X_ET, from the frame the robot reports to the tool tip."""

    p_ET_m: Three = (0.0, 0.0, 0.0)
    rpy_ET_rad: Three = (0.0, 0.0, 0.0)


class ChainSettings(Settings):
    """The joints between base and flange, out of a URDF."""

    base_link: str
    tip_link: str
    urdf: str = ""
    posture_rad: tuple[float, ...] = ()


class JointSource(Settings):
    """sensor_msgs/JointState through the chain's forward kinematics."""

    kind: Literal["joints"] = "joints"
    topic: str = "joint_states"


class FrankaSource(Settings):
    """franka_msgs/FrankaState: O_T_EE, and the robot's own errors."""

    kind: Literal["franka"]
    topic: str = "franka_state_controller/franka_states"


class TfSource(Settings):
    """The transform from the base frame to a tool frame."""

    kind: Literal["tf"]
    tool_frame: str


class OwnPart(Settings):
    """A class of yours: called with (cell, options)."""

    kind: Literal["own"]
    python: str = Field(pattern=r"[\w.]+:\w+")
    options: dict[str, Any] = {}


class PoseMotion(Settings):
    """A Cartesian impedance controller's equilibrium pose, geometry_msgs/PoseStamped."""

    kind: Literal["pose"]
    topic: str
    ramp_s: float = Field(default=0.1, ge=0.0)
    max_lead_m: float = Field(default=0.1, gt=0.0)
    max_lead_rad: float = Field(default=0.5, gt=0.0)


class TwistMotion(Settings):
    """A velocity of the flange, geometry_msgs/Twist or TwistStamped."""

    kind: Literal["twist"]
    topic: str
    stamped: bool
    frame_id: str = ""
    axes: Literal["base", "tool"] = "base"
    axes_yaw_rad: float = 0.0
    linear_unit_m_s: float = Field(default=1.0, gt=0.0)
    angular_unit_rad_s: float = Field(default=1.0, gt=0.0)
    gain_per_s: float = Field(default=3.0, gt=0.0)
    max_speed_m_s: float = Field(default=0.25, gt=0.0)
    max_turn_rad_s: float = Field(default=1.0, gt=0.0)
    still_m: float = Field(default=0.0005, ge=0.0)
    still_rad: float = Field(default=0.003, ge=0.0)


class JointVelocityMotion(Settings):
    """Joint velocities, std_msgs/Float64MultiArray, in the order of the chain."""

    kind: Literal["joint_velocity"]
    topic: str
    gain_per_s: float = Field(default=3.0, gt=0.0)
    max_speed_m_s: float = Field(default=0.25, gt=0.0)
    max_turn_rad_s: float = Field(default=1.0, gt=0.0)
    speed_share: float = Field(default=0.3, gt=0.0, le=1.0)
    limit_margin_rad: float = Field(default=0.05, ge=0.0)


class TrajectoryMotion(Settings):
    """Joint positions for a JointTrajectoryController, by topic or by action."""

    kind: Literal["trajectory"]
    controller: str
    by: Literal["topic", "action"] = "topic"
    horizon_s: float = Field(default=0.2, gt=0.0)
    speed_share: float = Field(default=0.5, gt=0.0, le=1.0)
    max_joint_step_rad: float = Field(default=0.5, gt=0.0)


class NoGripper(Settings):
    """No fingers, or none that are commanded; the opening that is reported all the same."""

    kind: Literal["none"]
    opening_m: float = Field(default=0.0, ge=0.0)


class FrankaGripper(Settings):
    """franka_gripper's move and grasp actions."""

    kind: Literal["franka"]
    name: str = "franka_gripper"
    speed_m_s: float = Field(default=0.1, gt=0.0)
    force_n: float = Field(default=20.0, gt=0.0)
    grasp_below_m: float = Field(default=0.03, ge=0.0)
    epsilon_m: float = Field(default=0.08, gt=0.0)


class CommandGripper(Settings):
    """control_msgs/GripperCommand; positions and readings are linear in the opening."""

    kind: Literal["gripper_command"]
    action: str
    open_position: float
    closed_position: float
    max_effort: float = Field(default=20.0, ge=0.0)
    state_topic: str = "joint_states"
    joints: tuple[str, ...] = Field(min_length=1)
    open_reading: float
    closed_reading: float

    @model_validator(mode="after")
    def _apart(self) -> "CommandGripper":
        same_position = self.open_position == self.closed_position
        if same_position or self.open_reading == self.closed_reading:
            raise ValueError("open and closed must differ, in position and in reading")
        return self


class RobotiqGripper(Settings):
    """A Robotiq 2F over its register topics, 0 open to 255 closed."""

    kind: Literal["robotiq"]
    package: str = "robotiq_2f_gripper_control"
    output_topic: str = "Robotiq2FGripperRobotOutput"
    input_topic: str = "Robotiq2FGripperRobotInput"
    closed_count: int = Field(default=230, ge=1, le=255)
    speed: int = Field(default=255, ge=0, le=255)
    force: int = Field(default=100, ge=0, le=255)


class UrWatch(Settings):
    """robot_mode, safety_mode and robot_program_running of ur_robot_driver."""

    kind: Literal["ur"]
    name: str = "ur_hardware_interface"


class FrankaWatch(Settings):
    """robot_mode and current_errors of FrankaState, when the pose comes from elsewhere."""

    kind: Literal["franka"]
    topic: str = "franka_state_controller/franka_states"


class ArmNodeSettings(Settings):
    """Everything about the arm node."""

    base_frame: str = "panda_link0"
    rate_hz: float = Field(default=100.0, gt=0.0, le=500.0)
    state_rate_hz: float = Field(default=50.0, gt=0.0, le=500.0)
    publish_joint_states: bool = False
    tool: ToolSettings = ToolSettings()
    chain: ChainSettings | None = None
    obey: ObeySettings = ObeySettings()
    grip: GripSettings = GripSettings()
    max_gripper_age_s: float = Field(default=1.0, gt=0.0)
    source: Annotated[
        JointSource | FrankaSource | TfSource | OwnPart, Field(discriminator="kind")
    ] = JointSource()
    motion: Annotated[
        PoseMotion | TwistMotion | JointVelocityMotion | TrajectoryMotion | OwnPart,
        Field(discriminator="kind"),
    ]
    gripper: Annotated[
        NoGripper | FrankaGripper | CommandGripper | RobotiqGripper | OwnPart,
        Field(discriminator="kind"),
    ] = NoGripper(kind="none")
    watches: tuple[
        Annotated[UrWatch | FrankaWatch | OwnPart, Field(discriminator="kind")], ...
    ] = ()

    @model_validator(mode="after")
    def _fits(self) -> "ArmNodeSettings":
        if self.chain is None and (
            isinstance(self.source, JointSource)
            or isinstance(self.motion, JointVelocityMotion | TrajectoryMotion)
        ):
            raise ValueError(
                f"source {self.source.kind!r} with motion {self.motion.kind!r} needs the arm's "
                "joints: give chain.base_link and chain.tip_link"
            )
        if self.publish_joint_states and self.chain is None:
            raise ValueError("publish_joint_states needs chain, for the joints' names")
        reads = self.source.topic if isinstance(self.source, JointSource) else ""
        if self.publish_joint_states and reads.strip("/") == "joint_states":
            raise ValueError(
                "publish_joint_states would publish the topic that the source reads, "
                "joint_states; read another topic or leave it to the robot's driver"
            )
        if self.state_rate_hz > self.rate_hz:
            raise ValueError(
                f"state_rate_hz {self.state_rate_hz} must not be above rate_hz {self.rate_hz}"
            )
        if not all(map(math.isfinite, (*self.tool.p_ET_m, *self.tool.rpy_ET_rad))):
            raise ValueError("tool: every number must be finite")
        return self
