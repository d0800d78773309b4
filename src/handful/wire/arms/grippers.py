"""Grippers behind one door: an opening in metres in, whatever the hardware counts in out.

When something new is said to them is decided in ``rig.grip``.
"""

import math
import threading
from typing import Any

import actionlib
import rospy
from sensor_msgs.msg import JointState

from handful.rig.arm_settings import GripSettings
from handful.wire.arms import foreign
from handful.wire.arms.settings import CommandGripper, FrankaGripper, NoGripper, RobotiqGripper
from handful.wire.arms.sources import Slot


class Fixed:
    """No fingers that are commanded; the opening reported is the one in the settings."""

    def __init__(self, settings: NoGripper, grip: GripSettings) -> None:
        self._opening_m = settings.opening_m

    def opening_m(self) -> tuple[float, float]:
        """Known once and for all."""
        return self._opening_m, math.inf

    def send(self, goal_m: float) -> None:
        """Nothing to tell."""

    def busy(self) -> bool:
        """Never."""
        return False

    def fault(self) -> str:
        """Never."""
        return ""

    def obstacle(self) -> str:
        """Never."""
        return ""


class _Actions:
    """Actions of which one runs at a time, and what came of the last goal."""

    def __init__(self, actions: dict[str, Any]) -> None:
        self._clients = {
            name: actionlib.SimpleActionClient(name, kind) for name, kind in actions.items()
        }
        self._lock = threading.Lock()
        self._busy = False

    def start(self, name: str, goal: Any) -> None:
        """Send a goal and return."""
        with self._lock:
            self._busy = True
        self._clients[name].send_goal(goal, done_cb=self._done)

    def busy(self) -> bool:
        """From sending a goal to its result."""
        with self._lock:
            return self._busy

    def fault(self) -> str:
        """A grasp that closes on nothing is no fault of the arm."""
        return ""

    def obstacle(self) -> str:
        """Which action nobody serves."""
        for name, client in self._clients.items():
            if client.action_client.pub_goal.get_num_connections() == 0:
                return f"nobody serves the action {name}: is the gripper's node running?"
        return ""

    def _done(self, status: int, result: Any) -> None:
        with self._lock:
            self._busy = False
        if status != actionlib.GoalStatus.SUCCEEDED:
            why = getattr(result, "error", "") or "no reason was given"
            rospy.logwarn("gripper: the last goal ended with status %d: %s", status, why)


class Franka(_Actions):
    """franka_gripper: ``move`` to open, ``grasp`` to close, so that it keeps pressing."""

    def __init__(self, settings: FrankaGripper, grip: GripSettings) -> None:
        by = "the franka gripper"
        self._s = settings
        self._move_goal = foreign.message("franka_gripper", "MoveGoal", by)
        self._grasp_goal = foreign.message("franka_gripper", "GraspGoal", by)
        self._move, self._grasp = f"{settings.name}/move", f"{settings.name}/grasp"
        super().__init__(
            {
                self._move: foreign.message("franka_gripper", "MoveAction", by),
                self._grasp: foreign.message("franka_gripper", "GraspAction", by),
            }
        )
        self._slot = Slot(f"{settings.name}/joint_states", JointState)

    def opening_m(self) -> tuple[float, float]:
        """Both fingers together."""
        newest = self._slot.read()
        return (math.nan, -math.inf) if newest is None else (sum(newest[0].position), newest[1])

    def send(self, goal_m: float) -> None:
        """Closing counts as a grasp wherever an object stops the fingers, within ``epsilon_m``."""
        if goal_m >= self._s.grasp_below_m:
            self.start(self._move, self._move_goal(width=goal_m, speed=self._s.speed_m_s))
            return
        goal = self._grasp_goal(width=goal_m, speed=self._s.speed_m_s, force=self._s.force_n)
        goal.epsilon.inner = goal.epsilon.outer = self._s.epsilon_m
        self.start(self._grasp, goal)


