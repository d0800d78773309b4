"""Unlabelled play in the twin: an arm that wanders, smoothly, through the guard, meaning nothing.

Pictures for the contrast where demonstrations are few: the hand everywhere in the workspace, the
things where they lie and where they were pushed. No step of it is ever cloned.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.rig.episodes import EpisodeLog
from handful.rig.playback import episode_files, read_file
from handful.workflow.collect import Collected
from handful.workflow.console import Console
from handful.workflow.data.about import about
from handful.workflow.parts import Parts
from handful.workflow.run_folder import RunFolder
from handful.workflow.seeds import Purpose, episode_seed

_HOLD_STEPS = (4, 15)
"""A whim lasts so many steps, uniformly."""
_YIELD = 0.4
"""Share of the way to the whim that an action goes in one step: no jerks."""


class Wanderer:
    """Actions (A,) float32 in [-1, 1] that follow whims: a direction and a grip, for a while.

    One whim in three goes down, where things lie; the others go anywhere.
    """

    def __init__(self, action_dim: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._whim = np.zeros(action_dim)
        self._action = np.zeros(action_dim)
        self._left = 0

    def act(self) -> NDArray[np.float32]:
        """The next action."""
        if self._left == 0:
            self._left = int(self._rng.integers(*_HOLD_STEPS, endpoint=True))
            self._whim = self._rng.uniform(-1.0, 1.0, len(self._whim))
            if self._rng.random() < 1 / 3:
                self._whim[2] = -abs(self._whim[2])
        self._left -= 1
        self._action += _YIELD * (self._whim - self._action)
        return self._action.astype(np.float32)


def play(parts: Parts, run: RunFolder, count: int, console: Console) -> Collected:
    """Top ``RUN/play`` up to ``count`` episodes of wandering, each in a world of its own.

    An episode ends as the task says: at a success nobody meant, or when time is up.
    """
    began_s, recipe = time.monotonic(), parts.recipe
    have, steps, new = 0, 0, 0
    start = episode_seed(Purpose.PLAY, recipe.seed, 0)
    next_index = 0
    for path in episode_files(run.play):
        episode = read_file(path)
        if episode is None:
            continue
        have += 1
        steps += len(episode.transitions)
        next_index = max(next_index, int(episode.info.get("seed", start - 1)) - start + 1)
    if have >= count:
        return Collected(have, 0, 0, steps, time.monotonic() - began_s)
    env: Any = parts.environment()
    log = EpisodeLog(run.play, env.spec, about(recipe, "play"))
    try:
        with log, console.progress("play", count, "episodes", have) as bar:
            while have + new < count:
                seed = episode_seed(Purpose.PLAY, recipe.seed, next_index + new)
                observation, actor = env.reset(seed), Wanderer(env.spec.action_dim, seed)
                log.begin(observation, demo=False, info={"seed": seed})
                last = False
                while not last:
                    transition = env.step(actor.act())
                    log.add(transition)
                    steps, last = steps + 1, transition.last
                log.end()
                new += 1
                bar.update(have + new)
    finally:
        env.close()
    return Collected(have + new, new, 0, steps, time.monotonic() - began_s)
