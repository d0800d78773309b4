"""Runs inside ``.bench/panda_gym``: panda-gym stepping and rendering, timed in slices.

PandaPickAndPlace is its nearest relative of our lift. Everything is its default (25 Hz control over
500 Hz physics, its own renderer choice, its own camera) but the picture's size.
"""

import os
import time
from importlib import metadata
from typing import Any

from peers import answer

PIXELS = 84
RENDERER = "Tiny"  # its default, and the one that needs no GPU


class Bench:
    """Keeps one environment and goes on where the last slice stopped."""

    def __init__(self) -> None:
        self._env: Any = None

    def __call__(self, seconds: float = 1.0, core: int | None = None) -> dict[str, Any]:
        """Random steps with a picture each for ``seconds`` [s]: how many, and the time taken."""
        if self._env is None:
            if core is not None:
                os.sched_setaffinity(0, {core})
            self._env = _make()
            self._env.reset(seed=0)
            self._env.action_space.seed(0)
            self._steps(0.5)  # warm up
        steps, wall_s, cpu_s = self._steps(seconds)
        return {"steps": steps, "wall_s": wall_s, "cpu_s": cpu_s, "about": _about(self._env)}

    def _steps(self, seconds: float) -> tuple[int, float, float]:
        env, steps = self._env, 0
        wall, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            picture = env.render()
            assert picture.shape[:2] == (PIXELS, PIXELS), picture.shape
            steps += 1
            if terminated or truncated:
                env.reset()
        return steps, time.perf_counter() - wall, time.process_time() - cpu


def _about(env: Any) -> str:
    versions = (f"{name} {metadata.version(name)}" for name in ("panda-gym", "pybullet", "numpy"))
    return f"{env.spec.id}, {RENDERER} renderer, {', '.join(versions)}"


def _make() -> Any:
    import gymnasium
    import panda_gym  # noqa: F401  registers its environments

    return gymnasium.make(
        "PandaPickAndPlace-v3",
        render_mode="rgb_array",
        renderer=RENDERER,
        render_width=PIXELS,
        render_height=PIXELS,
    )


if __name__ == "__main__":
    answer(Bench())
