"""Other people's simulators behind one small door: dm_control's suite and Gymnasium's MuJoCo tasks.

Both are optional (extra ``dmc``). A simulator takes actions in [-1, 1] and knows nothing of
repeats, stacks and budgets; ``workflow.dmc_env`` does.
"""

import difflib
import os
import subprocess
import sys
from collections.abc import Callable
from ctypes import CDLL
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from handful.config import ConfigError
from handful.workflow.dmc_physics import weigh_as_published

INSTALL = "pip install -r requirements-dmc.txt"
GL_PACKAGES = {"egl": "libegl1 and libgl1-mesa-dri", "osmesa": "libosmesa6"}
_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_PROBE = (
    "from mujoco.{0} import GLContext\nc = GLContext(8, 8)\nc.make_current()\nc.free()\n"
    "print('drawn')"
)


@dataclass(frozen=True)
class Task:
    """One task: the suite it is of, its name here, and its words there."""

    suite: str
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Tick:
    """One environment step: reward, whether the episode is over, and what the future is worth."""

    reward: float
    over: bool
    discount: float


class Simulator(Protocol):
    """What ``RepeatEnv`` asks of a task. ``dt_s``: simulated time of one environment step [s]."""

    state_dim: int
    action_dim: int
    horizon: int
    dt_s: float

    def reset(self, seed: int) -> None: ...
    def step(self, action: NDArray[np.float32]) -> Tick: ...
    def picture(self, side_px: int) -> NDArray[np.uint8]: ...
    def state(self) -> NDArray[np.float32]: ...
    def close(self) -> None: ...


def find_task(asked: str) -> Task:
    """The task of that name: ``cartpole_swingup`` of dm_control, ``HalfCheetah-v5`` of Gymnasium.

    Raises:
        ConfigError: no such task, or what would run it is not installed.
    """
    suite_tasks = _suite_tasks()
    wanted = asked.replace("-", "_")
    if wanted in suite_tasks:
        return Task("dm_control", wanted, suite_tasks[wanted])
    if not suite_tasks:
        _refuse_without("dm_control", f"--task {asked}")
    import gymnasium

    if asked in gymnasium.registry:
        for needed in ("mujoco", "imageio"):  # gymnasium imports both when it makes the task
            if find_spec(needed) is None:
                _refuse_without(needed, f"--task {asked}")
        return Task("gymnasium", asked, (asked,))
    known = [*suite_tasks, *_gymnasium_tasks()]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"--task {asked}: no such task; {hint}there are: {', '.join(known)}")


def make_simulator(task: Task, pictures: bool, old_capsules: bool = False) -> Simulator:
    """Open ``task``; with ``pictures`` it must be able to render.

    old_capsules: they weigh what they weighed in the papers' MuJoCo (``workflow.dmc_physics``).

    Raises:
        ConfigError: actions that are not a box, no end of an episode, no way to render.
    """
    if task.suite == "gymnasium":
        return GymnasiumTask(task)
    if pictures and os.environ.get("MUJOCO_GL", "disable") == "disable":
        choose_renderer()  # says what is missing
    return SuiteTask(task, old_capsules)


def choose_renderer(draws: Callable[[str], bool] | None = None) -> str:
    """``egl`` where it draws (on a GPU, or Mesa's software), else ``osmesa``.

    MUJOCO_GL in the environment is obeyed. ``draws``: whether a renderer works here.

    Raises:
        ConfigError: neither works; the message names the Debian packages.
    """
    asked = os.environ.get("MUJOCO_GL")
    if asked and asked != "disable":
        return asked
    for name in ("egl", "osmesa"):
        if (draws or _draws)(name):
            return name
    raise ConfigError(
        "no renderer for MuJoCo: neither EGL (Debian: "
        f"{GL_PACKAGES['egl']}, or a GPU's driver) nor OSMesa ({GL_PACKAGES['osmesa']}) draws "
        "here; install one, or name another in MUJOCO_GL"
    )


