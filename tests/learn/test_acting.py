"""Acting: traced as written, live on the weights; and weights handed from process to process."""

from pathlib import Path

import numpy as np
import pytest

from handful.learn.acting import Acting
from handful.learn.checkpoint import CheckpointError
from handful.learn.handout import Receiver, hand_out
from handful.learn.learner import Learner
from tests.learn_kit import ColourWorld, fill, settings, spec


def learner_of(profile: str, cameras: tuple[str, ...] = ("third",)) -> Learner:
    of = settings(profile)
    learner = Learner(of, spec(of, cameras), seed=0, device="cpu")
    fill(learner, ColourWorld(learner.spec), 12, demo=True)
    return learner


@pytest.mark.parametrize("profile", ["frozen", "lean", "curl"])
@pytest.mark.parametrize("way", ["mean", "clone", "embed"])
def test_a_trace_does_what_is_written_and_follows_the_weights(profile: str, way: str) -> None:
    learner = learner_of(profile, ("third", "wrist"))
    traced = Acting(learner.agent, learner.views)
    written = Acting(learner.agent, learner.views, traced=False)
    world = ColourWorld(learner.spec, 7)
    first = getattr(traced, way)(world.reset())
    for _ in range(3):
        seen = world.reset()
        assert getattr(traced, way)(seen) == pytest.approx(getattr(written, way)(seen), abs=1e-5)
    learner.pretrain()
    fill(learner, ColourWorld(learner.spec, 3), 6, demo=False)
    learner.update()
    seen = world.reset()
    after = getattr(traced, way)(seen)
    assert after == pytest.approx(getattr(written, way)(seen), abs=1e-5)
    assert after.shape == first.shape


def test_exploration_noise_is_drawn_anew_and_comes_from_the_agents_generator() -> None:
    learner = learner_of("lean")  # without a clone that might be preferred twice
    seen = ColourWorld(learner.spec).reset()
    state = learner.agent.generator.get_state()
    one, two = learner.acting.sample(seen), learner.acting.sample(seen)
    assert not np.array_equal(one, two)
    learner.agent.generator.set_state(state)
    assert np.array_equal(learner.acting.sample(seen), one)


@pytest.mark.parametrize("profile", ["frozen", "lean"])
def test_handed_out_weights_act_like_the_learner(profile: str, tmp_path: Path) -> None:
    learner, path = learner_of(profile), tmp_path / "policy.safetensors"
    learner.pretrain()
    hand_out(learner, path, {"task": "colour"})
    receiver = Receiver(path, learner.spec)
    world = ColourWorld(learner.spec, 5)
    for _ in range(3):  # twice through both buffers
        seen = world.reset()
        assert receiver.act(seen, False, 0) == pytest.approx(learner.act(seen, False), abs=1e-6)
        assert receiver.current.version == learner.updates
        fill(learner, ColourWorld(learner.spec, 3), 4, demo=False)
        learner.update()
        hand_out(learner, path, {"task": "colour"})
        assert receiver.refresh()
    assert not receiver.refresh(), "nothing new"
    assert receiver.current.extra == {"task": "colour"}


def test_an_actor_keeps_its_weights_when_the_new_ones_are_broken(tmp_path: Path) -> None:
    learner, path = learner_of("frozen"), tmp_path / "policy.safetensors"
    hand_out(learner, path, {})
    receiver = Receiver(path)
    seen = ColourWorld(learner.spec).reset()
    before = receiver.act(seen, False, 0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"policy\.safetensors: not a whole"):
        receiver.refresh()
    assert np.array_equal(receiver.act(seen, False, 0), before)
    path.unlink()
    assert not receiver.refresh()


def test_weights_of_another_robot_are_refused(tmp_path: Path) -> None:
    learner, path = learner_of("frozen"), tmp_path / "policy.safetensors"
    hand_out(learner, path, {})
    other = spec(learner.settings, ("wrist",))
    with pytest.raises(CheckpointError, match=r"spec\.cameras"):
        Receiver(path, other)


def test_a_checkpoint_is_not_mistaken_for_handed_out_weights(tmp_path: Path) -> None:
    learner, path = learner_of("frozen"), tmp_path / "checkpoint.safetensors"
    learner.save(path, {})
    with pytest.raises(CheckpointError, match="not handed-out weights"):
        Receiver(path)
