"""The tests' own ROS node, in a process of its own: hears, says and calls what a test wants.

rospy can be started once a process, and a test run sees many masters; so ``graph.Graph`` starts
this file for each of them and talks to it through a socket. Objects on the socket are pickled;
both ends are this checkout.
"""

import contextlib
import os
import sys
import threading
import time
from multiprocessing.connection import Client, Connection
from typing import Any

import rospy


class Probe:
    """Does what the lines on the socket ask; everything heard goes back as it arrives."""

    def __init__(self, line: Connection) -> None:
        self._line, self._lock = line, threading.Lock()
        self._publishers: dict[str, rospy.Publisher] = {}
        self._subscribers: dict[int, rospy.Subscriber] = {}
        self._repeats: dict[str, threading.Event] = {}

    def serve(self) -> None:
        """Answer until the other end hangs up."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                ticket, ask, arguments = self._line.recv()
                # Calls may block; the next question may not wait for them.
                threading.Thread(target=self._answer, args=(ticket, ask, arguments)).start()

    def _answer(self, ticket: int, ask: str, arguments: tuple[Any, ...]) -> None:
        try:
            self._send(("answer", ticket, True, getattr(self, ask)(*arguments)))
        except Exception as error:
            self._send(("answer", ticket, False, f"{type(error).__name__}: {error}"))

    def _send(self, what: tuple[Any, ...]) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._line.send(what)

    def hear(self, ear: int, topic: str, kind: type) -> None:
        def heard(message: Any) -> None:
            self._send(("heard", ear, time.monotonic(), message))

        self._subscribers[ear] = rospy.Subscriber(
            topic, kind, heard, queue_size=1000, buff_size=2**24, tcp_nodelay=True
        )

    def deafen(self, ear: int) -> None:
        self._subscribers.pop(ear).unregister()

    def advertise(self, topic: str, kind: type, latch: bool) -> None:
        self._publishers[topic] = rospy.Publisher(
            topic, kind, queue_size=1000, latch=latch, tcp_nodelay=True
        )

    def listeners(self, topic: str) -> int:
        return int(self._publishers[topic].get_num_connections())

    def say(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)

    def repeat(self, topic: str, message: Any, rate_hz: float, stamped: bool) -> None:
        self.hush(topic)
        quiet = self._repeats[topic] = threading.Event()

        def go_on() -> None:
            next_s = time.monotonic()
            while not quiet.is_set():
                if stamped:
                    message.header.stamp = rospy.Time.now()
                self._publishers[topic].publish(message)
                next_s += 1.0 / rate_hz
                quiet.wait(max(0.0, next_s - time.monotonic()))

        threading.Thread(target=go_on, daemon=True).start()

    def hush(self, topic: str) -> None:
        if topic in self._repeats:
            self._repeats.pop(topic).set()

    def call(self, service: str, kind: type, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        rospy.wait_for_service(service, timeout=timeout_s)
        return rospy.ServiceProxy(service, kind)(*arguments)


if __name__ == "__main__":
    line = Client(sys.argv[1])
    rospy.init_node("probe", anonymous=True, disable_signals=True)
    probe = Probe(line)
    line.send(("ready",))
    probe.serve()
    os._exit(0)
