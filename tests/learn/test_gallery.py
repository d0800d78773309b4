"""Pictures beside the demonstrations: looked at by the contrast, and by nothing else."""

import numpy as np
import pytest
import torch
from learn_kit import ColourWorld, fill, settings, spec

from handful.contract import Observation
from handful.learn.gallery import Gallery, joined
from handful.learn.learner import Learner
from handful.learn.sampling import draw_views
from handful.learn.settings import AgentSettings


def a_learner(of: AgentSettings) -> Learner:
    return Learner(of, spec(of), seed=0, device="cpu")


def play(of: AgentSettings, count: int, wrong: float = 1.0) -> Gallery:
    """``count`` one-step episodes whose action is the opposite of what anybody should clone."""
    world, gallery = ColourWorld(spec(of), seed=9), Gallery(spec(of), [1] * count)
    for _ in range(count):
        gallery.begin(world.reset())
        gallery.add(world.step(-wrong * world.wanted()))
    return gallery


def test_a_batch_has_both_and_clones_the_demonstrated_half_alone() -> None:
    of = settings(pretrain__batch_size=16, pretrain__unlabelled_share=0.25)
    learner = a_learner(of)
    fill(learner, ColourWorld(learner.spec), 20, demo=True)
    views = draw_views(learner, play(of, 10))
    assert len(views.query["third"]) == len(views.key["third"]) == 16
    assert len(views.action) == len(views.state) == 12
    assert set(np.sign(views.action[:, 0].tolist())) <= {-1.0, 1.0}
    assert len(draw_views(learner).action) == 16


def test_what_nobody_meant_is_never_cloned() -> None:
    of = settings(pretrain__updates=60, clone__updates=60)
    learner, world = a_learner(of), ColourWorld(spec(of), seed=3)
    fill(learner, world, 60, demo=True)
    metrics = learner.pretrain(gallery=play(of, 60))
    assert {"contrast_loss", "contrast_hits", "clone_loss"} <= set(metrics)
    right = [world.step(learner.acting.clone(world.reset())).reward for _ in range(40)]
    assert np.mean(right) > 0.9, "the gallery's actions, all wrong, have got into the clone"


def test_alone_it_teaches_the_eye_and_leaves_the_hand_as_it_was() -> None:
    of = settings(pretrain__updates=10)
    learner = a_learner(of)
    before = {k: v.clone() for k, v in learner.agent.state_dict().items()}
    metrics = learner.pretrain(gallery=play(of, 20))
    after = learner.agent.state_dict()
    moved = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert {"encoder", "bilinear"} <= moved and not {"clone", "policy"} & moved
    assert "clone_loss" not in metrics and len(learner.replay) == 0


def test_without_one_nothing_to_look_at_is_an_error() -> None:
    with pytest.raises(ValueError, match="no frame to learn from"):
        a_learner(settings()).pretrain()


def test_every_moment_is_drawn_once_before_any_is_drawn_twice() -> None:
    of = settings("curl")  # stacks of three, whose older frames are no moments of their own
    world, shapes = ColourWorld(spec(of)), spec(of)
    gallery = Gallery(shapes, [0] * 5)
    for _ in range(5):
        pictures = [world.reset().images["third"][:, :, :3] for _ in range(3)]
        stacked = np.concatenate(pictures, axis=2)
        gallery.begin(Observation({"third": stacked}, np.zeros(2, np.float32), 0.0))
    assert len(gallery) == 5
    frames, later = gallery.draw(5, np.random.default_rng(0), repeats=False)
    assert frames.shape == (5, 3) and len({int(f) for f in frames[:, -1]}) == 5
    assert len({int(f) for f in frames.ravel()}) == 15 and np.array_equal(frames, later)


def test_joined_keeps_the_cloned_ones_in_front() -> None:
    of = settings()
    learner = a_learner(of)
    fill(learner, ColourWorld(learner.spec), 8, demo=True)
    first, second = draw_views(learner), play(of, 8).views(learner, 4)
    both = joined(first, second)
    count = len(first.action)
    assert torch.equal(both.query["third"][count:], second.query["third"])
    assert both.action is first.action and len(second.action) == 0
