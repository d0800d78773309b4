"""The twin node in a real graph: the topics of cameras and arm, time, resets, and who it obeys."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from graph import NO_ROS, Graph, Process

pytest.importorskip("handful.msg", reason=NO_ROS)

from diagnostic_msgs.msg import DiagnosticArray
from handful_twin import make_env
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from handful.contract import Command
from handful.msg import ArmState
from handful.msg import Command as CommandMessage
from handful.rig.geometry import from_quat_xyzw, pose
from handful.srv import Reset
from handful.wire import messages
from handful.wire.messages import seconds, stamp

ROOT = Path(__file__).parents[2]
CAMERAS = ("third", "wrist")
PUBLISHER = "/usr/lib/robot_state_publisher/robot_state_publisher"


@pytest.fixture(scope="module")
def twin(ros: Graph) -> Process:
    """One twin for the module; every test brings its own scene."""
    node = ros.start("twin_node")
    ros.wait_for_service("scene/reset")
    return node


def order(y_m: float = 0.0, sequence: int = 1, **more) -> CommandMessage:
    goal = Command(np.array([0.5, y_m, 0.2]), 0.0, 0.08)
    given = {"stamp_s": time.time(), "sequence": sequence, "valid_s": 0.3, **more}
    return messages.to_command(goal, **given)


def test_pictures_come_as_from_a_realsense(ros: Graph, twin: Process) -> None:
    assert ros.call("scene/reset", Reset, 7).success
    env = make_env("lift")
    for name in CAMERAS:
        pictures = ros.listen(f"{name}/color/image_raw", Image)
        infos = ros.listen(f"{name}/color/camera_info", CameraInfo)
        pictures.wait(60)
        infos.wait(40)
        pictures.close()
        infos.close()
        stamps_s = np.array([seconds(picture.header.stamp) for picture in pictures.messages])
        assert np.diff(stamps_s).min() > 0.0
        assert len(stamps_s) / np.ptp(stamps_s) == pytest.approx(30.0, rel=0.15)
        picture, info = pictures.last, infos.last
        assert (picture.encoding, picture.height, picture.width) == ("rgb8", 84, 84)
        assert picture.header.frame_id == info.header.frame_id == f"{name}_color_optical_frame"
        assert {seconds(info.header.stamp) for info in infos.messages} & set(stamps_s)
        assert np.reshape(info.K, (3, 3)) == pytest.approx(env.cameras[name].K)
        assert messages.frame(picture, name).pixels.std() > 5.0
    env.close()


def test_the_arm_speaks_at_its_rate_and_its_stamps_are_of_the_past(
    ros: Graph, twin: Process
) -> None:
    kinds = {"arm/state": ArmState, "joint_states": JointState, "judge/at_goal": Bool}
    ears = {topic: ros.listen(topic, kind) for topic, kind in kinds.items()}
    for ear in ears.values():
        ear.wait(50)
        ear.close()
    states = ears["arm/state"]
    stamps_s = np.array([seconds(state.header.stamp) for state in states.messages])
    assert len(stamps_s) / np.ptp(stamps_s) == pytest.approx(50.0, rel=0.15)
    ages_s = np.array(states.arrived_s) + (time.time() - time.monotonic()) - stamps_s
    assert ages_s.min() > -1e-3, "a state of the future"
    assert np.median(ages_s) < 0.03
    state = states.last
    assert state.header.frame_id == "panda_link0" and len(state.q_rad) == 7
    joints = ears["joint_states"].last
    assert joints.name == [f"panda_joint{k}" for k in range(1, 8)] + [
        "panda_finger_joint1",
        "panda_finger_joint2",
    ]
    assert len(joints.position) == len(joints.velocity) == 9
    assert ears["judge/at_goal"].last.data is False


def test_a_reset_puts_up_the_scene_of_the_seed(ros: Graph, twin: Process) -> None:
    env = make_env("lift")
    states = ros.listen("arm/state", ArmState)
    pictures = {name: ros.listen(f"{name}/color/image_raw", Image) for name in CAMERAS}
    for seed in (5, 2**40 + 3):
        answer = ros.call("scene/reset", Reset, seed)
        assert answer.success, answer.message
        after_s = time.time()
        observation, arm = env.reset(seed), env.arm_state()
        state = states.wait_for(lambda m, s=after_s: seconds(m.header.stamp) > s)
        assert state.holding and not state.fault and state.command == 0
        assert messages.arm_state(state).target_p_BT_m == pytest.approx(arm.target_p_BT_m)
        assert state.target_gripper_m == pytest.approx(arm.target_gripper_m)
        assert np.array(state.q_rad) == pytest.approx(arm.q_rad, abs=0.002)
        for name, ear in pictures.items():
            ear.forget()
            shown = messages.frame(ear.wait_new(), name).pixels.astype(int)
            assert np.abs(shown - observation.images[name]).mean() < 1.0
    for ear in (states, *pictures.values()):
        ear.close()
    env.close()


def test_it_follows_one_commander_and_holds_when_that_falls_silent(
    ros: Graph, twin: Process
) -> None:
    ros.call("scene/reset", Reset, 1)
    states = ros.listen("arm/state", ArmState)
    commands = ros.talk("guard/command", CommandMessage, listeners=1)
    commands.repeat(order(0.1, sequence=41), 50.0)
    moved = states.wait_for(lambda m: m.command == 41 and abs(m.tool.position.y - 0.1) < 0.01)
    assert not moved.holding
    assert [moved.target.position.y, moved.target_gripper_m] == pytest.approx([0.1, 0.08])
    commands.hush()
    silent_s = time.monotonic()
    states.forget()
    states.wait_for(lambda m: m.holding, "the arm to hold by itself")
    assert time.monotonic() - silent_s < 0.3 + 0.2
    commands.repeat(order(0.1, sequence=42), 50.0)
    states.wait_for(lambda m: not m.holding)
    commands.repeat(order(0.1, sequence=43, hold=True), 50.0)
    states.wait_for(lambda m: m.holding and m.command == 43)
    commands.repeat(order(0.9, sequence=44), 50.0)
    unreachable = states.wait_for(lambda m: m.fault)
    assert "out of reach" in unreachable.fault and unreachable.holding
    commands.hush()
    states.close()


def test_a_second_commander_is_not_obeyed_and_complained_of(ros: Graph, twin: Process) -> None:
    ros.call("scene/reset", Reset, 1)
    states, said = ros.listen("arm/state", ArmState), ros.listen("/diagnostics", DiagnosticArray)
    commands = ros.talk("guard/command", CommandMessage, listeners=1)
    commands.repeat(order(0.1, sequence=5), 50.0)
    states.wait_for(lambda m: m.command == 5)
    later = f"{{stamp: {{secs: {int(time.time()) + 3600}, nsecs: 0}}}}"
    goal = "{position: {x: 0.5, y: -0.1, z: 0.2}}"
    text = f"{{header: {later}, sequence: 99, tool: {goal}, valid_s: 0.3}}"
    other = ros.run(
        "other",
        ["/usr/bin/rostopic", "pub", "-r", "50", "guard/command", "handful/Command", text],
        PYTHONPATH=str(ROOT / ".catkin/devel/lib/python3/dist-packages"),
    )
    wrong = said.wait_for(
        lambda m: any("commands the arm too" in s.message for s in m.status), timeout_s=15.0
    )
    assert next(s for s in wrong.status if "twin_node" in s.name).level == 2
    assert not [m for m in states.messages if m.command == 99]
    other.kill()
    commands.hush()
    states.close()
    said.close()


def test_a_command_of_before_the_reset_is_not_obeyed_after_it(ros: Graph, twin: Process) -> None:
    commands = ros.talk("guard/command", CommandMessage, listeners=1)
    decided_s = time.time()
    ros.call("scene/reset", Reset, 3)
    states = ros.listen("arm/state", ArmState)
    commands.say(order(0.2, sequence=7, stamp_s=decided_s))
    wrong = order(0.2, sequence=8)
    wrong.header.frame_id = "third_color_optical_frame"
    commands.say(wrong)
    states.wait(20)
    assert not {(m.command, m.holding) for m in states.messages} - {(0, True)}
    commands.say(order(0.2, sequence=9))
    states.wait_for(lambda m: m.command == 9)
    states.close()


def test_tf_has_the_tool_where_the_arm_says_and_cameras_where_they_are_bolted(
    ros: Graph, twin: Process
) -> None:
    tf2_py = pytest.importorskip("tf2_py", reason=NO_ROS)
    if not Path(PUBLISHER).exists():
        pytest.skip("NO robot_state_publisher HERE; apt-get install ros-robot-state-publisher")
    ros.set_param("/robot_description", (ROOT / "sim/assets/panda.urdf").read_text())
    ros.run("robot_state_publisher", [PUBLISHER])
    moving, fixed = ros.listen("/tf", TFMessage), ros.listen("/tf_static", TFMessage)
    states = ros.listen("arm/state", ArmState)
    commands = ros.talk("guard/command", CommandMessage, listeners=1)
    fixed.wait_for(lambda m: any(t.child_frame_id == "third_link" for t in m.transforms))
    moving.wait(1)
    commands.repeat(order(0.1, sequence=3), 50.0)
    states.wait_for(lambda m: m.command == 3)
    time.sleep(0.7)
    commands.hush()
    for ear in (moving, fixed, states):
        ear.close()
    core = tf2_py.BufferCore()
    for array in fixed.messages:
        for transform in array.transforms:
            core.set_transform_static(transform, "test")
    for array in moving.messages:
        for transform in array.transforms:
            core.set_transform(transform, "test")
    errors_m, seen_y_m = [], []
    known_s = {seconds(t.header.stamp) for m in moving.messages for t in m.transforms}
    for state in states.messages:
        if seconds(state.header.stamp) in known_s:
            X_BT = looked_up(core, "panda_link0", "panda_hand_tcp", state.header.stamp)
            errors_m.append(np.linalg.norm(X_BT[:3, 3] - messages.arm_state(state).p_BT_m))
            seen_y_m.append(X_BT[1, 3])
    assert len(errors_m) > 10 and max(errors_m) < 1e-3, max(errors_m)
    assert np.ptp(seen_y_m) > 0.02, "it was compared at one place only"
    env = make_env("lift")
    X_BC = looked_up(core, "panda_link0", "third_color_optical_frame", stamp(0.0))
    assert pytest.approx(env.cameras["third"].X_AC, abs=1e-6) == X_BC
    X_HC = looked_up(core, "panda_hand", "wrist_color_optical_frame", stamp(0.0))
    assert pytest.approx(env.cameras["wrist"].X_AC, abs=1e-6) == X_HC
    X_LC = looked_up(core, "wrist_color_frame", "wrist_color_optical_frame", stamp(0.0))
    assert pytest.approx(X_LC[:3, 2], abs=1e-9) == [1.0, 0.0, 0.0], "optical z is the link's x"
    env.close()


def looked_up(core, parent: str, child: str, when) -> np.ndarray:
    found = core.lookup_transform_core(parent, child, when).transform
    q, p = found.rotation, found.translation
    return pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), [p.x, p.y, p.z])


def test_the_things_on_the_table_are_drawn_where_they_are(ros: Graph, twin: Process) -> None:
    env = make_env("lift")
    env.reset(12)
    ros.call("scene/reset", Reset, 12)
    ear = ros.listen("markers", MarkerArray)
    cube = next(m for m in ear.wait(2)[-1].markers if m.ns == "cube")
    ear.close()
    where = cube.pose.position
    assert [where.x, where.y, where.z] == pytest.approx(env.truth().bodies["cube"][0], abs=1e-3)
    assert [cube.scale.x, cube.scale.y, cube.scale.z] == pytest.approx([0.04] * 3)
    env.close()


def test_it_needs_no_torch_and_reports_how_it_lives(ros: Graph, twin: Process) -> None:
    assert "libtorch" not in Path(f"/proc/{twin.pid}/maps").read_text()
    ear = ros.listen("/diagnostics", DiagnosticArray)
    array = ear.wait_for(lambda m: any(s.name == "twin_node: cell" for s in m.status))
    values = {v.key: v.value for s in array.status for v in s.values}
    assert float(values["real_time_factor"]) > 0.3
    ear.close()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"real_time_factor": 2.0}, "use_sim_time"),
        ({"camera_rate": 30.0}, "camera_rate_hz"),
        ({"task_name": "juggle"}, "there are: drawer, lift, "),
    ],
)
def test_what_cannot_be_meant_ends_it_in_a_sentence(
    ros: Graph, parameters: dict, sentence: str
) -> None:
    given = parameters if "task_name" in parameters else {"live": parameters}
    node = ros.start("twin_node", name="wrong_twin", **given)
    assert node.wait(20.0) == 2
    assert sentence in node.output() and "Traceback" not in node.output()
    ros.master("deleteParam", "/wrong_twin")


def test_it_ends_at_ctrl_c(ros: Graph) -> None:
    node = ros.start("twin_node", "scene/reset:=other/reset", name="short_lived")
    ros.wait_for_service("other/reset")
    assert node.stop() == 0


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[Graph]:
    graph = Graph(tmp_path / "sim")
    graph.set_param("/use_sim_time", True)
    try:
        yield graph
    finally:
        graph.close()


def test_with_a_clock_of_its_own_the_cell_may_live_faster(simulated: Graph) -> None:
    simulated.start("twin_node", live={"real_time_factor": 2.0, "camera_rate_hz": 10.0})
    clock = simulated.listen("/clock", Clock)
    states = simulated.listen("arm/state", ArmState)
    clock.wait(10)
    start, start_s = seconds(clock.last.clock), time.monotonic()
    time.sleep(1.5)
    factor = (seconds(clock.last.clock) - start) / (time.monotonic() - start_s)
    assert factor == pytest.approx(2.0, rel=0.25)
    ticks_s = [seconds(m.clock) for m in clock.messages]
    assert np.diff(ticks_s).min() > 0.0
    assert max(seconds(m.header.stamp) for m in states.messages[:-5]) <= ticks_s[-1] + 1e-6
    commands = simulated.talk("guard/command", CommandMessage, listeners=1)
    commands.repeat(order(0.1, sequence=6), 50.0)
    states.wait_for(lambda m: m.command == 6 and abs(m.tool.position.y - 0.1) < 0.01)
