"""A task for every method in seconds: which of a few signs is it, and so left or right?

A sign is a random pattern of coloured blocks on a noisy ground; half of them mean left, half right,
and which do is learned by heart. In training every sign hangs in the middle; an examination may
hang it elsewhere. Two-step episodes: the second step shows the same sign in other noise. The
reward is dense: how near the action is to the wanted one.
"""

from typing import Any

import numpy as np

from handful.config import load
from handful.contract import Observation, Spec, Transition
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings

SIDE_PX, PAD_PX, BLOCK_PX, BLOCKS = 20, 2, 2, 4
SMALL = {
    "encoder.input_px": SIDE_PX,
    "encoder.filters": 8,
    "encoder.strides": [2, 1],
    "encoder.latent_dim": 16,
    "augment.pad_px": PAD_PX,
    "critic.hidden_dim": 64,
    "actor.hidden_dim": 64,
    "critic.target_every": 1,
    "actor.every": 1,
    "actor.lr": 1.0e-3,
    "critic.lr": 1.0e-3,
    "critic.tau": 0.05,
    "temperature.initial": 0.02,
    "batch_size": 64,
    "discount": 0.5,
    "frame_stack": 1,
    "replay.capacity": 2000,
    "start_steps": 100,
}


def settings(profile: str, **overrides: Any) -> AgentSettings:
    """A shipped profile, small and quick; overrides with __ for the dot."""
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    return load(AgentSettings, f"agent/{profile}", SMALL | changes)


def spec(of: AgentSettings, signs: int) -> Spec:
    """Pictures for an agent that looks, the number of the sign (one-hot) for one that need not."""
    if of.from_state:
        return Spec((), 0, 0, 1, signs, 1)
    return Spec(("eye",), of.image_px, of.image_px, 1, 0, 1)


class Signs:
    """The world: ``signs`` patterns, shown up to ``astray_px`` off the middle."""

    def __init__(self, shapes: Spec, signs: int, seed: int, astray_px: int = 0) -> None:
        self.spec, self.astray_px = shapes, astray_px
        self.rng = np.random.default_rng(seed)
        same = np.random.default_rng(12)  # every world has the same signs
        small = same.integers(0, 2, (signs, BLOCKS, BLOCKS, 3), dtype=np.uint8)
        self.patterns = small.repeat(BLOCK_PX, 1).repeat(BLOCK_PX, 2)
        self.sign, self.step_count = 0, 0

    def reset(self) -> Observation:
        """Another sign."""
        self.sign, self.step_count = int(self.rng.integers(len(self.patterns))), 0
        self.at = self.rng.integers(-self.astray_px, self.astray_px + 1, 2)
        return self._look()

    @property
    def wanted(self) -> float:
        """Left for even signs, right for odd ones."""
        return -0.7 if self.sign % 2 == 0 else 0.7

    def step(self, action: np.ndarray) -> Transition:
        """Reward 1 at the wanted action, 0 and less at the other side; time is up after two."""
        self.step_count += 1
        reward = 1.0 - abs(float(action[0]) - self.wanted)
        return Transition(action, reward, 1.0, self._look(), self.step_count == 2)

    def _look(self) -> Observation:
        s = self.spec
        if not s.cameras:
            return Observation({}, np.eye(s.state_dim, dtype=np.float32)[self.sign], 0.0)
        picture = self.rng.integers(0, 60, (s.height_px, s.width_px, 3), dtype=np.uint8)
        pattern = self.patterns[self.sign]
        top, left = (np.asarray(picture.shape[:2]) - pattern.shape[:2]) // 2 + self.at
        picture[top : top + len(pattern), left : left + len(pattern)] += 180 * pattern
        return Observation({"eye": picture}, np.zeros(0, np.float32), 0.0)


def train(of: AgentSettings, signs: int, episodes: int, seed: int = 0) -> Learner:
    """A learner after so many episodes, with every update owed."""
    learner = Learner(of, spec(of, signs), seed=seed, device="cpu")
    world = Signs(learner.spec, signs, seed)
    for _ in range(episodes):
        seen, last = world.reset(), False
        learner.begin(seen)
        while not last:
            happened = world.step(learner.act(seen, explore=True))
            learner.add(happened)
            learner.update()
            seen, last = happened.next_observation, happened.last
    return learner


def examine(learner: Learner, signs: int, astray_px: int = 0, questions: int = 200) -> float:
    """Share of signs answered with the right side, the mean action, noise and places unseen."""
    world = Signs(learner.spec, signs, 99, astray_px)
    right = 0
    for _ in range(questions):
        action = learner.act(world.reset(), explore=False)
        right += float(action[0]) * world.wanted > 0.0
    return right / questions
