"""The node kit in real processes: reports, settings, time that goes back, lost masters."""

import signal
import textwrap
import time
from pathlib import Path

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64, String

from handful.wire.messages import stamp

KIT = """
import rospy
from std_msgs.msg import Float64, String
from handful.rig.settings import RigSettings
from handful.rig.arm import ArmError
from handful.wire.node import Level, Node, run, settings

def main(node):
"""


@pytest.fixture
def script(tmp_path: Path):
    """Make a node of a few lines."""

    def write(body: str, name: str = "kit_node") -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(
            KIT + textwrap.indent(textwrap.dedent(body), "    ") + f"\nrun(main, {name!r})\n"
        )
        return path

    return write


def status(ros: Graph, name: str):
    """The next diagnostics of a check."""
    ear = ros.listen("/diagnostics", DiagnosticArray)
    array = ear.wait_for(lambda m: any(s.name == name for s in m.status), f"diagnostics of {name}")
    ear.close()
    return next(s for s in array.status if s.name == name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_in_the_middle_of_a_question_to_the_master(
    ros: Graph, script, number: int
) -> None:
    body = """
        rospy.on_shutdown(lambda: print("the hook ran", flush=True))
        print("asking", flush=True)
        while True:
            rospy.get_param("/run_id")
    """
    node = ros.start_script(script(body, f"asker_{number}"))
    ros.wait_until(lambda: "asking" in node.output(), "the first question")
    node.signal(number)
    assert node.wait(5.0) == 0
    assert node.output().count("the hook ran") == 1


def test_it_reports_once_a_second_and_ends_with_ctrl_c(ros: Graph, script) -> None:
    node = ros.start_script(
        script("""
            node.check("grip", lambda: (Level.WARN, "loose", {"opening_m": "0.08"}))
            node.check("bug", lambda: 1 / 0)
            rospy.on_shutdown(lambda: print("the hook ran", flush=True))
        """)
    )
    ear = ros.listen("/diagnostics", DiagnosticArray)
    ear.wait(3)
    mine = [
        t
        for t, m in zip(ear.arrived_s, ear.messages, strict=False)
        if m.status[0].name.startswith("kit")
    ]
    assert 0.8 < mine[-1] - mine[-2] < 1.5
    grip, bug = status(ros, "kit_node: grip"), status(ros, "kit_node: bug")
    assert (grip.level, grip.message) == (1, "loose")
    assert (grip.values[0].key, grip.values[0].value) == ("opening_m", "0.08")
    assert (bug.level, bug.message) == (2, "ZeroDivisionError: division by zero")
    began_s = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began_s < 3.0
    assert "the hook ran" in node.output()


def test_a_node_without_checks_says_that_it_runs(ros: Graph, script) -> None:
    node = ros.start_script(script("pass", "plain_node"))
    assert status(ros, "plain_node: alive").message == "running"
    assert node.stop() == 0


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise ArmError('the arm is off')", 2, "the arm is off"),
        ("settings(RigSettings, 'nothing')", 2, "no settings 'nothing'; give parameters nothing/"),
        ("raise RuntimeError('a bug')", 1, "Traceback"),
    ],
)  # fmt: skip
def test_it_ends_in_a_sentence_or_shows_the_bug(ros, script, body, code, said) -> None:
    node = ros.start_script(script(body))
    assert node.wait() == code
    assert said in node.output()
    assert ("Traceback" in node.output()) == (code == 1)


READ = """
    got = settings(RigSettings, "rig", "rig")
    print("GOT", got.control_rate_hz, sorted(got.cameras), got.guard.max_speed_m_s, flush=True)
    rospy.signal_shutdown("read")
"""
FILE = """
rig:
  control_rate_hz: 2e1
  cameras: {left: {crop_px: null}}
"""


