"""A camera that is a topic: ``rig.camera.Camera`` over ``sensor_msgs/Image``."""

import threading
import time
from collections.abc import Callable

import rospy
from sensor_msgs.msg import Image

from handful.contract import Frame
from handful.rig.camera import CameraError, StaleFrameError
from handful.wire import messages
from handful.wire.clock import RosClock

BUFFER_BYTES = 2**24
"""More than two 1280x720 pictures: with rospy's 64 kB a slow reader sees half-second-old ones."""

Arrived = Callable[[str, float], None]


class TopicCamera:
    """The newest picture of a topic; pictures are unpacked when they are asked for, not before.

    Args:
        name: of the camera in the rig settings. topic: of its ``sensor_msgs/Image``.
        clock: that the stamps are on; when it goes back, older pictures are forgotten.
    """

    def __init__(self, name: str, topic: str, clock: RosClock) -> None:
        self.name, self._topic, self._clock = name, rospy.resolve_name(topic), clock
        self._lock = threading.Condition()
        self._message: Image | None = None
        self._stamp_s, self.dropped = float("-inf"), 0
        self._listeners: list[Arrived] = []
        self._subscriber: rospy.Subscriber | None = None
        clock.on_jump_back(lambda by_s: self._forget())

    @property
    def stamp_s(self) -> float:
        """Capture time of the newest picture; ``-inf`` before the first [s]."""
        return self._stamp_s

    def open(self) -> None:
        """Subscribe; twice is safe."""
        if self._subscriber is None:
            self._subscriber = rospy.Subscriber(
                self._topic,
                Image,
                self._on_image,
                queue_size=1,
                buff_size=BUFFER_BYTES,
                tcp_nodelay=True,
            )

    def subscribe(self, arrived: Arrived) -> None:
        """Have ``arrived(name, stamp_s)`` called in the receiving thread at every new picture."""
        self._listeners.append(arrived)

    def latest(self, max_age_s: float) -> Frame:
        """The newest picture as a frame of its own memory.

        Raises:
            CameraError: not open, nothing has come yet, or a picture of another encoding.
            StaleFrameError: the newest is older than ``max_age_s`` [s].
        """
        if self._subscriber is None:
            raise CameraError(f"camera {self.name!r}: {self._topic} is not open; call open() first")
        with self._lock:
            message = self._message
        if message is None:
            raise CameraError(
                f"camera {self.name!r}: nothing on {self._topic} yet; is its node running?"
            )
        age_s = self._clock.now_s() - messages.seconds(message.header.stamp)
        if not age_s <= max_age_s:
            raise StaleFrameError(
                f"camera {self.name!r}: the newest picture on {self._topic} is {age_s:.3f} s old, "
                f"allowed are {max_age_s} s"
            )
        try:
            return messages.frame(message, self.name, self._topic)
        except ValueError as error:
            raise CameraError(f"camera {self.name!r}: {error}") from None

    def wait_newer(self, stamp_s: float, timeout_s: float) -> bool:
        """Wait for a picture that was taken after ``stamp_s``; whether one came in time."""
        end_s = time.monotonic() + timeout_s
        with self._lock:
            while self._stamp_s <= stamp_s:
                rest_s = end_s - time.monotonic()
                if rest_s <= 0.0:
                    return False
                self._lock.wait(rest_s)
        return True

    def close(self) -> None:
        """Unsubscribe; twice is safe."""
        if self._subscriber is not None:
            self._subscriber.unregister()
            self._subscriber = None
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            self._message, self._stamp_s = None, float("-inf")

    def _on_image(self, message: Image) -> None:
        stamp_s = messages.seconds(message.header.stamp)
        with self._lock:
            if stamp_s <= self._stamp_s:
                self.dropped += 1
                return
            self._message, self._stamp_s = message, stamp_s
            self._lock.notify_all()
        for arrived in self._listeners:
            arrived(self.name, stamp_s)
