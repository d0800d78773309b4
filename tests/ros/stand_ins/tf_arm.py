#!/usr/bin/env python3
"""An arm that nobody knows: goals as geometry_msgs/Pose on my_arm/goal, its flange in /tf."""

import threading
import time

import numpy as np
import rospy
import tf2_ros
from body import START_X_BE
from geometry_msgs.msg import Point, Pose, Quaternion, TransformStamped, Vector3
from std_msgs.msg import String

from handful.rig.approach import between
from handful.rig.geometry import from_quat_xyzw, pose, to_quat_xyzw


class Arm:
    """Goes to the last goal with a time constant of 0.1 s."""

    def __init__(self) -> None:
        self._X = self._goal = START_X_BE
        self._mute, self._lock = False, threading.Lock()
        rospy.Subscriber("my_arm/goal", Pose, self._on_goal, queue_size=1)
        rospy.Subscriber("stand_in/do", String, self._do, queue_size=10)

    def spin(self) -> None:
        broadcaster, last_s = tf2_ros.TransformBroadcaster(), time.monotonic()
        message = TransformStamped(child_frame_id="flange")
        message.header.frame_id = "base_link"
        while not rospy.is_shutdown():
            now_s = time.monotonic()
            with self._lock:
                self._X = between(self._X, self._goal, min(1.0, 10.0 * (now_s - last_s)))
                X, mute = self._X, self._mute
            last_s = now_s
            message.header.stamp = rospy.Time.now()
            message.transform.translation = Vector3(*X[:3, 3])
            message.transform.rotation = Quaternion(*to_quat_xyzw(X[:3, :3]))
            if not mute:
                broadcaster.sendTransform(message)
            time.sleep(0.01)

    def _on_goal(self, message: Pose) -> None:
        p: Point = message.position
        q: Quaternion = message.orientation
        with self._lock:
            self._goal = pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z]))

    def _do(self, message: String) -> None:
        self._mute = message.data == "mute"


if __name__ == "__main__":
    rospy.init_node("tf_arm")
    Arm().spin()
