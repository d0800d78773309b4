"""Foresight: what it is asked, how its gradient meets the critic's, and that it can be learned."""

import copy
from pathlib import Path

import pytest
import torch
from agent_kit import agent_of, batch_of, moved
from learn_kit import ColourWorld, fill, settings, spec
from torch import Tensor

from handful.config import ConfigError
from handful.learn.agent import Agent, TensorBatch
from handful.learn.learner import Learner
from handful.learn.predict import Foresight, as_long_as, errors

FORESEES = {"predict__weight": 0.5, "contrast__weight": 0.0}


def gradients_of(agent: Agent, batch: TensorBatch) -> tuple[Tensor, Tensor, Tensor]:
    """At the latent (B, Z): the critic's, foresight's; and the eye's that the step worked with."""
    twin = copy.deepcopy(agent)  # its generator draws the same noise
    twin.generator.set_state(agent.generator.get_state())
    target, keys = twin._bootstrap(batch)
    latent = twin.critic.latent.visual(twin.see(twin.encoder, batch.obs)).detach()
    seen = latent.clone().requires_grad_()
    q = twin.critic.q(twin.critic.latent.beside(seen, batch.state), batch.action)
    (q - target).square().mean(1).sum().backward()
    foreseen = latent.clone().requires_grad_()
    assert twin.foresight is not None and seen.grad is not None
    of_latent, of_reward = errors(twin.foresight(foreseen, batch.action), keys, batch.reward)
    (of_latent + of_reward).backward()
    assert foreseen.grad is not None
    agent._update_critic(batch, agent.see(agent.encoder, batch.obs), 0.0)
    of_eye = agent.encoder.towers["third"].convolutions[0].bias.grad
    assert isinstance(of_eye, Tensor)
    return seen.grad, foreseen.grad, of_eye


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_eye_gets_the_critics_gradient_and_a_share_as_long(weight: float) -> None:
    agent = agent_of(settings("rad", **{**FORESEES, "predict__weight": weight}))
    before, batch = copy.deepcopy(agent), batch_of(agent)
    of_critic, foreseen, of_eye = gradients_of(agent, batch)
    share = foreseen * of_critic.norm() / foreseen.norm()
    assert float(share.norm()) == pytest.approx(float(of_critic.norm()), rel=1e-4)
    visual = before.critic.latent.visual(before.see(before.encoder, batch.obs))
    visual.backward(of_critic + weight * share)
    alone = before.encoder.towers["third"].convolutions[0].bias.grad
    assert isinstance(alone, Tensor)
    assert torch.allclose(of_eye, alone, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"contrast__weight": 1.0},
        {"contrast__weight": 1.0, "contrast__own_step": True},
        {"contrast__weight": 1.0, "contrast__sequential": True},
        {"augment__kind": "shift", "augment__target_views": 2, "augment__loss_views": 3},
    ],
    ids=["alone", "joint", "own step", "sequential", "views"],
)
def test_foresight_goes_with_contrast_and_views(more: dict[str, object]) -> None:
    agent = agent_of(settings("curl", **{**FORESEES, **more}))
    batch = batch_of(agent)
    views, targets = agent.settings.augment.loss_views, agent.settings.augment.target_views
    batch.obs = {name: image.repeat(views, 1, 1, 1) for name, image in batch.obs.items()}
    batch.next_obs = {n: image.repeat(targets, 1, 1, 1) for n, image in batch.next_obs.items()}
    before = copy.deepcopy(agent)
    metrics = agent.update(batch, 0)
    assert {"predict_latent", "predict_reward"} <= set(metrics)
    assert {"encoder", "critic", "foresight"} <= moved(before, agent)


def test_what_an_action_brings_is_learned_and_what_it_does_not_is_not() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=rng)).Q

    def world(count: int, told: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        latent, action = (torch.randn(count, n, generator=rng) for n in (8, 2))
        key = latent @ turn + 2.0 * action.repeat(1, 4)
        reward = action[:, :1]
        if not told:
            action = torch.randn(count, 2, generator=rng)
        return latent, action, key, reward

    left = {}
    for told in (True, False):
        foresight = Foresight(8, 2, 64)
        optimizer = torch.optim.Adam(foresight.parameters(), 3e-3)
        for _ in range(400):
            latent, action, key, reward = world(128, told)
            optimizer.zero_grad()
            of_latent, of_reward = errors(foresight(latent, action), key, reward)
            (of_latent + of_reward).backward()
            optimizer.step()
        latent, action, key, reward = world(512, told)
        with torch.no_grad():
            left[told] = [float(e) for e in errors(foresight(latent, action), key, reward)]
    assert left[True][0] < 0.1 and left[True][1] < 0.1
    assert left[False][0] > 0.3 and left[False][1] > 0.3


def test_right_is_zero_whatever_the_length() -> None:
    key = torch.randn(4, 6)
    of_latent, of_reward = errors((3.0 * key, torch.ones(4, 1)), key, torch.ones(4, 1))
    assert float(of_latent) == pytest.approx(0.0, abs=1e-6) and float(of_reward) == 0.0


def test_a_large_reward_pulls_no_harder_than_a_small_one() -> None:
    predicted = torch.zeros(1, 1, requires_grad=True)
    errors((torch.ones(1, 2), predicted), torch.ones(1, 2), torch.tensor([[400.0]]))[1].backward()
    assert predicted.grad is not None and abs(float(predicted.grad)) == pytest.approx(1.0)


def test_nothing_stays_nothing_beside_a_gradient() -> None:
    assert float(as_long_as(torch.zeros(3), torch.ones(3)).norm()) == 0.0


def test_without_it_an_agent_is_what_it_was() -> None:
    agent = agent_of(settings("rad", **{**FORESEES, "predict__weight": 0.0}))
    assert agent.foresight is None and "predict" not in agent.optimizers
    assert "predict_latent" not in agent.update(batch_of(agent), 0)


def test_a_checkpoint_brings_it_along_with_its_optimiser(tmp_path: Path) -> None:
    profile = settings("lean", predict__weight=1.0, pretrain__updates=0, batch_size=8)
    learner = Learner(profile, spec(profile), seed=3, device="cpu")
    fill(learner, ColourWorld(learner.spec, 5), 12, demo=True)
    fill(learner, ColourWorld(learner.spec, 6), 4, demo=False)
    learner.update()
    learner.save(tmp_path / "c.safetensors", {})
    again = Learner.load(tmp_path / "c.safetensors", device="cpu")
    assert learner.agent.foresight is not None and again.agent.foresight is not None
    for name, value in learner.agent.foresight.state_dict().items():
        assert torch.equal(again.agent.foresight.state_dict()[name], value), name
    moments, kept = (o.agent.optimizers["predict"].state_dict()["state"] for o in (learner, again))
    assert moments and moments.keys() == kept.keys()
    assert all(
        torch.equal(kept[i][key], value) for i in moments for key, value in moments[i].items()
    )


@pytest.mark.parametrize(("profile", "word"), [("state", "pictures"), ("frozen", "trained_by")])
def test_it_needs_an_eye_that_the_critic_trains(profile: str, word: str) -> None:
    with pytest.raises(ConfigError, match=rf"predict.weight.*{word}"):
        settings(profile, predict__weight=1.0)
