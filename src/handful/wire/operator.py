"""The operator over ROS: keys and gamepad in, events and the guard's services out.

A stop leaves as a message at once, in the thread that saw the key; the service that confirms it is
called from another, so that a guard that hangs cannot hang the operator. ``rig.operator`` knows
what a key means, ``rig.terminal`` where it comes from.
"""

import contextlib
import queue
import signal
import threading
import time

import rospy
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from handful import msg as wire
from handful.config import ConfigError
from handful.rig.episode import Phase
from handful.rig.operator import (
    Buttons,
    Intent,
    Keyboard,
    OperatorSettings,
    Seen,
    help_lines,
    spoken,
    status_line,
)
from handful.rig.settings import RigSettings
from handful.rig.teleop.settings import TeleopSettings
from handful.rig.terminal import Terminal
from handful.srv import Halt, Resume
from handful.wire.messages import header
from handful.wire.node import Level, Node, settings
from handful.wire.teleop import TOPICS, make_driver

EVENTS = {
    Intent.BEGIN: wire.EpisodeEvent.BEGIN,
    Intent.END: wire.EpisodeEvent.END,
    Intent.SUCCESS: wire.EpisodeEvent.SUCCESS,
    Intent.FAILURE: wire.EpisodeEvent.FAILURE,
    Intent.REDO: wire.EpisodeEvent.END,  # the recorder keeps it apart, and the next one begins
}
_MODES = {
    wire.GuardState.READY: "ready",
    wire.GuardState.HELD: "HELD",
    wire.GuardState.STOPPED: "STOPPED",
}
_PHASES = {getattr(wire.Episode, phase.name): phase.value for phase in Phase}
_SERVICE_S = 2.0  # a guard that has not answered by then is said to be silent
_SAID_S = 6.0  # how long what came of a key stays on the line
_LOOK_S = 0.05


