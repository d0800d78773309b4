"""The last pair of eyes before the arm: a pure function from a wish to what may be sent, and why.

Finite -> fresh -> speed and acceleration by one common factor -> workspace walls -> the factor
again. A *step* is how far the target moves in one tick [m]. Four rules hold for every verdict:

* It is finite. A wish that is not, or that came from too old an observation, holds the arm at the
  measured pose and keeps the grip.
* The step is no longer than ``max_speed_m_s`` allows, and leaves the line from standstill to the
  previous step by no more than ``max_accel_m_s2`` allows. So speeding up and turning are limited
  and braking is free: a stop is a stop in this very tick, and how hard the joints may decelerate
  is for the arm's driver to know.
* The target stays in the workspace box. One that is outside already (after hand guiding) may move
  back in, on each axis, but not further out.
* A wish is shortened by one factor on all axes, so its direction is kept; only a wall bends it.
"""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command
from handful.rig.arm import ArmError
from handful.rig.settings import GuardSettings

_CLOCK_JITTER_S = 1.0e-3  # an observation may seem this much younger than now, not more


class Status(Enum):
    """What the guard did with a wish."""

    OK = "ok"
    SLOWED = "slowed"
    AT_WALL = "at_wall"
    STALE = "stale"
    NOT_FINITE = "not_finite"


@dataclass(frozen=True)
class Verdict:
    """What may be sent, and why.

    command: finite and within the limits. step_m: (3,) how far it moves the target [m]; zero for a
    hold, so that it serves as the next tick's ``previous_step_m``. reason: a sentence for people.
    """

    command: Command
    step_m: NDArray[np.float64]
    status: Status
    reason: str

    @property
    def held(self) -> bool:
        """The wish was refused and the arm holds."""
        return self.status in (Status.STALE, Status.NOT_FINITE)


def check(
    settings: GuardSettings,
    arm: ArmState,
    want: Command,
    previous_step_m: NDArray[np.float64],
    age_s: float,
    period_s: float,
) -> Verdict:
    """Judge one wish. Pure: reads its arguments, keeps nothing, shares no memory with its result.

    Args:
        settings: the limits.
        arm: the newest state of the arm; the step is counted from its target.
        want: the command asked for, in B.
        previous_step_m: (3,) ``step_m`` of the verdict before, zeros after a reset [m].
        age_s: age of the observation the wish was made from [s].
        period_s: time this step may take, one tick of the loop [s].
    Raises:
        ArmError: the arm reports no finite pose, so there is none to hold at.
        ValueError: ``period_s`` is not above 0.
    """
    if not 0.0 < period_s < math.inf:
        raise ValueError(f"period_s must be finite and above 0, got {period_s}")
    with np.errstate(over="ignore", invalid="ignore"):
        wish_m = np.array(want.p_BT_m, dtype=np.float64) - arm.target_p_BT_m
    turn_rad = want.yaw_rad - arm.target_yaw_rad
    numbers = (*wish_m.tolist(), turn_rad, want.gripper_m, *map(float, previous_step_m))
    if not all(map(math.isfinite, numbers)):
        return _hold(settings, arm, Status.NOT_FINITE, "the wish or its base is not finite")
    if not -_CLOCK_JITTER_S <= age_s <= settings.max_age_s:
        return _hold(
            settings,
            arm,
            Status.STALE,
            f"the observation is {age_s:.3f} s old, allowed are 0 to {settings.max_age_s} s",
        )

    turn_rad = math.remainder(turn_rad, math.tau)
    slow = _factor(settings, wish_m, turn_rad, previous_step_m, period_s)
    start_m = arm.target_p_BT_m
    low_m = np.minimum(settings.workspace_min_m, start_m)
    high_m = np.maximum(settings.workspace_max_m, start_m)
    free_m = start_m + slow * wish_m
    goal_m = np.minimum(np.maximum(free_m, low_m), high_m)
    walled = bool((goal_m != free_m).any())
    turn_rad *= slow
    if walled:  # the bent step may turn too sharply for the acceleration limit
        step_m = goal_m - start_m
        again = _factor(settings, step_m, turn_rad, previous_step_m, period_s)
        if again < 1.0:
            goal_m = np.minimum(np.maximum(start_m + again * step_m, low_m), high_m)
            turn_rad *= again
    command = Command(
        p_BT_m=goal_m,
        yaw_rad=float(arm.target_yaw_rad + turn_rad),
        gripper_m=float(min(max(want.gripper_m, 0.0), settings.max_gripper_m)),
    )
    status, reason = Status.OK, "within all limits"
    if walled:
        axes = "".join(a for a, g, f in zip("xyz", goal_m, free_m, strict=True) if g != f)
        status, reason = Status.AT_WALL, f"the workspace ends here on {axes}"
    elif slow < 1.0:
        status, reason = Status.SLOWED, f"shortened to {slow:.3f} of the wish by a speed limit"
    return Verdict(command, goal_m - start_m, status, reason)


