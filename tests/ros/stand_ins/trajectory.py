#!/usr/bin/env python3
"""A JointTrajectoryController as documented: its topic and, with ``~action``, its action.

A new trajectory replaces the old one and starts from where the joints are; it ends at rest. An
empty one, or a cancelled goal, means hold now. A topic's trajectory preempts the action's goal. A
joint more than 0.2 rad from the way aborts a goal of the action with PATH_TOLERANCE_VIOLATED.
"""

import time
from typing import Any

import numpy as np
import rospy
from body import Body
from trajectory_msgs.msg import JointTrajectory

_PATH_TOLERANCE_RAD = 0.2


class Controller(Body):
    """Cubic from where it is to the one point it was given."""

    def __init__(self, name: str, action: bool) -> None:
        super().__init__()
        self._start = self._goal = self._want = self.q_rad.copy()
        self._since_s, self._lasts_s = 0.0, 0.0
        self._server: Any = None
        if action:
            import actionlib
            from control_msgs.msg import FollowJointTrajectoryAction, FollowJointTrajectoryResult

            self._result = FollowJointTrajectoryResult
            self._server = actionlib.SimpleActionServer(
                f"{name}/follow_joint_trajectory", FollowJointTrajectoryAction, auto_start=False
            )
            # Its callbacks come with the server's lock held, and ending a goal takes that lock: a
            # second one of ours would sooner or later be taken the other way round, for ever.
            self.lock = self._server.action_server.lock
            self._server.register_goal_callback(self._on_goal)
            self._server.register_preempt_callback(self._on_cancel)
            self._server.start()
        rospy.Subscriber(f"{name}/command", JointTrajectory, self._on_topic, queue_size=1)

    def step(self, dt_s: float) -> None:
        share = 1.0
        if self._lasts_s > 0.0:
            share = min((time.monotonic() - self._since_s) / self._lasts_s, 1.0)
        smooth = share * share * (3.0 - 2.0 * share)
        self._want = self._start + smooth * (self._goal - self._start)
        if "block" not in self.ills:
            self.q_rad = self._want.copy()
        active = self._server is not None and self._server.is_active()
        if active and np.abs(self._want - self.q_rad).max() > _PATH_TOLERANCE_RAD:
            self._hold()
            self._server.set_aborted(self._result(error_code=-4))
        elif active and share == 1.0:
            self._server.set_succeeded(self._result(error_code=0))

    def _on_topic(self, message: JointTrajectory) -> None:
        with self.lock:
            if self._server is not None and self._server.is_active():
                self._server.set_preempted()
            self._take(message)

    def _on_goal(self) -> None:
        with self.lock:
            self._take(self._server.accept_new_goal().trajectory)

    def _on_cancel(self) -> None:
        with self.lock:
            if self._server.is_active() and not self._server.is_new_goal_available():
                self._hold()
                self._server.set_preempted()

    def _take(self, message: JointTrajectory) -> None:
        if not message.points:
            self._hold()
            return
        assert sorted(message.joint_names) == sorted(self.chain.names)
        point = message.points[-1]
        order = [message.joint_names.index(name) for name in self.chain.names]
        self._start, self._goal = self.q_rad.copy(), np.array(point.positions)[order]
        self._since_s, self._lasts_s = time.monotonic(), point.time_from_start.to_sec()

    def _hold(self) -> None:
        self._start = self._goal = self.q_rad.copy()
        self._lasts_s = 0.0


if __name__ == "__main__":
    rospy.init_node("trajectory")
    Controller(rospy.get_param("~controller"), rospy.get_param("~action")).spin()
