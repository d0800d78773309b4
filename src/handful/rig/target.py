"""Where the arm is told to be: the guard's own target, moved by judged steps and by nothing else.

Deltas are integrated on it, never on the measurement. It leaves this line only to stand still where
the arm is, or where the arm was put by somebody who says so.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Command
from handful.rig import guard
from handful.rig.action import ActionScaler
from handful.rig.guard import Status, Verdict
from handful.rig.settings import RigSettings

_SHORTEST_STEP_S = 1e-4  # with less time than this left, an action moves nothing


class Allowance:
    """The time that steps may take, so that a flood of actions moves no faster than a beat.

    A step gets at most one nominal period, and all steps together no more time than has passed.
    Half a period of unused time is kept for the next: an action that came late does not slow the
    one after it down.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s, self._most_s = period_s, 1.5 * period_s
        self._spare_s, self._last_s = self._most_s, -math.inf

    def refill(self) -> None:
        """The arm stood still: a whole step may follow at once."""
        self._spare_s = self._most_s

    def offer(self, now_s: float) -> float:
        """The time the next step may take [s]; 0 at least."""
        if self._last_s > -math.inf:
            passed_s = max(0.0, now_s - self._last_s)
            self._spare_s = min(self._most_s, self._spare_s + passed_s)
        self._last_s = max(self._last_s, now_s)
        return min(self._period_s, self._spare_s)

    def take(self, taken_s: float) -> None:
        """A step used so much of it [s]."""
        self._spare_s = max(0.0, self._spare_s - taken_s)


class Target:
    """The last command accepted, and what the next step needs to know of the one before.

    decided_s: when ``command`` was decided, on the cell's clock [s].
    """

    def __init__(self, rig: RigSettings, max_lead_m: float) -> None:
        self._rig, self._max_lead_m = rig, max_lead_m
        self._scaler = ActionScaler(rig.action)
        self._allowance = Allowance(rig.period_s)
        self.command, self.decided_s = Command(np.zeros(3), 0.0, 0.0), 0.0
        self._step_m, self._step_s = np.zeros(3), rig.period_s

    def begin(self, arm: ArmState, obeyed: int) -> None:
        """The arm is heard for the first time."""
        self.command = Command(arm.p_BT_m.copy(), float(arm.yaw_rad), arm.gripper_m)
        self.stand(arm, obeyed, arm.stamp_s)

    def base(self, arm: ArmState) -> ArmState:
        """The arm with our target for its own: its word for it is one message old."""
        return replace(
            arm,
            target_p_BT_m=self.command.p_BT_m,
            target_yaw_rad=self.command.yaw_rad,
            target_gripper_m=self.command.gripper_m,
        )

    def step(
        self,
        arm: ArmState,
        values: NDArray[np.float64],
        age_s: float,
        stamp_now_s: float,
        now_s: float,
    ) -> Verdict:
        """Judge an action (A,), finite, and go where it may; a verdict that holds changes nothing.

        age_s: of the observation. stamp_now_s: the cell's clock. now_s: steady, in the cell's
        seconds.
        """
        base = self.base(arm)
        period_s = self._allowance.offer(now_s)
        verdict = guard.check(
            self._rig.guard,
            base,
            self._scaler.to_command(values, base),
            self._step_m * (period_s / self._step_s),
            age_s,
            max(period_s, _SHORTEST_STEP_S),
        )
        if verdict.held:
            return verdict
        if period_s < _SHORTEST_STEP_S:
            reason = "actions come faster than time passes; this one moves nothing"
            return Verdict(self.command, np.zeros(3), Status.SLOWED, reason)
        verdict = guard.keep_near(verdict, base, self._max_lead_m)
        self._allowance.take(period_s)
        self.command, self.decided_s = verdict.command, stamp_now_s
        self._step_m, self._step_s = verdict.step_m, period_s
        return verdict

    def rest(self) -> None:
        """Whoever moved it stops: the target stays, so that nothing jumps."""
        self._step_m = np.zeros(3)

    def stand(self, arm: ArmState, obeyed: int, stamp_s: float) -> None:
        """Stand where the arm is, with the grip kept: an opening hand drops what it carries.

        An arm that has obeyed nothing since its reset (``obeyed`` 0) stands exactly where it was
        put, which it knows better than it measures.
        """
        if obeyed == 0 and self._knows_its_target(arm):
            target_m = arm.target_p_BT_m.copy()
            self._put(Command(target_m, arm.target_yaw_rad, arm.target_gripper_m), stamp_s)
        else:
            grip_m = min(max(self.command.gripper_m, 0.0), self._rig.guard.max_gripper_m)
            self._put(Command(arm.p_BT_m.copy(), float(arm.yaw_rad), float(grip_m)), stamp_s)

    def settle(self, arm: ArmState, obeyed: int, stamp_s: float) -> str:
        """While nobody moves it: follow an arm that was put elsewhere. Returns what to note.

        Small differences are the arm's own (weight, friction); following those would drift.
        """
        if obeyed == 0 and self._knows_its_target(arm):
            self.stand(arm, obeyed, max(stamp_s, arm.stamp_s))
            return ""
        far_m = float(np.linalg.norm(self.command.p_BT_m - arm.p_BT_m))
        if far_m <= self._max_lead_m:
            return ""
        self.stand(arm, obeyed, stamp_s)
        return f"the arm is {far_m:.3f} m from where it was told to be; it stands where it is now"

    def _put(self, command: Command, decided_s: float) -> None:
        self.command, self.decided_s = command, decided_s
        self._step_m, self._step_s = np.zeros(3), self._rig.period_s

    def _knows_its_target(self, arm: ArmState) -> bool:
        """Does the arm's own word for its target make sense?"""
        numbers = (*arm.target_p_BT_m.tolist(), arm.target_yaw_rad, arm.target_gripper_m)
        if not all(map(math.isfinite, numbers)):
            return False
        return float(np.linalg.norm(arm.target_p_BT_m - arm.p_BT_m)) <= self._max_lead_m
