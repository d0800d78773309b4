"""A planned motion on a running graph, and what was sent, felt and seen meanwhile, with its times.

For measuring delays: the motion goes through the guard (``script_hand``), everything else is only
listened to. Between two motions the arm is in nobody's hands.
"""

import math
import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import rosgraph
import rospy
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from handful import msg as wire
from handful.contract import Command
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.clock import RosClock
from handful.wire.parameters import settings
from handful.wire.script_hand import SLIP_S, ScriptHand, until
from handful.wire.topic_camera import BUFFER_BYTES

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_LEAD_S = 0.1  # from the decision to move to the first step
_TAIL_S = 0.8  # what the arm and its pictures still do after the last
_CLOSEST = 0.6  # of a period: after a late beat the next is no nearer


@dataclass(frozen=True)
class Heard:
    """One motion. Stamps are on the cell's clock, as their senders set them [s].

    sent: (M, 4) for each planned goal when the guard decided and the target it set in B [m].
    measured: (N, 4) the tip by the encoders. frames: camera -> stamps (K,), arrivals here (K,), and
    pictures (K, ...) uint8. to_guard_s, state_age_s: medians of how long an action took until it
    was judged, and of how old the arm's state was when it came in.
    """

    sent: Array
    measured: Array
    frames: dict[str, tuple[Array, Array, Pixels]]
    to_guard_s: float
    state_age_s: float


class MovedCell:
    """Guard, arm and cameras of the running graph. rig: the settings that its nodes have.

    shrink: what is kept of a picture; called where it comes in, so it must be quick.
    """

    def __init__(self, shrink: Callable[[Pixels], Pixels]) -> None:
        self._clock, self.rig = RosClock(), settings(RigSettings, "rig", "rig")
        self._shrink, self._broken = shrink, ""
        self._states: list[tuple[float, ...]] = []  # stamp, arrival, x, y, z
        self._frames: dict[str, list[tuple[float, float, Pixels]]] = {}
        self._forget()
        why = "Ctrl-C in a motion that measures delays"
        self._hand = ScriptHand(self.rig.action, self._clock, why)
        fast: dict[str, Any] = {"queue_size": 50, "tcp_nodelay": True}
        rospy.Subscriber("arm/state", wire.ArmState, self._on_arm, **fast)
        for name in self.rig.cameras:
            rospy.Subscriber(
                f"{name}/color/image_raw", Image, self._on_image, callback_args=name,
                buff_size=BUFFER_BYTES, **fast,
            )  # fmt: skip

    def ready(self) -> Command:
        """Where the arm is told to be, when all is there and nobody else moves it.

        Raises:
            ArmError: as ``ScriptHand.ready``.
            CameraError: a camera of the rig sends nothing, or what is no picture.
        """
        middle = self._hand.ready()
        for name in self._frames:
            if not until(lambda name=name: self._frames[name] or self._broken):  # type: ignore[misc]
                topic = rospy.resolve_name(f"{name}/color/image_raw")
                raise CameraError(f"camera {name!r}: nothing on {topic}; is its node running?")
        if self._broken:
            raise CameraError(self._broken)
        return middle

    def play(self, moments_s: Array, goals_m: Array, whole: int = 0) -> Heard:
        """Go to ``goals_m`` (M, 3), offsets from where the arm is told to be, at ``moments_s``.

        In between the last goal is said again at the rig's rate, or the guard would take the
        silence for a death. The first ``whole`` goals must be reached in one step each. Ctrl-C has
        the guard hold the arm, and goes on as ``KeyboardInterrupt`` with what came of that.

        Raises:
            SpoiltError: it was not the planned motion; the arm is at rest, try again.
            ArmError, CameraError: as ``ready`` does, also when it happens on the way.
        """
        middle, took_s = self.ready(), list[float]()
        self._forget()
        sent: list[list[float]] = []
        begin_s, last_s = self._clock.now_s() + _LEAD_S, -math.inf
        try:
            for at_s, k, planned in beats(moments_s, self.rig.period_s, _TAIL_S):
                self._clock.sleep_until(max(begin_s + at_s, last_s + _CLOSEST * self.rig.period_s))
                if rospy.is_shutdown():
                    raise ArmError("the ROS master is gone, or this node was asked to end")
                last_s = self._clock.now_s()
                goal = Command(middle.p_BT_m + goals_m[k], middle.yaw_rad, middle.gripper_m)
                answer = self._hand.go(goal, in_full=k < whole or not planned)
                took_s.append(answer.stamp_s - last_s)
                if planned:
                    sent.append([answer.stamp_s, *answer.command.p_BT_m])
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._hand.hold()) from None
        finally:
            self._hand.rest()
        return self._heard(np.array(sent), statistics.median(took_s))

    def _heard(self, sent: Array, to_guard_s: float) -> Heard:
        if self._broken:
            raise CameraError(self._broken)
        states = np.array(self._states)
        ages_s = states[:, 1] - states[:, 0]
        if ages_s.min() < -SLIP_S:
            raise ArmError(
                f"arm/state is stamped {-ages_s.min():.3f} s in the future; the clocks of the "
                "machines must agree (chrony)"
            )
        frames = {}
        for name, seen in self._frames.items():
            if not seen:
                raise CameraError(f"camera {name!r}: no picture came while the arm moved")
            stamps, arrivals, pictures = zip(*seen, strict=True)
            frames[name] = np.array(stamps), np.array(arrivals), np.array(pictures)
        age_s = float(np.median(ages_s))
        return Heard(sent, np.delete(states, 1, axis=1), frames, to_guard_s, age_s)

    def _forget(self) -> None:
        self._states, self._frames = [], {name: [] for name in self.rig.cameras}

    # In rospy's threads.

    def _times(self, message: Any) -> tuple[float, float]:
        """Stamp and arrival [s]; a message that has overtaken its tick of /clock comes in now."""
        stamp_s, now_s = messages.seconds(message.header.stamp), self._clock.now_s()
        return stamp_s, max(now_s, stamp_s) if self._clock.simulated else now_s

    def _on_arm(self, message: wire.ArmState) -> None:
        stamp_s, now_s = self._times(message)
        states, p = self._states, message.tool.position
        if not states or stamp_s > states[-1][0]:
            states.append((stamp_s, now_s, p.x, p.y, p.z))

    def _on_image(self, message: Image, name: str) -> None:
        stamp_s, now_s = self._times(message)
        seen = self._frames[name]
        if seen and stamp_s <= seen[-1][0]:
            return
        try:
            pixels = messages.frame(message, name, f"{name}/color/image_raw").pixels
        except ValueError as error:
            self._broken = f"camera {name!r}: {error}"
            return
        seen.append((stamp_s, now_s, self._shrink(pixels)))


