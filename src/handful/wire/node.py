"""What every node does alike: start, report on ``/diagnostics``, watch the master, end in words.

An executable in ``nodes/`` is then a screenful::

    def main(node: Node) -> None:
        guard = GuardNode(node, settings(RigSettings, "rig", "rig"))
        node.check("guard", guard.report)
        node.spin()

    if __name__ == "__main__":
        run(main, "guard_node")
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from types import FrameType, TracebackType
from typing import NoReturn

import rosgraph
import rospy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from handful.config import ConfigError
from handful.rig.arm import ArmError
from handful.rig.camera import CameraError
from handful.wire.clock import RosClock
from handful.wire.parameters import settings
from handful.wire.watch import MasterWatch

__all__ = ["Level", "Node", "Report", "run", "settings"]

EXIT_REFUSED = 2
"""Exit code of a node that could not start or go on: settings, camera, arm."""
EXIT_MASTER = 3
"""Exit code of a node that lost its ROS master."""
GRACE_S = 5.0
"""Shutdown hooks and goodbyes to the master may take so long [s], then the node ends by force."""
SENTENCES: tuple[type[Exception], ...] = (ConfigError, CameraError, ArmError)
"""Errors whose message says it all; any other is a bug and shows its traceback."""


class Level(IntEnum):
    """How bad it is, in the numbers of ``DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2


Report = Callable[[], tuple[Level, str, dict[str, str]]]
"""What a check returns: how bad, a sentence, and values by name."""


class Node:
    """A started ROS node, as a context manager; there is one a process.

    clock: ROS time, simulated or not. name: as resolved, such as ``/guard_node``.

    On entering it registers with the master, waiting for one as long as it takes. From then on it
    publishes its checks on ``/diagnostics`` once a second, counted on the wall's time, and ends
    with ``EXIT_MASTER`` when the master is silent for ``~master_patience_s`` (5 s; 0 turns the
    watch off) or was started again. On leaving, the hooks of ``rospy.on_shutdown`` have run.
    """

    clock: RosClock

    def __init__(self, name: str, *, hardware_id: str = "") -> None:
        self._base_name, self._hardware_id = name, hardware_id
        self._checks: dict[str, Report] = {}
        self._lock = threading.Lock()
        self._code = 0

    @property
    def name(self) -> str:
        """The name with its namespace, after remapping."""
        return str(rospy.get_name())

    def __enter__(self) -> "Node":
        # rospy's own handler says goodbye to the master from wherever the signal finds this thread;
        # in the middle of another call to the master, that waits for a lock it holds itself.
        rospy.init_node(self._base_name, disable_signals=True)
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGTERM, _interrupt)
        _log_without_the_master()
        self.clock = RosClock()
        self._diagnostics = rospy.Publisher("/diagnostics", DiagnosticArray, queue_size=10)
        self._beat = threading.Thread(target=self._report, name="diagnostics", daemon=True)
        self._beat.start()
        patience_s = float(rospy.get_param("~master_patience_s", 5.0))
        uri = rosgraph.get_master_uri()
        self._watch = MasterWatch(uri, self.name, self._lost, patience_s)
        if patience_s > 0.0:
            self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The hooks of the shutdown stop arms: a second Ctrl-C does not cut them short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._watch.stop()
        self.stop("the node has ended" if error is None else f"{type(error).__name__}: {error}")

    def check(self, name: str, report: Report) -> None:
        """Publish what ``report()`` returns as "node: name" once a second; replaces a namesake.

        It is called in a thread of its own and must not block. Whatever it raises is reported as
        an error of this check.
        """
        with self._lock:
            self._checks[name] = report

    def stop(self, reason: str, code: int = 0) -> None:
        """Shut down, from any thread; the first code other than 0 becomes the exit code."""
        self._code = self._code or code
        if not rospy.is_shutdown():
            # Unregistering from a master that hangs has no end, and a hook may not have one.
            end = _end_by_force(self._code or 1)
            rospy.signal_shutdown(reason)
            end.cancel()

    def spin(self) -> int:
        """Wait for the end of the node; returns the exit code."""
        while not rospy.is_shutdown():
            rospy.rostime.wallsleep(0.1)  # not rospy.sleep, which a stopped /clock would stop
        return self._code

    def _lost(self, sentence: str) -> None:
        self._code = self._code or EXIT_MASTER
        end = _end_by_force(self._code)
        rospy.logfatal("%s: %s", self.name, sentence)
        self.stop(sentence, EXIT_MASTER)
        end.cancel()

    def _report(self) -> None:
        while not rospy.is_shutdown():
            message = DiagnosticArray()
            message.header.stamp = rospy.Time.from_sec(self.clock.now_s())
            with self._lock:
                checks = list(self._checks.items()) or [("alive", _alive)]
            message.status = [self._status(name, report) for name, report in checks]
            try:
                self._diagnostics.publish(message)
            except rospy.ROSException:
                return  # shut down between the question and the answer
            rospy.rostime.wallsleep(1.0)

    def _status(self, name: str, report: Report) -> DiagnosticStatus:
        try:
            level, sentence, values = report()
        except Exception as error:
            level, sentence, values = Level.ERROR, f"{type(error).__name__}: {error}", {}
        return DiagnosticStatus(
            level=int(level),
            name=f"{self.name.lstrip('/')}: {name}",
            message=sentence,
            hardware_id=self._hardware_id,
            values=[KeyValue(key, value) for key, value in values.items()],
        )


def run(main: Callable[[Node], None], name: str) -> NoReturn:
    """Be the node: start it, call ``main(node)``, wait for its end, exit.

    ``main`` may end by ``node.spin()`` or just return. An error of ``SENTENCES`` is said as one
    sentence on stderr and ``/rosout``, exit code 2; any other shows its traceback, exit code 1.
    """
    code = 0
    try:
        with Node(name) as node:
            try:
                main(node)
                code = node.spin()
            except SENTENCES as error:
                code = EXIT_REFUSED
                rospy.logfatal("%s: %s", node.name, error)
                rospy.rostime.wallsleep(0.2)  # /rosout is written by another thread
    except (KeyboardInterrupt, rospy.ROSInterruptException):
        rospy.signal_shutdown("asked to end")  # a clean end; again, where it came that early
    # Threads of rospy may live on; an interpreter that waits for them would never end.
    _end_by_force(code)
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _alive() -> tuple[Level, str, dict[str, str]]:
    return Level.OK, "running", {}


def _log_without_the_master() -> None:
    """Spare every line that is logged a question to the master, which hangs when the master does.

    rospy wants to know this parameter each time, and remembers it only if it is set. A guard that
    says why it holds may not wait for a network that has gone.
    """
    name = "/rosout_disable_topics_generation"
    if not rospy.has_param(name):
        rospy.set_param(name, False)  # its default
    rospy.get_param_cached(name)


def _end_by_force(code: int) -> threading.Timer:
    """End this process in ``GRACE_S``, come what may, unless the timer is cancelled."""
    end = threading.Timer(GRACE_S, os._exit, (code,))
    end.daemon = True
    end.start()
    return end
