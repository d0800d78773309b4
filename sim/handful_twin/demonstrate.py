"""Scripted demonstrators: they know where the cube is, but act only as a policy could."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation
from handful_twin.task_env import TwinTaskEnv
from handful_twin.tasks.base import Truth

Array = NDArray[np.float64]

_GAIN = 0.8  # of the way to the goal in one step, when it is nearer than a full step
_ABOVE_M = 0.07  # tip over the cube's middle before going down
_NEAR_M = 0.012  # sideways miss with which to go down, or to close
_LOST_M = 0.03  # sideways miss that needs going up again
_CARRY_M = 0.20  # height to lift to
_STILL_M = 0.001  # change of opening in a step below which the fingers have closed on something


class Demonstrator:
    """Acts on a ``TwinTaskEnv`` through its public actions; the cube's pose is its only secret.

    Proportional steps towards the next goal plus Gaussian noise (standard deviation ``noise`` on
    the three motions, a third of it on the gripper, in action units). What to do next is decided
    from the situation, not from a clock, so after a miss or a slip it tries again; the noise makes
    such recoveries part of what it shows.
    """

    def __init__(self, env: TwinTaskEnv, noise: float | None = None, seed: int = 0) -> None:
        if noise is not None and not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must be between 0 and 1 (action units), got {noise}")
        self._env = env
        self._noise = env.twin.demo_noise if noise is None else noise
        self._rng = np.random.default_rng(seed)
        self._plan: Callable[[Truth], tuple[Array, float]] = {
            "reach": self._reach,
            "lift": self._lift,
        }[env.task.name]
        self.reset()

    def reset(self) -> None:
        """Call after every ``env.reset``; the noise goes on where it was."""
        self._opening_before_m = 1.0
        self._descending = False

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """The next action (A,) float32 in [-1, 1] for the situation the environment is in."""
        truth = self._env.truth()
        goal_m, gripper = self._plan(truth)
        arm = self._env.arm_state()
        action = np.zeros(self._env.spec.action_dim)
        action[:3] = (goal_m - arm.target_p_BT_m) / self._env.rig.action.step_m
        far = np.abs(action[:3]).max()
        # Straight lines: one factor for all axes.
        action[:3] *= min(1.0 / far, _GAIN) if far > 0.0 else 0.0
        action[:3] += self._noise * self._rng.standard_normal(3)
        action[-1] = gripper + self._noise / 3.0 * self._rng.standard_normal()
        self._opening_before_m = truth.gripper_m
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _reach(self, truth: Truth) -> tuple[Array, float]:
        above_m = np.array([0.0, 0.0, self._env.task.settings.goal_above_m])
        return truth.bodies["cube"][0] + above_m, 1.0

    def _lift(self, truth: Truth) -> tuple[Array, float]:
        cube_m = truth.bodies["cube"][0]
        beside_m = float(np.linalg.norm((truth.p_BT_m - cube_m)[:2]))
        over_m = float(truth.p_BT_m[2] - cube_m[2])
        edge_m = self._env.task.settings.cube_edge_m
        inside = beside_m < 0.02 and abs(over_m) < 0.02
        closed = truth.gripper_m < 1.4 * edge_m
        still = abs(self._opening_before_m - truth.gripper_m) < _STILL_M
        if inside and closed:
            if still or cube_m[2] > 0.5 * edge_m + 0.01:  # gripped: carry it up where it is
                return np.array([*truth.p_BT_m[:2], _CARRY_M]), -1.0
            return truth.p_BT_m.copy(), -1.0
        if beside_m < _NEAR_M and abs(over_m) < 0.012:
            return cube_m.copy(), -1.0
        if beside_m < _NEAR_M or (self._descending and beside_m < _LOST_M):
            self._descending = True
            return cube_m.copy(), 1.0
        self._descending = False
        height_m = _ABOVE_M if beside_m > _LOST_M else max(_ABOVE_M, over_m)
        return cube_m + np.array([0.0, 0.0, height_m]), 1.0
