"""Joint goals: ros_control's JointTrajectoryController by topic and by action, by a stand-in."""

import numpy as np
import pytest
from graph import NO_ROS, Graph

pytest.importorskip("handful.msg", reason=NO_ROS)

from arm_kit import ArmNodeContract, Driven, arm, foreign, speed
from trajectory_msgs.msg import JointTrajectory

__all__ = ["arm", "foreign"]
NAME = "scaled_pos_joint_traj_controller"
NO_FINGERS = {"gripper": {"kind": "none", "opening_m": 0.08}}


class TestTopic(ArmNodeContract):
    def start(self, ros: Graph) -> Driven:
        body = {"trajectory": {"controller": NAME, "action": False}}
        topic = (f"{NAME}/command", JointTrajectory)
        return Driven(ros, "joint_trajectory", body, topic, **NO_FINGERS)

    def stopped(self, arm: Driven) -> bool:
        said = arm.told.messages[-10:]
        return len(said) == 10 and not any(m.points for m in said)

    def test_a_goal_is_sent_once_with_time_to_get_there(self, arm: Driven) -> None:
        start = arm.rest()
        q_rad = np.array(arm.state.last.q_rad)
        arm.told.forget()
        arm.go(start, [-0.05, 0.0, 0.0])
        arm.state.wait(len(arm.state.messages) + 25)
        goals = [m for m in arm.told.messages if m.points]
        assert len(goals) == 1, "the guard repeats itself, the adapter does not"
        [point] = goals[0].points
        assert goals[0].header.stamp.to_sec() == 0.0
        assert len(goals[0].joint_names) == len(point.positions) == 6
        needed_s = np.abs(np.array(point.positions) - q_rad).max() / (0.5 * 3.14)
        assert point.time_from_start.to_sec() >= max(0.2, 0.9 * needed_s)

    def test_a_goal_out_of_reach_is_refused_by_name(self, arm: Driven) -> None:
        start = arm.rest()
        here = start
        for _ in range(14):  # outwards, until there is no more arm
            goal = arm.go(here, [0.06, 0.0, 0.0])
            state = arm.until(lambda s, g=goal: s.fault or s.target.position.x > g.p_BT_m[0] - 1e-6,
                              "an answer")  # fmt: skip
            if state.fault:
                break
            here = goal
        assert state.holding
        assert "out of reach" in state.fault or "at once" in state.fault, state.fault
        arm.rest()
        for _ in range(14):
            arm.go(arm.here(), [-0.06, 0.0, 0.0])
            arm.until(lambda s: not s.holding, "the arm to follow")
            if arm.here().p_BT_m[0] < start.p_BT_m[0]:
                break
        arm.rest()


class TestAction(ArmNodeContract):
    def start(self, ros: Graph) -> Driven:
        body = {"trajectory": {"controller": NAME, "action": True}}
        return Driven(ros, "joint_trajectory", body, **{"motion.by": "action"}, **NO_FINGERS)

    def test_an_abort_is_latched_by_name_until_a_person_clears_it(self, arm: Driven) -> None:
        start = arm.rest()
        arm.order("block")
        for step in range(1, 6):  # the way runs on without the arm
            arm.go(start, [0.0, 0.07 * step, 0.0])
            arm.state.wait(len(arm.state.messages) + 8)
        state = arm.until(lambda s: s.fault and "aborted" in s.fault, "a fault")
        assert state.holding and "path tolerance violated" in state.fault
        arm.order("free")
        arm.state.wait(len(arm.state.messages) + 10)
        assert "aborted" in arm.state.last.fault
        assert self.clear(arm).success
        arm.rest()

    def test_a_controller_that_dies_holds_the_arm(self, arm: Driven) -> None:
        start = arm.rest()
        arm.go(start, arm.step_m(start))
        arm.until(lambda s: speed(s) > 0.02, "the arm to move")
        arm.stand_ins[0].kill()
        state = arm.until(lambda s: s.fault, "a fault")
        assert state.holding
