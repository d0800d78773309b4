"""Reward by measuring: where the tool is, how far it is open, where a tag is.

Each condition is worth 1 where it holds and falls to 0 over ``slack_m`` outside; the worst counts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from handful.contract import ArmState, Observation
from handful.rig.reward import Claim
from handful.rig.reward_settings import GeometricSettings

TagMiss = Callable[[], tuple[float, str]]
"""How far outside its tolerance a tag is [m] (0: inside, infinite: not seen), and that in words."""


class Geometric:
    """A source by forward kinematics (the arm's own ``p_BT_m``), opening and, if asked, a tag."""

    name = "geometric"

    def __init__(self, settings: GeometricSettings, tag_miss: TagMiss | None = None) -> None:
        self._settings, self._tag_miss = settings, tag_miss
        self._low_m = _bounds(settings.tip_min_m, -np.inf)
        self._high_m = _bounds(settings.tip_max_m, np.inf)
        self._said = ""

    def begin(self) -> None:
        """Nothing is remembered."""

    def look(self, observation: Observation, arm: ArmState) -> Claim:
        """1 where all holds; less outside, by the worst miss."""
        misses = dict(_tip_misses(arm, self._low_m, self._high_m))
        s = self._settings
        if s.width_min_m is not None:
            misses["the gripper is too far closed"] = s.width_min_m - arm.gripper_m
        if s.width_max_m is not None:
            misses["the gripper is too far open"] = arm.gripper_m - s.width_max_m
        if s.squeeze_min_m is not None:
            squeeze_m = arm.gripper_m - arm.target_gripper_m
            misses["the fingers squeeze too little"] = s.squeeze_min_m - squeeze_m
        if self._tag_miss is not None:
            miss_m, words = self._tag_miss()
            misses[words] = miss_m
        words, worst_m = max(misses.items(), key=lambda item: _rank(item[1]))
        if worst_m <= 0.0:
            self._said = "all holds"
            return Claim(1.0)
        score = max(0.0, 1.0 - worst_m / s.slack_m) if np.isfinite(worst_m) else 0.0
        self._said = f"{words} by {1000.0 * worst_m:.1f} mm" if np.isfinite(worst_m) else words
        return Claim(float(score), self._said)

    def warning(self) -> str:
        """Never in doubt: what is not seen is not met."""
        return ""

    def facts(self) -> dict[str, str]:
        """What is missing."""
        return {"geometric": self._said} if self._said else {}


def _tip_misses(
    arm: ArmState, low_m: NDArray[np.float64], high_m: NDArray[np.float64]
) -> list[tuple[str, float]]:
    found = []
    for axis, at, low, high in zip("xyz", arm.p_BT_m, low_m, high_m, strict=True):
        found.append((f"the tip's {axis} is too small", float(low - at)))
        found.append((f"the tip's {axis} is too large", float(at - high)))
    return found


def _bounds(values: tuple[float | None, ...], missing: float) -> NDArray[np.float64]:
    return np.array([missing if value is None else value for value in values], np.float64)


def _rank(miss_m: float) -> float:
    """NaN is the worst of all: a measurement that is no number meets nothing."""
    return np.inf if np.isnan(miss_m) else miss_m