def keep_near(verdict: Verdict, arm: ArmState, max_lead_m: float) -> Verdict:
    """Shorten a step so that the target runs no further than ``max_lead_m`` ahead of the tip.

    An arm that is blocked is pressed on no harder than that. A target that is further away already
    may come nearer, not go further. Turn and step shrink by one factor, as everywhere here: every
    limit that ``check`` kept still holds. A hold passes as it is.
    """
    ahead_m = arm.target_p_BT_m - arm.p_BT_m
    gained_m = verdict.step_m
    most_m = max(max_lead_m, float(np.linalg.norm(ahead_m)))
    if verdict.held or float(np.linalg.norm(ahead_m + gained_m)) <= most_m:
        return verdict
    square = float(gained_m @ gained_m)
    half = float(ahead_m @ gained_m)
    room = max(0.0, most_m * most_m - float(ahead_m @ ahead_m))
    share = (math.sqrt(half * half + square * room) - half) / square
    share = min(max(share, 0.0), 1.0)
    command = verdict.command
    turn_rad = command.yaw_rad - arm.target_yaw_rad
    nearer = Command(
        p_BT_m=arm.target_p_BT_m + share * gained_m,
        yaw_rad=float(arm.target_yaw_rad + share * turn_rad),
        gripper_m=command.gripper_m,
    )
    reason = f"shortened to {share:.3f} of the step: the tip is {most_m:.3f} m behind already"
    return Verdict(nearer, nearer.p_BT_m - arm.target_p_BT_m, Status.SLOWED, reason)


def _factor(
    settings: GuardSettings,
    wish_m: NDArray[np.float64],
    turn_rad: float,
    previous_step_m: NDArray[np.float64],
    period_s: float,
) -> float:
    """The largest f in [0, 1] for which f * wish keeps every limit.

    Speed: |f w| <= v T, |f turn| <= yaw rate T. Acceleration: f w is within a T^2 of the segment
    from 0 to the previous step p. That region is convex and holds 0, so one largest f exists; it
    lies on the ball around 0, on the cylinder along p, or on the ball around p.
    """
    x, y, z = wish_m.tolist()
    length_m = math.hypot(x, y, z)
    if length_m == 0.0 and turn_rad == 0.0:
        return 1.0
    yaw_rad = settings.max_yaw_rate_rad_s * period_s
    slow = min(1.0, yaw_rad / abs(turn_rad)) if turn_rad != 0.0 else 1.0
    if length_m == 0.0:
        return slow
    slow = min(slow, settings.max_speed_m_s * period_s / length_m)
    reach_m = settings.max_accel_m_s2 * period_s * period_s
    px, py, pz = map(float, previous_step_m)
    # Along and across the previous step, both for the unit wish: huge wishes stay finite.
    ux, uy, uz = x / length_m, y / length_m, z / length_m
    along_m = ux * px + uy * py + uz * pz
    previous_m = math.hypot(px, py, pz)
    if along_m <= 0.0:
        allowed_m = reach_m
    else:
        across = math.hypot(
            (uy * pz - uz * py) / previous_m,
            (uz * px - ux * pz) / previous_m,
            (ux * py - uy * px) / previous_m,
        )
        allowed_m = reach_m / across if across > 0.0 else math.inf
        if allowed_m * along_m > previous_m * previous_m:
            offset_m = across * previous_m
            allowed_m = along_m + math.sqrt(max(0.0, reach_m * reach_m - offset_m * offset_m))
    return min(slow, allowed_m / length_m)


def _hold(settings: GuardSettings, arm: ArmState, status: Status, reason: str) -> Verdict:
    """Stay at the measured pose with the last grip: an opening hand would drop what it carries."""
    pose = (*arm.p_BT_m.tolist(), arm.yaw_rad)
    if not all(map(math.isfinite, pose)):
        raise ArmError(f"the arm reports no finite pose to hold at: {pose}; {reason}")
    grip_m = arm.target_gripper_m if math.isfinite(arm.target_gripper_m) else arm.gripper_m
    if not math.isfinite(grip_m):
        raise ArmError(f"the arm reports no finite gripper opening: {grip_m}; {reason}")
    command = Command(
        p_BT_m=arm.p_BT_m.copy(),
        yaw_rad=float(arm.yaw_rad),
        gripper_m=float(min(max(grip_m, 0.0), settings.max_gripper_m)),
    )
    return Verdict(command, np.zeros(3), status, f"hold: {reason}")
