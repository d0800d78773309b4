"""The operator node in a real graph: keys in a real terminal, a gamepad, the topic, the guard."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from graph import NO_ROS, ROOT, Graph, Process

pytest.importorskip("handful.msg", reason=NO_ROS)

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, Joy
from std_msgs.msg import String
from websockets.sync.client import connect

from handful.msg import Action, AgentStatus, ArmState, Episode, EpisodeEvent, GuardState
from handful.wire.pictures import array_to_image

GUARD = """
import rospy
from std_msgs.msg import String
from handful.srv import Halt, HaltResponse, Resume, ResumeResponse

rospy.init_node("stand_in")
said = rospy.Publisher("stand_in/said", String, queue_size=10, latch=False)

def halt(kind):
    def answer(request):
        said.publish(f"{kind} {request.reason}")
        return HaltResponse(True, "")
    return answer

def resume(request):
    said.publish(f"resume {request.person}")
    return ResumeResponse(False, "camera third is silent")

rospy.Service("guard/stop", Halt, halt("stop"))
rospy.Service("guard/hold", Halt, halt("hold"))
rospy.Service("guard/resume", Resume, resume)
rospy.spin()
"""


@pytest.fixture(scope="module")
def guard(ros: Graph) -> Process:
    """A stand-in that answers the guard's services and repeats what it was asked."""
    path = ros.folder / "stand_in.py"
    path.write_text(GUARD)
    process = ros.start_script(path)
    ros.wait_for_service("guard/resume")
    return process


@pytest.fixture(scope="module")
def operator(ros: Graph, guard: Process) -> Process:
    """One without a terminal, as under roslaunch."""
    process = ros.start("operator_node")
    ros.wait_for_topic("operator/status")
    return process


def joy(*down: int) -> Joy:
    return Joy(axes=[0.0] * 6, buttons=[int(k in down) for k in range(11)])


def test_the_topic_is_a_keyboard_for_whoever_has_none(ros: Graph, operator: Process) -> None:
    events = ros.listen("episode/event", EpisodeEvent)
    said, stops = ros.listen("stand_in/said", String), ros.listen("guard/request_stop", String)
    holds = ros.listen("guard/request_hold", String)
    keys = ros.talk("operator/key", String, listeners=1)
    until(lambda: events.messages, lambda: keys.say(String("b")))
    events.forget()
    for key in ("b", "e", "s", "f"):
        keys.say(String(key))
    wanted = [EpisodeEvent.BEGIN, EpisodeEvent.END, EpisodeEvent.SUCCESS, EpisodeEvent.FAILURE]
    assert [m.event for m in events.wait(4)] == wanted
    assert {m.source for m in events.messages} == {"operator/key"}
    assert abs(events.last.header.stamp.to_sec() - time.time()) < 10.0
    until(lambda: stops.messages, lambda: keys.say(String("stop")))
    said.wait(1)
    for key in ("space", " ", "stop"):
        said.forget()
        stops.forget()
        keys.say(String(key))
        assert stops.wait(1)[0].data == "operator/key: stop"
        assert said.wait(1)[0].data == "stop operator/key: stop"
    said.forget()
    keys.say(String("h"))
    assert holds.wait(1)[0].data == "operator/key: hold"
    assert said.wait(1)[0].data == "hold operator/key: hold"
    for ear in (events, said, stops, holds):
        ear.close()


def test_its_line_shows_guard_episode_agent_and_what_came_of_a_key(
    ros: Graph, operator: Process
) -> None:
    lines = ros.listen("operator/status", String)
    guard = ros.talk("guard/state", GuardState, listeners=1)
    episode = ros.talk("episode", Episode, listeners=1)
    agent = ros.talk("agent/status", AgentStatus, listeners=1)
    guard.say(GuardState(mode=GuardState.HELD, reason="camera third fell silent"))
    episode.say(Episode(number=12, phase=Episode.FAULTED, reason="the guard holds"))
    agent.say(AgentStatus(mode="evaluate", successes=3, episodes=4, note="waits"))
    whole = "guard HELD: camera third fell silent | episode 12 faulted: the guard holds"
    lines.wait_for(lambda m: m.data.startswith(f"{whole} | agent evaluate 3/4: waits"))
    ros.talk("operator/key", String, listeners=1).say(String("r"))
    lines.wait_for(lambda m: m.data.endswith("resume refused: camera third is silent"))
    lines.wait_for(lambda m: "guard SILENT for" in m.data, timeout_s=6.0)
    lines.close()


