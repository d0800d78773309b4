"""A simulator as the papers' environment: action repeat, summed reward, stacked frames.

One decision is held for ``repeat`` environment steps. Their rewards are summed, only the last
picture is rendered, and the loop ends early at the end of an episode (CURL's wrapper, PlaNet's
protocol). A time limit is no failure: its discount stays 1 and the value bootstraps through it.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from handful.contract import Observation, Spec, Transition
from handful.workflow.dmc_simulators import Simulator


class RepeatEnv:
    """One task as the workflow's environment (``workflow.parts.Environment``).

    Args:
        simulator: the task; this object closes it. spec: what an observation holds: the pictures of
            its one camera, or, when it has no camera, the state. repeat: environment steps of one
            decision.
    """

    def __init__(self, simulator: Simulator, spec: Spec, repeat: int) -> None:
        if repeat < 1:
            raise ValueError(f"repeat: {repeat}, expected 1 or more")
        self._simulator, self._repeat = simulator, repeat
        self.spec = spec
        self.horizon = -(-simulator.horizon // repeat)
        self._frames: deque[NDArray[np.uint8]] = deque(maxlen=spec.frame_stack)
        self._env_steps = 0
        self._running = False

    def reset(self, seed: int) -> Observation:
        """Begin the episode that ``seed`` alone decides; its first frame fills the whole stack."""
        self._simulator.reset(seed)
        self._env_steps, self._running = 0, True
        if self.spec.cameras:
            self._frames.extend([self._picture()] * self.spec.frame_stack)
        return self._observation()

    def step(self, action: NDArray[np.float32]) -> Transition:
        """Hold ``action`` (A,) in [-1, 1] for ``repeat`` environment steps.

        Raises:
            RuntimeError: the episode is over, or none was begun.
        """
        if not self._running:
            raise RuntimeError("step() outside an episode; call reset(seed) first")
        sent = np.clip(np.asarray(action, np.float32), -1.0, 1.0)
        reward, discount, over = 0.0, 1.0, False
        for _ in range(self._repeat):
            tick = self._simulator.step(sent)
            self._env_steps += 1
            reward += tick.reward
            over = tick.over
            if over:
                discount = tick.discount
                break
        self._running = not over
        if self.spec.cameras:
            self._frames.append(self._picture())
        return Transition(sent, reward, discount, self._observation(), over)

    def close(self) -> None:
        """Close the simulator."""
        self._simulator.close()

    def _picture(self) -> NDArray[np.uint8]:
        return self._simulator.picture(self.spec.height_px)

    def _observation(self) -> Observation:
        images = {name: np.concatenate(self._frames, axis=2) for name in self.spec.cameras}
        state = np.zeros(0, np.float32) if self.spec.cameras else self._simulator.state()
        return Observation(images, state, self._env_steps * self._simulator.dt_s)
