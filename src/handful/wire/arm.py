"""The arm node: hears the guard, drives one arm through its adapter, and says where the arm is.

One thread beats at ``rate_hz``: read the state, decide (``rig.obey``), tell the controller,
publish. Callbacks keep what they hear and return. Every age is counted on the steady clock.
"""

import math
import threading
import time
from collections import deque
from typing import Any

import numpy as np
import rospy
from geometry_msgs.msg import Point, Pose, Quaternion
from sensor_msgs.msg import JointState

from handful.contract import ArmState
from handful.msg import ArmState as ArmStateMessage
from handful.msg import Command as CommandMessage
from handful.rig.arm import ArmError
from handful.rig.clock import Rate, WallClock
from handful.rig.geometry import Matrix, invert, to_quat_xyzw
from handful.rig.grip import Grip
from handful.rig.obey import Duty, Measured, Obey, Told
from handful.srv import Resume, ResumeResponse
from handful.wire import messages
from handful.wire.arms.build import Parts
from handful.wire.arms.settings import ArmNodeSettings
from handful.wire.node import Level
from handful.wire.stamps import header

_CLOCKS_APART_S = 1.0  # a robot's stamps this far from ours come from a clock nobody set


class ArmServer:
    """Everything between ``guard/command`` and the arm; ``start`` begins, shutdown ends it.

    Publishes ``arm/state`` and, if set, ``joint_states``; serves ``arm/clear_fault``.
    """

    def __init__(self, settings: ArmNodeSettings, parts: Parts) -> None:
        self._s, self._parts = settings, parts
        self._obey = Obey(settings.obey, settings.base_frame)
        self._grip = Grip(settings.grip)
        self._said = 0
        self._heard: deque[tuple[Told, float]] = deque(maxlen=64)
        self._lock = threading.Lock()
        self._rate = Rate(WallClock(), 1.0 / settings.rate_hz)
        self._due_s = -math.inf
        self._report: tuple[Duty | None, float, float] = (None, math.inf, 0.0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arm", daemon=True)
        self._states = rospy.Publisher("arm/state", ArmStateMessage, queue_size=1, tcp_nodelay=True)
        self._joints = (
            rospy.Publisher("joint_states", JointState, queue_size=1, tcp_nodelay=True)
            if settings.publish_joint_states
            else None
        )
        rospy.Subscriber(
            "guard/command", CommandMessage, self._hear, queue_size=16, tcp_nodelay=True
        )
        rospy.Service("arm/clear_fault", Resume, self._clear)

    def start(self) -> None:
        """Beat until the node shuts down, then stop the arm, more than once."""
        rospy.on_shutdown(self._leave)
        self._thread.start()

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: what the arm does, and why it does not."""
        duty, age_s, skew_s = self._report
        if duty is None:
            return Level.WARN, "has not beaten yet", {}
        values = {
            "holding": str(not duty.follow),
            "fault": duty.fault,
            "state_age_s": f"{age_s:.3f}",
            "clock_skew_s": f"{skew_s:.3f}",
            "beats_missed": str(self._rate.missed),
            "last_command": str(self._obey.sequence),
        }
        if duty.fault:
            return Level.ERROR, duty.fault, values
        if abs(skew_s) > _CLOCKS_APART_S:
            return Level.WARN, f"the robot's clock is {skew_s:.1f} s from ours: set both", values
        if not duty.follow:
            return Level.WARN, f"holds: {duty.reason}", values
        return Level.OK, "follows guard/command", values

    def _hear(self, message: Any) -> None:
        sender = message._connection_header.get("callerid", "?")
        told = Told(
            sequence=message.sequence,
            goal=messages.command(message),
            hold=message.hold,
            valid_s=message.valid_s,
            reason=message.reason,
            frame_id=message.header.frame_id,
            sender=sender,
        )
        self._heard.append((told, time.monotonic()))

    def _clear(self, request: Any) -> ResumeResponse:
        with self._lock:
            why_not = self._obey.clear(self._faults())
            if not why_not:
                self._grip.forget()  # what the fault interrupted is asked for again
        if why_not:
            return ResumeResponse(False, why_not)
        rospy.logwarn("arm fault cleared by %s", request.person or "somebody")
        return ResumeResponse(True, "cleared; the arm moves with the guard's next near command")

    def _run(self) -> None:
        try:
            self._rate.restart()
            while not self._ended.is_set():
                with self._lock:
                    self._beat(time.monotonic())
                self._rate.sleep()
        except Exception as error:  # whatever it was: the arm is told to stop, and the node ends
            rospy.logfatal("arm_node: %s: %s", type(error).__name__, error)
            rospy.signal_shutdown(f"arm_node: {type(error).__name__}: {error}")

    def _leave(self) -> None:
        """On the way out: once the last beat is over, stop as often as at any other time."""
        self._ended.set()
        self._thread.join(timeout=1.0)
        seen = self._parts.source.read()
        fresh = seen is not None and time.monotonic() - seen.heard_s < self._s.obey.max_state_age_s
        for _ in range(self._s.obey.stop_repeats):
            self._parts.motion.halt(seen.X_BE if fresh and seen is not None else None, seen)
            time.sleep(1.0 / self._s.rate_hz)

    def _beat(self, now_s: float) -> None:
        while self._heard:
            self._obey.hear(*self._heard.popleft())
        seen = self._parts.source.read()
        X_BT = None if seen is None else seen.X_BE @ self._parts.X_ET
        age_s = math.inf if seen is None else now_s - seen.heard_s
        opening_m, gripper_s = self._parts.gripper.opening_m()
        was = self._report[0]
        obstacle = self._obstacle(opening_m, now_s - gripper_s)
        duty = self._obey.beat(X_BT, age_s, self._faults(), obstacle, now_s)
        if duty.follow and seen is not None:
            duty = self._follow(duty, seen, was, X_BT, age_s, now_s)
        if duty.follow and duty.gripper_m is not None:
            busy = self._parts.gripper.busy()
            goal_m = self._grip.wish(duty.gripper_m, opening_m, busy, now_s)
            if goal_m is not None:
                self._parts.gripper.send(goal_m)
        if not duty.follow:
            self._halt(duty, seen, obstacle)
        skew_s = 0.0 if seen is None else seen.stamp_s - rospy.get_time()
        self._say_changes(was, duty)
        self._report = (duty, age_s, skew_s)
        if X_BT is not None and seen is not None and now_s >= self._due_s:
            period_s = 1.0 / self._s.state_rate_hz
            self._due_s = max(self._due_s + period_s, now_s)
            self._publish(seen, X_BT, opening_m, duty)

    def _follow(
        self,
        duty: Duty,
        seen: Measured,
        was: Duty | None,
        X_BT: Matrix | None,
        age_s: float,
        now_s: float,
    ) -> Duty:
        """Tell the controller; what it cannot do turns into standing still in the same beat."""
        assert duty.goal_X_BT is not None
        try:
            if was is None or not was.follow:
                self._parts.motion.begin(seen)
            self._parts.motion.follow(duty.goal_X_BT @ invert(self._parts.X_ET), seen, now_s)
        except ArmError as error:
            self._obey.refuse(str(error))
            return self._obey.beat(X_BT, age_s, "", "", now_s)
        return duty

    def _halt(self, duty: Duty, seen: Measured | None, obstacle: str) -> None:
        if duty.began:
            self._said = 0
        if self._said >= self._s.obey.stop_repeats:
            return
        X_BT = duty.goal_X_BT
        X_BE = None if X_BT is None else X_BT @ invert(self._parts.X_ET)
        self._parts.motion.halt(X_BE, seen)
        if not self._parts.motion.obstacle():  # said to nobody is not said
            self._said += 1

    def _faults(self) -> str:
        return "; ".join(fault for part in self._parts.all if (fault := part.fault()))

    def _obstacle(self, opening_m: float, gripper_age_s: float) -> str:
        found = [obstacle for part in self._parts.all if (obstacle := part.obstacle())]
        if not found and math.isnan(opening_m):
            found = ["the gripper's opening was never heard of"]
        elif not found and gripper_age_s > self._s.max_gripper_age_s:
            found = [f"the gripper's opening is {gripper_age_s:.1f} s old"]
        return "; ".join(found)

    def _say_changes(self, was: Duty | None, duty: Duty) -> None:
        if was is not None and (was.follow, was.reason) == (duty.follow, duty.reason):
            return
        if duty.follow:
            rospy.loginfo("arm follows guard/command")
        else:
            say = rospy.logerr if duty.fault else rospy.loginfo
            say("arm holds: %s", duty.reason)

    def _publish(self, seen: Measured, X_BT: Matrix, opening_m: float, duty: Duty) -> None:
        arm_m = seen.X_BE[:3, :3] @ self._parts.X_ET[:3, 3]
        target = X_BT if duty.goal_X_BT is None else duty.goal_X_BT
        # Fingers keep what they hold while the arm stands: their last goal stays their target.
        gripper_m = self._obey.gripper_m
        opening_m = 0.0 if math.isnan(opening_m) else opening_m
        state = ArmState(
            stamp_s=seen.stamp_s,
            p_BT_m=X_BT[:3, 3],
            yaw_rad=_yaw(X_BT),
            gripper_m=opening_m,
            v_BT_m_s=seen.velocity[:3] + np.cross(seen.velocity[3:], arm_m),
            q_rad=seen.q_rad,
            target_p_BT_m=target[:3, 3],
            target_yaw_rad=_yaw(target),
            target_gripper_m=opening_m if gripper_m is None else gripper_m,
        )
        message = messages.to_arm_state(
            state,
            command=self._obey.sequence,
            holding=not duty.follow,
            fault=duty.fault,
            frame_id=self._s.base_frame,
        )
        message.tool, message.target = _pose(X_BT), _pose(target)  # tilt included
        self._states.publish(message)
        if self._joints is not None and self._parts.chain is not None:
            names = list(self._parts.chain.names)
            if len(names) == len(seen.q_rad):
                stamped = header(seen.stamp_s, "")
                self._joints.publish(
                    JointState(header=stamped, name=names, position=seen.q_rad.tolist())
                )


def _yaw(X_BT: Matrix) -> float:
    return math.atan2(X_BT[1, 0], X_BT[0, 0])


def _pose(X_BT: Matrix) -> Pose:
    return Pose(Point(*X_BT[:3, 3]), Quaternion(*to_quat_xyzw(X_BT[:3, :3])))
