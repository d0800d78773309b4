"""Joint goals for a ros_control JointTrajectoryController, by its topic or by its action.

Each new goal of the guard becomes a trajectory of one point a short while ahead; the controller
replaces the old one and blends from where it is. It holds its last point when we fall silent. An
empty trajectory means: hold now.
"""

import threading
from typing import Any

import actionlib
import numpy as np
import rospy
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from handful.rig.arm import ArmError
from handful.rig.chain import Chain
from handful.rig.geometry import Matrix
from handful.rig.obey import Measured
from handful.wire.arms import foreign
from handful.wire.arms.door import Cell
from handful.wire.arms.motions import Told
from handful.wire.arms.settings import TrajectoryMotion


class _Points:
    """What topic and action have in common: a goal pose to one point in joint space."""

    def __init__(self, settings: TrajectoryMotion, cell: Cell) -> None:
        assert cell.chain is not None, "settings ask for a chain with this motion"
        self._s, self._chain = settings, cell.chain
        self._last: Matrix | None = None
        self._speeds = np.minimum(cell.chain.speed_max * settings.speed_share, 10.0)

    def begin(self, seen: Measured) -> None:
        """The next goal is new, whatever it is."""
        self._last = None

    def next(self, X_BE: Matrix, seen: Measured) -> JointTrajectory | None:
        """The trajectory to a goal that is new; None when it was sent already.

        Sending it again would put its arrival off at every beat.
        """
        if self._last is not None and np.array_equal(self._last, X_BE):
            return None
        chain: Chain = self._chain
        if seen.q_rad.shape != (chain.dof,):
            raise ArmError("trajectory: the state has no joints; use source.kind joints")
        q_rad = chain.solve(X_BE, seen.q_rad, self._s.max_joint_step_rad)
        self._last = X_BE.copy()
        needed_s = float((np.abs(q_rad - seen.q_rad) / self._speeds).max())
        point = JointTrajectoryPoint(
            positions=q_rad.tolist(),
            velocities=[0.0] * chain.dof,
            time_from_start=rospy.Duration(max(self._s.horizon_s, needed_s)),
        )
        # A stamp of zero means: start now, on the controller's clock.
        return JointTrajectory(joint_names=list(chain.names), points=[point])


class ByTopic(Told):
    """``<controller>/command``: no feedback, no tolerances."""

    def __init__(self, settings: TrajectoryMotion, cell: Cell) -> None:
        super().__init__(f"{settings.controller}/command", JointTrajectory)
        self._points = _Points(settings, cell)

    def begin(self, seen: Measured) -> None:
        """The next goal is new."""
        self._points.begin(seen)

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """Send a goal once."""
        trajectory = self._points.next(X_BE, seen)
        if trajectory is not None:
            self.say(trajectory)

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """The empty trajectory."""
        self.say(JointTrajectory())


class ByAction:
    """``<controller>/follow_joint_trajectory``: tolerances are watched, an abort is a fault."""

    def __init__(self, settings: TrajectoryMotion, cell: Cell) -> None:
        by = "the trajectory adapter with by: action"
        kind = foreign.message("control_msgs", "FollowJointTrajectoryAction", by)
        self._goal_kind = foreign.message("control_msgs", "FollowJointTrajectoryGoal", by)
        self._result_kind = foreign.message("control_msgs", "FollowJointTrajectoryResult", by)
        self._name = f"{settings.controller}/follow_joint_trajectory"
        # Not SimpleActionClient: it calls every goal that was replaced an error.
        self._client = actionlib.ActionClient(self._name, kind)
        self._handle: Any = None  # a goal that nobody holds is not tracked
        self._points = _Points(settings, cell)
        self._lock = threading.Lock()
        self._aborted = ""

    def begin(self, seen: Measured) -> None:
        """What was aborted before a person cleared it is over."""
        self._points.begin(seen)

    def follow(self, X_BE: Matrix, seen: Measured, now_s: float) -> None:
        """A new goal replaces the old one."""
        trajectory = self._points.next(X_BE, seen)
        if trajectory is not None:
            goal = self._goal_kind(trajectory=trajectory)
            self._handle = self._client.send_goal(goal, transition_cb=self._changed)

    def halt(self, X_BE: Matrix | None, seen: Measured | None) -> None:
        """Cancelling makes the controller hold now."""
        self._client.cancel_all_goals()

    def fault(self) -> str:
        """The last abort, said once: the caller latches it."""
        with self._lock:
            aborted, self._aborted = self._aborted, ""
            return aborted

    def obstacle(self) -> str:
        """Whether the action's server is there."""
        if self._client.pub_goal.get_num_connections() > 0:
            return ""
        return f"nobody serves the action {self._name}: is the controller running?"

    def _changed(self, handle: Any) -> None:
        if handle.get_comm_state() != actionlib.CommState.DONE:
            return
        status = handle.get_goal_status()
        if status not in (actionlib.GoalStatus.ABORTED, actionlib.GoalStatus.REJECTED):
            return  # replaced by the next goal, cancelled, or there
        code = getattr(handle.get_result(), "error_code", 0)
        names = [
            name.lower().replace("_", " ")
            for name, value in vars(self._result_kind).items()
            if name.isupper() and value == code and code != 0
        ]
        verb = "aborted" if status == actionlib.GoalStatus.ABORTED else "rejected"
        with self._lock:
            self._aborted = f"{self._name} {verb} its goal: {(names or [f'code {code}'])[0]}"
