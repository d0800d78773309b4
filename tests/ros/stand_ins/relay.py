#!/usr/bin/env python3
"""Passes pictures and arm state on as they come, unless told otherwise on ``relay/do``.

"mute third" (pictures stop), "freeze third" (the same picture, new stamps, as a driver that hangs),
"small third" (half as large), "grey third" (another encoding), "mute arm" (no state), "well".
"""

import copy
from typing import Any

import rospy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from handful.msg import ArmState


class Relay:
    """Its ill, if it has one."""

    def __init__(self) -> None:
        self.ill, self.whom = "well", ""
        self.frozen: dict[str, Any] = {}
        self.out: dict[str, rospy.Publisher] = {}
        for camera in ("third", "wrist"):
            self.join(f"{camera}/color/image_raw", Image, camera)
            self.join(f"{camera}/color/camera_info", CameraInfo, camera)
        self.join("arm/state", ArmState, "arm")
        rospy.Subscriber("relay/do", String, self.do, queue_size=10)

    def join(self, topic: str, kind: type, whose: str) -> None:
        """raw/TOPIC to TOPIC."""
        self.out[topic] = rospy.Publisher(topic, kind, queue_size=5, tcp_nodelay=True)
        rospy.Subscriber(
            f"raw/{topic}", kind, self.heard, (topic, whose), 5, 2**24, tcp_nodelay=True
        )

    def do(self, message: String) -> None:
        """What to suffer from."""
        self.ill, _, self.whom = message.data.partition(" ")
        self.frozen.clear()

    def heard(self, message: Any, about: tuple[str, str]) -> None:
        """Pass it on, or what the ill has left of it."""
        topic, whose = about
        if whose == self.whom and self.ill == "mute":
            return
        if whose == self.whom and isinstance(message, Image):
            message = self.suffer(message, topic)
        self.out[topic].publish(message)

    def suffer(self, message: Image, topic: str) -> Image:
        """A picture of an ill camera."""
        if self.ill == "freeze":
            picture = self.frozen.setdefault(topic, message)
            again = copy.copy(picture)
            again.header = message.header
            return again
        if self.ill == "small":
            message.height //= 2
            message.data = message.data[: message.height * message.step]
        if self.ill == "grey":
            message.encoding, message.step = "mono8", message.width
            message.data = message.data[: message.height * message.width]
        return message


if __name__ == "__main__":
    rospy.init_node("relay")
    relay = Relay()
    rospy.spin()