def _draws(name: str) -> bool:
    """Tried in a process of its own: PyOpenGL can be bound to one platform only."""
    try:
        CDLL(_LIBRARIES[name])
    except OSError:
        return False
    environment = {**os.environ, "MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}
    words = [sys.executable, "-c", _PROBE.format(name)]
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and "drawn" in done.stdout


class SuiteTask:
    """A task of dm_control: camera 0, no reward colours, the flat observation as state."""

    def __init__(self, task: Task, old_capsules: bool = False) -> None:
        from dm_control import suite

        domain, name = task.words
        self._env: Any = suite.load(
            domain, name, environment_kwargs={"flat_observation": True}, visualize_reward=False
        )
        if old_capsules:
            weigh_as_published(self._env, domain, name)
        limit = self._env._step_limit
        if not np.isfinite(limit):
            self._env.close()
            raise ConfigError(f"--task {task.name}: its episodes never end; use another task")
        action = self._env.action_spec()
        self._low, self._high = np.asarray(action.minimum), np.asarray(action.maximum)
        self.action_dim = int(action.shape[0])
        self.state_dim = int(self._env.observation_spec()["observations"].shape[0])
        self.horizon, self.dt_s = round(limit), float(self._env.control_timestep())
        self._state = np.zeros(self.state_dim, np.float32)
        self._cameras: dict[int, Any] = {}

    def reset(self, seed: int) -> None:
        """Begin the episode that ``seed`` alone decides."""
        self._env.task.random.seed(seed)
        self._state = self._env.reset().observation["observations"].astype(np.float32)

    def step(self, action: NDArray[np.float32]) -> Tick:
        """One environment step; a time limit leaves the discount at 1."""
        true = self._low + 0.5 * (action.astype(np.float64) + 1.0) * (self._high - self._low)
        step = self._env.step(np.clip(true, self._low, self._high))
        self._state = step.observation["observations"].astype(np.float32)
        discount = 1.0 if step.discount is None else float(step.discount)
        return Tick(float(step.reward or 0.0), bool(step.last()), discount)

    def picture(self, side_px: int) -> NDArray[np.uint8]:
        """Camera 0 as (S, S, 3) uint8 RGB."""
        if side_px not in self._cameras:  # physics.render makes a camera and its scene every time
            from dm_control.mujoco.engine import Camera

            self._cameras[side_px] = Camera(self._env.physics, side_px, side_px, camera_id=0)
        return np.array(self._cameras[side_px].render(), np.uint8)

    def state(self) -> NDArray[np.float32]:
        """The task's whole observation (P,) float32."""
        return self._state

    def close(self) -> None:
        """Free the physics and the renderer."""
        self._env.close()


class GymnasiumTask:
    """A Gymnasium task with a box of actions and a time limit: states only."""

    def __init__(self, task: Task) -> None:
        import gymnasium

        made: Any = gymnasium.make(task.name)
        self._env = made
        space, seen = self._env.action_space, self._env.observation_space
        limit: int | None = self._env.spec.max_episode_steps
        try:
            if not isinstance(space, gymnasium.spaces.Box):
                raise ConfigError(
                    f"--task {task.name}: its actions are discrete ({space}), these agents act "
                    f"continuously; use one of: {', '.join(_gymnasium_tasks())}"
                )
            if not isinstance(seen, gymnasium.spaces.Box) or len(seen.shape) != 1:
                raise ConfigError(f"--task {task.name}: expected one state vector, it gives {seen}")
            if limit is None:
                raise ConfigError(f"--task {task.name}: its episodes never end; use another task")
        except ConfigError:
            self._env.close()
            raise
        self._low = np.asarray(space.low, np.float64)
        self._high = np.asarray(space.high, np.float64)
        self.action_dim, self.state_dim = int(space.shape[0]), int(seen.shape[0])
        self.horizon, self.dt_s = int(limit), float(getattr(self._env.unwrapped, "dt", 1.0))
        self._state = np.zeros(self.state_dim, np.float32)

    def reset(self, seed: int) -> None:
        """Begin the episode that ``seed`` alone decides."""
        self._state = np.asarray(self._env.reset(seed=seed)[0], np.float32)

    def step(self, action: NDArray[np.float32]) -> Tick:
        """One environment step; only a termination makes the future worthless."""
        true = self._low + 0.5 * (action.astype(np.float64) + 1.0) * (self._high - self._low)
        clipped = np.clip(true, self._low, self._high).astype(np.float32)
        seen, reward, terminated, truncated, _ = self._env.step(clipped)
        self._state = np.asarray(seen, np.float32)
        return Tick(float(reward), bool(terminated or truncated), 0.0 if terminated else 1.0)

    def picture(self, side_px: int) -> NDArray[np.uint8]:
        """Never asked for: ``dmc_plan.resolve`` refuses pixels here."""
        raise ConfigError("a Gymnasium task gives a state only")

    def state(self) -> NDArray[np.float32]:
        """The task's observation (P,) float32."""
        return self._state

    def close(self) -> None:
        """Free the physics."""
        self._env.close()


def _suite_tasks() -> dict[str, tuple[str, str]]:
    """dm_control's tasks by our names; empty when it is not installed."""
    if find_spec("dm_control") is None:
        return {}
    if not os.environ.get("MUJOCO_GL"):  # dm_control binds its renderer when it is imported
        try:
            os.environ["MUJOCO_GL"] = choose_renderer()
        except ConfigError:
            os.environ["MUJOCO_GL"] = "disable"
    from dm_control import suite

    return {f"{domain}_{task}": (domain, task) for domain, task in sorted(suite.ALL_TASKS)}


def _gymnasium_tasks() -> list[str]:
    """The newest version of each of Gymnasium's MuJoCo tasks."""
    import gymnasium

    newest: dict[str, int] = {}
    for spec in gymnasium.registry.values():
        if str(spec.entry_point).startswith("gymnasium.envs.mujoco"):
            newest[spec.name] = max(newest.get(spec.name, 0), int(spec.version or 0))
    return sorted(f"{name}-v{version}" for name, version in newest.items())


def _refuse_without(package: str, what: str) -> None:
    raise ConfigError(
        f"{what}: needs the Python package {package!r}, which is not installed; "
        f"`{INSTALL}` in a checkout, or `pip install 'handful[dmc]'`, brings it"
    )
