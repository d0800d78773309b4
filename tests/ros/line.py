"""The tests' end of the socket to ``probe.py``: ears that collect and mouths that say."""

import itertools
import sys
import threading
import time
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph import Graph


class Line:
    """One probe process in one graph."""

    def __init__(self, graph: "Graph") -> None:
        self._graph, self._ears = graph, dict[int, Ear]()
        self._numbers, self._answers = itertools.count(), dict[int, SimpleQueue[Any]]()
        self._lock = threading.Lock()
        address = str(graph.folder / "probe.socket")
        with Listener(address) as door:
            probe = str(Path(__file__).with_name("probe.py"))
            self._process = graph.run("probe", [sys.executable, probe, address])
            door._listener._socket.settimeout(30.0)  # type: ignore[attr-defined]
            self._line: Connection = door.accept()
        assert self._line.poll(30.0), f"the probe does not start:\n{self._process.output()}"
        self._line.recv()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, what: str, *arguments: Any) -> Any:
        """Let the probe do it; its errors are the test's."""
        ticket = next(self._numbers)
        answer = self._answers[ticket] = SimpleQueue()
        with self._lock:
            self._line.send((ticket, what, arguments))
        well, result = answer.get(timeout=60.0)
        if not well:
            raise RuntimeError(result)
        return result

    def listen(self, topic: str, kind: type) -> "Ear":
        ear = Ear(self, self._graph, next(self._numbers), topic)
        self._ears[ear.number] = ear
        self.ask("hear", ear.number, topic, kind)
        return ear

    def talk(self, topic: str, kind: type, latch: bool, listeners: int) -> "Mouth":
        self.ask("advertise", topic, kind, latch)
        mouth = Mouth(self, topic)
        self._graph.wait_until(lambda: mouth.listeners() >= listeners, f"listeners of {topic}")
        return mouth

    def close(self) -> None:
        self._line.close()

    def _read(self) -> None:
        try:
            while True:
                kind, number, *rest = self._line.recv()
                if kind == "heard":
                    self._ears[number]._hear(*rest)
                else:
                    self._answers.pop(number).put(rest)
        except (EOFError, OSError, TypeError):
            return  # hung up


class Ear:
    """The messages of one topic as they come in."""

    def __init__(self, line: Line, graph: "Graph", number: int, topic: str) -> None:
        self.number, self.topic = number, topic
        self._line, self._graph = line, graph
        self.messages: list[Any] = []
        self.arrived_s: list[float] = []
        """``time.monotonic()`` of each arrival, the same clock as here."""

    @property
    def last(self) -> Any:
        return self.messages[-1]

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> list[Any]:
        """All messages, once there are so many."""
        self._graph.wait_until(
            lambda: len(self.messages) >= count,
            f"{count} messages on {self.topic}, there are {len(self.messages)}",
            timeout_s,
        )
        return list(self.messages)

    def wait_new(self, timeout_s: float = 10.0) -> Any:
        """The first message that arrives from now on."""
        return self.wait(len(self.messages) + 1, timeout_s)[-1]

    def wait_for(self, wanted: Any, what: str = "", timeout_s: float = 10.0) -> Any:
        """The first message, also of those heard already, that ``wanted(message)`` likes."""
        return self._graph.wait_until(
            lambda: next((m for m in list(self.messages) if wanted(m)), None),
            what or f"a certain message on {self.topic}",
            timeout_s,
        )

    def silent(self, for_s: float) -> bool:
        """Whether nothing arrives for so long."""
        before = len(self.messages)
        time.sleep(for_s)
        return len(self.messages) == before

    def forget(self) -> None:
        self.messages.clear()
        self.arrived_s.clear()

    def close(self) -> None:
        self._line.ask("deafen", self.number)

    def _hear(self, arrived_s: float, message: Any) -> None:
        self.arrived_s.append(arrived_s)
        self.messages.append(message)


class Mouth:
    """One advertised topic."""

    def __init__(self, line: Line, topic: str) -> None:
        self._line, self.topic = line, topic

    def listeners(self) -> int:
        return int(self._line.ask("listeners", self.topic))

    def say(self, message: Any) -> None:
        self._line.ask("say", self.topic, message)

    def repeat(self, message: Any, rate_hz: float, stamped: bool = True) -> None:
        """Say it again and again, with the stamp of the moment, until ``hush`` or another."""
        self._line.ask("repeat", self.topic, message, rate_hz, stamped)

    def hush(self) -> None:
        self._line.ask("hush", self.topic)


__all__ = ["Ear", "Line", "Mouth"]
