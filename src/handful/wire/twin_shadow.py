"""The twin beside the arm, over ROS: hears states and commands, publishes how far they diverge.

Whether that is too far is the settings' to say; the guard is then asked to hold, on the topic that
anybody may ask on. The arm may be a real one, or a twin that plays it.
"""

import threading
from collections import deque
from typing import Any

import rospy
from handful_twin.settings import TwinSettings
from handful_twin.shadow import Divergence, Shadow, ShadowSettings
from std_msgs.msg import String

from handful import msg as wire
from handful.rig.settings import RigSettings
from handful.wire import messages
from handful.wire.node import Level, Node, settings
from handful.wire.stamps import header

_KEPT = 100  # comparisons that diagnostics speak of: ten seconds


class ShadowServer:
    """Compares at a beat of its own; ``work`` returns when the node ends.

    Callbacks only put into a queue: physics runs in one thread, the caller of ``work``.
    """

    def __init__(self, rig: RigSettings, twin: TwinSettings, own: ShadowSettings) -> None:
        self._own = own
        self._shadow = Shadow(twin, own, rig.period_s)
        self._lock = threading.Lock()
        self._heard: deque[Any] = deque(maxlen=2000)
        self._seen: deque[Divergence] = deque(maxlen=_KEPT)
        self._asked = ""
        self._obeyed = 0
        self._out = rospy.Publisher("shadow/divergence", wire.Divergence, queue_size=10)
        self._hold = rospy.Publisher("guard/request_hold", String, queue_size=1)
        fast: dict[str, Any] = {"queue_size": 100, "tcp_nodelay": True}
        rospy.Subscriber("arm/state", wire.ArmState, self._heard.append, **fast)
        rospy.Subscriber("guard/command", wire.Command, self._heard.append, **fast)

    def work(self) -> None:
        """Compare until the node ends."""
        while not rospy.is_shutdown():
            rospy.rostime.wallsleep(1.0 / self._own.rate_hz)
            self._take_in()
            seen = self._shadow.compare()
            if seen is not None and (not self._seen or seen.stamp_s > self._seen[-1].stamp_s):
                self._tell(seen)
        self._shadow.close()

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: the largest divergence of the last ten seconds."""
        with self._lock:
            seen = list(self._seen)
        if not seen:
            return Level.WARN, "nothing to compare yet", {}
        one_m, ahead_m = max(d.one_m for d in seen), max(d.ahead_m for d in seen)
        told = {
            "one_m": f"{one_m:.4f}",
            "ahead_m": f"{ahead_m:.4f}",
            "ahead_rad": f"{max(d.ahead_rad for d in seen):.4f}",
            "hold_m": str(self._own.hold_m),
        }
        if self._asked:
            return Level.WARN, f"asked the guard to hold: {self._asked}", told
        return Level.OK, f"within {1e3 * ahead_m:.1f} mm over {self._own.steps_ahead} steps", told

    def _take_in(self) -> None:
        while self._heard:
            message = self._heard.popleft()
            if hasattr(message, "valid_s"):
                command = messages.command(message)
                self._shadow.on_command(
                    command, message.hold, messages.seconds(message.header.stamp)
                )
                continue
            if message.command == 0 and self._obeyed != 0:  # its scene was reset: it jumped
                self._shadow.forget()
            self._obeyed = message.command
            self._shadow.on_state(messages.arm_state(message))

    def _tell(self, seen: Divergence) -> None:
        with self._lock:
            self._seen.append(seen)
        self._out.publish(
            wire.Divergence(
                header=header(seen.stamp_s, messages.BASE_FRAME),
                one_m=seen.one_m,
                one_rad=seen.one_rad,
                ahead_m=seen.ahead_m,
                ahead_rad=seen.ahead_rad,
                steps_ahead=self._own.steps_ahead,
            )
        )
        why = self._shadow.verdict(seen)
        if why:
            self._asked = why
            rospy.logwarn("shadow: %s", why)
            self._hold.publish(String(f"shadow: {why}"))
            self._shadow.forget()  # what led to it is over; a person looks now


def main(node: Node) -> None:
    """What ``nodes/shadow_node.py`` does."""
    server = ShadowServer(
        settings(RigSettings, "rig", "rig"),
        settings(TwinSettings, "twin", "twin"),
        settings(ShadowSettings, "shadow", "node/shadow"),
    )
    node.check("divergence", server.report)
    server.work()
