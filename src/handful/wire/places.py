"""Where the twin's things truly are, as a topic: for the log of who records, for no policy.

``judge/places`` is a TFMessage with one transform a thing, from the arm's base to it. It is not
``/tf``, where a node could look things up that no arm would tell it; on an arm nobody publishes it,
and episodes are recorded without.
"""

import threading
from collections import deque
from collections.abc import Mapping

import numpy as np
import rospy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from tf2_msgs.msg import TFMessage

from handful.contract import Observation
from handful.rig.places import told_places
from handful.wire import messages

TOPIC = "judge/places"
_KEPT_S = 3.0
_NEAR_S = 0.1  # five of the twin's reports; further from the observation than that it says nothing

Array = NDArray[np.float64]


def to_places(bodies: Mapping[str, tuple[Array, Array]], stamp_s: float) -> TFMessage:
    """Thing -> (p_BO_m (3,), quat_xyzw (4,)), at a moment [s], as a message."""
    head = messages.header(stamp_s, messages.BASE_FRAME)
    return TFMessage(
        [
            TransformStamped(head, name, Transform(Vector3(*p_BO_m), Quaternion(*quat_xyzw)))
            for name, (p_BO_m, quat_xyzw) in bodies.items()
        ]
    )


class Places:
    """Remembers what ``judge/places`` said lately; ``hear`` is its callback.

    kept_s: how far back [s], on the stamps' own clock.
    """

    def __init__(self, kept_s: float = _KEPT_S) -> None:
        self._kept_s, self._lock = kept_s, threading.Lock()
        self._heard: deque[tuple[float, dict[str, Array]]] = deque()

    def listen(self) -> "Places":
        """Subscribe; whoever has a bag calls ``hear`` instead."""
        rospy.Subscriber(TOPIC, TFMessage, self.hear, queue_size=10, tcp_nodelay=True)
        return self

    def hear(self, message: TFMessage) -> None:
        """One message; a clock that goes back makes all before it forgotten."""
        if not message.transforms:
            return
        stamp_s = messages.seconds(message.transforms[0].header.stamp)
        places = {
            one.child_frame_id: messages.position_m(one.transform.translation)
            for one in message.transforms
        }
        with self._lock:
            if self._heard and stamp_s < self._heard[-1][0]:
                self._heard.clear()
            self._heard.append((stamp_s, places))
            while self._heard[0][0] < stamp_s - self._kept_s:
                self._heard.popleft()

    def told(self, seen: Observation) -> dict[str, float]:
        """Where things were when the arm of ``seen`` was read; see ``rig.places``. May be empty."""
        if not seen.parts_s:
            return {}
        at_s = seen.parts_s[-1]
        with self._lock:
            near = min(self._heard, key=lambda heard: abs(heard[0] - at_s), default=None)
        return {} if near is None or abs(near[0] - at_s) > _NEAR_S else told_places(near[1])
