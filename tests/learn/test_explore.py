"""Exploration noise: standard normal draw by draw, pink over time, forgotten between episodes."""

from pathlib import Path

import numpy as np
from learn_kit import ColourWorld, settings, spec

from handful.learn.explore import Noise
from handful.learn.handout import Receiver, hand_out
from handful.learn.learner import Learner
from handful.learn.settings import ExplorationSettings

PINK = ExplorationSettings(noise="pink")


def stream(count: int, size: int, seed: int = 0) -> np.ndarray:
    noise, rng = Noise(PINK, size), np.random.default_rng(seed)
    drawn = [noise.draw(rng) for _ in range(count)]
    return np.stack([one for one in drawn if one is not None])


def learner_of(noise: str) -> Learner:
    own = settings("lean", exploration__noise=noise)
    return Learner(own, spec(own), seed=0, device="cpu")


def test_white_is_left_to_the_agents_own_generator() -> None:
    rng = np.random.default_rng(0)
    assert Noise(ExplorationSettings(), 3).draw(rng) is None
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_every_draw_is_standard_normal_the_first_too() -> None:
    firsts = np.concatenate([stream(1, 64, seed) for seed in range(200)]).ravel()
    later = stream(4000, 64).ravel()
    for values in (firsts, later):
        assert values.dtype == np.float32
        assert abs(values.mean()) < 0.05
        assert abs(values.std() - 1.0) < 0.03
        assert abs((np.abs(values) < 1.0).mean() - 0.683) < 0.02


def test_power_falls_as_one_over_the_frequency() -> None:
    x = stream(1 << 14, 16)
    power = (np.abs(np.fft.rfft(x, axis=0)) ** 2).mean(1) / len(x)
    frequency = np.fft.rfftfreq(len(x))
    bands = [(f0, 2 * f0) for f0 in (0.004, 0.016, 0.064, 0.25)]
    flat = [(power * frequency)[(frequency >= a) & (frequency < b)].mean() for a, b in bands]
    assert max(flat) / min(flat) < 1.4, flat  # white noise: 64


def test_an_episode_does_not_go_on_from_the_one_before() -> None:
    noise = Noise(PINK, 2000)
    before = noise.draw(np.random.default_rng(1))
    straight = noise.draw(np.random.default_rng(2))
    noise.restart()
    anew = noise.draw(np.random.default_rng(3))
    assert before is not None and straight is not None and anew is not None
    assert np.corrcoef(before, straight)[0, 1] > 0.7
    assert abs(np.corrcoef(straight, anew)[0, 1]) < 0.1


def test_a_learner_explores_in_pink_from_its_own_generator_and_forgets_at_a_reset() -> None:
    def actions(noise: str, resets: bool) -> np.ndarray:
        learner = learner_of(noise)
        seen = ColourWorld(learner.spec, 1).reset()
        out = []
        for _ in range(300):
            if resets or not out:
                learner.begin(seen)
            out.append(learner.act(seen, explore=True))
        return np.stack(out)

    def alike(x: np.ndarray) -> float:
        return float(np.corrcoef(x[:-1, 0], x[1:, 0])[0, 1])

    assert np.array_equal(actions("pink", False), actions("pink", False))
    assert alike(actions("pink", False)) > 0.6
    assert abs(alike(actions("pink", True))) < 0.2
    assert abs(alike(actions("white", False))) < 0.2


def test_an_actor_with_handed_out_weights_explores_in_pink_too(tmp_path: Path) -> None:
    learner = learner_of("pink")
    hand_out(learner, tmp_path / "policy.safetensors", {})
    receiver = Receiver(tmp_path / "policy.safetensors", learner.spec)
    seen = ColourWorld(learner.spec, 1).reset()
    x = np.stack([receiver.act(seen, explore=True, env_steps=1000) for _ in range(300)])
    assert np.corrcoef(x[:-1, 0], x[1:, 0])[0, 1] > 0.6
