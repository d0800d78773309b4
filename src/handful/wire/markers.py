"""What RViz shows of the guard's world: the box, the target, the last verdict, things on the table.

Pure functions from our words to ``visualization_msgs``, and ``MarkerServer``, which calls them for
what goes by on the topics. Everything is in the arm's base frame and on the one topic ``markers``;
twin and rig have the same, and only the twin knows where the objects are.
"""

import contextlib
import threading
import time

import numpy as np
import rospy
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from handful import msg as wire
from handful.rig.settings import GuardSettings
from handful.wire.messages import BASE_FRAME, STATUS, header, pose, seconds

Rgb = tuple[float, float, float]

TOPIC = "markers"
GREEN: Rgb = (0.2, 0.8, 0.3)
YELLOW: Rgb = (0.95, 0.85, 0.2)
ORANGE: Rgb = (1.0, 0.55, 0.1)
RED: Rgb = (0.9, 0.15, 0.15)
GREY: Rgb = (0.6, 0.6, 0.6)
COLOURS: dict[str, Rgb] = {
    "ok": GREEN,
    "slowed": YELLOW,
    "at_wall": ORANGE,
    "stale": RED,
    "not_finite": RED,
    "refused": RED,
    "held": GREY,
}
"""Name of a verdict's status -> its colour."""
_MODES = {wire.GuardState.HELD: "HELD", wire.GuardState.STOPPED: "STOPPED"}
_STATUS_NAMES = {number: name for name, number in STATUS.items()}
_EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]  # of a box
_TEXT_ABOVE_M = 0.30  # over the box, where the elbow does not hide it
_VERDICT_SHOWN_S = 1.0  # an older one says nothing about now


def workspace(settings: GuardSettings, stamp_s: float, frame_id: str = BASE_FRAME) -> Marker:
    """The guard's box as its twelve edges, in the base frame of that name."""
    low, high = settings.workspace_min_m, settings.workspace_max_m
    corners = [Point(*((high if k >> i & 1 else low)[i] for i in range(3))) for k in range(8)]
    marker = _marker("workspace", Marker.LINE_LIST, stamp_s, (0.3, 0.6, 1.0), 0.8, frame_id)
    marker.scale = Vector3(0.002, 0.0, 0.0)
    marker.points = [corners[k] for edge in _EDGES for k in edge]
    return marker


def target(state: wire.ArmState, rgb: Rgb) -> list[Marker]:
    """The arm's target: a ball, and a line between the fingers as wide as they shall open."""
    stamp_s, p_m = seconds(state.header.stamp), state.target.position
    frame_id = state.header.frame_id or BASE_FRAME
    ball = _marker("target", Marker.SPHERE, stamp_s, rgb, 0.7, frame_id)
    ball.pose.position, ball.scale = p_m, Vector3(0.015, 0.015, 0.015)
    fingers = _marker("fingers", Marker.CUBE, stamp_s, rgb, 0.9, frame_id)
    fingers.pose = pose([p_m.x, p_m.y, p_m.z], state.target_yaw_rad)
    fingers.scale = Vector3(0.004, max(state.target_gripper_m, 0.002), 0.004)
    return [ball, fingers]


def verdict_text(
    guard: wire.GuardState | None,
    verdict: wire.Verdict | None,
    above: Point,
    stamp_s: float,
    frame_id: str = BASE_FRAME,
) -> Marker:
    """What the guard says, over the box: its mode with the reason, or the last verdict."""
    rgb = verdict_rgb(guard, verdict)
    if guard is not None and guard.mode != wire.GuardState.READY:
        said = f"{_MODES.get(guard.mode, '?')}: {guard.reason}"
    elif verdict is not None:
        said = f"{verdict.source}: {_STATUS_NAMES.get(verdict.status, '?')}, {verdict.reason}"
    else:
        said = "ready" if guard is not None else "no guard heard"
    marker = _marker("verdict", Marker.TEXT_VIEW_FACING, stamp_s, rgb, 1.0, frame_id)
    marker.text, marker.scale = said, Vector3(0.0, 0.0, 0.04)
    marker.pose.position = above
    return marker


