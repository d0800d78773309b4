"""Equilibrium poses: franka_ros' example controller and SERL's, each by a stand-in."""

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from arm_kit import ArmNodeContract, Driven, SourceContract, arm, foreign, speed
from geometry_msgs.msg import PoseStamped

from handful.wire.messages import position_m

__all__ = ["arm", "foreign"]
HAND = {"kind": "franka", "object_m": 0.04}


def start(ros: Graph, profile: str, controller: str, clip_m: float) -> Driven:
    parts = {"franka": {"controller": controller, "clip_m": clip_m}, "grippers": HAND}
    return Driven(ros, profile, parts, (f"{controller}/equilibrium_pose", PoseStamped))


def one_pose(arm: Driven) -> bool:
    """Whether what was said ends with one and the same pose, ten times."""
    said = arm.told.messages[-10:]
    return len(said) == 10 and all(m.pose == said[0].pose for m in said)


class TestFrankaRos(SourceContract):
    def start(self, ros: Graph) -> Driven:
        name = "cartesian_impedance_example_controller"
        return start(ros, "franka_impedance", name, 0.0)

    def stopped(self, arm: Driven) -> bool:
        return one_pose(arm)

    def test_a_new_goal_arrives_as_a_ramp_in_the_base_frame(self, arm: Driven) -> None:
        start = arm.rest()
        arm.told.forget()
        arm.go(start, [0.06, 0.0, 0.0])
        said = arm.told.wait(20)
        x_m = np.array([position_m(m.pose.position)[0] for m in said])
        assert all(m.header.frame_id == "panda_link0" for m in said)
        assert np.abs(np.diff(x_m)).max() < 0.03, "a step of 60 mm is spread over 0.1 s"
        assert abs(x_m[0] - start.p_BT_m[0]) < 0.02
        assert x_m[-1] == pytest.approx(start.p_BT_m[0] + 0.06, abs=1e-3)

    def test_a_blocked_arm_is_not_pulled_harder_than_its_leash(self, arm: Driven) -> None:
        start = arm.rest()
        arm.order("block")
        for step in (1, 2, 3):  # 0.24 m away, a jump at a time
            arm.go(start, [0.0, 0.08 * step, 0.0])
            arm.told.wait_new()
            arm.state.wait(len(arm.state.messages) + 10)
        lead_m = position_m(arm.told.wait_new().pose.position) - start.p_BT_m
        assert np.linalg.norm(lead_m) == pytest.approx(0.1, abs=0.002)

    def test_a_reflex_is_latched_until_a_person_clears_it(self, arm: Driven) -> None:
        start = arm.rest()
        goal = arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        arm.order("fault")
        state = arm.until(lambda s: s.fault, "a fault")
        assert state.holding and state.fault == "franka: cartesian_reflex"
        answer = self.clear(arm)
        assert not answer.success and "cartesian_reflex" in answer.message
        arm.order("recover")
        arm.state.wait(len(arm.state.messages) + 20)
        assert arm.state.last.fault == "franka: cartesian_reflex", "it does not recover by itself"
        assert self.clear(arm).success
        arm.until(lambda s: not s.holding and not s.fault, "the arm to follow again")
        assert goal is not None

    def test_it_grasps_opens_and_is_left_alone_in_between(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.0, 0.0, 0.0], grip_m=0.0)
        state = arm.until(lambda s: s.gripper_m < 0.041, "the hand to close on the object")
        assert state.target_gripper_m == 0.0
        for wish_m in (0.04, 0.045, 0.035):
            arm.go(start, [0.0, 0.0, 0.0], grip_m=wish_m)
            arm.state.wait(len(arm.state.messages) + 15)
            assert arm.state.last.gripper_m < 0.041
        arm.go(start, [0.0, 0.0, 0.0], grip_m=0.08)
        arm.until(lambda s: s.gripper_m > 0.079, "the hand to open")

    def test_a_hand_that_falls_silent_holds_the_arm(self, arm: Driven) -> None:
        arm.go(arm.rest(), [0.0, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.order("gripper mute")
        arm.until(lambda s: s.holding and "gripper's opening" in s.fault, "it to miss the hand")


class TestSerl(ArmNodeContract):
    """Clips the error to a centimetre, so it is slower and needs no leash."""

    def start(self, ros: Graph) -> Driven:
        return start(ros, "franka_serl", "cartesian_impedance_controller", 0.01)

    def stopped(self, arm: Driven) -> bool:
        return one_pose(arm)
