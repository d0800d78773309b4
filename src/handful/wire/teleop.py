"""A person's hands over ROS: a device of this machine or a topic in, ``teleop/action`` out.

Sent at the rig's rate while the deadman is held, and a rest when it is let go: the arm stays where
it is sent, and whoever acts after that may. A process that dies in between is a silence, and the
guard's business.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import rospy
from sensor_msgs.msg import Image, Joy

from handful import msg as wire
from handful.rig.arm import ArmError
from handful.rig.operator import Intent, OperatorSettings
from handful.rig.settings import RigSettings
from handful.rig.teleop.device import Device, DeviceError, Wish
from handful.rig.teleop.drive import Drive
from handful.rig.teleop.make import make_device
from handful.rig.teleop.pad import Pad
from handful.rig.teleop.settings import PadSettings, TeleopSettings
from handful.rig.terminal import Terminal
from handful.wire import messages
from handful.wire.pictures import image_to_array
from handful.wire.senses import TopicArm

TOPICS = {"joy": "joy", "spacenav": "spacenav/joy"}
_RESTS = 3  # a rest is said so often: a message may be lost, and a silence would latch the guard
_AGAIN_S = 1.0


class JoyTopic:
    """``Device`` over ``sensor_msgs/Joy``.

    Args:
        name: joy or spacenav. sign: -1 for joy_node, which turns the kernel's axes round.
        max_silence_s: silent for so long, it was let go; joy_node needs an autorepeat_rate of 20.
    """

    def __init__(
        self, name: str, topic: str, settings: PadSettings, sign: float, max_silence_s: float
    ) -> None:
        self.name, self._topic, self._sign = name, topic, sign
        self._pad, self._max_silence_s = Pad(settings), max_silence_s
        self._lock = threading.Lock()
        self._wish, self._heard_s = Wish(), -float("inf")
        self._pressed: list[Intent] = []
        self._subscriber: Any = None

    def open(self) -> None:
        """Listen."""
        self._subscriber = rospy.Subscriber(
            self._topic, Joy, self._on_joy, queue_size=50, tcp_nodelay=True
        )

    def read(self) -> Wish:
        """The newest message's wish, while it is young."""
        if self._subscriber is None:
            raise DeviceError(f"{self.name}: read before open")
        with self._lock:
            pressed, self._pressed = tuple(self._pressed), []
            wish, silent = self._wish, time.monotonic() - self._heard_s > self._max_silence_s
            if silent:
                self._pad.forget()
        if silent:
            return Wish(pressed=pressed, note=f"{self.name}: topic {self._topic} is silent")
        return Wish(wish.held, wish.move, wish.turn, wish.grip, wish.slow, pressed)

    def close(self) -> None:
        """Listen no more."""
        if self._subscriber is not None:
            self._subscriber.unregister()
        self._subscriber = None

    def _on_joy(self, message: Joy) -> None:
        with self._lock:
            axes = [self._sign * axis for axis in message.axes]
            self._wish = self._pad.state(axes, message.buttons)
            self._pressed += self._wish.pressed
            self._heard_s = time.monotonic()


