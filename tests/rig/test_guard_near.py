"""The leash of the guard: how far the target may run ahead of an arm that does not follow."""

import math
from dataclasses import replace

import numpy as np
import pytest
from guard_kit import CENTRE_M, EPS_M, LIMITS, PERIOD_S, arm_at, wish
from hypothesis import given
from hypothesis import strategies as st

from handful.rig.guard import Status, Verdict, check, keep_near

LEAD_M = 0.1
steps = st.tuples(*[st.floats(-0.06, 0.06)] * 3)
aheads = st.tuples(*[st.floats(-0.15, 0.15)] * 3)


def judged(step_m: object, ahead_m: object, turn_rad: float = 0.0) -> tuple[Verdict, Verdict]:
    """A verdict before and after the leash, for a tip that is ``ahead_m`` behind the target."""
    arm = arm_at(CENTRE_M, CENTRE_M - np.array(ahead_m))
    want = wish(arm, np.array(step_m, np.float64), turn_rad)
    verdict = check(LIMITS, arm, want, np.zeros(3), 0.0, PERIOD_S)
    return verdict, keep_near(verdict, arm, LEAD_M)


def test_inside_the_leash_nothing_changes() -> None:
    verdict, kept = judged((0.05, 0, 0), (0.05 - 1e-9, 0, 0))
    assert kept is verdict


def test_the_step_ends_where_the_leash_does_and_the_turn_shrinks_alike() -> None:
    verdict, kept = judged((0.04, 0, 0), (0.09, 0, 0), turn_rad=0.1)
    assert kept.status is Status.SLOWED and "0.250" in kept.reason and "0.100 m" in kept.reason
    assert kept.step_m == pytest.approx([0.01, 0, 0], abs=EPS_M)
    assert kept.command.yaw_rad == pytest.approx(0.25 * 0.1)
    assert kept.command.gripper_m == verdict.command.gripper_m


def test_across_the_leash_the_way_is_what_is_left_of_the_circle() -> None:
    _, kept = judged((0, 0.06, 0), (0.09, 0, 0))
    assert kept.step_m == pytest.approx([0, math.sqrt(0.1**2 - 0.09**2), 0], abs=EPS_M)


def test_beyond_the_leash_it_may_come_nearer_but_not_go_further() -> None:
    verdict, kept = judged((-0.05, 0, 0), (0.2, 0, 0))
    assert kept is verdict
    _, kept = judged((0.05, 0, 0), (0.2, 0, 0))
    assert kept.step_m == pytest.approx([0, 0, 0], abs=EPS_M)
    _, kept = judged((-0.03, 0.05, 0), (0.2, 0, 0))
    assert np.linalg.norm(kept.step_m + [0.2, 0, 0]) <= 0.2 + EPS_M


def test_a_hold_passes_as_it_is() -> None:
    arm = arm_at(CENTRE_M, CENTRE_M - [0.3, 0, 0])
    hold = check(LIMITS, arm, wish(arm, np.array([0.01, 0, 0])), np.zeros(3), 9.0, PERIOD_S)
    assert hold.held and keep_near(hold, arm, LEAD_M) is hold
    odd = replace(hold, step_m=np.array([9.0, 0.0, 0.0]))
    assert keep_near(odd, arm, LEAD_M) is odd


@given(step=steps, ahead=aheads, turn=st.floats(-0.2, 0.2))
def test_it_only_ever_shortens_and_the_leash_holds(step, ahead, turn) -> None:
    verdict, kept = judged(step, ahead, turn)
    most_m = max(LEAD_M, float(np.linalg.norm(ahead)))
    assert np.linalg.norm(np.array(ahead) + kept.step_m) <= most_m + EPS_M
    share = np.linalg.norm(kept.step_m) / max(np.linalg.norm(verdict.step_m), 1e-300)
    assert share <= 1.0 + 1e-12
    assert kept.step_m == pytest.approx(share * verdict.step_m, abs=EPS_M), "same direction"
    assert np.array_equal(kept.command.p_BT_m, CENTRE_M + kept.step_m) or np.allclose(
        kept.command.p_BT_m, CENTRE_M + kept.step_m, atol=1e-15
    )
    if kept is not verdict:  # as long as it could be
        assert np.linalg.norm(np.array(ahead) + kept.step_m) >= most_m - 1e-6