def test_buttons_count_at_the_press_and_any_stop_button_stops(
    ros: Graph, operator: Process
) -> None:
    events, stops = ros.listen("episode/event", EpisodeEvent), ros.listen(
        "guard/request_stop", String
    )  # fmt: skip
    pad = ros.talk("joy", Joy, listeners=1)
    for state in (joy(), joy(0), joy(0), joy(), joy(0), joy(), joy(7)):
        pad.say(state)
    assert [m.event for m in events.wait(3)] == [EpisodeEvent.SUCCESS] * 2 + [EpisodeEvent.BEGIN]
    assert events.last.source == "joy"
    for button in (1, 4, 5):
        pad.say(joy(button))
        pad.say(joy())
    assert [m.data for m in stops.wait(3)] == ["joy: stop"] * 3
    events.close()
    stops.close()


def test_a_gamepad_that_falls_silent_holds_the_arm(ros: Graph, guard: Process) -> None:
    group = {"joy_silence_s": 0.3}
    node = ros.start("operator_node", "joy:=pad", name="silent", operator=group)
    holds, said = ros.listen("guard/request_hold", String), ros.listen("stand_in/said", String)
    pad = ros.talk("pad", Joy, listeners=1)
    pad.repeat(joy(), 20.0)
    assert holds.silent(0.8)
    pad.hush()
    assert "the gamepad fell silent" in holds.wait(1)[0].data
    assert "the gamepad fell silent" in said.wait(1)[0].data
    assert holds.silent(0.6), "it was said again and again"
    report = ros.listen("/diagnostics", DiagnosticArray)
    report.wait_for(lambda m: any("gamepad is silent" in s.message for s in m.status))
    node.stop()
    for ear in (holds, said, report):
        ear.close()


def test_without_a_guard_it_says_so_and_goes_on(ros: Graph, guard: Process) -> None:
    node = ros.start(
        "operator_node", "guard/stop:=gone/stop", "operator/key:=key", "operator/status:=line",
        name="alone",
    )  # fmt: skip
    lines = ros.listen("line", String)
    keys, events = ros.talk("key", String, listeners=1), ros.listen("episode/event", EpisodeEvent)
    keys.say(String(" "))
    until(lambda: events.messages, lambda: keys.say(String("b")))
    assert events.last.event == EpisodeEvent.BEGIN
    lines.wait_for(lambda m: "NO ANSWER" in m.data, timeout_s=8.0)
    assert node.stop() == 0
    lines.close()
    events.close()


