"""The launch files: they parse, explain themselves, differ where they say, and bring a cell up."""

import os
import re
import signal
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from graph import NO_ROS, ROOT, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from sensor_msgs.msg import Image
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from handful.msg import Action, ArmState, GuardState, Verdict
from handful.wire import messages
from handful.wire.messages import seconds

LAUNCH = ROOT / "launch"
FILES = sorted(LAUNCH.glob("*.launch"))
GIVEN = {
    "bag.launch": ["path:=x.bag"],
    "cell_rig.launch": ["arm:=franka_impedance"],
    "rig.launch": ["arm:=ur_twist", "run:=runs/a", "third_serial:=12345678"],
    "evaluate.launch": ["run:=runs/a"],
    "record_demos.launch": ["run:=runs/a"],
}
MODES = {
    "twin alone": (["twin.launch"], "guard operator robot_state_publisher twin"),
    "twin": (["twin.launch", "run:=/r"], "agent guard operator robot_state_publisher twin"),
    "learning": (
        ["twin.launch", "run:=/r", "mode:=learn", "rviz:=true", "record_bag:=/b.bag"],
        "agent bag guard learner markers operator robot_state_publisher rviz twin",
    ),
    "rig": (
        ["rig.launch", "run:=/r", "arm:=franka_serl"],
        "agent arm guard operator third_camera wrist_camera",
    ),
    "rig with somebody else's camera": (
        ["rig.launch", "arm:=ur_twist", "third:=none", "operator:=false"],
        "arm guard wrist_camera",
    ),
    "rig with its twin beside it": (
        ["rig.launch", "arm:=ur_twist", "shadow:=true", "shadow_hold_m:=0.05"],
        "arm guard operator shadow third_camera wrist_camera",
    ),
    "evaluating": (
        ["evaluate.launch", "run:=/r"],
        "agent guard operator robot_state_publisher twin",
    ),
    "recording on the rig": (
        ["record_demos.launch", "run:=/r", "cell:=rig", "arm:=joint_trajectory"],
        "agent arm guard operator third_camera wrist_camera",
    ),
}


def ask(ros: Graph, *arguments: str) -> str:
    """What roslaunch answers without starting anything."""
    process = ros.run("question", ["/usr/bin/roslaunch", *arguments])
    code = process.wait(30.0)
    assert code == 0, process.output()
    return process.output()


def nodes_of(ros: Graph, *arguments: str) -> list[str]:
    said = ask(ros, "--nodes", str(LAUNCH / arguments[0]), *arguments[1:])
    return sorted(re.findall(r"^/(\w+)$", said, re.MULTILINE))


def params_of(ros: Graph, *arguments: str) -> dict:
    said = ask(ros, "--dump-params", str(LAUNCH / arguments[0]), *arguments[1:])
    return yaml.safe_load(said)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_parses_and_every_argument_is_explained(ros: Graph, path: Path) -> None:
    assert nodes_of(ros, path.name, *GIVEN.get(path.name, []))
    root = ET.parse(path).getroot()
    own = root.findall("arg")
    assert own
    for arg in own:
        assert len((arg.get("doc") or "").split()) >= 2, f"{arg.get('name')} is not explained"
    said = ask(ros, "--ros-args", str(path), *GIVEN.get(path.name, []))
    for arg in own:
        if arg.get("value") is None:
            assert re.search(rf"^\s*{arg.get('name')}\b", said, re.MULTILINE), arg.get("name")


@pytest.mark.parametrize("case", MODES)
def test_what_is_started_is_what_the_page_says(ros: Graph, case: str) -> None:
    arguments, names = MODES[case]
    started = [name.removesuffix("_node") for name in nodes_of(ros, *arguments)]
    assert started == sorted(names.split())


