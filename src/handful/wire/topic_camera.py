"""A camera that is a topic: ``rig.camera.Camera`` over ``sensor_msgs/Image``."""

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import rospy
from sensor_msgs.msg import Image

from handful.contract import Frame
from handful.rig.camera import CameraError, StaleFrameError
from handful.rig.frozen import FrozenDetector
from handful.rig.settings import CameraSettings
from handful.wire import messages
from handful.wire.clock import RosClock

BUFFER_BYTES = 2**24
"""More than two 1280x720 pictures: with rospy's 64 kB a slow reader sees half-second-old ones."""
_AHEAD_S = 0.1  # a stamp may be ahead of this node's time by so much: ticks of /clock, time daemons

Arrived = Callable[[str, float], None]


class TopicCamera:
    """The newest picture of a topic; pictures are unpacked when they are asked for, not before.

    Stamps never go back: a picture that is not newer than the last one is dropped and counted in
    ``dropped``, unless the clock itself went back, which begins anew.

    Args:
        name: of the camera in the rig settings. topic: of its ``sensor_msgs/Image``.
        clock: that the stamps are on; when it goes back, older pictures are forgotten.
        size: a picture of another size is refused; None takes any.
        frozen_frames: so many equal pictures in a row are a frozen camera; 0 does not look, which
            is right for a twin, whose pictures are equal while nothing moves.
        start_s: ``open`` waits so long for the first picture [s]; 0 does not wait.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        clock: RosClock,
        size: CameraSettings | None = None,
        frozen_frames: int = 0,
        start_s: float = 0.0,
    ) -> None:
        self.name, self._topic, self._clock = name, rospy.resolve_name(topic), clock
        self._lock = threading.Condition()
        self._message: Image | None = None
        self._stamp_s, self.dropped = -math.inf, 0
        self._listeners: list[Arrived] = []
        self._subscriber: rospy.Subscriber | None = None
        self._size, self._start_s = size, start_s
        self._frozen = FrozenDetector(frozen_frames)
        clock.on_jump_back(lambda by_s: self._forget())

    @property
    def stamp_s(self) -> float:
        """Capture time of the newest picture; ``-inf`` before the first [s]."""
        return self._stamp_s

    def open(self) -> None:
        """Subscribe; twice is safe.

        Raises:
            CameraError: no picture came within ``start_s``.
        """
        if self._subscriber is None:
            self._subscriber = rospy.Subscriber(
                self._topic,
                Image,
                self._on_image,
                queue_size=1,
                buff_size=BUFFER_BYTES,
                tcp_nodelay=True,
            )
        if self._start_s > 0.0 and not self.wait_newer(-math.inf, self._start_s):
            self.close()
            raise CameraError(
                f"camera {self.name!r}: nothing on {self._topic} within {self._start_s} s; "
                "is its node running?"
            )

    def subscribe(self, arrived: Arrived) -> None:
        """Have ``arrived(name, stamp_s)`` called in the receiving thread at every new picture."""
        self._listeners.append(arrived)

    def latest(self, max_age_s: float) -> Frame:
        """The newest picture as a frame of its own memory.

        Raises:
            CameraError: not open, nothing has come yet, a picture of another encoding or size, or
                a stamp that lies in the future.
            StaleFrameError: the newest is older than ``max_age_s`` [s], or the camera is frozen.
        """
        if self._subscriber is None:
            raise CameraError(f"camera {self.name!r}: {self._topic} is not open; call open() first")
        with self._lock:
            message, frozen = self._message, self._frozen.reason
        if message is None:
            raise CameraError(
                f"camera {self.name!r}: nothing on {self._topic} yet; is its node running?"
            )
        if frozen:
            raise StaleFrameError(f"camera {self.name!r}: {self._topic} is frozen: {frozen}")
        self._check(message, max_age_s)
        try:
            return messages.frame(message, self.name, self._topic)
        except ValueError as error:
            raise CameraError(f"camera {self.name!r}: {error}") from None

    def _check(self, message: Image, max_age_s: float) -> None:
        """Raises as ``latest`` does for a picture of the wrong time or size."""
        age_s = self._clock.now_s() - messages.seconds(message.header.stamp)
        if age_s < -_AHEAD_S:
            raise CameraError(
                f"camera {self.name!r}: the stamp on {self._topic} is {-age_s:.3f} s in the "
                "future; the clocks of the two machines must agree (chrony)"
            )
        if not age_s <= max_age_s:
            late = f"; {self.dropped} older ones were dropped" if self.dropped else ""
            raise StaleFrameError(
                f"camera {self.name!r}: the newest picture on {self._topic} is {age_s:.3f} s old, "
                f"allowed are {max_age_s} s{late}"
            )
        if self._size is None:
            return
        wanted = (self._size.width_px, self._size.height_px)
        if (message.width, message.height) != wanted:
            raise CameraError(
                f"camera {self.name!r}: {self._topic} brings {message.width} x {message.height} "
                f"px, the rig expects {wanted[0]} x {wanted[1]} (rig.cameras.{self.name})"
            )

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
            self._message, self._stamp_s = None, -math.inf
            self._frozen.reset()

    def _on_image(self, message: Image) -> None:
        stamp_s = messages.seconds(message.header.stamp)
        with self._lock:
            # One of before the clock went back may come after it did; it does not bar the others.
            if stamp_s <= self._stamp_s <= self._clock.now_s() + _AHEAD_S:
                self.dropped += 1
                return
            self._message, self._stamp_s = message, stamp_s
            self._frozen.seen(np.frombuffer(message.data, np.uint8), None)
            self._lock.notify_all()
        for arrived in self._listeners:
            arrived(self.name, stamp_s)
