#!/usr/bin/env python3
"""Grippers as documented: ~kind franka, command or robotiq, ~object_m wide what lies between.

franka: actions move and grasp, one at a time, each until the fingers are there; joint_states 30 Hz,
half the opening on each finger. command: GripperCommand, its position that of one finger, doubled
inside; ``stalled`` when something is in between. robotiq: registers, 230 is closed.
"""

import time
from typing import Any

import rospy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

_OPEN_M = 0.08
_SPEED_M_S = 0.2


class Fingers:
    """An opening that moves, and does not close further than the object."""

    def __init__(self, kind: str, object_m: float) -> None:
        self._kind, self._object_m = kind, object_m
        self._opening_m, self._goal_m = _OPEN_M, _OPEN_M
        self._asked, self._fault, self._mute = 0, 0, False
        rospy.Subscriber("stand_in/do", String, self._do, queue_size=10)
        getattr(self, f"_be_{kind}")()

    def spin(self) -> None:
        last_s, due_s = time.monotonic(), 0.0
        while not rospy.is_shutdown():
            now_s = time.monotonic()
            goal_m = max(self._goal_m, self._object_m)
            step_m = _SPEED_M_S * (now_s - last_s)
            self._opening_m += min(max(goal_m - self._opening_m, -step_m), step_m)
            if now_s >= due_s and not self._mute:
                due_s = now_s + 0.033
                self._publish()
            last_s = now_s
            time.sleep(0.005)

    def _do(self, message: String) -> None:
        self._fault = 0x0D if message.data == "gripper fault" else 0
        self._mute = message.data == "gripper mute"

    def _move(self, goal_m: float) -> None:
        """Blocks until the fingers have come to rest."""
        self._goal_m = goal_m
        end_s = time.monotonic() + 3.0
        while time.monotonic() < end_s and self._moving():
            time.sleep(0.01)

    def _moving(self) -> bool:
        return abs(max(self._goal_m, self._object_m) - self._opening_m) > 1e-6

    def _publish(self) -> None:
        if self._kind == "robotiq":
            count = round((1.0 - self._opening_m / _OPEN_M) * 230)
            at_rest = 3 if self._goal_m >= self._object_m else 2
            self._state.publish(
                gACT=1, gGTO=1, gSTA=3, gOBJ=0 if self._moving() else at_rest, gFLT=self._fault,
                gPR=self._asked, gPO=count, gCU=0,
            )  # fmt: skip
            return
        names = ["panda_finger_joint1", "panda_finger_joint2"]
        message = JointState(name=names, position=[0.5 * self._opening_m] * 2)
        message.header.stamp = rospy.Time.now()
        self._state.publish(message)

    def _be_franka(self) -> None:
        import actionlib
        from franka_gripper.msg import GraspAction, GraspResult, MoveAction, MoveResult

        def move(goal: Any) -> None:
            self._move(goal.width)
            servers[0].set_succeeded(MoveResult(success=True))

        def grasp(goal: Any) -> None:
            assert goal.force > 0.0 and goal.speed > 0.0
            self._move(goal.width)
            inside = -goal.epsilon.inner <= self._opening_m - goal.width <= goal.epsilon.outer
            servers[1].set_succeeded(GraspResult(success=inside))

        self._state = rospy.Publisher("franka_gripper/joint_states", JointState, queue_size=1)
        kinds = (("move", MoveAction, move), ("grasp", GraspAction, grasp))
        servers = [
            actionlib.SimpleActionServer(f"franka_gripper/{name}", kind, execute, auto_start=False)
            for name, kind, execute in kinds
        ]
        for server in servers:
            server.start()

    def _be_command(self) -> None:
        import actionlib
        from control_msgs.msg import GripperCommandAction, GripperCommandResult

        def execute(goal: Any) -> None:
            self._move(2.0 * goal.command.position)
            short = self._opening_m > 2.0 * goal.command.position + 1e-3
            server.set_succeeded(GripperCommandResult(stalled=short, reached_goal=not short))

        self._state = rospy.Publisher("joint_states", JointState, queue_size=1)
        server = actionlib.SimpleActionServer(
            "franka_gripper/gripper_action", GripperCommandAction, execute, auto_start=False
        )
        server.start()

    def _be_robotiq(self) -> None:
        from robotiq_2f_gripper_control.msg import (
            Robotiq2FGripper_robot_input,
            Robotiq2FGripper_robot_output,
        )

        def on_output(message: Any) -> None:
            assert message.rACT == 1 and message.rGTO == 1
            self._asked = message.rPR
            self._goal_m = _OPEN_M * max(0.0, 1.0 - message.rPR / 230)

        self._state = rospy.Publisher(
            "Robotiq2FGripperRobotInput", Robotiq2FGripper_robot_input, queue_size=1
        )
        rospy.Subscriber(
            "Robotiq2FGripperRobotOutput", Robotiq2FGripper_robot_output, on_output, queue_size=1
        )


if __name__ == "__main__":
    rospy.init_node("grippers")
    Fingers(rospy.get_param("~kind"), rospy.get_param("~object_m")).spin()