def test_twin_and_rig_differ_by_one_include() -> None:
    twin, rig = (ET.parse(LAUNCH / f"{name}.launch").getroot() for name in ("twin", "rig"))
    files = [[e.get("file", "").rpartition("/")[2] for e in r.iter("include")] for r in (twin, rig)]
    assert files == [["core.launch", "cell_twin.launch"], ["core.launch", "cell_rig.launch"]]
    given = [
        {a.get("name"): a.get("value") for a in next(r.iter("include")).findall("arg")}
        for r in (twin, rig)
    ]
    different = {k for k in given[0] | given[1] if given[0].get(k) != given[1].get(k)}
    assert different == {"scene", "time_scale", "certificate_needed"}
    for root, (_, cell) in zip((twin, rig), files, strict=True):
        inside = {a.get("name") for a in ET.parse(LAUNCH / cell).getroot().findall("arg")}
        own = {a.get("name") for a in root.findall("arg")}
        assert own - set(given[0]) - inside - {"use_sim_time"} == set()
        assert not root.findall("node"), "nodes belong to core or to the cell"


def test_who_may_end_and_who_comes_back_has_a_reason() -> None:
    for path in FILES:
        said = "".join(
            str(element.text) for element in ET.parse(path, commenting()).iter() if is_note(element)
        )
        for node in ET.parse(path).getroot().iter("node"):
            for word in ("respawn", "required"):
                if node.get(word) is not None:
                    assert word in said, f"{path.name}: {node.get('name')} {word}, and no word why"


def commenting() -> ET.XMLParser:
    return ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))


def is_note(element: ET.Element) -> bool:
    return element.tag is ET.Comment  # type: ignore[comparison-overlap]


def test_paths_are_whole_and_the_run_brings_its_settings(ros: Graph) -> None:
    ros.env["PWD"] = "/somewhere"
    for run, folder in (("/a/b", "/a/b"), ("runs/b", "/somewhere/runs/b")):
        params = params_of(ros, "twin.launch", f"run:={run}")
        assert params["/agent_node/run"] == folder
        assert params["/config"] == f"{folder}/config.yaml"
    params = params_of(ros, "twin.launch", "run:=~/c")
    assert params["/agent_node/run"] == f"{ros.env['HOME']}/c"
    assert params_of(ros, "twin.launch", "run:=a", "config:=/d.yaml")["/config"] == "/d.yaml"
    assert params_of(ros, "twin.launch")["/config"] == ""
    del ros.env["PWD"]


def test_the_arguments_reach_the_parameters(ros: Graph) -> None:
    params = params_of(ros, "twin.launch", "run:=/r", "real_time_factor:=2.0", "seed:=7")
    assert params["/use_sim_time"] is True
    assert params["/guard/time_scale"] == params["/live/real_time_factor"] == 2.0
    assert params["/guard/start_ready"] is True and params["/acting/reset"] == "service"
    assert params["/agent_node/seed"] == 7 and params["/agent_node/mode"] == "evaluate"
    assert "/live/sensor_delay_s" not in params
    params = params_of(ros, "rig.launch", "arm:=franka_impedance", "wrist_serial:=0123")
    assert params["/guard/start_ready"] is False and params["/acting/reset"] == "person"
    assert params["/wrist_camera/settings/serial"] == "0123"
    assert params["/third_camera/camera"] == "third"
    assert params["/third_camera/settings/kind"] == "realsense"
    assert params["/arm/motion/kind"] == "pose"
    assert "/use_sim_time" not in params and "/agent_node/seed" not in params


def test_who_judges_and_what_is_learned_from_can_be_said_at_the_start(ros: Graph) -> None:
    ros.env["PWD"] = "/somewhere"
    for file, whole in (("c.safetensors", "/somewhere/c.safetensors"), ("/d.s", "/d.s")):
        params = params_of(
            ros, "twin.launch", "run:=b", "mode:=learn", f"reward_file:={file}",
            "sessions:=/data/monday, play=/data/wander",
        )  # fmt: skip
        assert params["/agent_node/reward/by"] == "learned"
        assert params["/agent_node/reward/file"] == whole
        assert params["/learner_node/sessions"] == "/data/monday, play=/data/wander"
    params = params_of(ros, "rig.launch", "arm:=ur_twist", "run:=b", "mode:=learn")
    assert not [name for name in params if "/reward" in name or "sessions" in name]
    del ros.env["PWD"]


