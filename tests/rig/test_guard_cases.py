"""The guard by hand: every limit from both sides, every wall, every reason to hold."""

import math
from dataclasses import replace

import numpy as np
import pytest
from guard_kit import (
    CENTRE_M,
    EPS_M,
    HIGH_M,
    LIMITS,
    LOW_M,
    PERIOD_S,
    SLUGGISH,
    arm_at,
    distance_to_braking,
    judge,
    wish,
)

from handful.contract import Command
from handful.rig.arm import ArmError
from handful.rig.guard import Status, check


class TestSpeed:
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (1, -1, 0)])
    def test_the_limit_itself_passes_and_a_hair_more_is_cut_to_it(self, direction, sign) -> None:
        unit = sign * np.array(direction) / np.linalg.norm(direction)
        reach_m = LIMITS.max_speed_m_s * PERIOD_S
        at_limit = judge(unit * reach_m * (1 - 1e-9))
        assert at_limit.status is Status.OK
        beyond = judge(unit * reach_m * 1.01)
        assert beyond.status is Status.SLOWED
        assert beyond.step_m == pytest.approx(unit * reach_m, abs=EPS_M)
        assert "0.990" in beyond.reason

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_yaw_too_fast_slows_the_whole_wish(self, sign) -> None:
        verdict = judge((0.01, 0.02, -0.01), turn_rad=sign * 0.4)
        assert verdict.status is Status.SLOWED
        assert verdict.command.yaw_rad == pytest.approx(sign * 0.2)
        assert verdict.step_m == pytest.approx([0.005, 0.01, -0.005])

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_yaw_without_a_step_is_limited_too(self, sign) -> None:
        assert judge((0, 0, 0), turn_rad=sign * 0.3).command.yaw_rad == pytest.approx(sign * 0.2)
        assert judge((0, 0, 0), turn_rad=sign * 0.19).status is Status.OK

    def test_yaw_takes_the_short_way_round(self) -> None:
        arm = arm_at(CENTRE_M, yaw_rad=3.1)
        want = Command(CENTRE_M.copy(), -3.1, 0.05)  # 0.083 rad ahead, not 6.2 rad back
        verdict = check(LIMITS, arm, want, np.zeros(3), 0.0, PERIOD_S)
        assert verdict.status is Status.OK
        assert verdict.command.yaw_rad == pytest.approx(3.1 + (2 * math.pi - 6.2))

    @pytest.mark.parametrize(
        "step", [(1e300, -1e300, 1e300), (1.7e308, 1.7e308, 0), (-1e200, 0, 1)]
    )
    def test_a_huge_wish_is_shortened_not_broken(self, step) -> None:
        verdict = judge(step)
        assert verdict.status in (Status.SLOWED, Status.AT_WALL)
        assert np.linalg.norm(verdict.step_m) <= LIMITS.max_speed_m_s * PERIOD_S + EPS_M

    def test_a_wish_whose_length_overflows_is_held(self) -> None:
        arm = arm_at(np.full(3, -1.7e308), CENTRE_M)
        want = Command(np.full(3, 1.7e308), 0.0, 0.0)
        verdict = check(LIMITS, arm, want, np.zeros(3), 0.0, PERIOD_S)
        assert verdict.status is Status.NOT_FINITE


class TestAcceleration:
    """With a T^2 = 2 cm and previous steps of a few centimetres, by hand."""

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_from_standstill_the_first_step_is_one_reach(self, sign) -> None:
        verdict = judge((sign * 0.05, 0, 0), limits=SLUGGISH)
        assert verdict.status is Status.SLOWED
        assert verdict.step_m == pytest.approx([sign * 0.02, 0, 0], abs=EPS_M)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_straight_on_it_gains_one_reach_on_the_step_before(self, sign) -> None:
        verdict = judge((0, sign * 0.06, 0), previous_m=(0, sign * 0.03, 0), limits=SLUGGISH)
        assert verdict.step_m == pytest.approx([0, sign * 0.05, 0], abs=EPS_M)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_backwards_it_brakes_freely_and_gains_one_reach(self, sign) -> None:
        verdict = judge((0, 0, -sign * 0.06), previous_m=(0, 0, sign * 0.05), limits=SLUGGISH)
        assert verdict.step_m == pytest.approx([0, 0, -sign * 0.02], abs=EPS_M)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_across_it_brakes_freely_and_gains_one_reach(self, sign) -> None:
        verdict = judge((sign * 0.05, 0, 0), previous_m=(0, 0.05, 0), limits=SLUGGISH)
        assert verdict.step_m == pytest.approx([sign * 0.02, 0, 0], abs=EPS_M)

    @pytest.mark.parametrize("turned", [0, 1, 2])
    def test_at_an_angle_the_part_across_is_one_reach(self, turned) -> None:
        step, previous, expected = (0.03, 0.04, 0), (0, 0.05, 0), (0.02, 0.02 * 4 / 3, 0)
        verdict = judge(
            np.roll(step, turned), previous_m=np.roll(previous, turned), limits=SLUGGISH
        )
        assert verdict.step_m == pytest.approx(np.roll(expected, turned), abs=EPS_M)

    def test_near_straight_on_it_ends_on_the_ball_around_the_step_before(self) -> None:
        previous = np.array([0.03, 0, 0])
        step = np.array([0.055, 0.01, 0])
        verdict = judge(step, previous_m=previous, limits=SLUGGISH)
        assert np.linalg.norm(verdict.step_m - previous) == pytest.approx(0.02, abs=EPS_M)
        assert np.cross(verdict.step_m, step) == pytest.approx([0, 0, 0], abs=EPS_M)

    @pytest.mark.parametrize("previous", [(0.06, 0, 0), (0, -0.05, 0.02), (-0.03, 0.03, 0.03)])
    def test_a_stop_is_a_stop_at_once(self, previous) -> None:
        verdict = judge((0, 0, 0), previous_m=previous, limits=SLUGGISH)
        assert verdict.status is Status.OK
        assert not verdict.step_m.any()

    @pytest.mark.parametrize(
        "previous", [(1e200, 0, 0), (1.7e308, 1.7e308, 1.7e308), (5e-324, 0, 0)]
    )
    def test_an_absurd_step_before_does_no_harm(self, previous) -> None:
        verdict = judge((0.05, 0.02, 0), previous_m=previous, limits=SLUGGISH)
        assert np.linalg.norm(verdict.step_m) <= 0.06 + EPS_M


