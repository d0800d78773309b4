"""The scripted demonstrator: it knows where the cube is, but acts only as a policy could."""

import numpy as np
from numpy.typing import NDArray

from handful.contract import Command, Observation
from handful.rig.action import ActionScaler
from handful_twin.task_env import TwinTaskEnv
from handful_twin.tasks import Truth

_GAIN = 0.8  # of the way to the goal in one step, when it is nearer than a full step
_GRIPPER_NOISE = 1.0 / 3.0  # of the noise on the motion


class Demonstrator:
    """Acts on a ``TwinTaskEnv`` through its public actions; the truth is its only secret.

    Proportional steps towards what ``Task.plan`` wants, in a straight line, plus Gaussian noise:
    standard deviation ``noise`` on the motion (0.3 is 9 mm a step on each axis), a third of that on
    the gripper; less where the task asks for care (``Want.noise``). The noise makes ten
    demonstrations ten different ones, and shows recoveries.

    Args:
        env: acts on this one.
        noise: in action units; ``twin.demo_noise`` by default.
        seed: of the noise.
    """

    def __init__(self, env: TwinTaskEnv, noise: float | None = None, seed: int = 0) -> None:
        self.noise = env.twin.demo_noise if noise is None else float(noise)
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"noise must be between 0 and 1 (action units), got {noise}")
        self._env, self._rng = env, np.random.default_rng(seed)
        self._scaler = ActionScaler(env.rig.action)
        self._before: Truth | None = None

    def reset(self) -> None:
        """Call after every ``env.reset``; the stream of noise goes on."""
        self._before = None

    def act(self, observation: Observation) -> NDArray[np.float32]:
        """The next action (A,) float32 in [-1, 1] for the situation the environment is in."""
        truth, arm = self._env.truth(), self._env.arm_state()
        want = self._env.task.plan(truth, self._before or truth)
        self._before = truth
        settings = self._env.rig.action
        # Plans are about where the tip truly is; the arm goes by its encoders, which may be off.
        step_m = want.p_BT_m + (arm.p_BT_m - truth.p_BT_m) - arm.target_p_BT_m
        farthest_m = np.abs(step_m).max()
        step_m = step_m * min(settings.step_m / farthest_m, _GAIN) if farthest_m > 0.0 else step_m
        opening_m = 0.5 * (want.gripper + 1.0) * settings.gripper_max_m
        action = self._scaler.to_action(Command(arm.target_p_BT_m + step_m, 0.0, opening_m), arm)
        noise = self.noise * want.noise * self._rng.standard_normal(action.shape)
        noise[-1] *= _GRIPPER_NOISE
        return np.clip(action + noise, -1.0, 1.0).astype(np.float32)
