"""A program that plays the person beside a learning agent: it helps when the policy is lost.

It sees the twin's truth, as a person sees the scene, and drives as the scripted demonstrator would,
through the same wishes as a gamepad. For tests, and for measuring what interventions are worth.
"""

from typing import Any

import numpy as np

from handful.contract import Observation
from handful.rig.action import tool_axes
from handful.rig.teleop.device import Wish
from handful.workflow.teleop import Words

_NOTHING = Observation({}, np.zeros(0, np.float32), 0.0)  # the demonstrator looks at the truth
_NEARER_M = 0.004  # that much nearer to what it is after counts as progress
_OTHER_M = 0.02  # a goal that moved so far is another goal


class ScriptedPerson:
    """``workflow.teleop.Hands`` without hands.

    Args:
        patience_steps: steps without progress after which the policy counts as lost.
        help_steps: steps that are driven before it may try again.
        noise: of the driving, in action units; people are not exact.
    """

    def __init__(
        self, patience_steps: int = 6, help_steps: int = 10, noise: float | None = None
    ) -> None:
        self._patience, self._help, self._noise = patience_steps, help_steps, noise
        self._env: Any = None

    def begin(self, env: Any, seed: int) -> None:
        """A new episode of this twin."""
        from handful_twin.demonstrate import Demonstrator

        self._env, self._actor = env, Demonstrator(env, self._noise, seed)
        self._actor.reset()
        self._before = env.truth()
        self._goal_m = np.full(3, np.inf)
        self._nearest_m, self._idle, self._left = np.inf, 0, 0

    def read(self) -> Wish:
        """Nothing while the policy gets on; a held deadman while it is lost."""
        self._watch()
        if self._left == 0 and self._idle >= self._patience:
            self._left = self._help
        if self._left == 0:
            return Wish()
        self._left -= 1
        self._idle = 0
        action = self._actor.act(_NOTHING)
        settings, yaw_rad = self._env.rig.action, self._env.arm_state().target_yaw_rad
        move = np.asarray(action[:3], np.float64)
        if settings.frame == "tool":
            move = tool_axes(yaw_rad) @ move
        turn = float(action[3]) if settings.yaw_step_rad > 0.0 else 0.0
        return Wish(True, move, turn, float(action[-1]))

    def show(self, env: Any, words: Words) -> None:
        """It needs no pictures."""

    def tell(self, words: Words) -> None:
        """Nor words."""

    def _watch(self) -> None:
        """Progress is another goal, or the same one nearer than ever."""
        truth = self._env.truth()
        want = self._env.task.plan(truth, self._before)
        self._before = truth
        far_m = float(np.linalg.norm(want.p_BT_m - truth.p_BT_m))
        other = not np.linalg.norm(want.p_BT_m - self._goal_m) < _OTHER_M
        if other or far_m < self._nearest_m - _NEARER_M:
            self._goal_m, self._nearest_m, self._idle = want.p_BT_m.copy(), far_m, 0
        else:
            self._idle += 1