class OperatorServer:
    """One person's say. ``start`` listens; ``attend`` reads keys until the node shuts down.

    teleop, rig: what they drive with, if they drive.
    """

    def __init__(
        self,
        chosen: OperatorSettings,
        terminal: Terminal,
        teleop: TeleopSettings | None = None,
        rig: RigSettings | None = None,
    ) -> None:
        self._settings, self._terminal = chosen, terminal
        self._teleop = teleop or TeleopSettings()
        rig = rig or RigSettings()
        self._driver = make_driver(self._teleop, chosen, rig, terminal, self._do)
        self._keyboard, self._buttons = Keyboard(chosen), Buttons(chosen)
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[Intent, str]] = queue.SimpleQueue()
        self._guard, self._guard_s = "", 0.0
        self._episode = self._agent = self._said = self._told = ""
        self._said_s = -_SAID_S
        self._silence_said = self._with_keys = False
        self._events = rospy.Publisher("episode/event", wire.EpisodeEvent, queue_size=10)
        self._stop = rospy.Publisher("guard/request_stop", String, queue_size=10, tcp_nodelay=True)
        self._hold = rospy.Publisher("guard/request_hold", String, queue_size=10, tcp_nodelay=True)
        self._status = rospy.Publisher("operator/status", String, queue_size=1, latch=True)

    def start(self) -> None:
        """Listen to the gamepad, the topic and the others."""
        threading.Thread(target=self._call, name="services", daemon=True).start()
        rospy.Subscriber("guard/state", wire.GuardState, self._on_guard, queue_size=1)
        rospy.Subscriber("episode", wire.Episode, self._on_episode, queue_size=1)
        rospy.Subscriber("agent/status", wire.AgentStatus, self._on_agent, queue_size=1)
        if self._teleop.device not in TOPICS:  # whose buttons mean other things
            rospy.Subscriber("joy", Joy, self._on_joy, queue_size=50, tcp_nodelay=True)
        rospy.Subscriber("operator/key", String, self._on_key, queue_size=50)
        if self._driver is not None:
            self._driver.start()

    def attend(self) -> None:
        """Read keys, if there is a terminal that talks to us, and keep the line up to date."""
        while not rospy.is_shutdown():
            if self._teleop.device == "keyboard":  # the driver reads the keys, all of them
                rospy.rostime.wallsleep(_LOOK_S)
            elif self._with_keys or self._terminal.ours:
                self._read_key()
            else:
                rospy.rostime.wallsleep(_LOOK_S)
            now_s = time.monotonic()
            with self._lock:
                silent = self._buttons.silent(now_s)
            if silent and not self._silence_said:
                self._do(Intent.HOLD, "the gamepad fell silent")
            self._silence_said = silent
            self._show()

    def leave(self) -> None:
        """Rest, and give the terminal back."""
        if self._driver is not None:
            self._driver.close()
        self._terminal.close()

    def report(self) -> tuple[Level, str, dict[str, str]]:
        """For diagnostics: what a person can press here, and what they see."""
        with self._lock:
            missing, heard = self._buttons.missing, self._buttons.heard
            silent = self._buttons.silent(time.monotonic())
        values = {"keyboard": str(self._with_keys), "gamepad": str(heard), "line": self._told}
        if self._driver is not None:
            values["teleop"] = self._driver.trouble or "ready"
            if self._driver.trouble:
                return Level.WARN, self._driver.trouble, values
            return Level.OK, f"drives with {self._driver.device.name}", values
        if silent:
            return Level.ERROR, "the gamepad is silent: it cannot stop anything", values
        if missing:
            return (
                Level.WARN,
                f"this gamepad lacks configured buttons: {', '.join(missing)}",
                values,
            )
        if not self._with_keys and not heard:
            return (
                Level.WARN,
                "no terminal and no gamepad: only operator/key is listened to",
                values,
            )
        return Level.OK, "attends", values

    # What is pressed.

    def _read_key(self) -> None:
        if not self._with_keys:
            self._with_keys = True
            self._terminal.open()
            self._terminal.say(["keys:", *help_lines(self._settings)])
        characters = self._terminal.read(_LOOK_S)
        if characters is None:
            self._with_keys = False
            self._terminal.close()
            self._terminal.let_go()
            rospy.logwarn("operator: no keyboard any more; gamepad and operator/key go on")
            return
        now_s = time.monotonic()
        for intent in self._keyboard.press(characters, now_s) + self._keyboard.settle(now_s):
            self._do(intent, "keyboard")

    def _on_key(self, message: String) -> None:
        """The name of an intent or of a key, from whatever a person uses."""
        intent = spoken(self._settings, message.data)
        if intent is None:
            rospy.logwarn("operator/key: %r is neither a key nor an intent", message.data)
        else:
            self._do(intent, "operator/key")

    def _on_joy(self, message: Joy) -> None:
        with self._lock:
            intents = self._buttons.state(tuple(message.buttons), time.monotonic())
        for intent in intents:
            self._do(intent, "joy")

    def _do(self, intent: Intent, source: str) -> None:
        try:
            if intent is Intent.STOP:
                self._stop.publish(String(f"{source}: stop"))
            elif intent is Intent.HOLD:
                self._hold.publish(String(f"{source}: hold"))
            elif intent in EVENTS:
                stamped = header(rospy.get_time(), "")
                self._events.publish(wire.EpisodeEvent(stamped, EVENTS[intent], source))
        except rospy.ROSException:
            return  # shut down between the key and the message
        if intent is Intent.HELP:
            self._terminal.say(help_lines(self._settings))
            return
        self._say(f"{source}: {intent.value}")
        if intent in (Intent.STOP, Intent.HOLD, Intent.RESUME):
            self._calls.put((intent, source))

    # What comes of it.

    def _call(self) -> None:
        while not rospy.is_shutdown():
            with contextlib.suppress(queue.Empty):
                intent, source = self._calls.get(timeout=0.2)
                self._say(self._ask_guard(intent, source))

    def _ask_guard(self, intent: Intent, source: str) -> str:
        service, kind = f"guard/{intent.value}", Resume if intent is Intent.RESUME else Halt
        words = self._settings.person if intent is Intent.RESUME else f"{source}: {intent.value}"
        try:
            rospy.wait_for_service(service, _SERVICE_S)
            answer = rospy.ServiceProxy(service, kind)(words)
        except (rospy.ROSException, rospy.ServiceException) as error:
            rospy.logerr("operator: %s: %s", service, error)
            return f"NO ANSWER from {service}; press the arm's own stop"
        if answer.success:
            return f"{intent.value}: done"
        return f"{intent.value} refused: {answer.message}"

    # What is seen.

    def _on_guard(self, message: wire.GuardState) -> None:
        mode = _MODES.get(message.mode, f"mode {message.mode}")
        reason = f": {message.reason}" if message.mode != wire.GuardState.READY else ""
        source = f" ({message.source})" if message.source else ""
        self._guard, self._guard_s = f"{mode}{source}{reason}", time.monotonic()

    def _on_episode(self, message: wire.Episode) -> None:
        reason = f": {message.reason}" if message.reason else ""
        phase = _PHASES.get(message.phase, f"phase {message.phase}")
        self._episode = f"{message.number} {phase}{reason}"

    def _on_agent(self, message: wire.AgentStatus) -> None:
        note = f": {message.note}" if message.note else ""
        self._agent = f"{message.mode} {message.successes}/{message.episodes}{note}"

    def _driving(self) -> str:
        if self._driver is None:
            return ""
        return "drives" if self._driver.drives else self._driver.trouble or "ready"

    def _say(self, text: str) -> None:
        self._said, self._said_s = text, time.monotonic()

    def _show(self) -> None:
        now_s = time.monotonic()
        said = self._said if now_s - self._said_s < _SAID_S else ""
        silent_s = now_s - self._guard_s
        seen = Seen(self._guard, silent_s, self._episode, self._agent, said, self._driving())
        line = status_line(seen)
        if self._driver is not None:
            self._driver.line = line
        self._terminal.show(line)
        if line != self._told:
            self._told = line
            with contextlib.suppress(rospy.ROSException):
                self._status.publish(String(line))


def main(node: Node) -> None:
    """What ``nodes/operator_node.py`` does: group ``operator``."""
    chosen = settings(OperatorSettings, "operator", "node/operator")
    if not chosen.keys.get(Intent.RESUME) and not chosen.buttons.get(Intent.RESUME):
        raise ConfigError("operator: resume has neither key nor button; nobody could resume")
    # A terminal that is closed says goodbye with a hangup; the gamepad's stop button outlives it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    teleop = settings(TeleopSettings, "teleop", "teleop")
    server = OperatorServer(chosen, Terminal(), teleop, settings(RigSettings, "rig", "rig"))
    node.check("operator", server.report)
    rospy.on_shutdown(server.leave)
    server.start()
    try:
        server.attend()
    finally:
        server.leave()