def test_a_rig_needs_a_certificate_and_a_twin_only_when_it_is_given_one(ros: Graph) -> None:
    ros.env["PWD"] = "/somewhere"
    gate = params_of(ros, "rig.launch", "arm:=ur_twist", "run:=runs/b")
    assert gate["/gate/required"] is True and gate["/gate/without_certificate"] == ""
    assert gate["/gate/certificate"] == "/somewhere/runs/b/validation/certificate.json"
    gate = params_of(
        ros, "evaluate.launch", "cell:=rig", "arm:=ur_twist", "run:=b", "certificate:=c.json",
        "without_certificate:=first day, Ada is there",
    )  # fmt: skip
    assert gate["/gate/required"] is True
    assert gate["/gate/certificate"] == "/somewhere/c.json"
    assert gate["/gate/without_certificate"] == "first day, Ada is there"
    gate = params_of(ros, "twin.launch", "run:=b")
    assert gate["/gate/required"] is False and gate["/gate/certificate"] == ""
    gate = params_of(ros, "twin.launch", "run:=b", "certificate:=/c.json")
    assert gate["/gate/required"] is True and gate["/gate/certificate"] == "/c.json"
    del ros.env["PWD"]


@pytest.mark.parametrize("ends", ["respawn", "all", "nothing"])
def test_the_end_of_the_agent_is_what_was_asked_for(ros: Graph, ends: str) -> None:
    script = (
        "import sys, roslaunch.config as c\n"
        "loaded = c.load_config_default([(sys.argv[1], sys.argv[2:])], 11311)\n"
        "print([(n.name, n.respawn, n.required) for n in loaded.nodes])"
    )
    done = ros.run(
        "question",
        [sys.executable, "-c", script, str(LAUNCH / "core.launch"), "run:=/r", f"ends:={ends}"],
    )
    assert done.wait(30.0) == 0, done.output()
    assert f"('agent_node', {ends == 'respawn'}, {ends == 'all'})" in done.output()
    assert "('guard_node', False, True)" in done.output()
    stays = params_of(ros, "core.launch", "run:=/r", f"ends:={ends}")["/agent_node/stay"]
    assert stays is (ends == "respawn"), "a finished agent would be brought back to begin anew"


def test_the_view_names_topics_that_there_are_and_displays_that_rviz_has() -> None:
    view = yaml.safe_load((LAUNCH / "handful.rviz").read_text())["Visualization Manager"]
    classes = {display["Class"] for display in view["Displays"]}
    known = {"Grid", "RobotModel", "MarkerArray", "TF", "Image"}
    assert classes == {f"rviz/{name}" for name in known}
    topics = {d["Image Topic"] for d in view["Displays"] if d["Class"] == "rviz/Image"}
    assert topics == {"third/color/image_raw", "wrist/color/image_raw"}
    assert view["Global Options"]["Fixed Frame"] == messages.BASE_FRAME
    assert view["Displays"][0]["Reference Frame"] == "<Fixed Frame>", "or it stays a Panda's"


@pytest.mark.parametrize(
    ("arguments", "frame"),
    [
        (["twin.launch"], "panda_link0"),
        (["rig.launch", "arm:=ur_twist"], "base_link"),
    ],
)
def test_rviz_stands_on_the_frame_that_the_arm_calls_its_base(
    ros: Graph, arguments: list[str], frame: str
) -> None:
    script = (
        "import sys, roslaunch.config as c\n"
        "loaded = c.load_config_default([(sys.argv[1], sys.argv[2:])], 11311)\n"
        "print([n.args for n in loaded.nodes if n.name == 'rviz'])"
    )
    command = [sys.executable, "-c", script, str(LAUNCH / arguments[0]), *arguments[1:]]
    done = ros.run("question", [*command, "rviz:=true"])
    assert done.wait(30.0) == 0, done.output()
    assert re.search(rf"-d \S+/handful\.rviz -f {frame}'\]", done.output()), done.output()