class Driver:
    """One person's hands, in a thread of their own.

    Args:
        device: opened and closed here; one that is not there yet is looked for every second.
        say: called with everything that is pressed, and the device's name.
    """

    def __init__(
        self,
        device: Device,
        settings: TeleopSettings,
        rig: RigSettings,
        say: Callable[[Intent, str], None],
    ) -> None:
        self.device, self._rig, self._say = device, rig, say
        self._drive, self._arm = Drive(settings, rig.action), TopicArm()
        self._actions = rospy.Publisher(
            "teleop/action", wire.Action, queue_size=2, tcp_nodelay=True
        )
        self._sequence, self._drives = 0, False
        self.trouble = "not opened yet"
        self._pictures: dict[str, Any] = {}
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teleop", daemon=True)

    @property
    def drives(self) -> bool:
        """The deadman is held and actions are sent."""
        return self._drives

    def start(self) -> None:
        """Open the device and go on from there."""
        self._thread.start()

    def close(self) -> None:
        """Rest and let the device go."""
        self._ends.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            while not self._ends.is_set() and not rospy.is_shutdown():
                try:
                    self.device.open()
                except DeviceError as error:
                    if str(error) != self.trouble:
                        rospy.logwarn("operator: %s", error)
                    self.trouble = str(error)
                    self._ends.wait(_AGAIN_S)
                    continue
                self._look()
                self._attend()
        finally:
            self._rest()
            self.device.close()

    def _attend(self) -> None:
        due_s = time.monotonic()
        while not self._ends.is_set() and not rospy.is_shutdown():
            wish = self.device.read()
            self.trouble = wish.note
            for intent in wish.pressed:
                self._say(intent, self.device.name)
                if intent in (Intent.STOP, Intent.HOLD):
                    wish = Wish()
            self._send(wish)
            self._show()
            due_s = max(due_s + self._rig.period_s, time.monotonic())
            self._ends.wait(due_s - time.monotonic())

    def _send(self, wish: Wish) -> None:
        try:
            arm, stamped = self._arm.state(), self._arm.message
        except ArmError as error:
            self.trouble = str(error)
            return
        action = self._drive.action(wish, arm)
        if action is None:
            self._rest()
            return
        assert stamped is not None
        self._drives = True
        self._publish(action, stamped.header.stamp.to_sec(), rest=False)

    def _rest(self) -> None:
        if self._drives:
            self._drives = False
            for _ in range(_RESTS):
                self._publish([], rospy.get_time(), rest=True)

    def _publish(self, values: Any, stamp_s: float, rest: bool) -> None:
        self._sequence += 1
        with contextlib.suppress(rospy.ROSException):  # shut down meanwhile
            self._actions.publish(
                messages.to_action(
                    values, stamp_s=stamp_s, sequence=self._sequence, source="teleop", rest=rest
                )
            )

    # What a page shows.

    def _look(self) -> None:
        """A page gets the cameras' pictures and the operator's line."""
        if self.device.name != "page":
            return
        rospy.loginfo("operator: drive and look: %s", self.device.url)  # type: ignore[attr-defined]
        for name in self._rig.cameras:
            rospy.Subscriber(
                f"{name}/color/image_raw",
                Image,
                lambda message, name=name: self._pictures.__setitem__(name, message),
                queue_size=1,
                buff_size=2**24,
                tcp_nodelay=True,
            )

    def _show(self) -> None:
        if self.device.name != "page" or not self.device.occupied:  # type: ignore[attr-defined]
            return
        seen = {name: image_to_array(message) for name, message in list(self._pictures.items())}
        pill = "you drive" if self._drives else self.trouble or "holds: the deadman is not held"
        words = {"title": "handful", "line": self.line, "pill": pill, "cameras": list(seen)}
        words["tone"] = "go" if self._drives else "hold"
        self.device.show(seen, words)  # type: ignore[attr-defined]

    line = ""


def make_driver(
    settings: TeleopSettings,
    operator: OperatorSettings,
    rig: RigSettings,
    terminal: Terminal,
    say: Callable[[Intent, str], None],
) -> Driver | None:
    """What group ``teleop`` asks for; None: nobody drives from here."""
    if not settings.device:
        return None
    silence_s = settings.max_silence_s
    device: Device
    if settings.device == "joy":
        pad = settings.gamepad.model_copy(update={"full_scale": 1.0})
        device = JoyTopic("joy", TOPICS["joy"], pad, -1.0, silence_s)
    elif settings.device == "spacenav":
        device = JoyTopic("spacenav", TOPICS["spacenav"], settings.spacenav, 1.0, silence_s)
    else:
        device = make_device(settings.device, settings, operator, terminal)
    return Driver(device, settings, rig, say)
