"""The running guard over a real graph: verdicts, silence, e-stop, resume, two senders, its end."""

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

import rospy
from diagnostic_msgs.msg import DiagnosticArray
from guard_kit_ros import START_M, Bench, arm_message
from std_msgs.msg import Bool, String

from handful.msg import Action, GuardState, Verdict
from handful.srv import Halt, Resume
from handful.wire.stamps import stamp

SENDER = Path(__file__).with_name("guard_sender.py")


@pytest.fixture(scope="module")
def shared(ros: Graph) -> Bench:
    return Bench(ros, start_ready=True)


@pytest.fixture
def guard(shared: Bench) -> Iterator[Bench]:
    """A guard that is ready, with nobody moving the arm."""
    shared.ready()
    yield shared
    for mouth in shared.actions.values():
        mouth.hush()


def now() -> rospy.Time:
    return stamp(time.time())


def fresh(*values: float, rest: bool = False) -> Action:
    message = Action(values=list(values), rest=rest, source="agent")
    message.header.stamp = now()
    return message


def test_it_knows_no_torch_and_no_physics(guard: Bench) -> None:
    maps = Path(f"/proc/{guard.process.pid}/maps").read_text()
    assert "numpy" in maps
    for name in ("torch", "pybullet", "libcuda"):
        assert name not in maps, f"{name} is loaded into the guard's process"


def test_commands_come_fifty_times_a_second_and_each_has_its_number(guard: Bench) -> None:
    guard.commands.forget()
    heard = guard.commands.wait(100)
    took_s = guard.commands.arrived_s[99] - guard.commands.arrived_s[0]
    assert 1.5 < took_s < 2.6
    numbers = [m.sequence for m in heard]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(m.header.frame_id == "panda_link0" and m.valid_s == 0.15 for m in heard)
    assert all(m.tool.position.x == pytest.approx(START_M[0]) for m in heard)


def test_an_action_gets_its_verdict_and_the_next_command_is_its_goal(guard: Bench) -> None:
    guard.commands.forget()
    action = fresh(1.0, -0.5, 0.0, 1.0)
    verdict = guard.judge(action)
    assert verdict.status == Verdict.OK, verdict.reason
    assert verdict.observed == action.header.stamp and verdict.source == "agent"
    assert verdict.executed == pytest.approx([1.0, -0.5, 0.0, 1.0], abs=1e-6)
    assert verdict.step_m == pytest.approx([0.03, -0.015, 0.0])
    command = guard.commands.wait_for(lambda m: m.tool.position.x > START_M[0] + 0.02)
    assert command.tool.position.x == verdict.tool.position.x
    assert command.gripper_m == verdict.gripper_m == pytest.approx(0.08)
    assert not command.hold and command.header.stamp == verdict.header.stamp
    guard.judge(fresh(rest=True))


def test_a_sender_killed_by_sigkill_leads_to_a_hold_within_a_fifth_of_a_second(guard: Bench):
    for late_s in (0.0, 0.04, 0.08):  # since its last action
        guard.ready()
        sender = guard.ros.start_script(SENDER, "script", name="victim")
        guard.until(lambda s: s.source == "script", "the sender to move the arm")
        time.sleep(0.3 + late_s)
        guard.commands.forget()
        killed_s = time.monotonic()
        sender.kill()
        hold = guard.commands.wait_for(lambda m: m.hold, "a hold", 2.0)
        took_s = guard.commands.arrived_s[guard.commands.messages.index(hold)] - killed_s
        print(f"SIGKILL to the first hold that arrives: {1e3 * took_s:.0f} ms")
        assert took_s < 0.2
        assert hold.reason == "script fell silent"
        state = guard.until(lambda s: s.mode == GuardState.HELD)
        assert state.reason == "script fell silent"


def test_only_the_service_resumes_and_it_wants_a_name(guard: Bench) -> None:
    guard.ros.call("guard/hold", Halt, "look")
    guard.until(lambda s: s.mode == GuardState.HELD)
    guard.act(20.0)
    time.sleep(0.5)
    assert guard.state.mode == GuardState.HELD and guard.verdicts.last.status == Verdict.HELD
    assert not guard.ros.call("guard/resume", Resume, "").success
    answer = guard.ros.call("guard/resume", Resume, "Ada")
    assert answer.success, answer.message
    guard.until(lambda s: s.mode == GuardState.READY and s.source == "agent")