def beats(moments_s: Array, period_s: float, tail_s: float) -> list[tuple[float, int, bool]]:
    """(when [s], which goal, whether it is its first time): goals are said again in between.

    Up to ``tail_s`` after the last moment no gap is longer than a period (and a hundredth).
    """
    found: list[tuple[float, int, bool]] = []
    ends_s = [*moments_s[1:].tolist(), float(moments_s[-1]) + tail_s]
    for k, (at_s, end_s) in enumerate(zip(moments_s.tolist(), ends_s, strict=True)):
        parts = max(1, math.ceil((end_s - at_s) / period_s - 0.01))
        found += [(at_s + i * (end_s - at_s) / parts, k, i == 0) for i in range(parts)]
    return found


@contextmanager
def moved_cell(name: str, shrink: Callable[[Pixels], Pixels]) -> Iterator[MovedCell]:
    """A cell on the running graph, spoken to by an anonymous node called ``name``.

    SIGTERM counts as Ctrl-C in here. Raises ``ArmError`` when there is no ROS master. SIGINT gets
    a handler too: a script's background job starts with it ignored, and must stop an arm as well.
    """
    if not rosgraph.is_master_online():
        raise ArmError("no ROS master answers; is roscore running, and ROS_MASTER_URI right?")
    rospy.init_node(name, anonymous=True, disable_signals=True)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield MovedCell(shrink)
    finally:
        rospy.signal_shutdown("done")
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
