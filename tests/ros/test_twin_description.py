"""The arm that RViz and TF are told of is the one that the twin has, wherever it stands."""

import runpy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from graph import NO_ROS, ROOT, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from handful_twin.arm_model import arm_model
from handful_twin.arm_settings import ArmSettings
from tf2_msgs.msg import TFMessage

from handful.config import ConfigError, read
from handful.msg import ArmState
from handful.rig.chain import Chain, read_urdf
from handful.rig.geometry import exp_so3, from_quat_xyzw, pose
from handful.wire import messages
from handful.wire.messages import BASE_FRAME, seconds
from handful.wire.twin_description import TIP, description, fixed_axis_rpy

PANDA = ROOT / "sim/assets/panda.urdf"
PUBLISHER = Path("/usr/lib/robot_state_publisher/robot_state_publisher")
MOVED = {"like": "panda", "base": {"position_m": [-0.1, 0.05, 0.02], "yaw_rad": 0.4}}


def chain_of(text: str) -> Chain:
    return read_urdf(text, BASE_FRAME, TIP)


@pytest.mark.parametrize("arm", ["panda", "xarm6", "iiwa", MOVED], ids=str)
def test_its_tool_tip_is_where_the_twin_has_it(arm: Any) -> None:
    settings = ArmSettings.model_validate(arm)
    model, chain = arm_model(settings), chain_of(description(settings))
    assert chain.names == model.joints
    rng, frames = np.random.default_rng(0), model.frames()
    for _ in range(5):
        q_rad = rng.uniform(*np.clip(model.limits[:2], -2.0, 2.0))
        model.forward(q_rad, frames)
        assert chain.forward(q_rad) == pytest.approx(frames[model.tip], abs=1e-9)


def test_what_is_drawn_is_there_and_what_nobody_publishes_stands_still() -> None:
    settings = ArmSettings.model_validate("xarm6")
    robot, model = ET.fromstring(description(settings)), arm_model(settings)
    meshes = [str(mesh.get("filename")) for mesh in robot.iter("mesh")]
    assert len(meshes) > 7
    assert all(Path(name.removeprefix("file://")).is_file() for name in meshes)
    moving = {j.get("name") for j in robot.findall("joint") if j.get("type") != "fixed"}
    assert moving == {*model.joints, *model.fingers}
    assert not robot.findall("joint/mimic"), "followers are published, not followed"
    grip = settings.gripper
    assert grip is not None
    one = settings.model_copy(
        update={"gripper": grip.model_copy(update={"joints": ("drive_joint",)})}
    )
    moving = {
        j.get("name") for j in ET.fromstring(description(one)).findall("joint")
        if j.get("type") != "fixed"
    }  # fmt: skip
    assert moving == {*model.joints, "drive_joint"}


def test_turns_are_the_urdf_s_own_also_straight_up() -> None:
    for w in ([0.1, -0.7, 2.0], [0.0, 0.5 * np.pi, 0.0], [0.0, -0.5 * np.pi, 0.0], [np.pi, 0, 0]):
        X = pose(exp_so3([0.0, 0.0, 0.3]) @ exp_so3(w), [0.0, 0.0, 0.0])
        roll, pitch, yaw = fixed_axis_rpy(X)
        back = exp_so3([0, 0, yaw]) @ exp_so3([0, pitch, 0]) @ exp_so3([roll, 0, 0])
        assert back == pytest.approx(X[:3, :3], abs=1e-9)


def test_a_config_says_which_and_what_is_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = runpy.run_path(str(ROOT / "nodes/arm_description.py"))["main"]
    panda, config = PANDA.read_text(), tmp_path / "config.yaml"
    assert asked("", str(PANDA)) == panda
    whole = ArmSettings.model_validate("panda").model_dump(mode="json")
    for content in ({"task_name": "lift"}, {"twin": {"arm": whole}}, {"twin": {"arm": "panda"}}):
        config.write_text(yaml.safe_dump(content))
        assert asked(str(config), str(PANDA)) == panda
    config.write_text("twin: {arm: xarm6}")
    assert chain_of(asked(str(config), str(PANDA))).names[0] == "joint1"
    assert capsys.readouterr().err == ""
    config.write_text("twin: {arm: juggler}")
    assert BASE_FRAME in asked(str(config), str(PANDA))
    assert "juggler" in capsys.readouterr().err
    assert BASE_FRAME in asked(str(tmp_path / "gone.yaml"), str(PANDA))


def test_two_roots_are_refused_by_name(tmp_path: Path) -> None:
    text = arm_model(ArmSettings.model_validate("xarm6")).physics.read_text()
    (tmp_path / "two.urdf").write_text(text.replace("</robot>", '<link name="stray"/></robot>'))
    two = ArmSettings.model_validate({"like": "xarm6", "urdf": str(tmp_path / "two.urdf")})
    with pytest.raises(ConfigError, match="one root, this one has world, stray"):
        description(two)


def test_the_launched_cell_shows_the_arm_it_has(ros: Graph, tmp_path: Path) -> None:
    """Over TF, from the twin's own joint states; its tool tip is where ``arm/state`` has it."""
    tf2_py = pytest.importorskip("tf2_py", reason=NO_ROS)
    if not PUBLISHER.exists():
        pytest.skip("NO robot_state_publisher HERE; apt-get install ros-robot-state-publisher")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"twin": {**read("twin")[0], "arm": "xarm6"}}))
    cell = ros.launch(ROOT / "launch/twin.launch", f"config:={config}", "operator:=false")
    ros.wait_for_service("scene/reset", 40.0)
    moving, fixed = ros.listen("/tf", TFMessage), ros.listen("/tf_static", TFMessage)
    states = ros.listen("arm/state", ArmState)
    states.wait(20, 20.0)
    moving.wait(20, 20.0)
    fixed.wait_for(
        lambda m: any(t.child_frame_id == TIP for t in m.transforms), "the tool tip", 20.0
    )
    fixed.wait_for(lambda m: any(t.child_frame_id == "wrist_link" for t in m.transforms))
    core = tf2_py.BufferCore()
    for array in fixed.messages:
        for transform in array.transforms:
            core.set_transform_static(transform, "test")
    known_s = set()
    for array in moving.messages:
        for transform in array.transforms:
            core.set_transform(transform, "test")
            known_s.add(seconds(transform.header.stamp))
    seen = 0
    for state in states.messages:
        if seconds(state.header.stamp) in known_s:
            stamp = state.header.stamp
            found = core.lookup_transform_core(BASE_FRAME, TIP, stamp).transform
            q, p = found.rotation, found.translation
            X_BT = pose(from_quat_xyzw([q.x, q.y, q.z, q.w]), [p.x, p.y, p.z])
            assert X_BT[:3, 3] == pytest.approx(messages.arm_state(state).p_BT_m, abs=1e-3)
            core.lookup_transform_core(BASE_FRAME, "wrist_color_optical_frame", stamp)
            seen += 1
    assert seen > 5
    assert cell.stop(30.0) == 0
