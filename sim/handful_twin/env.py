"""The tasks as Gymnasium environments: ``handful/Lift-v0`` and the others of ``tasks``."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from handful.contract import Observation
from handful.rig.settings import RigSettings
from handful_twin.settings import TwinSettings
from handful_twin.task_env import make_env
from handful_twin.tasks import TASKS

#: Proprioception is about [-1, 1]; only an arm stuck half a metre off its target gets here.
_STATE_BOUND = 20.0

Values = dict[str, NDArray[Any]]


class HandfulEnv(gymnasium.Env[Values, NDArray[np.float32]]):
    """``TwinTaskEnv`` for Gymnasium: pixels and proprioception in, a guarded action out.

    Observation: a dict of one ``Box(0, 255, (H, W, 3*K), uint8)`` per camera of the rig and
    ``state``, a ``Box(-20, 20, (P,), float32)`` of mostly [-1, 1]. Action: ``Box(-1, 1, (A,),
    float32)``. ``terminated`` on held success (reward 1), ``truncated`` at the horizon; ``info``
    has ``success``, ``at_goal``, ``verdict``, ``distance_m`` and ``executed``, the action sent.

    Args:
        task: a name in ``handful_twin.tasks.TASKS``.
        render_mode: ``rgb_array`` or None.
        render_camera, render_size_px: which camera ``render`` shows (the first by default), how
            large its square is.
        rig, twin: settings; the shipped ones by default.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        task: str,
        render_mode: str | None = None,
        render_camera: str | None = None,
        render_size_px: int = 256,
        rig: RigSettings | None = None,
        twin: TwinSettings | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.inner = make_env(task, rig, twin)
        self.render_mode = render_mode
        self._camera, self._size_px = render_camera, render_size_px
        self.metadata = {**self.metadata, "render_fps": round(self.inner.rig.control_rate_hz)}
        spec = self.inner.spec
        shape = spec.height_px, spec.width_px, 3 * spec.frame_stack
        self.observation_space: spaces.Space[Any] = spaces.Dict(
            {
                **{name: spaces.Box(0, 255, shape, np.uint8) for name in spec.cameras},
                "state": spaces.Box(-_STATE_BOUND, _STATE_BOUND, (spec.state_dim,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (spec.action_dim,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Values, dict[str, Any]]:
        """Begin an episode; a seed fixes it and all that follow it. ``options`` are not used."""
        super().reset(seed=seed)
        episode_seed = int(self.np_random.integers(2**31))
        return _values(self.inner.reset(episode_seed)), {"episode_seed": episode_seed}

    def step(self, action: NDArray[np.float32]) -> tuple[Values, float, bool, bool, dict[str, Any]]:
        """One tick; see the class for what comes back."""
        result = self.inner.step(action)
        terminated = result.last and result.discount == 0.0
        truncated = result.last and result.discount != 0.0
        info = {**result.info, "executed": result.action}
        return _values(result.next_observation), result.reward, terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """The picture (H, W, 3) uint8 of the render camera; None without ``render_mode``."""
        if self.render_mode is None:
            return None
        return self.inner.render(self._camera, (self._size_px, self._size_px))

    def close(self) -> None:
        """Let the world go; twice is safe."""
        self.inner.close()


def register() -> None:
    """Make every task known to ``gymnasium.make`` as ``handful/<Task>-v0``; twice is safe."""
    for name in TASKS:
        env_id = f"handful/{name.capitalize()}-v0"
        if env_id not in gymnasium.registry:
            # The horizon is the task's own, so Gymnasium adds no time limit of its own.
            gymnasium.register(
                env_id, entry_point="handful_twin.env:HandfulEnv", kwargs={"task": name}
            )


def _values(observation: Observation) -> Values:
    return {**observation.images, "state": observation.state}
