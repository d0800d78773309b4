"""A learner whose replay is full of noise pictures: the experience a benchmark of updates needs."""

from typing import Any

import numpy as np

STEPS_PER_EPISODE, ONLINE_EPISODES, DEMO_EPISODES = 100, 16, 4
STATE_DIM, ACTION_DIM = 8, 4


def filled(
    profile: str,
    cameras: tuple[str, ...],
    overrides: dict[str, Any] | None = None,
    episodes: int = ONLINE_EPISODES,
    device: str = "cpu",
) -> Any:
    """A learner whose replay holds noise pictures in episodes of the usual length."""
    from handful.config import load
    from handful.contract import Spec, Transition
    from handful.learn.learner import Learner
    from handful.learn.settings import AgentSettings

    settings = load(AgentSettings, profile, overrides)
    side = settings.image_px
    spec = Spec(cameras, side, side, settings.frame_stack, STATE_DIM, ACTION_DIM)
    learner = Learner(settings, spec, seed=0, device=device)
    rng = np.random.default_rng(0)
    for episode in range(episodes + (DEMO_EPISODES if episodes else 0)):
        first = observation(spec, rng)
        for image in first.images.values():
            image[..., :-3] = np.tile(image[..., -3:], spec.frame_stack - 1)  # as after a reset
        learner.begin(first)
        for step in range(1, STEPS_PER_EPISODE + 1):
            last = step == STEPS_PER_EPISODE
            action = rng.uniform(-1.0, 1.0, ACTION_DIM).astype(np.float32)
            after, demo = observation(spec, rng), episode >= episodes
            learner.add(Transition(action, float(last), float(not last), after, last, demo))
    return learner


def observation(spec: Any, rng: np.random.Generator) -> Any:
    """Pictures of noise, and a state of noise."""
    from handful.contract import Observation

    shape = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
    images = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name in spec.cameras}
    return Observation(images, rng.uniform(-1.0, 1.0, STATE_DIM).astype(np.float32), 0.0)
