"""Every method learns a small task in seconds, and none does with its heart taken out.

The task (``tests/smoke_kit.py``): answer left or right to one of six signs. With
``HANDFUL_LONG_TESTS=1`` the same over five seeds, the other profiles, and learning through effects.
"""

import os

import pytest
import torch

from tests.smoke_kit import examine, settings, train

SIGNS, EPISODES, ASTRAY_PX = 6, 150, 2
SEEDS = range(5) if os.environ.get("HANDFUL_LONG_TESTS") else range(1)
SOLVED, FAILED = 0.9, 0.85  # of six signs, a guess gets five right now and then

# An eye that contrast alone trains: the critic's gradient stops above the convolutions, and those
# start with nothing but their centre taps, so that an untrained eye sees one pixel in eight.
CONTRAST_ALONE = {
    "encoder__strides": [2, 2, 2],
    "encoder__filters": 32,
    "encoder__trained_by": "contrast",
    "update_to_data": 2.0,
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("method", "heart"),
    [
        ("sac", {"critic__lr": 1e-12}),
        ("sac", {"actor__lr": 1e-12}),
        ("state", {"critic__lr": 1e-12}),
        ("state", {"actor__lr": 1e-12}),
    ],
    ids=["sac-critic", "sac-actor", "state-critic", "state-actor"],
)
def test_without_a_step_of_critic_or_actor_nothing_is_learned(method, heart, seed):
    assert examine(train(settings(method, **heart), SIGNS, EPISODES, seed), SIGNS) <= FAILED


@pytest.mark.parametrize("seed", SEEDS)
def test_sac_from_state_learns(seed):
    assert examine(train(settings("state"), SIGNS, EPISODES, seed), SIGNS) >= SOLVED


@pytest.mark.parametrize("seed", SEEDS)
def test_plain_sac_learns_what_it_saw_and_only_where_it_saw_it(seed):
    """The second half is RAD's and DrQ's run with the augmentation taken out."""
    learner = train(settings("sac"), SIGNS, EPISODES, seed)
    assert examine(learner, SIGNS) >= SOLVED
    assert examine(learner, SIGNS, ASTRAY_PX) <= FAILED


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", ["rad", "drq"])
def test_augmentation_knows_signs_where_it_never_saw_them(method, seed):
    assert examine(train(settings(method), SIGNS, EPISODES, seed), SIGNS, ASTRAY_PX) >= SOLVED


@pytest.mark.parametrize("seed", SEEDS)
def test_contrast_alone_trains_an_eye_the_critic_can_decide_on(seed):
    learner = train(settings("curl", **CONTRAST_ALONE), SIGNS, EPISODES, seed)
    assert examine(learner, SIGNS) >= SOLVED


@pytest.mark.parametrize("seed", SEEDS)
def test_without_the_contrast_that_eye_is_worth_little(seed):
    blind = settings("curl", **CONTRAST_ALONE, contrast__until_step=0)
    assert examine(train(blind, SIGNS, EPISODES, seed), SIGNS) <= FAILED


@pytest.mark.skipif(len(SEEDS) == 1, reason="HANDFUL_LONG_TESTS is not set")
@pytest.mark.parametrize("method", ["curl", "rad_translate", "state_ras", "state_gaussian"])
def test_every_other_profile_learns_too(method):
    std = {"state_augment__std": 0.3} if method == "state_gaussian" else {}
    assert examine(train(settings(method, **std), SIGNS, 2 * EPISODES), SIGNS) >= SOLVED


@pytest.mark.skipif(len(SEEDS) == 1, reason="HANDFUL_LONG_TESTS is not set")
@pytest.mark.parametrize(
    "effect", ["window", "grayscale", "cutout", "cutout_colour", "flip", "jitter"]
)
def test_effects_can_be_learned_through(effect):
    """But for the convolution, which exchanges the very colours that tell these signs apart."""
    of = settings("rad", augment__effects=[effect], augment__cutout_px=[3, 6])
    assert examine(train(of, SIGNS, 3 * EPISODES), SIGNS) >= SOLVED