def verdict_rgb(guard: wire.GuardState | None, verdict: wire.Verdict | None) -> Rgb:
    """The colour of what the guard says."""
    if guard is not None and guard.mode == wire.GuardState.STOPPED:
        return RED
    if guard is None or guard.mode == wire.GuardState.HELD:
        return GREY
    if verdict is None:
        return GREEN
    return COLOURS.get(_STATUS_NAMES.get(verdict.status, ""), GREY)


def box(
    name: str,
    size_m: tuple[float, float, float],
    rgb: Rgb,
    p_BO_m: NDArray[np.float64],
    quat_xyzw: NDArray[np.float64],
    stamp_s: float,
) -> Marker:
    """A box of full edges ``size_m`` at its pose in B."""
    marker = _marker(name, Marker.CUBE, stamp_s, rgb, 1.0)
    marker.pose = Pose(Point(*map(float, p_BO_m)), Quaternion(*map(float, quat_xyzw)))
    marker.scale = Vector3(*size_m)
    return marker


class MarkerServer:
    """Publishes box, target and verdict ``rate_hz`` times a second, for people: never in the way.

    Args:
        settings: of the guard, for its box.
    """

    def __init__(self, settings: GuardSettings, rate_hz: float = 10.0) -> None:
        self._settings, self._period_s = settings, 1.0 / rate_hz
        self._verdict_s = 0.0
        self._guard: wire.GuardState | None = None
        self._verdict: wire.Verdict | None = None
        self._arm: wire.ArmState | None = None
        low, high = settings.workspace_min_m, settings.workspace_max_m
        self._above = Point(
            0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), high[2] + _TEXT_ABOVE_M
        )
        self._out = rospy.Publisher(TOPIC, MarkerArray, queue_size=2)
        rospy.Subscriber("arm/state", wire.ArmState, self._on_arm, queue_size=1)
        rospy.Subscriber("guard/state", wire.GuardState, self._on_guard, queue_size=1)
        rospy.Subscriber("guard/verdict", wire.Verdict, self._on_verdict, queue_size=1)

    def start(self) -> None:
        """Publish until the node shuts down."""
        threading.Thread(target=self._run, name="markers", daemon=True).start()

    def _on_arm(self, message: wire.ArmState) -> None:
        self._arm = message

    def _on_guard(self, message: wire.GuardState) -> None:
        self._guard = message

    def _on_verdict(self, message: wire.Verdict) -> None:
        self._verdict, self._verdict_s = message, time.monotonic()

    def _run(self) -> None:
        while not rospy.is_shutdown():
            if self._out.get_num_connections() > 0:
                self._publish()
            rospy.rostime.wallsleep(self._period_s)

    def _publish(self) -> None:
        stamp_s = rospy.get_time()
        fresh = time.monotonic() - self._verdict_s < _VERDICT_SHOWN_S
        verdict = self._verdict if fresh else None
        arm = self._arm
        frame_id = (arm.header.frame_id if arm is not None else "") or BASE_FRAME
        markers = [workspace(self._settings, stamp_s, frame_id)]
        markers.append(verdict_text(self._guard, verdict, self._above, stamp_s, frame_id))
        if arm is not None:
            markers += target(arm, verdict_rgb(self._guard, verdict))
        with contextlib.suppress(rospy.ROSException):  # shut down between question and answer
            self._out.publish(MarkerArray(markers))


def _marker(
    name: str, kind: int, stamp_s: float, rgb: Rgb, alpha: float, frame_id: str = BASE_FRAME
) -> Marker:
    marker = Marker(header=header(stamp_s, frame_id), ns=name, id=0, type=kind)
    marker.action, marker.color = Marker.ADD, ColorRGBA(*rgb, alpha)
    marker.pose.orientation.w = 1.0
    marker.frame_locked = True
    return marker
