"""When a gripper is told something new: wishes at the guard's rate in, a few goals out.

Real grippers take a second for a stroke and start over with every goal, while commands come at
50 Hz. A gripper is left alone until the wish means something else than the last goal, and until it
has done with that.
"""

import math

from handful.rig.arm_settings import GripSettings


class Grip:
    """Turns wished openings [m] into goals [m]; time is injected, any steady clock [s]."""

    def __init__(self, settings: GripSettings) -> None:
        self._s = settings
        self._goal_m: float | None = None
        self._since_s = -math.inf

    @property
    def goal_m(self) -> float | None:
        """The last goal given; None before the first."""
        return self._goal_m

    def wish(self, wish_m: float, measured_m: float, busy: bool, now_s: float) -> float | None:
        """The goal to send now, or None to leave the gripper alone.

        busy: it still works on the last goal; after ``give_up_s`` that is no longer believed.
        A wish for what is measured asks for nothing: fingers on a wide object stay closed when
        the guard starts again from the measured opening.
        """
        waited_s = now_s - self._since_s
        if waited_s < self._s.min_interval_s or (busy and waited_s < self._s.give_up_s):
            return None
        if abs(wish_m - measured_m) < self._s.min_change_m:
            return None
        goal_m = self._meant(wish_m)
        if goal_m is None or (
            self._goal_m is not None and abs(goal_m - self._goal_m) < self._s.min_change_m
        ):
            return None
        self._goal_m, self._since_s = goal_m, now_s
        return goal_m

    def forget(self) -> None:
        """The last goal came to nothing (aborted, or the gripper came back): send it again."""
        self._goal_m = None

    def _meant(self, wish_m: float) -> float | None:
        if self._s.mode == "continuous":
            return min(max(wish_m, self._s.closed_m), self._s.open_m)
        if wish_m < self._s.close_below_m:
            return self._s.closed_m
        if wish_m > self._s.open_above_m:
            return self._s.open_m
        return None