class TestWalls:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_every_wall_stops_the_target_exactly_on_it(self, axis, sign) -> None:
        start = CENTRE_M.copy()
        wall_m = (HIGH_M if sign > 0 else LOW_M)[axis]
        start[axis] = wall_m - sign * 0.01
        step = np.zeros(3)
        step[axis] = sign * 0.03
        verdict = judge(step, start_m=start)
        assert verdict.status is Status.AT_WALL
        assert verdict.command.p_BT_m[axis] == wall_m
        assert "xyz"[axis] in verdict.reason.rsplit(" ", 1)[1]
        on_wall = judge(step, start_m=verdict.command.p_BT_m)
        assert on_wall.status is Status.AT_WALL and not on_wall.step_m.any()
        back = judge(-step, start_m=verdict.command.p_BT_m)
        assert back.status is Status.OK
        assert back.step_m == pytest.approx(-step, abs=EPS_M)

    def test_along_a_wall_it_slides(self) -> None:
        start = np.array([HIGH_M[0], 0.0, 0.2])
        verdict = judge((0.03, 0.02, -0.01), start_m=start)
        assert verdict.status is Status.AT_WALL
        assert verdict.step_m == pytest.approx([0.0, 0.02, -0.01], abs=EPS_M)

    def test_a_step_onto_the_wall_is_no_violation(self) -> None:
        start = np.array([0.5, 0.0, LOW_M[2] + 0.03])
        want = Command(np.array([0.5, 0.0, LOW_M[2]]), 0.0, 0.0)
        verdict = check(LIMITS, arm_at(start), want, np.zeros(3), 0.0, PERIOD_S)
        assert verdict.status is Status.OK

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_outside_it_may_come_back_but_not_go_further(self, axis, sign) -> None:
        start = CENTRE_M.copy()
        start[axis] = (HIGH_M if sign > 0 else LOW_M)[axis] + sign * 0.2
        out = np.zeros(3)
        out[axis] = sign * 0.03
        further = judge(out, start_m=start)
        assert further.status is Status.AT_WALL and not further.step_m.any()
        back = judge(-out, start_m=start)
        assert back.status is Status.OK
        assert back.step_m == pytest.approx(-out, abs=EPS_M)
        aside = np.zeros(3)
        aside[(axis + 1) % 3] = 0.03
        assert judge(aside, start_m=start).step_m == pytest.approx(aside, abs=EPS_M)

    def test_bent_by_a_wall_it_turns_no_sharper_than_allowed(self) -> None:
        # Straight on; the wall takes the x part, and what is left is a sharp turn towards y.
        previous = np.array([0.03, 0.045, 0.0])
        start = np.array([HIGH_M[0], 0.0, 0.2])
        verdict = judge(previous, start_m=start, previous_m=previous, limits=SLUGGISH)
        assert verdict.status is Status.AT_WALL
        assert verdict.step_m[0] == 0.0 and 0.0 < verdict.step_m[1] < 0.045
        assert distance_to_braking(verdict.step_m, previous) == pytest.approx(0.02, abs=EPS_M)

    def test_a_wall_that_slows_a_step_slows_its_turn_by_the_same_factor(self) -> None:
        previous = np.array([0.03, 0.045, 0.0])
        start = np.array([HIGH_M[0], 0.0, 0.2])
        verdict = judge(previous, start_m=start, previous_m=previous, limits=SLUGGISH, turn_rad=0.1)
        assert verdict.command.yaw_rad == pytest.approx(0.1 * verdict.step_m[1] / 0.045)


