"""The learner's promises: the ratio holds, a seed repeats, a reload goes on, and it learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learn_kit import ColourWorld, fill, settings, spec, success

from handful.config import ConfigError
from handful.learn.checkpoint import CheckpointError
from handful.learn.features import FeatureCache
from handful.learn.learner import Learner


def learner_of(
    profile: str = "frozen", seed: int = 0, demos: int = 20, **overrides: object
) -> Learner:
    own = settings(profile, **overrides)
    learner = Learner(own, spec(own), seed=seed, device="cpu")
    fill(learner, ColourWorld(learner.spec, seed), demos, demo=True)
    return learner


@pytest.mark.parametrize(("ratio", "start"), [(0.5, 0), (1.0, 4), (3.0, 0)])
def test_updates_per_step_are_held_exactly(ratio: float, start: int) -> None:
    learner = learner_of("lean", update_to_data=ratio, start_steps=start)
    world = ColourWorld(learner.spec, 1)
    for step in range(1, 9):
        fill(learner, world, 1, demo=False)
        learner.update()
        assert learner.env_steps == step
        assert learner.updates == int(ratio * max(0, step - start))
    assert learner.update() == {}


def test_what_was_launched_is_asked_later_and_says_the_same() -> None:
    asked, launched = learner_of("lean", start_steps=0), learner_of("lean", start_steps=0)
    for learner in (asked, launched):
        fill(learner, ColourWorld(learner.spec, 1), 3, demo=False)
    at_once, later = asked.update(), launched.launch()
    assert launched.owed() == 0
    fill(launched, ColourWorld(launched.spec, 2), 1, demo=False)  # the next step, meanwhile
    assert at_once == later() and at_once


def test_demonstrations_are_not_environment_steps() -> None:
    learner = learner_of(demos=7)
    assert (learner.env_steps, learner.episodes, learner.owed()) == (0, 0, 0)
    assert len(learner.replay.demo) == 7


def test_own_successes_join_the_demonstrations() -> None:
    learner = learner_of(demos=5)
    world = ColourWorld(learner.spec, 3)
    learner.begin(world.reset())
    learner.add(world.step(world.wanted()))
    learner.begin(world.reset())
    learner.add(world.step(-world.wanted()))
    assert len(learner.replay.online) == 2
    assert len(learner.replay.demo) == 6


def test_hg_dagger_clones_what_the_person_drove_and_never_its_own_successes() -> None:
    learner = learner_of(
        "hg_dagger",
        demos=5,
        clone__updates=30,
        start_steps=100,
        pretrain__refresh_steps=(4,),
        pretrain__refresh_updates=10,
        replay__demo_capacity=50,
    )
    learner.pretrain()
    world = ColourWorld(learner.spec, 3)
    learner.begin(world.reset())
    learner.add(world.step(world.wanted()))
    assert (len(learner.replay.online), len(learner.replay.demo)) == (1, 5)
    for _ in range(3):  # the person drives: experience of the arm's, and cloned
        learner.begin(world.reset())
        step = world.step(world.wanted(), demo=True)
        learner.add(replace(step, info={"intervention": True}))
    assert (learner.env_steps, len(learner.replay.demo)) == (4, 8)
    before = [p.clone() for p in learner.agent.encoder.parameters()]
    assert learner.update() == {}  # no critic learns yet
    assert learner.refreshed == 1
    after = list(learner.agent.encoder.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_half_of_every_batch_is_demonstrated_and_one_buffer_is_uniform() -> None:
    half = learner_of("lean", batch_size=32, replay__successes_to_demos=False)
    fill(half, ColourWorld(half.spec, 1), 60, demo=False)
    assert float(half.sample().demo.sum()) == 16.0
    uniform = learner_of(
        "lean", batch_size=32, replay__demo_share=None, replay__successes_to_demos=False
    )
    fill(uniform, ColourWorld(uniform.spec, 1), 60, demo=False)
    assert float(uniform.sample().demo.sum()) == 8.0  # 20 of 80


def test_a_frozen_eye_does_not_move_after_pretraining() -> None:
    learner = learner_of()
    learner.pretrain()
    before = {k: v.clone() for k, v in learner.agent.encoder.state_dict().items()}
    fill(learner, ColourWorld(learner.spec, 1), 5, demo=False)
    learner.update()
    after = learner.agent.encoder.state_dict()
    assert learner.updates > 0
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_cached_features_are_the_encoders_own() -> None:
    learner = learner_of()
    learner.pretrain()
    learner.sample()
    assert isinstance(learner.cache, FeatureCache)
    picture = learner.replay.store.frames[learner.replay.demo._first, 0]
    tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        fresh = learner.agent.encoder({"third": tensor})["third"][0]
    views = learner.cache.store["third"][learner.replay.demo._first].astype(np.float32)
    assert np.allclose(views[0], fresh.numpy(), atol=2e-3)
    assert all(not np.array_equal(views[0], other) for other in views[1:])


def test_same_seed_same_weights_other_seed_others() -> None:
    def weights(seed: int) -> np.ndarray:
        learner = learner_of(seed=seed, demos=10)
        learner.pretrain()
        fill(learner, ColourWorld(learner.spec, 9), 4, demo=False)
        learner.update()
        return torch.cat([p.flatten() for p in learner.agent.parameters()]).detach().numpy()

    first = weights(0)
    assert np.array_equal(first, weights(0))
    assert not np.array_equal(first, weights(1))


@pytest.mark.parametrize("profile", ["frozen", "lean"])
def test_a_reloaded_learner_goes_on_as_if_nothing_had_happened(
    profile: str, tmp_path: Path
) -> None:
    """The log feeds both the same experience; the next updates must agree to the last bit."""

    def experience(learner: Learner) -> None:
        world, rng = ColourWorld(learner.spec, 5), np.random.default_rng(5)
        for _ in range(6):
            learner.begin(world.reset())
            learner.add(world.step(rng.uniform(-1.0, 1.0, 1).astype(np.float32)))

    first = learner_of(profile, demos=10)
    first.pretrain()
    experience(first)
    first.update()
    first.save(tmp_path / "c.safetensors", {"task": "colour"})
    again = Learner.load(tmp_path / "c.safetensors", device="cpu", spec=first.spec)
    assert again.extra == {"task": "colour"}
    assert (again.updates, again.env_steps) == (first.updates, 0)
    fill(again, ColourWorld(first.spec, 0), 10, demo=True)
    experience(again)
    assert again.owed() == 0
    seen = ColourWorld(first.spec, 11).reset()
    assert np.array_equal(first.act(seen, explore=True), again.act(seen, explore=True))
    assert np.array_equal(first.act(seen, explore=False), again.act(seen, explore=False))


def test_a_checkpoint_of_another_camera_set_is_refused(tmp_path: Path) -> None:
    learner = learner_of()
    learner.save(tmp_path / "c.safetensors", {})
    other = spec(learner.settings, ("third", "wrist"))
    with pytest.raises(CheckpointError, match="cameras"):
        Learner.load(tmp_path / "c.safetensors", spec=other)


def test_pictures_of_another_size_are_refused_with_the_keys_to_set() -> None:
    own = settings()
    wrong = spec(own.model_copy(update={"frame_stack": 2}))
    with pytest.raises(ValueError, match=r"stacks of 2; set rig\.observe\.image_px"):
        Learner(own, wrong, seed=0, device="cpu")


def test_pretraining_without_a_frame_is_refused() -> None:
    own = settings()
    with pytest.raises(ValueError, match="add demonstrations first"):
        Learner(own, spec(own), seed=0, device="cpu").pretrain()


@pytest.mark.parametrize("profile", ["lean", "frozen"])
def test_the_actor_starts_as_the_clone(profile: str) -> None:
    learner = learner_of(profile)
    learner.pretrain()
    policy, clone = learner.agent.policy.state_dict(), learner.agent.clone.state_dict()
    weights = [name for name in policy if name.endswith("weight") and "norm" not in name]
    assert weights
    assert all(torch.equal(policy[name], clone[name]) for name in weights)


def test_a_proposal_under_a_moving_eye_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"clone\.proposal needs encoder\.trained_by"):
        settings("lean", clone__proposal=True)


def test_contrast_alone_learns_to_tell_moments_apart() -> None:
    learner = learner_of(pretrain__updates=300, pretrain__clone_weight=0.0, clone__updates=0)
    metrics = learner.pretrain()
    assert metrics["contrast_loss"] < np.log(16.0) - 0.3


@pytest.mark.parametrize("profile", ["frozen", "lean", "curl"])
def test_colour_task_is_learned_from_sparse_reward_in_seconds(profile: str) -> None:
    """Left or right by colour: random acting gets a third of it, no cloning helps here."""
    extra = {
        "clone__weight": 0.0,
        "clone__final_weight": 0.0,
        "clone__init_actor": False,
        "replay__n_step": 1,
    }
    if profile == "frozen":
        extra |= {"clone__proposal": False, "pretrain__clone_weight": 0.0}
    learner = learner_of(
        profile,
        demos=20,
        batch_size=32,
        update_to_data=4.0,
        start_steps=0,
        critic__lr=1e-3,
        actor__lr=1e-3,
        actor__every=1,
        temperature__initial=0.01,
        **extra,
    )
    learner.pretrain()
    world = ColourWorld(learner.spec, 1)
    for _ in range(120):
        fill(learner, world, 1, demo=False)
        learner.update()
    assert success(learner, ColourWorld(learner.spec, 2)) >= 0.9


def test_colour_task_is_not_learned_by_a_blind_agent() -> None:
    """The same run with the pictures blacked out must fail, or the test above proves nothing."""

    class Blind(ColourWorld):
        def _look(self):  # type: ignore[no-untyped-def]
            seen = super()._look()
            for picture in seen.images.values():
                picture[:] = 0
            return seen

    learner = learner_of("lean", update_to_data=2.0, clone__weight=0.0, demos=1)
    world = Blind(learner.spec, 1)
    for _ in range(60):
        fill(learner, world, 1, demo=False)
        learner.update()
    assert success(learner, Blind(learner.spec, 2)) < 0.9