@pytest.mark.parametrize("start", ["idle", "moving", "held", "stopped"])
@pytest.mark.parametrize("way", ["e_stop", "service", "topic"])
def test_a_stop_stops_in_every_mode(guard: Bench, start: str, way: str) -> None:
    if start == "moving":
        guard.moving()
    elif start != "idle":
        guard.ros.call(f"guard/{'hold' if start == 'held' else 'stop'}", Halt, start)
    button = guard.ros.talk("guard/e_stop", Bool, listeners=1)
    request = guard.ros.talk("guard/request_stop", String, listeners=1)
    guard.commands.forget()
    said_s = time.monotonic()
    if way == "e_stop":
        button.say(Bool(True))
    elif way == "topic":
        request.say(String("look out"))
    else:
        guard.ros.call("guard/stop", Halt, "look out")
    state = guard.until(lambda s: s.mode == GuardState.STOPPED, "a stop")
    hold = guard.commands.wait_for(lambda m: m.hold)
    arrived_s = guard.commands.arrived_s[guard.commands.messages.index(hold)]
    assert arrived_s - said_s < 0.2
    expected = "the e-stop is pressed" if way == "e_stop" else "look out"
    assert state.reason == ("stopped" if start == "stopped" else expected)
    assert guard.judge(fresh(0, 0, 0, 0)).status == Verdict.HELD
    if way == "e_stop":
        refused = guard.ros.call("guard/resume", Resume, "Ada")
        assert not refused.success and "e-stop" in refused.message
        button.say(Bool(False))


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([math.nan, 0, 0, 0], Verdict.NOT_FINITE),
        ([0, 0, -math.inf, 0], Verdict.NOT_FINITE),
        ([0, 0, 0], Verdict.REFUSED),
        ([], Verdict.REFUSED),
        ([0.0] * 1000, Verdict.REFUSED),
    ],
)
def test_bad_actions_are_refused_and_the_third_latches(guard: Bench, values, status) -> None:
    for _ in range(3):
        verdict = guard.judge(fresh(*values))
        assert verdict.status == status, verdict.reason
        assert verdict.tool.position.x == pytest.approx(START_M[0])
        assert len(verdict.executed) == 4 and all(map(math.isfinite, verdict.executed))
    state = guard.until(lambda s: s.mode == GuardState.HELD)
    assert "3 bad actions of agent in a row" in state.reason


def test_an_old_stamp_and_a_future_one_are_stale(guard: Bench) -> None:
    for offset_s in (-1.0, 5.0):
        message = fresh(0, 0, 0, 0)
        message.header.stamp += rospy.Duration(offset_s)
        assert guard.judge(message).status == Verdict.STALE


def test_two_agents_are_held_by_name(guard: Bench) -> None:
    time.sleep(1.1)  # the tests' own node has spoken for the agent before
    senders = [guard.ros.start_script(SENDER, "agent", name=n) for n in ("agent", "agent_2")]
    state = guard.until(lambda s: s.mode == GuardState.HELD, "two agents to be noticed")
    assert state.reason == "two agents: /agent and /agent_2"
    assert "two agents" in guard.ros.call("guard/resume", Resume, "Ada").message
    for sender in senders:
        sender.kill()
    time.sleep(1.1)  # guard.sender_memory_s
    assert guard.ros.call("guard/resume", Resume, "Ada").success


@pytest.mark.parametrize("silent", ["arm", "third"])
def test_a_part_that_falls_silent_is_named(guard: Bench, silent: str) -> None:
    guard.moving()
    mouth = guard.arm if silent == "arm" else guard.cameras[silent]
    name = "arm/state" if silent == "arm" else f"camera {silent}"
    silenced_s = time.monotonic()
    mouth.hush()
    state = guard.until(lambda s: s.mode == GuardState.HELD)
    assert time.monotonic() - silenced_s < 0.5
    assert f"{name} is silent" in state.reason
    assert name in guard.ros.call("guard/resume", Resume, "Ada").message


def test_a_fault_of_the_arm_is_a_hold_in_its_words(guard: Bench) -> None:
    guard.arm.repeat(arm_message(fault="joint 4 is hot"), 50.0)
    assert guard.until(lambda s: s.mode == GuardState.HELD).reason == "arm: joint 4 is hot"


def test_an_arm_with_an_impossible_stamp_does_not_end_the_guard(guard: Bench) -> None:
    guard.arm.hush()
    odd = arm_message(command=0)
    odd.header.stamp = rospy.Time(2**32 - 1, 999_999_999)
    guard.arm.say(odd)
    guard.commands.forget()
    assert len(guard.commands.wait(20)) >= 20 and guard.process.running
    guard.ready()
    assert guard.judge(fresh(0, 0, 0, 0)).status == Verdict.OK


def test_diagnostics_say_who_moves_and_how_late_the_stream_is(guard: Bench) -> None:
    guard.moving()
    ear = guard.ros.listen("/diagnostics", DiagnosticArray)
    found = {}
    while not {"guard_node: guard", "guard_node: commands"} <= set(found):
        found |= {status.name: status for status in ear.wait_new().status}
    assert found["guard_node: guard"].message == "agent moves the arm"
    values = {v.key: v.value for v in found["guard_node: commands"].values}
    assert 0.0 <= float(values["late_p50_ms"]) <= float(values["late_p99_ms"]) < 200.0
    print({key: values[key] for key in sorted(values)})


def test_on_the_way_out_it_says_hold_more_than_once(guard: Bench) -> None:
    guard.moving()
    guard.commands.forget()
    guard.process.signal(signal.SIGINT)
    assert guard.process.wait(8.0) == 0
    last = guard.commands.messages[-4:]
    assert len(last) == 4 and all(m.hold and m.reason == "the guard ends" for m in last)
    assert guard.state.mode == GuardState.HELD


def test_settings_that_cannot_work_are_said_in_a_sentence(ros: Graph) -> None:
    process = ros.start("guard_node", name="guard_b", guard={"max_action_silence_s": 0.05})
    assert process.wait(10.0) == 2
    assert "max_action_silence_s is 0.05 s" in process.output()
    assert "Traceback" not in process.output()
