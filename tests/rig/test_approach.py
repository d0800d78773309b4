"""Ramps, leashes and velocities towards a goal; and a gripper that is left alone."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.config import ConfigError, build
from handful.rig.approach import Ramp, between, distance, leash, towards
from handful.rig.arm_settings import GripSettings
from handful.rig.geometry import Matrix, exp_so3, pose
from handful.rig.grip import Grip

finite = st.floats(-1.0, 1.0)
poses = st.builds(
    lambda p, w: pose(exp_so3(np.array(w)), np.array(p)),
    st.tuples(finite, finite, finite),
    st.tuples(finite, finite, finite),
)


@given(poses, poses)
def test_between_begins_and_ends_where_it_should(F: Matrix, G: Matrix) -> None:
    assert between(F, G, 0.0) == pytest.approx(F, abs=1e-9)
    assert between(F, G, 1.0) == pytest.approx(G, abs=1e-9)
    far_m, far_rad = distance(F, G)
    half_m, half_rad = distance(F, between(F, G, 0.5))
    assert half_m == pytest.approx(0.5 * far_m, abs=1e-9)
    assert half_rad == pytest.approx(0.5 * far_rad, abs=1e-9)


@given(poses, poses, st.floats(1e-3, 3.0), st.floats(1e-3, 3.0))
def test_a_leash_is_never_longer_than_it_is(F: Matrix, G: Matrix, m: float, rad: float) -> None:
    held = leash(F, G, m, rad)
    far_m, far_rad = distance(F, held)
    assert far_m <= m + 1e-9 and far_rad <= rad + 1e-9
    if distance(F, G)[0] <= m and distance(F, G)[1] <= rad:
        assert np.array_equal(held, G)


@settings(max_examples=20, deadline=None)
@given(poses, poses)
def test_a_velocity_leads_to_the_goal_and_is_limited(F: Matrix, G: Matrix) -> None:
    twist = towards(F, G, 5.0, 0.2, 0.7)
    assert np.linalg.norm(twist[:3]) <= 0.2 + 1e-9
    assert np.linalg.norm(twist[3:]) <= 0.7 + 1e-9
    X, dt_s = F, 0.02
    for _ in range(1000):
        twist = towards(X, G, 5.0, 0.2, 0.7)
        X = pose(exp_so3(dt_s * twist[3:]) @ X[:3, :3], X[:3, 3] + dt_s * twist[:3])
    assert np.abs(X - G).max() < 1e-3


def test_speed_is_proportional_below_the_limit_and_the_way_is_kept_above_it() -> None:
    G = pose(np.eye(3), [0.3, 0.4, 0.0])
    slow = towards(np.eye(4), pose(np.eye(3), [0.01, 0.0, 0.0]), 2.0, 1.0, 1.0)
    assert slow == pytest.approx([0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert towards(np.eye(4), G, 10.0, 0.5, 1.0)[:3] == pytest.approx([0.3, 0.4, 0.0])


def test_a_ramp_takes_its_time_and_starts_where_it_is() -> None:
    ramp, F = Ramp(0.1), np.eye(4)
    G, H = pose(np.eye(3), [0.1, 0.0, 0.0]), pose(np.eye(3), [0.1, 0.2, 0.0])
    ramp.begin(F)
    assert ramp.at(G, 5.0) == pytest.approx(F)
    assert ramp.at(G, 5.05)[0, 3] == pytest.approx(0.05)
    assert ramp.at(H, 5.05)[:3, 3] == pytest.approx([0.05, 0.0, 0.0]), "no step on a new goal"
    assert ramp.at(H, 5.10)[:3, 3] == pytest.approx([0.075, 0.1, 0.0])
    assert np.array_equal(ramp.at(H, 5.15), H)
    assert np.array_equal(ramp.at(H, 99.0), H)


def test_a_ramp_of_no_time_passes_goals_on() -> None:
    ramp, G = Ramp(0.0), pose(np.eye(3), [0.1, 0.0, 0.0])
    ramp.begin(np.eye(4))
    assert np.array_equal(ramp.at(G, 1.0), G)
    assert np.array_equal(Ramp(0.1).at(G, 1.0), G), "and one that was not begun has no way to go"
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="period_s must be 0 or more"):
            Ramp(bad)


def test_a_binary_gripper_changes_its_mind_only_across_both_thresholds() -> None:
    grip, now_s = Grip(GripSettings()), 10.0
    sent = []
    for wish_m in (0.08, 0.051, 0.04, 0.031, 0.029, 0.0, 0.04, 0.049, 0.02, 0.051, 0.08):
        now_s += 1.0
        sent.append(grip.wish(wish_m, 0.045, False, now_s))
    assert sent == [0.08, None, None, None, 0.0, None, None, None, None, 0.08, None]


def test_a_wish_for_what_is_measured_asks_for_nothing() -> None:
    grip = Grip(GripSettings())
    assert grip.wish(0.0, 0.08, False, 1.0) == 0.0
    assert grip.wish(0.06, 0.061, False, 2.0) is None, "fingers on a wide object stay closed"
    assert grip.wish(0.08, 0.061, False, 3.0) == 0.08


def test_a_busy_gripper_is_left_alone_for_a_while() -> None:
    grip = Grip(GripSettings(give_up_s=2.0))
    assert grip.wish(0.0, 0.08, False, 1.0) == 0.0
    assert grip.wish(0.08, 0.05, True, 2.0) is None
    assert grip.wish(0.08, 0.05, False, 2.1) == 0.08
    assert grip.wish(0.0, 0.05, True, 4.0) is None
    assert grip.wish(0.0, 0.05, True, 4.2) == 0.0


def test_a_continuous_gripper_follows_in_steps_and_keeps_to_its_stroke() -> None:
    grip = Grip(GripSettings(mode="continuous", min_change_m=0.005, min_interval_s=0.1))
    assert grip.wish(0.05, 0.08, False, 1.0) == 0.05
    assert grip.wish(0.04, 0.05, False, 1.05) is None, "too soon"
    assert grip.wish(0.047, 0.04, False, 2.0) is None, "too little"
    assert grip.wish(0.04, 0.05, False, 2.0) == 0.04
    assert grip.wish(0.5, 0.04, False, 3.0) == 0.08
    assert grip.wish(-1.0, 0.08, False, 4.0) == 0.0


def test_a_goal_that_came_to_nothing_is_sent_again() -> None:
    grip = Grip(GripSettings())
    assert grip.goal_m is None
    assert grip.wish(0.0, 0.08, False, 1.0) == grip.goal_m == 0.0
    assert grip.wish(0.0, 0.08, False, 2.0) is None
    grip.forget()
    assert grip.wish(0.0, 0.08, False, 3.0) == 0.0


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="close_below_m < open_above_m"):
        build(GripSettings, {"close_below_m": 0.06, "open_above_m": 0.05}, "grip.yaml")