def test_every_shipped_profile_of_an_arm_stands_where_rviz_does() -> None:
    for path in sorted((ROOT / "config/node/arm").glob("*.yaml")):
        base = yaml.safe_load(path.read_text())["base_frame"]
        assert base == ("panda_link0" if "franka" in path.stem else "base_link"), path.stem


def test_the_twin_comes_up_moves_records_and_ends_as_one(ros: Graph, tmp_path: Path) -> None:
    bag = tmp_path / "cell.bag"
    began_s = time.monotonic()
    cell = ros.launch(LAUNCH / "twin.launch", "markers:=true", f"record_bag:={bag}")
    ros.wait_for_service("guard/resume", 30.0)
    guard = ros.listen("guard/state", GuardState)
    guard.wait_for(lambda m: m.mode == GuardState.READY, "the guard to be ready", 30.0)
    ready_s = time.monotonic() - began_s
    assert ready_s < 30.0, "15 s are promised, on a machine that does nothing else"
    states, verdicts = ros.listen("arm/state", ArmState), ros.listen("guard/verdict", Verdict)
    frames = ros.listen("/tf", TFMessage)
    pictures = ros.listen("third/color/image_raw", Image)
    before_m = states.wait(1)[0].tool.position.x
    actions = ros.talk("script/action", Action, listeners=1)
    # On a busy machine a picture can be old when it comes, and actions on it are refused.
    for sequence in range(1, 201):
        seen_s = seconds(pictures.wait_new().header.stamp)
        action = messages.to_action(
            [0.5, 0.0, 0.0, 1.0], stamp_s=seen_s, sequence=sequence, source="script"
        )
        actions.say(action)
        time.sleep(0.1)
        if sequence >= 10 and any(v.status == Verdict.OK for v in list(verdicts.messages)):
            break
    assert any(v.status == Verdict.OK for v in verdicts.wait(8))
    states.wait_for(lambda m: m.tool.position.x > before_m + 0.03, "the arm to move")
    assert any(t.child_frame_id.startswith("panda_") for m in frames.wait(1) for t in m.transforms)
    drawn = ros.listen("markers", MarkerArray)
    seen = {m.ns for array in drawn.wait(6) for m in array.markers}
    assert seen == {"workspace", "verdict", "target", "fingers", "cube"}
    ros.talk("operator/key", String, listeners=1).say(String("stop"))
    guard.wait_for(lambda m: m.mode == GuardState.STOPPED, "the operator's stop to arrive")
    assert cell.stop(30.0) == 0
    assert not {"/guard_node", "/twin_node", "/operator_node"} & ros.nodes()
    topics = recorded(bag)
    assert {"/third/color/image_raw", "/wrist/color/camera_info", "/arm/state"} <= topics
    assert {"/guard/command", "/guard/verdict", "/script/action", "/tf_static"} <= topics
    for ear in (guard, states, verdicts, frames, pictures, drawn):
        ear.close()


def recorded(bag: Path) -> set[str]:
    import rosbag

    with rosbag.Bag(str(bag)) as opened:
        return set(opened.get_type_and_topic_info().topics)


@pytest.mark.parametrize("node", ["guard_node", "twin_node"])
def test_without_guard_or_twin_everything_ends(ros: Graph, node: str) -> None:
    cell = ros.launch(LAUNCH / "twin.launch", "operator:=false", "model:=none")
    ros.wait_for_service("scene/reset", 30.0)
    ros.wait_for_service("guard/resume", 30.0)
    killed = ros._marked(f"{node}.py")
    assert len(killed) == 1
    os.kill(killed[0], signal.SIGKILL)
    cell.wait(30.0)
    assert not ros._marked("guard_node.py", "twin_node.py")
