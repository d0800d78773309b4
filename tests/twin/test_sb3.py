"""Somebody else's learner can use the environment: Stable-Baselines3 takes a few steps on it."""

import gymnasium
import handful_twin  # noqa: F401  registers the environments
import numpy as np
import pytest
import torch

stable_baselines3 = pytest.importorskip("stable_baselines3")


def test_stable_baselines3_trains_on_pixels() -> None:
    torch.manual_seed(0)
    env = gymnasium.make("handful/Reach-v0")
    model = stable_baselines3.SAC(
        "MultiInputPolicy",
        env,
        buffer_size=50,
        learning_starts=8,
        batch_size=4,
        device="cpu",
        seed=0,
    )
    before = [weight.detach().clone() for weight in model.actor.parameters()]
    model.learn(total_timesteps=14)
    after = list(model.actor.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    assert action.shape == (4,) and np.isfinite(action).all()
    env.close()