class Seat:
    """The node in a terminal of its own, and a person before it."""

    def __init__(self, ros: Graph) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x78\x00\x00\x00\x00\x00")
        take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        take += "os.execv(sys.argv[1], sys.argv[1:])"
        node = [sys.executable, str(ROOT / "nodes/operator_node.py"), "__name:=seated"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", take, *node, "operator/status:=seated/status"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=ros.env,
            start_new_session=True,
        )
        os.close(slave)
        self.screen = ""

    def sees(self, text: str, timeout_s: float = 15.0) -> None:
        end_s = time.monotonic() + timeout_s
        os.set_blocking(self._master, False)
        while text not in self.screen:
            assert time.monotonic() < end_s, f"{text!r} never came; there is {self.screen!r}"
            try:
                self.screen += os.read(self._master, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.01)

    def types(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def leaves(self) -> None:
        os.close(self._master)


@pytest.fixture
def seat(ros: Graph, guard: Process) -> Iterator[Seat]:
    seat = Seat(ros)
    yield seat
    seat.process.kill()
    seat.process.wait()


def test_a_person_at_a_terminal_presses_keys_and_reads_the_line(ros: Graph, seat: Seat) -> None:
    seat.sees("space or esc")
    events = ros.listen("episode/event", EpisodeEvent)
    stops = ros.listen("guard/request_stop", String)
    until(lambda: events.messages, lambda: seat.types("s"))
    assert events.last.event == EpisodeEvent.SUCCESS
    assert events.last.source == "keyboard"
    until(lambda: stops.messages, lambda: seat.types(" "))
    assert stops.last.data == "keyboard: stop"
    stops.forget()
    seat.sees("stop: done")
    seat.types("\x1b[A\x1b[B")
    seat.types("r")
    seat.sees("resume refused")
    assert not stops.messages, "an arrow key stopped the arm"
    guard = ros.talk("guard/state", GuardState, listeners=1)
    guard.say(GuardState(mode=GuardState.STOPPED, reason="keyboard: stop"))
    seat.sees("guard STOPPED: keyboard: stop")
    seat.types("\x03")
    assert seat.process.wait(10.0) == 0
    events.close()
    stops.close()


def test_a_terminal_that_closes_takes_the_keys_but_not_the_node(ros: Graph, seat: Seat) -> None:
    seat.sees("space or esc")
    seat.leaves()
    events = ros.listen("episode/event", EpisodeEvent)
    keys = ros.talk("operator/key", String, listeners=1)
    until(lambda: events.messages, lambda: keys.say(String("e")))
    assert events.last.event == EpisodeEvent.END
    time.sleep(0.5)
    assert seat.process.poll() is None, f"it ended with {seat.process.returncode}"
    events.close()


def until(come: Callable[[], object], again: Callable[[], None]) -> None:
    """Do it again until it has come: a connection takes its time, a person would press twice."""
    end_s = time.monotonic() + 10.0
    while not come():
        assert time.monotonic() < end_s
        again()
        time.sleep(0.6)


def test_without_a_terminal_it_waits_for_buttons_and_says_so(ros: Graph, operator: Process) -> None:
    report = ros.listen("/diagnostics", DiagnosticArray)
    array = report.wait_for(lambda m: any(s.name == "operator_node: operator" for s in m.status))
    values = {v.key: v.value for s in array.status for v in s.values}
    assert values["keyboard"] == "False"
    report.close()


def pad(*down: int, forward: float = 0.0) -> Joy:
    """As joy_node says it: up is positive, a trigger rests at +1."""
    axes = [0.0, forward, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    return Joy(axes=axes, buttons=[int(k in down) for k in range(11)])


def test_it_drives_while_the_deadman_is_held_and_rests_when_it_is_let_go(
    ros: Graph, guard: Process
) -> None:
    group = {"device": "joy", "max_silence_s": 0.5}
    own = (
        "joy:=hand",
        "arm/state:=hand_arm",
        "teleop/action:=hand_action",
        "operator/status:=hand_line",
    )
    node = ros.start("operator_node", *own, name="driver", teleop=group)
    actions, lines = ros.listen("hand_action", Action), ros.listen("hand_line", String)
    stops = ros.listen("guard/request_stop", String)
    arm, hand = ros.talk("hand_arm", ArmState, listeners=1), ros.talk("hand", Joy, listeners=1)
    state = ArmState(target_gripper_m=0.08)
    state.target.orientation.x = 1.0
    state.tool.orientation.x = 1.0
    arm.repeat(state, 20.0)
    hand.repeat(pad(forward=1.0), 20.0)
    assert actions.silent(0.6), "it drove without the deadman"
    hand.repeat(pad(4, forward=1.0), 20.0)
    driven = actions.wait(3)[-1]
    assert driven.source == "teleop" and not driven.rest
    assert list(driven.values) == pytest.approx([1.0, 0.0, 0.0, 1.0]), (
        "away from the base, grip kept"
    )
    lines.wait_for(lambda m: "teleop drives" in m.data)
    hand.repeat(pad(forward=1.0), 20.0)
    actions.wait_for(lambda m: m.rest)
    actions.forget()
    assert actions.silent(0.5)
    hand.repeat(pad(4, forward=-1.0), 20.0)
    actions.wait_for(lambda m: list(m.values)[:1] == [-1.0])
    hand.hush()  # pulled out
    actions.wait_for(lambda m: m.rest)
    lines.wait_for(lambda m: "is silent" in m.data)
    hand.repeat(pad(4), 20.0)
    actions.forget()
    assert actions.silent(0.5), "a deadman that was down when the pad came back moved the arm"
    hand.repeat(pad(1), 20.0)
    assert stops.wait(1)[0].data == "joy: stop"
    assert node.stop() == 0
    for ear in (actions, lines, stops):
        ear.close()
    arm.hush()
    hand.hush()


def test_a_step_a_person_drove_comes_back_to_the_agent_as_theirs(monkeypatch: Any) -> None:
    from handful.config import load
    from handful.contract import Observation
    from handful.msg import Verdict
    from handful.rig.settings import RigSettings
    from handful.wire import gate as wired

    sent: list[Action] = []

    class Topic:
        def __init__(self, *_: Any, **__: Any) -> None: ...
        def publish(self, message: Action) -> None:
            sent.append(message)
            status = Verdict.REFUSED if refuses else Verdict.OK
            gate._on_verdict(verdict("agent", message.sequence, status, 0.0))

    def verdict(source: str, sequence: int, status: int, forward: float) -> Verdict:
        said = Verdict(sequence=sequence, source=source, status=status, reason="x")
        said.executed, said.step_m = [forward, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0]
        said.tool.orientation.x = 1.0
        return said

    monkeypatch.setattr(wired.rospy, "Publisher", Topic)
    monkeypatch.setattr(wired.rospy, "Subscriber", Topic)
    gate, seen = wired.AgentGate(load(RigSettings, "rig")), Observation({}, np.zeros(0), 0.0)
    refuses = False
    mine = gate.submit(np.zeros(4), seen)
    assert mine.status == "ok" and not mine.by_person
    refuses = True
    nobody = gate.submit(np.zeros(4), seen)
    assert nobody.status == "refused" and not nobody.by_person, "refused for another reason"
    late = threading.Timer(
        0.02, lambda: gate._on_verdict(verdict("teleop", 9, Verdict.SLOWED, 0.5))
    )
    late.start()
    theirs = gate.submit(np.zeros(4), seen)
    assert theirs.by_person and theirs.executed[0] == np.float32(0.5) and not theirs.latched
    late.join()


def test_a_page_shows_the_cameras_drives_and_rests_when_it_is_closed(
    ros: Graph, guard: Process
) -> None:
    own = ("arm/state:=page_arm", "teleop/action:=page_action", "third/color/image_raw:=page_eye")
    group = {"device": "page", "max_silence_s": 1.0}
    node = ros.start("operator_node", *own, "operator/status:=page_line", name="page", teleop=group)
    actions = ros.listen("page_action", Action)
    arm, eye = ros.talk("page_arm", ArmState, listeners=1), ros.talk("page_eye", Image)
    state = ArmState(target_gripper_m=0.08)
    state.target.orientation.x = state.tool.orientation.x = 1.0
    arm.repeat(state, 20.0)
    eye.repeat(array_to_image(np.full((84, 84, 3), 99, np.uint8), 0.0, "third"), 10.0)
    ros.wait_until(lambda: "drive and look" in node.output(), "the page's address")
    url = re.findall(r"http://\S+", node.output())[0].replace("http", "ws").replace("/?", "/ws?")
    with connect(url, compression=None) as line:
        line.send('{"keys": []}')
        seen, end_s = False, time.monotonic() + 10.0
        while time.monotonic() < end_s and not (seen and actions.messages):
            time.sleep(0.1)
            line.send('{"keys": ["shift", "up"]}')
            seen = seen or isinstance(line.recv(timeout=5.0), bytes)
        assert seen, "no picture came"
        assert list(actions.wait(2)[-1].values)[:3] == [1.0, 0.0, 0.0]
    actions.wait_for(lambda m: m.rest)
    assert node.stop() == 0
    actions.close()
    arm.hush()
    eye.hush()
