"""Grippers over their own interfaces, and what is said when a message package is missing."""

from typing import Any

import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from arm_kit import Driven, arm, foreign
from diagnostic_msgs.msg import DiagnosticArray

from handful.config import load
from handful.wire.arms.settings import ArmNodeSettings

__all__ = ["arm", "foreign"]
UR = {"velocity": {"kind": "ur"}}
STILL = [0.0, 0.0, 0.0]


class TestGripperCommand:
    """Position per finger, readings per finger, as franka_gripper's gripper_action has it."""

    def start(self, ros: Graph) -> Driven:
        gripper = {
            "kind": "gripper_command", "action": "franka_gripper/gripper_action",
            "open_position": 0.04, "closed_position": 0.0, "open_reading": 0.04,
            "closed_reading": 0.0, "joints": ["panda_finger_joint1", "panda_finger_joint2"],
        }  # fmt: skip
        fingers = {"grippers": {"kind": "command", "object_m": 0.03}}
        return Driven(ros, "servo_twist", {"velocity": {"kind": "servo"}} | fingers,
                      gripper=gripper)  # fmt: skip

    def test_positions_are_those_of_one_finger(self, arm: Driven) -> None:
        start = arm.rest()
        assert start.gripper_m == pytest.approx(0.08, abs=1e-3)
        arm.go(start, STILL, grip_m=0.05)
        arm.until(lambda s: abs(s.gripper_m - 0.05) < 2e-3, "5 cm")
        arm.go(start, STILL, grip_m=0.0)
        arm.until(lambda s: abs(s.gripper_m - 0.03) < 2e-3, "the object")
        arm.rest()
        arm.go(start, STILL, grip_m=0.03)  # what a guard asks for that starts from the measured
        arm.state.wait(len(arm.state.messages) + 20)
        assert arm.state.last.gripper_m == pytest.approx(0.03, abs=2e-3)
        arm.go(start, STILL, grip_m=0.08)
        arm.until(lambda s: s.gripper_m > 0.078, "an open hand")

    def test_a_hold_leaves_the_fingers_alone(self, arm: Driven) -> None:
        start = arm.rest()
        arm.guard.repeat(arm.command(type(start)(start.p_BT_m, 0.0, 0.0), hold=True), 50.0)
        arm.state.wait(len(arm.state.messages) + 20)
        assert arm.state.last.gripper_m > 0.078


class TestRobotiq:
    """Registers: 0 is open, 230 reads closed, 255 asks for it with force."""

    def start(self, ros: Graph) -> Driven:
        from robotiq_2f_gripper_control.msg import Robotiq2FGripper_robot_output

        fingers = {"grippers": {"kind": "robotiq", "object_m": 0.02}}
        topic = ("Robotiq2FGripperRobotOutput", Robotiq2FGripper_robot_output)
        return Driven(ros, "ur_twist", UR | fingers, topic, **{"grip.open_m": 0.08})

    def test_metres_become_counts(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, STILL, grip_m=0.04)
        arm.until(lambda s: abs(s.gripper_m - 0.04) < 2e-3, "4 cm")
        [first] = arm.told.wait(1)
        assert (first.rACT, first.rGTO, first.rPR) == (1, 1, 115)
        arm.go(start, STILL, grip_m=0.0)
        arm.until(lambda s: abs(s.gripper_m - 0.02) < 2e-3, "the object")
        assert arm.told.last.rPR == 255
        assert len(arm.told.messages) == 2, "a goal is said once"

    def test_a_major_fault_is_latched(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, STILL)
        arm.order("gripper fault")
        state = arm.until(lambda s: s.fault, "a fault")
        assert state.holding and state.fault == "robotiq: fault code 0x0D"
        arm.order("free")
        arm.state.wait(len(arm.state.messages) + 10)
        assert arm.state.last.fault


@pytest.mark.parametrize(
    ("profile", "package", "who"),
    [
        ("franka_impedance", "franka_msgs", "the franka source"),
        ("servo_twist", "control_msgs", "the gripper_command gripper"),
        ("ur_twist", "robotiq_2f_gripper_control", "the robotiq gripper"),
        ("ur_joint_velocity", "ur_dashboard_msgs", "the ur watch"),
    ],
)
def test_a_missing_message_package_is_said_in_a_sentence(
    ros: Graph, profile: str, package: str, who: str
) -> None:
    ros.env.pop("PYTHONPATH", None)
    node = refused(ros, load(ArmNodeSettings, f"node/arm/{profile}"))
    assert f"{who} needs the ROS message package {package}" in node
    assert "https://github.com/" in node and "catkin_make" in node
    assert "Traceback" not in node


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chain.urdf": "/nowhere/arm.urdf"}, "there is no file /nowhere/arm.urdf"),
        ({"chain.tip_link": "tool7"}, "has no link 'tool7'"),
        ({"motion": {"kind": "own", "python": "nobody.knows:It"}}, "'nobody.knows:It' cannot be"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(
    ros: Graph, foreign: str, changes: dict[str, Any], sentence: str
) -> None:
    ros.env["PYTHONPATH"] = foreign
    node = refused(ros, load(ArmNodeSettings, "node/arm/ur_twist", changes))
    assert sentence in node and "Traceback" not in node


def refused(ros: Graph, settings: ArmNodeSettings) -> str:
    """What an arm node says that ends with exit code 2."""
    from stand_ins import body

    ros.set_param("/robot_description", body.urdf())
    dump = settings.model_dump(mode="json", exclude_none=True)
    node = ros.start("arm_node", arm=dump)
    assert node.wait() == 2, node.output()
    return node.output()


def test_diagnostics_say_what_the_arm_does_and_why_not(ros: Graph, foreign: str) -> None:
    ros.env["PYTHONPATH"] = foreign
    arm = Driven(ros, "servo_twist", {"velocity": {"kind": "servo"}}, gripper={"kind": "none"})
    ear = ros.listen("/diagnostics", DiagnosticArray)

    def said(sentence: str, level: int) -> bool:
        return any(
            s.name == "arm_node: arm" and s.level == level and sentence in s.message
            for m in list(ear.messages) for s in m.status
        )  # fmt: skip

    ros.wait_until(lambda: said("holds: rest", 1), "diagnostics of a hold")
    arm.go(arm.rest(), [0.01, 0.0, 0.0])
    ros.wait_until(lambda: said("follows guard/command", 0), "diagnostics of a motion")
    arm.guard.hush()
    ros.wait_until(lambda: said("silent", 2), "diagnostics of a silence")
    ear.close()
    arm.close()


def test_an_arm_without_its_controller_says_who_is_missing(ros: Graph, foreign: str) -> None:
    ros.env["PYTHONPATH"] = foreign
    arm = Driven(ros, "servo_twist", {"velocity": {"kind": "servo"}}, gripper={"kind": "none"})
    arm.go(arm.rest(), [0.01, 0.0, 0.0])
    arm.until(lambda s: not s.holding, "the arm to follow")
    arm.stand_ins[0].kill()
    state = arm.until(lambda s: s.fault, "it to notice")
    assert "nobody listens to /servo_server/delta_twist_cmds" in state.fault or (
        "the arm's state is silent" in state.fault
    )
    arm.close()
