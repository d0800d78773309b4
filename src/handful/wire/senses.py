"""What an agent perceives over ROS: the newest arm state, and when pictures come in."""

import threading
from collections.abc import Mapping
from typing import Protocol

import rospy

import handful.msg as wire
from handful.contract import ArmState, Command
from handful.rig.arm import ArmError
from handful.wire import messages


class TopicArm:
    """``rig.arm.Arm`` as an agent sees it: it reads, and leaves the commanding to the guard.

    message: the newest one. The stamp tells its age; who observes refuses an old one.
    """

    def __init__(self, topic: str = "arm/state") -> None:
        self._topic = rospy.resolve_name(topic)
        self.message: wire.ArmState | None = None
        rospy.Subscriber(topic, wire.ArmState, self._on_state, queue_size=1, tcp_nodelay=True)

    def state(self) -> ArmState:
        """The newest state. Raises ``ArmError`` while none has come."""
        message = self.message
        if message is None:
            raise ArmError(f"{self._topic}: no arm state yet; is arm_node or twin_node running?")
        return messages.arm_state(message)

    def send(self, command: Command) -> None:
        """Refused: over ROS the guard is the only one who commands the arm."""
        raise ArmError(f"{self._topic}: only the guard commands the arm; publish an action")

    def stop(self) -> None:
        """Refused, as ``send`` is; the guard has a service for it."""
        raise ArmError(f"{self._topic}: only the guard commands the arm; call guard/hold")

    def _on_state(self, message: wire.ArmState) -> None:
        self.message = message


class Eye(Protocol):
    """What ``TopicCamera`` tells about itself."""

    name: str

    @property
    def stamp_s(self) -> float:
        """Stamp of the newest picture; ``-inf`` before the first [s]."""
        ...


class PictureArrivals:
    """``rig.beat.Arrivals`` of several cameras; hand ``arrived`` to each of them."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._eyes: Mapping[str, Eye] = {}

    def watch(self, eyes: Mapping[str, Eye]) -> None:
        """The cameras that count."""
        self._eyes = eyes

    def arrived(self, name: str, stamp_s: float) -> None:
        """A picture of a camera has come in."""
        with self._came:
            self._came.notify_all()

    def oldest_s(self) -> float:
        """Stamp of the oldest of the cameras' newest pictures [s]."""
        return min((eye.stamp_s for eye in self._eyes.values()), default=float("-inf"))

    def wait(self, timeout_s: float) -> None:
        """Return when a picture comes in, or after ``timeout_s``."""
        with self._came:
            self._came.wait(timeout_s)
