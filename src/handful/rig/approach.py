"""From a goal pose to what a controller can be told this beat: a ramp, a leash, a velocity.

Pure geometry with injected time. Poses are X_B?, in the arm's base frame B; a twist (6,) is the
velocity of the moved frame's origin [m/s] over its turning [rad/s], both along B's axes.
"""

import math

import numpy as np

from handful.rig.geometry import Matrix, exp_so3, log_so3, pose


def between(X_BF: Matrix, X_BG: Matrix, share: float) -> Matrix:
    """The pose ``share`` in [0, 1] of the way from F to G: straight line, shortest turn."""
    turn_rad = log_so3(X_BF[:3, :3].T @ X_BG[:3, :3])
    return pose(
        X_BF[:3, :3] @ exp_so3(share * turn_rad),
        X_BF[:3, 3] + share * (X_BG[:3, 3] - X_BF[:3, 3]),
    )


def distance(X_BF: Matrix, X_BG: Matrix) -> tuple[float, float]:
    """How far G is from F: position [m] and turn [rad]."""
    turn_rad = log_so3(X_BF[:3, :3].T @ X_BG[:3, :3])
    return float(np.linalg.norm(X_BG[:3, 3] - X_BF[:3, 3])), float(np.linalg.norm(turn_rad))


def leash(X_BF: Matrix, X_BG: Matrix, max_m: float, max_rad: float) -> Matrix:
    """G, or the pose on the way from F to it that is ``max_m`` and ``max_rad`` away at the most.

    A spring between F and the result never pulls harder than its stiffness times the leash.
    """
    far_m, far_rad = distance(X_BF, X_BG)
    share = min(1.0, max_m / max(far_m, 1e-12), max_rad / max(far_rad, 1e-12))
    return X_BG if share == 1.0 else between(X_BF, X_BG, share)


def towards(
    X_BF: Matrix, X_BG: Matrix, gain_per_s: float, max_m_s: float, max_rad_s: float
) -> Matrix:
    """The twist (6,) that takes F to G, proportional to the distance and limited.

    Position and turn are shortened by one common factor, so that the way stays the same.
    """
    p_B_m = X_BG[:3, 3] - X_BF[:3, 3]
    w_B_rad = log_so3(X_BG[:3, :3] @ X_BF[:3, :3].T)
    twist = gain_per_s * np.concatenate([p_B_m, w_B_rad])
    fast_m_s, fast_rad_s = (float(np.linalg.norm(part)) for part in np.split(twist, 2))
    share = min(1.0, max_m_s / max(fast_m_s, 1e-12), max_rad_s / max(fast_rad_s, 1e-12))
    return np.asarray(share * twist)


class Ramp:
    """Spreads each new goal over ``period_s``, so that a stiff controller sees no steps.

    A policy's goals arrive as a staircase at its rate; a ramp of one such period turns it into
    straight pieces and costs half a period of delay. 0 passes goals on as they are.
    """

    def __init__(self, period_s: float) -> None:
        if not 0.0 <= period_s < math.inf:
            raise ValueError(f"period_s must be 0 or more, got {period_s}")
        self._period_s = period_s
        self._from: Matrix | None = None

    def begin(self, X_BF: Matrix) -> None:
        """Start at F; the next goal is approached from there."""
        self._from = self._goal = X_BF.copy()
        self._since_s = -math.inf

    def at(self, X_BG: Matrix, now_s: float) -> Matrix:
        """Where to be now, on the way to G. Starts at G itself when nothing was begun."""
        if self._from is None:
            self.begin(X_BG)
        if not np.array_equal(X_BG, self._goal):
            self._from = self._where(now_s)
            self._goal, self._since_s = X_BG.copy(), now_s
        return self._where(now_s)

    def _where(self, now_s: float) -> Matrix:
        assert self._from is not None
        if self._period_s == 0.0:
            return self._goal
        share = (now_s - self._since_s) / self._period_s
        return between(self._from, self._goal, share) if share < 1.0 else self._goal
