"""A real ROS graph for tests: a roscore on a free port, nodes as processes, and an end to them all.

    def test_the_guard_answers(ros: Graph) -> None:
        guard = ros.start("guard_node", rate_hz=50)
        verdicts = ros.listen("guard/verdict", Verdict)
        actions = ros.talk("agent/action", Action)
        actions.say(Action(...))
        assert verdicts.wait(1)[0].status == Verdict.OK
        guard.kill()

The fixture ``ros`` is one graph a module. Nothing outlives it: every process carries a mark in its
environment, and whatever carries it at the end is killed, the grandchildren of roslaunch included.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from line import Ear, Line, Mouth

ROOT = Path(__file__).parents[2]
NO_ROS = "NO ROS HERE; to test it: make test on Debian 12"


class Process:
    """One process of the graph and what it said. Signals go to its whole group."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], log: Path) -> None:
        self.name, self._log = name, log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, env=env, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """Everything it has written to stdout and stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL: no hook, no goodbye."""
        self.signal(signal.SIGKILL)
        self._process.wait(10.0)

    def stop(self, timeout_s: float = 10.0) -> int:
        """Ctrl-C; returns the exit code. Fails the test when it does not end in time."""
        self.signal(signal.SIGINT)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 10.0) -> int:
        """The exit code, once it ends by itself."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} still runs after {timeout_s} s; it said:\n{self.output()}")


class Graph:
    """A master and the nodes a test starts; ``close`` ends all of it.

    The master's address is ``uri``; ``env`` is the environment of everything started here.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.processes = folder, list[Process]()
        self._mark, self._probe = uuid.uuid4().hex, None
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://localhost:{self.port}"
        keep = ("PATH", "HOME", "LANG", "LC_ALL", "OMP_NUM_THREADS", "DISPLAY", "TMPDIR")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env |= {
            "HANDFUL_GRAPH": self._mark,
            "ROS_MASTER_URI": self.uri,
            "ROS_HOSTNAME": "localhost",
            "ROS_LOG_DIR": str(folder / "log"),
            "ROS_HOME": str(folder / "home"),
            "ROS_PACKAGE_PATH": f"{ROOT}:/usr/share",
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        }
        self.start_master()

    # The master.

    def start_master(self) -> None:
        """A roscore on this graph's port, answering when this returns."""
        command = ["/usr/bin/roscore", "-p", str(self.port)]
        self._core = self.run("roscore", command)
        self.wait_until(lambda: "/rosout" in self.nodes(), "roscore to answer", 30.0)

    def kill_master(self) -> None:
        """SIGKILL for roscore and its children; nodes are left alone."""
        self._core.kill()
        for pid in self._marked("rosmaster", "rosout"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait_until(lambda: not self._marked("rosmaster"), "the master to die")

    def stop_master(self) -> None:
        """SIGSTOP: its port still takes connections, and nobody answers."""
        for pid in self._marked("rosmaster"):
            os.kill(pid, signal.SIGSTOP)

    def master(self, method: str, *arguments: Any) -> Any:
        """What the master answers to one call of its API; raises ``OSError`` when it is gone."""
        import rosgraph

        return getattr(rosgraph.Master("/test", self.uri), method)(*arguments)

    def nodes(self) -> set[str]:
        """Names of all nodes that the master knows."""
        try:
            state = self.master("getSystemState")
        except OSError:
            return set()
        return {node for kind in state for _, nodes in kind for node in nodes}

    # Processes.

    def run(self, name: str, command: list[str], **env: str) -> Process:
        """Any program as a part of this graph."""
        log = self.folder / f"{len(self.processes)}_{name}.log"
        process = Process(name, command, self.env | env, log)
        self.processes.append(process)
        return process

    def start(self, node: str, *arguments: str, name: str = "", **parameters: Any) -> Process:
        """``nodes/<node>.py`` under this interpreter, as ``/<name>`` (default: ``/<node>``).

        arguments: as for rosrun (``topic:=other``). parameters: its private ones; a mapping becomes
        a group. Returns when the master knows it.
        """
        return self.start_script(ROOT / "nodes" / f"{node}.py", *arguments, name=name, **parameters)

    def start_script(
        self, path: Path, *arguments: str, name: str = "", **parameters: Any
    ) -> Process:
        """The same with any Python file as the node."""
        name = name or path.stem
        for key, value in parameters.items():
            self.set_param(f"/{name}/{key}", value)
        process = self.run(name, [sys.executable, str(path), *arguments, f"__name:={name}"])
        self.wait_until(
            lambda: f"/{name}" in self.nodes() or not process.running, f"node {name}", 30.0
        )
        return process

    def launch(self, path: str | Path, *arguments: str) -> Process:
        """``roslaunch`` of a file; its nodes end with it, quickly."""
        command = ["/usr/bin/roslaunch", "--sigint-timeout=3", "--sigterm-timeout=1"]
        return self.run(f"roslaunch_{len(self.processes)}", [*command, str(path), *arguments])

    # Talking to it.

    def set_param(self, name: str, value: Any) -> None:
        self.master("setParam", name, value)

    def get_param(self, name: str) -> Any:
        return self.master("getParam", name)

    def listen(self, topic: str, kind: type) -> "Ear":
        """Begin to collect the messages of a topic; connected when this returns, if it exists."""
        return self._talker().listen(topic, kind)

    def talk(self, topic: str, kind: type, latch: bool = False, listeners: int = 0) -> "Mouth":
        """Advertise a topic; returns when so many listeners have connected."""
        return self._talker().talk(topic, kind, latch, listeners)

    def call(self, service: str, kind: type, *arguments: Any, timeout_s: float = 10.0) -> Any:
        """The response of a service, which is waited for."""
        return self._talker().ask("call", service, kind, arguments, timeout_s)

    def wait_for_topic(self, topic: str, timeout_s: float = 10.0) -> None:
        """Until somebody publishes it."""
        topic = "/" + topic.lstrip("/")
        self.wait_until(
            lambda: any(topic == name for name, _ in self.master("getSystemState")[0]),
            f"somebody to publish {topic}",
            timeout_s,
        )

    def wait_for_service(self, service: str, timeout_s: float = 10.0) -> None:
        """Until somebody offers it."""
        service = "/" + service.lstrip("/")
        self.wait_until(
            lambda: any(service == name for name, _ in self.master("getSystemState")[2]),
            f"somebody to offer {service}",
            timeout_s,
        )

    def wait_until(self, come: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
        """The first true answer; fails the test, with what everybody said, if there is none."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            if answer := come():
                return answer
            time.sleep(0.02)
        said = "".join(f"\n--- {p.name}\n{p.output()[-2000:]}" for p in self.processes[-8:])
        pytest.fail(f"waited {timeout_s} s for {what}{said}")

    def close(self) -> None:
        """Kill everything, at once and for certain."""
        if self._probe is not None:
            self._probe.close()
        end_s = time.monotonic() + 10.0
        while (left := self._marked()) and time.monotonic() < end_s:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
            for process in self.processes:
                process._process.poll()
        assert not self._marked(), "processes of the graph cannot be killed"

    def _talker(self) -> "Line":
        if self._probe is None:
            from line import Line

            self._probe = Line(self)
        return self._probe

    def _marked(self, *words: str) -> list[int]:
        """Live processes that carry this graph's mark, of those whose command has one of words."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                ours = f"HANDFUL_GRAPH={self._mark}".encode() in (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().decode(errors="replace")
                if ours and not dead and (not words or any(w in command for w in words)):
                    found.append(int(folder.name))
        return found


@pytest.fixture(scope="module")
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """One graph a module, killed at its end."""
    need_ros()
    graph = Graph(tmp_path_factory.mktemp("ros"))
    try:
        yield graph
    finally:
        graph.close()


def need_ros() -> None:
    """Skip, loudly, where there is no ROS or where catkin has not made our messages.

    A test file says the same before it imports messages:
    ``pytest.importorskip("handful.msg", reason=NO_ROS)``.
    """
    if not shutil.which("roscore", path="/usr/bin"):
        pytest.skip(NO_ROS)
    for module in ("rospy", "handful.msg"):
        pytest.importorskip(module, reason=NO_ROS)
