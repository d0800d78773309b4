#!/usr/bin/env python3
"""A Franka arm under an impedance controller, as documented: ``~clip_m`` above 0 is SERL's.

The equilibrium pose is low-passed by 0.005 a millisecond; frame and stamp of the message are
ignored, there is no timeout and no check of the distance. With a clip the error that drives the arm
is cut to it. FrankaState comes 100 times a second, O_T_EE column-major. A fault is a cartesian
reflex: mode REFLEX, the arm stands; recovering starts the controller anew at the present pose.
"""

import threading
import time

import numpy as np
import rospy
from body import START_X_BE
from franka_msgs.msg import FrankaState
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import String

from handful.rig.approach import between, leash
from handful.rig.geometry import from_quat_xyzw, pose

_STIFF_PER_S = 30.0  # how fast the arm settles on the filtered pose


class Arm:
    """A pose that is pulled after another."""

    def __init__(self, name: str, clip_m: float) -> None:
        self._X = self._filtered = self._wanted = START_X_BE.copy()
        self._clip_m, self._ills, self._lock = clip_m, set[str](), threading.Lock()
        self._publisher = rospy.Publisher(
            "franka_state_controller/franka_states", FrankaState, queue_size=1
        )
        rospy.Subscriber(f"{name}/equilibrium_pose", PoseStamped, self._on_pose, queue_size=20)
        rospy.Subscriber("stand_in/do", String, self._do, queue_size=10)

    def spin(self) -> None:
        last_s, due_s = time.monotonic(), 0.0
        message = FrankaState()
        while not rospy.is_shutdown():
            now_s = time.monotonic()
            with self._lock:
                if not self._ills & {"fault", "block"}:
                    self._step(now_s - last_s)
                if "hang" not in self._ills:
                    message.header.stamp = rospy.Time.now()
                    message.O_T_EE = self._X.T.ravel().tolist()
                message.robot_mode = 4 if "fault" in self._ills else 2
                message.current_errors.cartesian_reflex = "fault" in self._ills
                silent = "mute" in self._ills
            if now_s >= due_s and not silent:
                due_s = now_s + 0.01
                self._publisher.publish(message)
            last_s = now_s
            time.sleep(0.004)

    def _step(self, dt_s: float) -> None:
        self._filtered = between(self._filtered, self._wanted, 1.0 - 0.995 ** (1e3 * dt_s))
        target = self._filtered
        if self._clip_m > 0.0:
            target = leash(self._X, target, self._clip_m, 5.0 * self._clip_m)
        self._X = between(self._X, target, min(1.0, _STIFF_PER_S * dt_s))

    def _on_pose(self, message: PoseStamped) -> None:
        p, q = message.pose.position, message.pose.orientation
        with self._lock:
            self._wanted = pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z]))

    def _do(self, message: String) -> None:
        with self._lock:
            if message.data in ("free", "recover"):
                self._ills.clear()
                self._filtered = self._wanted = self._X.copy()
            else:
                self._ills.add(message.data)


if __name__ == "__main__":
    rospy.init_node("franka")
    Arm(rospy.get_param("~controller"), rospy.get_param("~clip_m")).spin()