class TestHolds:
    @pytest.mark.parametrize("age_s", [0.0, 0.15, 0.3, -0.0005])
    def test_fresh_enough_passes(self, age_s) -> None:
        assert judge((0.01, 0, 0), age_s=age_s).status is Status.OK

    @pytest.mark.parametrize("age_s", [0.3001, 10.0, math.inf, math.nan, -math.inf, -0.01])
    def test_too_old_or_from_the_future_holds_at_the_measured_pose(self, age_s) -> None:
        measured = CENTRE_M + 0.002
        arm = arm_at(CENTRE_M, measured)
        verdict = check(LIMITS, arm, wish(arm, np.full(3, 0.01)), np.full(3, 0.02), age_s, PERIOD_S)
        assert verdict.status is Status.STALE and verdict.held
        assert np.array_equal(verdict.command.p_BT_m, measured)
        assert verdict.command.yaw_rad == arm.yaw_rad
        assert verdict.command.gripper_m == arm.target_gripper_m, "a hold must not open the hand"
        assert not verdict.step_m.any()
        assert "old" in verdict.reason and "0.3" in verdict.reason

    @pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("field", ["x", "y", "z", "yaw_rad", "gripper_m"])
    def test_a_wish_that_is_not_finite_holds(self, field, poison) -> None:
        arm = arm_at(CENTRE_M, CENTRE_M - 0.003)
        want = wish(arm, np.zeros(3))
        if field in "xyz":
            want.p_BT_m["xyz".index(field)] = poison
        else:
            want = replace(want, **{field: poison})
        verdict = check(LIMITS, arm, want, np.zeros(3), 0.0, PERIOD_S)
        assert verdict.status is Status.NOT_FINITE and verdict.held
        assert np.array_equal(verdict.command.p_BT_m, arm.p_BT_m)

    @pytest.mark.parametrize("poison", [math.nan, math.inf])
    def test_a_step_before_that_is_not_finite_holds(self, poison) -> None:
        verdict = judge((0.01, 0, 0), previous_m=(0.0, poison, 0.0))
        assert verdict.status is Status.NOT_FINITE

    def test_a_hold_keeps_nothing_of_the_state_it_was_made_from(self) -> None:
        arm = arm_at(CENTRE_M)
        verdict = check(LIMITS, arm, wish(arm, np.zeros(3)), np.zeros(3), 9.0, PERIOD_S)
        assert not np.shares_memory(verdict.command.p_BT_m, arm.p_BT_m)

    def test_not_finite_is_named_before_stale(self) -> None:
        assert judge((math.nan, 0, 0), age_s=9.0).status is Status.NOT_FINITE

    def test_a_grip_beyond_the_limits_is_cut_to_them(self) -> None:
        arm = arm_at(CENTRE_M)
        for asked_m, sent_m in ((-0.5, 0.0), (0.0, 0.0), (0.08, 0.08), (1e9, 0.08)):
            want = replace(wish(arm, np.zeros(3)), gripper_m=asked_m)
            assert check(LIMITS, arm, want, np.zeros(3), 0.0, 0.1).command.gripper_m == sent_m
        wide = replace(arm, target_gripper_m=5.0)
        assert check(LIMITS, wide, want, np.zeros(3), 9.0, 0.1).command.gripper_m == 0.08

    def test_a_hold_falls_back_on_the_measured_grip(self) -> None:
        arm = replace(arm_at(CENTRE_M), target_gripper_m=math.nan)
        verdict = check(LIMITS, arm, wish(arm, np.zeros(3)), np.zeros(3), 9.0, PERIOD_S)
        assert verdict.command.gripper_m == arm.gripper_m

    @pytest.mark.parametrize("field", ["p_BT_m", "yaw_rad", "gripper_m"])
    def test_an_arm_that_is_nowhere_cannot_hold(self, field) -> None:
        arm = replace(arm_at(CENTRE_M), target_gripper_m=math.nan)
        poison = np.array([0.4, math.nan, 0.2]) if field == "p_BT_m" else math.nan
        lost = replace(arm, **{field: poison})
        with pytest.raises(ArmError, match="nan"):
            check(LIMITS, lost, wish(arm, np.zeros(3)), np.zeros(3), 9.0, PERIOD_S)

    @pytest.mark.parametrize("period_s", [0.0, -0.1, math.nan, math.inf])
    def test_a_period_that_is_none_is_the_callers_mistake(self, period_s) -> None:
        arm = arm_at(CENTRE_M)
        with pytest.raises(ValueError, match="period_s"):
            check(LIMITS, arm, wish(arm, np.zeros(3)), np.zeros(3), 0.0, period_s)
