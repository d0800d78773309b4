"""What the guard's tests share: limits, arms, hostile numbers, and the promises as assertions."""

import numpy as np
from hypothesis import strategies as st

from handful.contract import ArmState, Command
from handful.rig import guard
from handful.rig.guard import Verdict
from handful.rig.settings import GuardSettings

PERIOD_S = 0.1
LIMITS = GuardSettings()
# Tight enough that the acceleration limit binds long before the speed limit does.
SLUGGISH = GuardSettings(max_speed_m_s=0.6, max_accel_m_s2=2.0)
LOW_M, HIGH_M = np.array(LIMITS.workspace_min_m), np.array(LIMITS.workspace_max_m)
CENTRE_M = 0.5 * (LOW_M + HIGH_M)
EPS_M = 1e-9

anything = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(allow_nan=False, allow_infinity=False)
metres = st.floats(-2.0, 2.0) | st.floats(-0.07, 0.07) | st.sampled_from([0.0, -0.0, 1e-12, -1e-12])
fraction = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0])


def vectors(element: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return st.tuples(element, element, element).map(lambda v: np.array(v, np.float64))


inside = vectors(fraction).map(lambda f: LOW_M + f * (HIGH_M - LOW_M))
anywhere = inside | vectors(st.floats(-3.0, 3.0))


@st.composite
def earlier_steps(draw: st.DrawFn, limits: GuardSettings = LIMITS) -> np.ndarray:
    """A step that the guard can have let through: no longer than the speed limit."""
    step_m = draw(vectors(st.floats(-1.0, 1.0)))
    length = np.linalg.norm(step_m)
    reach_m = limits.max_speed_m_s * PERIOD_S * draw(fraction)
    return step_m * (reach_m / length) if length > 1e-6 else np.zeros(3)


def arm_at(
    target_m: np.ndarray, measured_m: np.ndarray | None = None, yaw_rad: float = 0.0
) -> ArmState:
    measured_m = target_m if measured_m is None else measured_m
    return ArmState(
        stamp_s=0.0,
        p_BT_m=np.array(measured_m, np.float64),
        yaw_rad=yaw_rad + 0.01,
        gripper_m=0.039,
        v_BT_m_s=np.zeros(3),
        q_rad=np.zeros(7),
        target_p_BT_m=np.array(target_m, np.float64),
        target_yaw_rad=yaw_rad,
        target_gripper_m=0.02,
    )


def wish(arm: ArmState, step_m: np.ndarray, turn_rad: float = 0.0) -> Command:
    return Command(arm.target_p_BT_m + step_m, arm.target_yaw_rad + turn_rad, 0.05)


def judge(
    step_m: object,
    *,
    start_m: np.ndarray = CENTRE_M,
    previous_m: object = (0.0, 0.0, 0.0),
    age_s: float = 0.05,
    limits: GuardSettings = LIMITS,
    turn_rad: float = 0.0,
) -> Verdict:
    arm = arm_at(start_m)
    want = wish(arm, np.array(step_m, np.float64), turn_rad)
    return guard.check(limits, arm, want, np.array(previous_m, np.float64), age_s, PERIOD_S)


def distance_to_braking(step_m: np.ndarray, previous_m: np.ndarray) -> float:
    """How far a step lies from the line between standstill and the step before, by brute force."""
    square = previous_m @ previous_m
    along = 0.0 if square == 0.0 else float(np.clip(step_m @ previous_m / square, 0.0, 1.0))
    return float(np.linalg.norm(step_m - along * previous_m))


def assert_limits(
    verdict: Verdict, arm: ArmState, previous_m: np.ndarray, limits: GuardSettings
) -> None:
    """The promises about every verdict that is not a hold."""
    step_m = verdict.command.p_BT_m - arm.target_p_BT_m
    assert np.array_equal(step_m, verdict.step_m)
    assert np.linalg.norm(step_m) <= limits.max_speed_m_s * PERIOD_S + EPS_M
    reach_m = limits.max_accel_m_s2 * PERIOD_S**2
    assert distance_to_braking(step_m, previous_m) <= reach_m + EPS_M
    turn_rad = verdict.command.yaw_rad - arm.target_yaw_rad
    assert abs(turn_rad) <= limits.max_yaw_rate_rad_s * PERIOD_S + EPS_M
    for before, after, low, high in zip(
        arm.target_p_BT_m, verdict.command.p_BT_m, LOW_M, HIGH_M, strict=True
    ):
        assert min(low, before) <= after <= max(high, before), "further out than before"