class Command(_Actions):
    """control_msgs/GripperCommand, position and reading linear in the opening.

    franka_gripper's ``gripper_action`` wants the position of one finger, half the opening;
    gripper_action_controller that of its joint, which may be an angle.
    """

    def __init__(self, settings: CommandGripper, grip: GripSettings) -> None:
        by = "the gripper_command gripper"
        self._s, self._grip = settings, grip
        self._goal = foreign.message("control_msgs", "GripperCommandGoal", by)
        super().__init__(
            {settings.action: foreign.message("control_msgs", "GripperCommandAction", by)}
        )
        self._slot = Slot(settings.state_topic, JointState, settings.joints)

    def opening_m(self) -> tuple[float, float]:
        """From the mean of the joints' readings."""
        newest = self._slot.read()
        if newest is None:
            return math.nan, -math.inf
        message, heard_s = newest
        readings = [message.position[message.name.index(name)] for name in self._s.joints]
        reading = sum(readings) / len(readings)
        share = (reading - self._s.closed_reading) / (self._s.open_reading - self._s.closed_reading)
        stroke_m = self._grip.open_m - self._grip.closed_m
        return self._grip.closed_m + share * stroke_m, heard_s

    def send(self, goal_m: float) -> None:
        """The position that the opening corresponds to."""
        stroke_m = self._grip.open_m - self._grip.closed_m
        share = (goal_m - self._grip.closed_m) / stroke_m
        goal = self._goal()
        goal.command.position = self._s.closed_position + share * (
            self._s.open_position - self._s.closed_position
        )
        goal.command.max_effort = self._s.max_effort
        self.start(self._s.action, goal)


class Robotiq:
    """A Robotiq 2F's registers: rPR is the position asked for, gPO the one it has, 0 is open.

    It must have been activated: doing so opens and closes the fingers, which is for a person.
    """

    def __init__(self, settings: RobotiqGripper, grip: GripSettings) -> None:
        by = "the robotiq gripper"
        name = "Robotiq2FGripper_robot"
        self._s, self._grip = settings, grip
        self._output = foreign.message(settings.package, f"{name}_output", by)
        self._slot = Slot(
            settings.input_topic, foreign.message(settings.package, f"{name}_input", by)
        )
        self._publisher = rospy.Publisher(
            settings.output_topic, self._output, queue_size=1, tcp_nodelay=True
        )
        self._asked: int | None = None

    def opening_m(self) -> tuple[float, float]:
        """Linear in gPO; ``closed_count`` is what it reads with the fingers together."""
        newest = self._slot.read()
        if newest is None:
            return math.nan, -math.inf
        share = min(newest[0].gPO / self._s.closed_count, 1.0)
        return self._grip.open_m - share * (self._grip.open_m - self._grip.closed_m), newest[1]

    def send(self, goal_m: float) -> None:
        """Fully closed asks for 255, so that it presses on whatever is between."""
        stroke_m = self._grip.open_m - self._grip.closed_m
        share = (self._grip.open_m - goal_m) / stroke_m
        count = 255 if share >= 1.0 else round(share * self._s.closed_count)
        self._asked = min(max(count, 0), 255)
        self._publisher.publish(
            self._output(
                rACT=1, rGTO=1, rATR=0, rPR=self._asked, rSP=self._s.speed, rFR=self._s.force
            )
        )

    def busy(self) -> bool:
        """Until it echoes the request and reports that it stopped moving (gOBJ other than 0)."""
        newest = self._slot.read()
        if newest is None or self._asked is None:
            return False
        return newest[0].gPR != self._asked or newest[0].gOBJ == 0

    def fault(self) -> str:
        """gFLT from 8 on are major faults, which stop the gripper."""
        newest = self._slot.read()
        if newest is None or newest[0].gFLT < 8:
            return ""
        return f"robotiq: fault code 0x{newest[0].gFLT:02X}"

    def obstacle(self) -> str:
        """Silent, deaf, or not activated."""
        newest = self._slot.read()
        if newest is None:
            return f"robotiq: waiting for {self._slot.topic}"
        if newest[0].gACT != 1 or newest[0].gSTA != 3:
            return "robotiq: not activated; activate it by its own tools, which moves the fingers"
        if self._publisher.get_num_connections() == 0:
            return f"robotiq: nobody listens to {self._publisher.resolved_name}"
        return ""
