"""An arm to stand in for a real one: six joints, told on ``joint_states``, and ills to order.

Publish on ``stand_in/do``: "block" (commands are taken, nothing moves), "free", "mute" (no state
any more), "hang" (the same old state again and again), "fault", "recover".
"""

import math
import threading
import time

import numpy as np
import rospy
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from handful.rig.chain import Chain, read_urdf
from handful.rig.geometry import pose

_JOINTS = (
    # name, xyz, rpy, axis
    ("shoulder_pan_joint", "0 0 0.09", "0 0 0", "0 0 1"),
    ("shoulder_lift_joint", "0 0.136 0", "0 1.5707963 0", "0 1 0"),
    ("elbow_joint", "0 -0.12 0.425", "0 0 0", "0 1 0"),
    ("wrist_1_joint", "0 0 0.392", "0 1.5707963 0", "0 1 0"),
    ("wrist_2_joint", "0 0.093 0", "0 0 0", "0 0 1"),
    ("wrist_3_joint", "0 0 0.095", "0 0 0", "0 1 0"),
)
START_X_BE = pose(np.diag([1.0, -1.0, -1.0]), [0.45, 0.1, 0.3])
_NEAR_RAD = (0.0, -1.2, 1.6, -2.0, -1.6, 0.0)


def urdf() -> str:
    """Six revolute joints from base_link to tool0, the size of a small industrial arm."""
    links = ["base_link"] + [f"link_{k}" for k in range(6)] + ["tool0"]
    text = "".join(f'<link name="{link}"/>' for link in links)
    for k, (name, xyz, rpy, axis) in enumerate(_JOINTS):
        text += (
            f'<joint name="{name}" type="revolute"><parent link="{links[k]}"/>'
            f'<child link="{links[k + 1]}"/><origin xyz="{xyz}" rpy="{rpy}"/><axis xyz="{axis}"/>'
            '<limit lower="-6.28" upper="6.28" velocity="3.14" effort="100"/></joint>'
        )
    text += (
        '<joint name="flange" type="fixed"><parent link="link_5"/><child link="tool0"/>'
        '<origin xyz="0 0.082 0" rpy="-1.5707963 0 0"/></joint>'
    )
    return f'<robot name="stand_in">{text}</robot>'


def chain() -> Chain:
    return read_urdf(urdf(), "base_link", "tool0")


class Body:
    """Joints that a subclass moves in ``step(dt_s)``, 125 times a second."""

    RATE_HZ = 125.0

    def __init__(self) -> None:
        self.chain = chain()
        self.q_rad = self.chain.solve(START_X_BE, _NEAR_RAD, math.pi)
        self.lock = threading.Lock()
        self.ills: set[str] = set()
        self._publisher = rospy.Publisher("joint_states", JointState, queue_size=1)
        rospy.Subscriber("stand_in/do", String, self._do, queue_size=10)

    def step(self, dt_s: float) -> None:
        """Move."""

    def ill(self, what: str) -> None:
        """Something was ordered on ``stand_in/do``."""

    def spin(self) -> None:
        last_s = time.monotonic()
        message = JointState(name=list(self.chain.names))
        while not rospy.is_shutdown():
            now_s = time.monotonic()
            with self.lock:
                before = self.q_rad.copy()
                self.step(now_s - last_s)
                if "block" in self.ills:
                    self.q_rad = before
                if "hang" not in self.ills:
                    speed = (self.q_rad - before) / max(now_s - last_s, 1e-4)
                    message.header.stamp = rospy.Time.now()
                    message.position, message.velocity = self.q_rad.tolist(), speed.tolist()
                if "mute" not in self.ills:
                    self._publisher.publish(message)
            last_s = now_s
            time.sleep(1.0 / self.RATE_HZ)

    def _do(self, message: String) -> None:
        with self.lock:
            if message.data in ("free", "recover"):
                self.ills.clear()
            else:
                self.ills.add(message.data)
            self.ill(message.data)