@pytest.mark.parametrize(
    ("parameters", "file", "said"),
    [
        ({}, "", "GOT 10.0 ['third', 'wrist'] 0.6"),
        ({"rig": {"control_rate_hz": 5.0}}, "", "GOT 5.0 ['third', 'wrist'] 0.6"),
        ({"rig": {"cameras": {"a": {}, "b": {"width_px": 9}}}}, "", "GOT 10.0 ['a', 'b'] 0.6"),
        ({}, FILE, "GOT 20.0 ['left'] 0.6"),
        ({"rig": {"guard": {"max_speed_m_s": 0.1}}}, FILE, "GOT 20.0 ['left'] 0.1"),
        ({}, "task: {}", "GOT 10.0 ['third', 'wrist'] 0.6"),
        ({"rig": {"speed": 1}}, "", "parameter /kit_node/rig"),
        ({"rig": 7}, "", "parameter /kit_node/rig: expected a mapping of keys to values, got 7"),
        ({"config": "/nowhere.yaml"}, "", "/nowhere.yaml: no such settings file"),
        ({}, "rig: 3", "expected a mapping of keys to values"),
    ],
)
def test_settings_come_from_file_and_parameters(ros, script, parameters, file, said) -> None:
    if file:
        path = script("pass").with_name("config.yaml")
        path.write_text(file)
        parameters = parameters | {"config": str(path)}
    ros.set_param("/kit_node", {})
    node = ros.start_script(script(READ), **parameters)
    assert node.wait() == (0 if said.startswith("GOT") else 2), node.output()
    assert said in node.output()
    ros.set_param("/kit_node", {})


def test_simulated_time_is_followed_and_its_way_back_noticed(ros: Graph, script) -> None:
    ros.set_param("/use_sim_time", True)
    clock = ros.talk("/clock", Clock)
    try:
        node = ros.start_script(
            script("""
                said = rospy.Publisher("said", String, queue_size=10, latch=True)
                node.clock.on_jump_back(lambda by_s: said.publish(f"back by {by_s:.1f}"))
                def nap(message):
                    node.clock.sleep_until(message.data)
                    said.publish(f"awake at {node.clock.now_s():.1f}")
                rospy.Subscriber("nap", Float64, nap)
            """)
        )
        said = ros.listen("said", String)
        nap = ros.talk("nap", Float64, listeners=1)
        clock_of(ros, clock, 10.0)
        nap.say(Float64(11.0))
        assert said.silent(0.3)
        clock_of(ros, clock, 11.0)
        assert said.wait(1)[-1].data == "awake at 11.0"
        nap.say(Float64(50.0))
        time.sleep(0.2)
        clock_of(ros, clock, 2.5)
        assert {m.data for m in said.wait(3)[1:]} == {"back by 8.5", "awake at 2.5"}
        assert status(ros, "kit_node: alive").level == 0
        assert node.stop() == 0
    finally:
        ros.set_param("/use_sim_time", False)


def clock_of(ros: Graph, clock, now_s: float) -> None:
    ros.wait_until(lambda: clock.listeners(), "the node to hear the clock")
    clock.say(Clock(stamp(now_s)))


def test_a_master_that_dies_and_one_that_comes_back_end_the_node(tmp_path: Path, script) -> None:
    ros = Graph(tmp_path / "own")
    try:
        short = ros.start_script(
            script("rospy.on_shutdown(lambda: print('hook'))"), master_patience_s=1.5
        )
        brave = ros.start_script(script("pass", "brave_node"), master_patience_s=0)
        patient = ros.start_script(script("pass", "patient_node"), master_patience_s=60)
        time.sleep(1.5)
        ros.kill_master()
        assert short.wait(10.0) == 3
        assert f"the ROS master at {ros.uri} has not answered for" in short.output()
        assert "hook" in short.output() and "Traceback" not in short.output()
        assert patient.running
        ros.start_master()
        assert patient.wait(10.0) == 3
        assert "was started again (process" in patient.output()
        assert brave.running
    finally:
        ros.close()


def test_a_master_that_hangs_hangs_nobody(tmp_path: Path, script) -> None:
    """A network that swallows everything: rospy itself would wait for ever, also to say so."""
    ros = Graph(tmp_path / "own")
    try:
        node = ros.start_script(
            script("rospy.on_shutdown(lambda: print('hook', flush=True))"), master_patience_s=1.0
        )
        status(ros, "kit_node: alive")
        ros.stop_master()
        assert node.wait(15.0) == 3
        assert "has not answered for" in node.output() and "hook" in node.output()
    finally:
        ros.close()
