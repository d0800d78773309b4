"""The adapter that docs/arms.md shows, as it stands there, on an arm that is known by TF alone."""

import re
from pathlib import Path

import pytest
from graph import NO_ROS, ROOT, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from arm_kit import ArmNodeContract, Driven, arm, foreign
from geometry_msgs.msg import Pose

from handful.config import ConfigError, load
from handful.wire.arms.settings import ArmNodeSettings

__all__ = ["arm", "foreign"]


class TestTheAdapterInTheDocs(ArmNodeContract):
    def start(self, ros: Graph) -> Driven:
        [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/arms.md").read_text(), re.DOTALL)
        folder = ros.folder / "my_arm"
        folder.mkdir()
        (folder / "my_arm.py").write_text(code)
        ros.env["PYTHONPATH"] += f":{folder}"
        options = {"topic": "my_arm/goal"}
        own = {"kind": "own", "python": "my_arm:MyMotion", "options": options}
        source = {"kind": "tf", "tool_frame": "flange"}
        return Driven(ros, "servo_twist", {"tf_arm": {}}, ("my_arm/goal", Pose), motion=own,
                      source=source, gripper={"kind": "none"})  # fmt: skip

    def stopped(self, arm: Driven) -> bool:
        said = arm.told.messages[-10:]
        return len(said) == 10 and all(m == said[0] for m in said)

    def test_a_tree_that_falls_silent_holds_it(self, arm: Driven) -> None:
        arm.go(arm.rest(), [0.01, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.order("mute")
        assert arm.until(lambda s: "the arm's state is silent" in s.fault, "a hold").holding


def test_it_is_about_thirty_lines() -> None:
    [code] = re.findall(
        r"```python\n(.*?)```", (Path(ROOT) / "docs/arms.md").read_text(), re.DOTALL
    )
    assert len(code.splitlines()) <= 30


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "config/node/arm").glob("*.yaml")))
def test_every_file_is_whole_and_in_the_docs(name: str) -> None:
    settings = load(ArmNodeSettings, f"node/arm/{name}")
    text = (ROOT / f"config/node/arm/{name}.yaml").read_text()
    assert f"`{name}`" in (ROOT / "docs/arms.md").read_text()
    for group in ("motion", "gripper", "source", "obey", "grip", "tool"):
        for key in type(getattr(settings, group)).model_fields:
            assert re.search(rf"^  {key}:|[{{ ]{key}:", text, re.MULTILINE), f"{group}.{key}"
    for key in ArmNodeSettings.model_fields:
        assert key == "chain" or re.search(rf"^{key}:", text, re.MULTILINE), key


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"motion.kind": "telepathy"}, "motion"),
        ({"motion.max_lead": 1.0}, "max_lead"),
        ({"state_rate_hz": 200.0}, "state_rate_hz 200.0 must not be above rate_hz 100.0"),
        ({"publish_joint_states": True}, "publish_joint_states needs chain"),
        ({"source": {"kind": "joints"}}, "give chain.base_link and chain.tip_link"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(ArmNodeSettings, "node/arm/franka_impedance", changes)
