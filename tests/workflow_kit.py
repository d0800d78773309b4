"""A task, a demonstrator and a learner one can do sums with, for the workflow's tests.

The task: a point on a line; ``action[0] > 0`` moves it one step to the right, the goal lies
``3 + seed % 5`` steps away, time is up after ``HORIZON``. The learner only counts and remembers: it
owes two updates an env step, and refuses to act before it was pre-trained.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handful.contract import Observation, Spec, Transition
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, Recipe, resolve

SPEC = Spec(("third", "wrist"), 8, 8, 1, 2, 4)
HORIZON = 12
UPDATES_PER_STEP = 2


def recipe(*sets: str, seed: int = 0) -> Recipe:
    """A real recipe with quick settings."""
    quick = ("train.demos=3", "train.steps=40", "train.checkpoint_every_steps=10")
    return resolve(Options(task="reach", seed=seed, sets=(*quick, *sets)))


class LineEnv:
    """The point on a line; remembers the seeds it was reset with."""

    spec = SPEC
    horizon = HORIZON

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.closed = False
        self.running = False

    def reset(self, seed: int) -> Observation:
        self.seeds.append(seed)
        self.goal, self.x, self.step_count, self.running = 3 + seed % 5, 0, 0, True
        return self._observation()

    def step(self, action: Any) -> Transition:
        assert self.running, "step after the end"
        assert np.shape(action) == (SPEC.action_dim,)
        self.step_count += 1
        self.x += 1 if action[0] > 0 else 0
        won = self.x >= self.goal
        last = won or self.step_count >= HORIZON
        self.running = not last
        return Transition(
            action=np.asarray(action, np.float32),
            reward=float(won),
            discount=0.0 if won else 1.0,
            next_observation=self._observation(),
            last=last,
            info={"success": won, "verdict": "ok", "distance_m": 0.1 * (self.goal - self.x)},
        )

    def close(self) -> None:
        self.closed = True

    def _observation(self) -> Observation:
        picture = np.full((8, 8, 3), (self.seeds[-1] % 97, self.x, self.goal), np.uint8)
        state = np.array([self.x, self.goal], np.float32)
        return Observation({"third": picture, "wrist": picture.copy()}, state, float(self.x))


class LineDemonstrator:
    """Always goes right, but worlds whose seed ends in 9 defeat it."""

    def __init__(self, env: LineEnv) -> None:
        self._env = env

    def reset(self) -> None:
        pass

    def act(self, observation: Observation) -> np.ndarray:
        right = 0.0 if self._env.seeds[-1] % 10 == 9 else 1.0
        return np.array([right, 0, 0, 0], np.float32)


@dataclass
class CountingLearner:
    """Counts and remembers; ``wins`` of each ten worlds it moves right in, in the others never."""

    wins: int = 10
    env_steps: int = 0
    updates: int = 0
    episodes: int = 0
    pretrained: bool = False
    q_loss: float = 0.5
    demos: int = 0
    begun: int = 0
    seen: list[tuple[float, float, bool]] = field(default_factory=list)
    explored: list[bool] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    galleries: list[Any] = field(default_factory=list)

    def begin(self, observation: Observation) -> None:
        self.begun += 1

    def add(self, transition: Transition) -> None:
        state = transition.next_observation.state
        self.seen.append((float(state[0]), float(state[1]), transition.demo))
        self.demos += transition.demo and transition.last
        self.env_steps += not transition.demo
        self.episodes += transition.last and not transition.demo

    def pretrain(self, progress: Any = None, gallery: Any = None) -> dict[str, float]:
        assert self.seen or gallery, "nothing to look at"
        assert all(demo for _, _, demo in self.seen), "demonstrations first, alone"
        self.galleries += [gallery] if gallery is not None else []
        for done in (1, 2):
            if progress is not None:
                progress(done, 2, {"contrast_loss": 1.0 / done})
        self.pretrained = True
        return {"contrast_loss": 0.5}

    def act(self, observation: Observation, explore: bool) -> np.ndarray:
        assert self.pretrained, "would act at random"
        self.explored.append(explore)
        right = 1.0 if observation.images["third"][0, 0, 0] % 10 < self.wins else 0.0
        return np.array([right, 0, 0, 0], np.float32)

    def update(self, progress: Any = None) -> dict[str, float]:
        owed = UPDATES_PER_STEP * self.env_steps - self.updates
        for step in range(owed):
            self.updates += 1
            if progress is not None:
                progress(step + 1, owed, {})
        return {"q_loss": self.q_loss} if owed > 0 else {}

    def bytes_needed(self) -> int:
        return 1_000_000

    def save(self, path: Path, extra: dict[str, Any]) -> None:
        values = {"wins": self.wins, "updates": self.updates, "env_steps": self.env_steps}
        path.write_text(json.dumps({**values, "extra": extra}))


class LineParts(Parts):
    """Parts of the line world; keeps everything it made for the test to look at."""

    def __init__(self, recipe: Recipe, wins: int = 10) -> None:
        super().__init__(recipe)
        self.wins = wins
        self.envs: list[LineEnv] = []
        self.learners: list[CountingLearner] = []

    def environment(self) -> LineEnv:
        self.envs.append(LineEnv())
        return self.envs[-1]

    def demonstrator(self, env: LineEnv, seed: int) -> LineDemonstrator:
        return LineDemonstrator(env)

    def learner(self, spec: Spec) -> CountingLearner:
        assert spec == SPEC
        self.learners.append(CountingLearner(self.wins))
        return self.learners[-1]

    def load(self, path: Path) -> tuple[CountingLearner, dict[str, Any]]:
        values = json.loads(path.read_text())
        learner = CountingLearner(values["wins"], updates=values["updates"], pretrained=True)
        self.learners.append(learner)
        return learner, values["extra"]

    def open(self, path: Path, device: str | None) -> tuple[Any, Any, dict[str, Any]]:
        """What ``evaluate`` asks for."""
        learner, extra = self.load(path)
        return self, learner, extra
