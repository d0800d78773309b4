"""The guard under hostile input: finite, slow enough and inside, whatever comes in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from guard_kit import (
    CENTRE_M,
    EPS_M,
    LIMITS,
    PERIOD_S,
    SLUGGISH,
    anything,
    anywhere,
    arm_at,
    assert_limits,
    distance_to_braking,
    earlier_steps,
    finite,
    fraction,
    inside,
    judge,
    metres,
    vectors,
    wish,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from handful.contract import Command
from handful.rig.guard import Status, check
from handful.rig.settings import ActionSettings


class TestWhateverComesIn:
    @settings(max_examples=400)
    @given(
        target=vectors(anything),
        measured=vectors(finite),
        want=vectors(anything),
        yaws=st.tuples(anything, finite, anything),
        grips=st.tuples(anything, finite, anything),
        previous=vectors(anything),
        age_s=anything,
    )
    def test_it_is_finite_and_keeps_the_grip_in_range(
        self, target, measured, want, yaws, grips, previous, age_s
    ) -> None:
        arm = replace(
            arm_at(target, measured),
            target_yaw_rad=yaws[0],
            yaw_rad=yaws[1],
            target_gripper_m=grips[0],
            gripper_m=grips[1],
        )
        verdict = check(LIMITS, arm, Command(want, yaws[2], grips[2]), previous, age_s, PERIOD_S)
        command = verdict.command
        assert np.isfinite(command.p_BT_m).all() and math.isfinite(command.yaw_rad)
        assert 0.0 <= command.gripper_m <= LIMITS.max_gripper_m
        assert np.isfinite(verdict.step_m).all()
        assert isinstance(verdict.status, Status) and verdict.reason
        if verdict.held:
            assert np.array_equal(command.p_BT_m, measured)

    @settings(max_examples=400)
    @given(
        start=anywhere,
        step=vectors(metres) | vectors(finite),
        turn=metres | finite,
        previous=earlier_steps(),
        limits=st.sampled_from([LIMITS, SLUGGISH]),
    )
    def test_it_keeps_every_limit(self, start, step, turn, previous, limits) -> None:
        arm = arm_at(start)
        want = Command(start + step, turn, 0.05)
        assume(np.isfinite(want.p_BT_m).all())
        verdict = check(limits, arm, want, previous, 0.0, PERIOD_S)
        assert not verdict.held
        assert_limits(verdict, arm, previous, limits)

    @settings(max_examples=300)
    @given(
        start=inside,
        step=vectors(metres),
        turn=st.floats(-3.0, 3.0),
        previous=earlier_steps(),
        limits=st.sampled_from([LIMITS, SLUGGISH]),
    )
    def test_away_from_walls_one_factor_serves_all_axes_and_is_the_largest(
        self, start, step, turn, previous, limits
    ) -> None:
        verdict = judge(step, start_m=start, previous_m=previous, limits=limits, turn_rad=turn)
        assume(verdict.status is not Status.AT_WALL)
        length = float(np.linalg.norm(step))
        if length > 1e-6:
            factor = float(np.linalg.norm(verdict.step_m)) / length
            assert verdict.step_m == pytest.approx(factor * step, abs=EPS_M)
            assert verdict.command.yaw_rad == pytest.approx(factor * turn, abs=1e-6)
            if verdict.status is Status.OK:
                assert factor == pytest.approx(1.0, abs=1e-6)
            else:  # a thousandth more would break a limit
                more = 1.001 * factor
                reach_m = limits.max_accel_m_s2 * PERIOD_S**2
                assert (
                    more * length > limits.max_speed_m_s * PERIOD_S - EPS_M
                    or abs(more * turn) > limits.max_yaw_rate_rad_s * PERIOD_S - EPS_M
                    or distance_to_braking(more * step, previous) > reach_m - EPS_M
                )

    @given(start=inside, step=vectors(metres), previous=earlier_steps(), age_s=fraction)
    def test_it_touches_nothing_and_shares_nothing(self, start, step, previous, age_s) -> None:
        arm = arm_at(start, start + 0.001)
        want = wish(arm, step)
        arrays = [arm.p_BT_m, arm.target_p_BT_m, want.p_BT_m, previous]
        kept = [a.copy() for a in arrays]
        verdict = check(LIMITS, arm, want, previous, age_s, PERIOD_S)
        assert all(np.array_equal(a, k) for a, k in zip(arrays, kept, strict=True))
        for result in (verdict.command.p_BT_m, verdict.step_m):
            assert not any(np.shares_memory(result, a) for a in arrays)

    @given(start=inside, step=vectors(metres), previous=earlier_steps(SLUGGISH))
    def test_it_is_pure(self, start, step, previous) -> None:
        first = judge(step, start_m=start, previous_m=previous, limits=SLUGGISH)
        again = judge(step, start_m=start, previous_m=previous, limits=SLUGGISH)
        assert np.array_equal(first.command.p_BT_m, again.command.p_BT_m)
        assert (first.status, first.reason) == (again.status, again.reason)

    @settings(max_examples=50)
    @given(steps=st.lists(vectors(st.floats(-0.2, 0.2)), min_size=2, max_size=20))
    def test_a_drive_of_many_ticks_stays_legal(self, steps) -> None:
        arm, previous = arm_at(CENTRE_M), np.zeros(3)
        for step in steps:
            verdict = check(SLUGGISH, arm, wish(arm, step), previous, 0.0, PERIOD_S)
            assert_limits(verdict, arm, previous, SLUGGISH)
            arm, previous = arm_at(verdict.command.p_BT_m), verdict.step_m


class TestOrdinaryActions:
    @given(action=vectors(st.floats(-1.0, 1.0) | st.sampled_from([-1.0, 1.0])))
    def test_the_default_step_passes_unclipped_from_any_step_before(self, action) -> None:
        step_m = ActionSettings().step_m
        previous_m = -step_m * np.sign(action)  # the hardest turn: from corner to corner
        verdict = judge(step_m * action, previous_m=previous_m)
        assert verdict.status is Status.OK, verdict.reason
        assert verdict.step_m == pytest.approx(step_m * action, abs=1e-12)
        assert verdict.command.gripper_m == 0.05


class TestBraking:
    @given(previous=earlier_steps(SLUGGISH))
    def test_a_stop_is_a_stop_at_once(self, previous) -> None:
        verdict = judge((0, 0, 0), previous_m=previous, limits=SLUGGISH)
        assert verdict.status is Status.OK
        assert not verdict.step_m.any()

    @given(previous=earlier_steps(SLUGGISH), share=fraction)
    def test_slowing_down_straight_on_is_never_limited(self, previous, share) -> None:
        verdict = judge(share * previous, previous_m=previous, limits=SLUGGISH)
        assert verdict.step_m == pytest.approx(share * previous, abs=EPS_M)
