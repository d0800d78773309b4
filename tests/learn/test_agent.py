"""One update: which parameters may move, what the targets are, and what each switch changes."""

import copy

import numpy as np
import pytest
import torch
from agent_kit import BATCH, agent_of, batch_of, moved
from learn_kit import settings

from handful.learn import contrast_step


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            "lean",
            {"encoder", "critic", "policy", "bilinear", "log_alpha"}
            | {"target_encoder", "target_critic"},
        ),
        ("frozen", {"critic", "policy", "log_alpha", "target_critic"}),
    ],
)
def test_an_update_moves_what_it_should_and_nothing_else(profile: str, expected: set[str]) -> None:
    agent = agent_of(settings(profile, actor__every=1))
    before = copy.deepcopy(agent)
    agent.update(batch_of(agent), env_steps=10)
    assert moved(before, agent) == expected


def test_the_actor_step_leaves_eye_and_critic_bit_identical() -> None:
    agent = agent_of(settings("lean"))
    batch = batch_of(agent)
    before = copy.deepcopy(agent)
    with torch.no_grad():
        features = agent.encoder(batch.obs)
    agent._update_actor(batch, features, clone_weight=0.5)
    assert moved(before, agent) == {"policy", "log_alpha"}


def test_targets_follow_every_second_update_when_told_to() -> None:
    agent = agent_of(settings("lean", critic__target_every=2))
    before = copy.deepcopy(agent)
    agent.update(batch_of(agent), 0)
    assert "target_critic" not in moved(before, agent)
    agent.update(batch_of(agent), 0)
    assert "target_critic" in moved(before, agent)


def test_success_is_worth_its_reward_and_nothing_after_it() -> None:
    agent = agent_of(settings("frozen"))
    batch = batch_of(agent)
    batch.discount = torch.zeros(BATCH, 1)
    assert torch.allclose(agent.bootstrap(batch), batch.reward)


def test_a_bounded_reward_bounds_the_target() -> None:
    free = agent_of(settings("frozen", critic__target_range=None))
    batch = batch_of(free)
    batch.reward = torch.full((BATCH, 1), 3.0)
    assert float(free.bootstrap(batch).max()) > 1.0
    bounded = agent_of(settings("frozen", critic__target_range=[0.0, 1.0]))
    assert float(bounded.bootstrap(batch).max()) <= 1.0


def test_entropy_enters_the_backup_only_when_told_to() -> None:
    targets = []
    for wanted in (True, False):
        agent = agent_of(
            settings("frozen", temperature__in_backup=wanted, critic__target_range=None)
        )
        targets.append(agent.bootstrap(batch_of(agent)))
    assert not torch.allclose(targets[0], targets[1])


def test_the_ensemble_minimum_is_taken_over_the_subsample() -> None:
    agent = agent_of(
        settings("frozen", critic__count=5, critic__subsample=1, clone__proposal=False)
    )
    whole = agent_of(settings("frozen", critic__count=5, clone__proposal=False))
    whole.load_state_dict(agent.state_dict())
    batch = batch_of(agent)
    singles = torch.stack([agent.bootstrap(batch) for _ in range(20)]).mean(0)
    assert float((singles - whole.bootstrap(batch)).mean()) > 0.0


def test_the_proposal_is_taken_exactly_where_the_critic_prefers_it() -> None:
    agent = agent_of(settings("frozen", clone__proposal=True))
    preferred = []
    for seed in range(10):
        batch = batch_of(agent, seed)
        chosen = agent.act(batch.obs, batch.state, None)
        policy = agent.policy.actor.mean_action(agent.policy.latent(batch.obs, batch.state))
        clone = agent.clone_action(batch.obs, batch.state)
        seen = agent.target_critic.latent(batch.obs, batch.state)
        q = agent.target_critic.q
        better = q(seen, clone).mean(0) > q(seen, policy).mean(0)
        assert torch.equal(chosen, torch.where(better, clone, policy))
        preferred.append(better)
    assert 0.0 < float(torch.cat(preferred).float().mean()) < 1.0


def test_cloning_pulls_towards_demonstrated_actions_and_fades() -> None:
    agent = agent_of(
        settings("frozen", clone__weight=1.0, clone__final_weight=0.0, clone__anneal_steps=100)
    )
    batch = batch_of(agent)
    assert "clone_loss" in agent.update(batch, 0) or "clone_loss" in agent.update(batch, 0)
    for _ in range(2):
        assert "clone_loss" not in agent.update(batch, 100)


def test_the_published_contrast_steps_the_eye_twice_on_one_gradient() -> None:
    steps = {}
    for double in (False, True):
        agent = agent_of(settings("curl", contrast__sequential=True, contrast__double_step=double))
        before = copy.deepcopy(agent)
        contrast_step.take(agent, batch_of(agent))
        assert moved(before, agent) == {"encoder", "critic", "bilinear"}
        old, new = (a.encoder.towers["third"].convolutions[0].bias for a in (before, agent))
        steps[double] = (new - old).detach()
    # Adam's first step is lr x sign(gradient), so two of them are exactly twice one.
    assert torch.allclose(steps[True], 2.0 * steps[False], rtol=1e-3, atol=1e-6)


def test_contrast_ends_when_told_to() -> None:
    agent = agent_of(settings("lean", contrast__until_step=50))
    assert "contrast_loss" in agent.update(batch_of(agent), 49)
    assert "contrast_loss" not in agent.update(batch_of(agent), 50)


def test_same_seed_same_weights() -> None:
    weights = []
    for _ in range(2):
        agent = agent_of(settings("lean"))
        for step in range(3):
            agent.update(batch_of(agent, step), step)
        weights.append(agent.state_dict())
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
