"""A pixel world small enough for sums: one picture, one number to hit, one step an episode."""

from typing import Any

import numpy as np

from handful.config import load
from handful.contract import Observation, Spec, Transition
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings

SMALL = {
    "encoder.input_px": 16,
    "encoder.filters": 8,
    "encoder.strides": [2, 1],
    "encoder.latent_dim": 16,
    "augment.pad_px": 1,
    "critic.hidden_dim": 32,
    "actor.hidden_dim": 32,
    "batch_size": 32,
    "pretrain.updates": 30,
    "pretrain.batch_size": 16,
    "replay.capacity": 2000,
    "start_steps": 0,
}


def settings(profile: str = "frozen", **overrides: Any) -> AgentSettings:
    """A shipped profile shrunk to 16 px; overrides with __ for the dot."""
    small = dict(SMALL)
    if profile != "frozen":
        small["clone.updates"] = 0
    else:
        small["clone.updates"] = 30
    small |= {key.replace("__", "."): value for key, value in overrides.items()}
    return load(AgentSettings, f"agent/{profile}", small)


def spec(of: AgentSettings, cameras: tuple[str, ...] = ("third",)) -> Spec:
    """What the colour world delivers to such an agent: two state numbers, one action."""
    return Spec(cameras, of.image_px, of.image_px, of.frame_stack, 2, 1)


class ColourWorld:
    """Left half of the action when the picture is red, right half when blue; reward 0 or 1."""

    def __init__(self, shapes: Spec, seed: int = 0) -> None:
        self.spec, self.rng = shapes, np.random.default_rng(seed)
        self.red = False

    def reset(self) -> Observation:
        """A new picture: noisy red or blue, nothing in the state."""
        self.red = bool(self.rng.integers(2))
        return self._look()

    def step(self, action: np.ndarray, demo: bool = False) -> Transition:
        """One step ends the episode; reward 1 on the right side with a clear decision."""
        hit = float(action[0]) < -0.3 if self.red else float(action[0]) > 0.3
        return Transition(np.asarray(action, np.float32), float(hit), 0.0, self._look(), True, demo)

    def wanted(self) -> np.ndarray:
        """What a demonstrator would do."""
        return np.array([-0.8 if self.red else 0.8], np.float32)

    def _look(self) -> Observation:
        s = self.spec
        picture = self.rng.integers(0, 60, (s.height_px, s.width_px, 3), dtype=np.uint8)
        picture[..., 0 if self.red else 2] += 150
        stacked = np.tile(picture, (1, 1, s.frame_stack))
        return Observation(
            {name: stacked.copy() for name in s.cameras}, np.zeros(2, np.float32), 0.0
        )


def fill(learner: Learner, world: ColourWorld, count: int, demo: bool) -> None:
    """``count`` one-step episodes: demonstrated, or acted by the learner."""
    for _ in range(count):
        seen = world.reset()
        learner.begin(seen)
        action = world.wanted() if demo else learner.act(seen, explore=True)
        learner.add(world.step(action, demo))


def success(learner: Learner, world: ColourWorld, episodes: int = 40) -> float:
    """Share of episodes the deterministic policy gets right."""
    return float(
        np.mean(
            [world.step(learner.act(world.reset(), explore=False)).reward for _ in range(episodes)]
        )
    )
