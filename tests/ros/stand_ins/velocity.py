#!/usr/bin/env python3
"""Velocity controllers, as they are documented: ~kind ur, servo or joints.

ur: geometry_msgs/Twist in the axes of "base" (base_link after half a turn about z), multiplied by
twist_gain 0.1; no timeout, the last one goes on. servo: TwistStamped in m/s and rad/s, ignored once
its stamp is 0.1 s old, and a stamp of zero is never fresh. joints: Float64MultiArray, no timeout.
"""

import numpy as np
import rospy
from body import Body
from geometry_msgs.msg import Twist, TwistStamped
from std_msgs.msg import Bool, Float64MultiArray

_GAIN = 0.1
_HALF_TURN = np.diag([-1.0, -1.0, 1.0])


class Velocity(Body):
    """Integrates what it was told last."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._twist, self._speeds = np.zeros(6), np.zeros(6)
        self._stamp = rospy.Time(0)
        self._kind = kind
        if kind == "ur":
            from ur_dashboard_msgs.msg import RobotMode, SafetyMode

            rospy.Subscriber("twist_controller/command", Twist, self._on_ur, queue_size=1)
            latch = {"queue_size": 1, "latch": True}
            self._robot = rospy.Publisher("ur_hardware_interface/robot_mode", RobotMode, **latch)
            self._safety = rospy.Publisher("ur_hardware_interface/safety_mode", SafetyMode, **latch)
            self._program = rospy.Publisher(
                "ur_hardware_interface/robot_program_running", Bool, **latch
            )
            self.ill("recover")
        elif kind == "servo":
            topic = "servo_server/delta_twist_cmds"
            rospy.Subscriber(topic, TwistStamped, self._on_servo, queue_size=1)
        else:
            topic = "joint_group_vel_controller/command"
            rospy.Subscriber(topic, Float64MultiArray, self._on_joints, queue_size=1)

    def ill(self, what: str) -> None:
        if self._kind == "ur" and what in ("fault", "recover"):
            well = what == "recover"
            self._robot.publish(7)
            self._safety.publish(1 if well else 3)
            self._program.publish(well)
            if not well:
                self._twist[:] = 0.0

    def step(self, dt_s: float) -> None:
        if self._kind == "joints":
            self.q_rad = self.q_rad + dt_s * self._speeds
            return
        stale = (rospy.Time.now() - self._stamp).to_sec() > 0.1
        if self._kind == "servo" and (stale or self._stamp == rospy.Time(0)):
            return
        self.q_rad = self.q_rad + dt_s * np.linalg.solve(
            self.chain.jacobian(self.q_rad), self._twist
        )

    def _on_ur(self, message: Twist) -> None:
        v, w = numbers(message)
        with self.lock:
            self._twist = _GAIN * np.concatenate([_HALF_TURN @ v, _HALF_TURN @ w])

    def _on_servo(self, message: TwistStamped) -> None:
        assert message.header.frame_id == "base_link"
        with self.lock:
            self._twist, self._stamp = np.concatenate(numbers(message.twist)), message.header.stamp

    def _on_joints(self, message: Float64MultiArray) -> None:
        assert len(message.data) == 6
        with self.lock:
            self._speeds = np.array(message.data)


def numbers(twist: Twist) -> tuple[np.ndarray, np.ndarray]:
    v, w = twist.linear, twist.angular
    return np.array([v.x, v.y, v.z]), np.array([w.x, w.y, w.z])


if __name__ == "__main__":
    rospy.init_node("velocity")
    Velocity(rospy.get_param("~kind")).spin()
