"""Velocities: UR's twist_controller and velocity group, MoveIt Servo, each by a stand-in."""

import signal
import time

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from arm_kit import STAND_INS, ArmNodeContract, Driven, SourceContract, arm, foreign, near, speed
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from handful.contract import Command
from handful.msg import Command as CommandMessage

__all__ = ["arm", "foreign"]
NO_FINGERS = {"gripper": {"kind": "none", "opening_m": 0.08}}


def numbers(twist: Twist) -> list[float]:
    v, w = twist.linear, twist.angular
    return [v.x, v.y, v.z, w.x, w.y, w.z]


def zeros(said: list[list[float]], count: int = 10) -> bool:
    """Whether the end of what was said is a stop, so many times."""
    return len(said) >= count and not np.any(said[-count:])


class TestUrTwist(SourceContract):
    """Has no timeout: the last twist goes on."""

    def start(self, ros: Graph) -> Driven:
        topic = ("twist_controller/command", Twist)
        return Driven(ros, "ur_twist", {"velocity": {"kind": "ur"}}, topic, **NO_FINGERS)

    def stopped(self, arm: Driven) -> bool:
        return zeros([numbers(m) for m in arm.told.messages])

    def test_it_speaks_in_the_axes_and_the_unit_of_the_controller(self, arm: Driven) -> None:
        start = arm.rest()
        arm.told.forget()
        arm.go(start, [0.05, 0.0, 0.0])
        said = np.array([numbers(m) for m in arm.told.wait(20)])
        assert said[:, 0].min() == pytest.approx(-1.5, rel=0.1), "3/s x 0.05 m, / 0.1, turned round"
        assert np.abs(said[:, 1:]).max() < 0.2

    def test_speeds_are_limited(self, arm: Driven) -> None:
        start = arm.rest()
        arm.told.forget()
        arm.go(start, [0.07, 0.07, 0.0])
        said = np.array([numbers(m)[:3] for m in arm.told.wait(20)])
        assert np.linalg.norm(said, axis=1).max() == pytest.approx(0.25 / 0.1, rel=1e-6)

    def test_a_node_that_is_killed_says_stop_when_it_comes_back(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.05, "the arm to move")
        arm.node.kill()
        arm.guard.hush()
        joints = arm.ros.listen("joint_states", JointState)
        assert np.any(joints.wait_new().velocity), "the last twist goes on, as on the real one"
        joints.close()
        arm.node = arm.start_node()
        arm.guard = arm.ros.talk("guard/command", CommandMessage, listeners=1)
        arm.still()

    def test_a_node_that_hangs_holds_when_it_goes_on(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.01, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.node.signal(signal.SIGSTOP)
        arm.guard.hush()
        time.sleep(0.6)
        arm.node.signal(signal.SIGCONT)
        arm.until(lambda s: s.holding, "the arm to hold")

    def test_a_protective_stop_is_latched_until_a_person_clears_it(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.01, 0.0, 0.0])
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.order("fault")
        state = arm.until(lambda s: s.fault, "a fault")
        assert state.holding and state.fault == "ur: safety mode is protective stop"
        assert "protective stop" in self.clear(arm).message
        arm.order("recover")
        arm.state.wait(len(arm.state.messages) + 20)
        assert arm.state.last.fault == "ur: safety mode is protective stop"
        arm.ros.wait_until(lambda: self.clear(arm).success, "the fault to be cleared")
        arm.until(lambda s: not s.holding, "the arm to follow again")

    def test_two_guards_are_one_too_many(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, [0.01, 0.0, 0.0])
        other = arm.ros.start_script(
            STAND_INS / "guard.py", name="other_guard", p_BT_m=start.p_BT_m.tolist(),
            yaw_rad=start.yaw_rad, frame_id=arm.frame_id,
        )  # fmt: skip
        state = arm.until(lambda s: "two nodes publish guard/command" in s.fault, "it to notice")
        assert state.holding and "/other_guard" in state.fault
        other.kill()
        arm.until(lambda s: not s.holding, "the arm to follow the one that is left")

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"yaw_rad": float("nan")}, "every number must be finite"),
            ({"gripper_m": float("inf")}, "every number must be finite"),
            ({"valid_s": 0.0}, "valid_s must be above 0"),
            ({"valid_s": -1.0}, "valid_s must be above 0"),
            ({"frame_id": "camera_link"}, "its frame is 'camera_link', expected 'base_link'"),
        ],
    )
    def test_a_command_that_cannot_be_meant_is_refused(
        self, arm: Driven, change: dict[str, float | str], sentence: str
    ) -> None:
        start = arm.rest()
        message = arm.command(start)
        for name, value in change.items():
            setattr(message.header if name == "frame_id" else message, name, value)
        arm.guard.repeat(message, 50.0)
        state = arm.until(lambda s: s.fault, "it to refuse")
        assert state.holding and sentence in state.fault

    def test_it_keeps_a_shorter_patience_when_the_guard_asks_for_it(self, arm: Driven) -> None:
        start = arm.rest()
        arm.guard.repeat(arm.command(start, valid_s=0.05), 50.0)
        arm.until(lambda s: not s.holding, "the arm to follow")
        arm.guard.repeat(arm.command(start, valid_s=0.05), 5.0)
        arm.until(lambda s: "silent for more than 0.05 s" in s.fault, "it to lose patience")


class TestServo(ArmNodeContract):
    """Stops by itself when the stamps are old, or zero."""

    def start(self, ros: Graph) -> Driven:
        topic = ("servo_server/delta_twist_cmds", TwistStamped)
        return Driven(ros, "servo_twist", {"velocity": {"kind": "servo"}}, topic, **NO_FINGERS)

    def stopped(self, arm: Driven) -> bool:
        return zeros([numbers(m.twist) for m in arm.told.messages])

    def test_every_twist_is_stamped_with_now(self, arm: Driven) -> None:
        arm.go(arm.rest(), [0.02, 0.0, 0.0])
        message = arm.told.wait_new()
        assert abs(message.header.stamp.to_sec() - time.time()) < 0.1
        assert message.header.frame_id == "base_link"


class TestJointVelocity(ArmNodeContract):
    """A velocity group has no timeout either."""

    def start(self, ros: Graph) -> Driven:
        topic = ("joint_group_vel_controller/command", Float64MultiArray)
        body = {"velocity": {"kind": "joints"}}
        return Driven(ros, "ur_joint_velocity", body, topic, watches=[])

    def stopped(self, arm: Driven) -> bool:
        return zeros([list(m.data) for m in arm.told.messages])

    def test_joint_speeds_stay_below_their_share_of_the_limit(self, arm: Driven) -> None:
        goal = arm.go(arm.rest(), [0.0, 0.0, 0.0], turn_rad=0.29)
        arm.until(lambda s: near(s, goal, 0.002), "the arm at its goal")
        assert np.abs([m.data for m in arm.told.messages]).max() <= 0.3 * 3.14 + 1e-9


def test_the_goal_of_a_command_is_where_the_tip_shall_be() -> None:
    """A yaw of half a turn more is the same goal, not a jump."""
    from handful.rig.approach import distance
    from handful.rig.obey import pose_down

    a = pose_down(Command(np.zeros(3), 0.1, 0.0))
    assert distance(a, pose_down(Command(np.zeros(3), 0.1 - 2 * np.pi, 0.0)))[1] < 1e-9
