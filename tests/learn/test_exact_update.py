"""The published update, number by number: contrast, averages, cadence, targets, DrQ's means."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from handful.config import load
from handful.contract import Observation, Spec, Transition
from handful.learn import contrast_step
from handful.learn.agent import Agent, TensorBatch
from handful.learn.contrast import Bilinear, info_nce
from handful.learn.learner import Learner
from handful.learn.pretrain import Views, pretrain
from handful.learn.settings import AgentSettings

CPU, BATCH, ACTIONS = torch.device("cpu"), 6, 2
SMALL = {
    "encoder.input_px": 20,
    "encoder.filters": 4,
    "encoder.strides": [2, 1],
    "encoder.latent_dim": 8,
    "critic.hidden_dim": 16,
    "actor.hidden_dim": 16,
    "augment.pad_px": 2,
    "frame_stack": 1,
    "batch_size": BATCH,
    "replay.capacity": 100,
}


def settings(profile: str, **changes: object) -> AgentSettings:
    overrides = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return load(AgentSettings, f"agent/{profile}", overrides)


def agent_of(profile: str, **changes: object) -> Agent:
    of = settings(profile, **changes)
    torch.manual_seed(1)
    return Agent(Spec(("eye",), of.image_px, of.image_px, 1, 0, ACTIONS), of, CPU, 4).double()


def batch_of(agent: Agent, seed: int = 0) -> TensorBatch:
    rng, a = torch.Generator().manual_seed(seed), agent.settings.augment

    def pictures(views: int = 1) -> dict[str, Tensor]:
        shape = (views * BATCH, 3, 20, 20)
        return {"eye": torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)}

    def normal(width: int) -> Tensor:
        return torch.randn(BATCH, width, generator=rng, dtype=torch.float64)

    return TensorBatch(
        obs=pictures(a.loss_views),
        next_obs=pictures(a.target_views),
        positive=pictures(),
        state=normal(0),
        next_state=normal(0),
        action=torch.tanh(normal(ACTIONS)),
        reward=normal(1),
        discount=torch.full((BATCH, 1), 0.99, dtype=torch.float64),
        demo=torch.zeros(BATCH, 1, dtype=torch.float64),
    )


def copied(agent: Agent) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in agent.state_dict().items()}


def changed(agent: Agent, before: dict[str, Tensor]) -> set[str]:
    now = agent.state_dict()
    return {
        name.split(".")[0] for name, value in before.items() if not torch.equal(value, now[name])
    }


# Contrast.


def test_info_nce_and_its_gradients_are_those_of_a_calculation_by_hand() -> None:
    """Value and gradients with respect to q, W and k, sum by sum, in double precision."""
    rng, n, z = np.random.default_rng(3), 5, 4
    q, k, w = rng.normal(size=(n, z)), rng.normal(size=(n, z)), rng.uniform(0, 1, (z, z))
    loss, dq, dk, dw = 0.0, np.zeros((n, z)), np.zeros((n, z)), np.zeros((z, z))
    pairs = [(a, b) for a in range(z) for b in range(z)]
    for i in range(n):
        scores = [sum(q[i, a] * w[a, b] * k[j, b] for a, b in pairs) for j in range(n)]
        total = sum(math.exp(s) for s in scores)
        loss -= (scores[i] - math.log(total)) / n
        for j in range(n):
            slope = (math.exp(scores[j]) / total - (i == j)) / n
            dq[i] += slope * (w @ k[j])
            dk[j] += slope * (w.T @ q[i])
            dw += slope * np.outer(q[i], k[j])
    query, key = (torch.tensor(v, requires_grad=True) for v in (q, k))
    bilinear = Bilinear(z).double()
    with torch.no_grad():
        bilinear.weight.copy_(torch.tensor(w))
    value = info_nce(bilinear(query, key))
    value.backward()
    assert value.item() == pytest.approx(loss, abs=1e-10)
    for ours, by_hand in ((query.grad, dq), (key.grad, dk), (bilinear.weight.grad, dw)):
        assert np.abs(ours.numpy() - by_hand).max() < 1e-10


@pytest.mark.parametrize("batch", [128, 512])
def test_a_fresh_eye_tells_nothing_apart_and_its_loss_is_near_ln_b(batch: int) -> None:
    """Views of one scene in slightly different light, as two moments of an episode are."""
    agent, rng = agent_of("curl"), torch.Generator().manual_seed(0)
    scene = torch.randint(0, 256, (1, 3, 20, 20), generator=rng)
    views = [
        {"eye": (scene + torch.randint(0, 3, (batch, 3, 20, 20), generator=rng)).clamp(0, 255)}
        for _ in range(2)
    ]
    with torch.no_grad():
        query = agent.critic.latent.visual(agent.encoder(views[0]))
        key = agent.target_critic.latent.visual(agent.target_encoder(views[1]))
        loss = float(info_nce(agent.bilinear(query, key)))
    assert loss == pytest.approx(math.log(batch), abs=0.3)


def test_the_contrast_step_leaves_targets_and_heads_as_they_were() -> None:
    agent = agent_of("curl", contrast__sequential=True)
    before = copied(agent)
    contrast_step.take(agent, batch_of(agent))
    now = agent.state_dict()
    same = {name for name, value in before.items() if torch.equal(value, now[name])}
    assert {name.split(".")[0] for name in same} >= {"target_encoder", "target_critic", "policy"}
    assert all(name in same for name in before if name.startswith("critic.q"))
    assert changed(agent, before) == {"encoder", "critic", "bilinear"}


def test_an_eye_trained_by_contrast_gets_nothing_from_the_critic() -> None:
    for trained_by, moves in (("critic", True), ("contrast", False)):
        agent = agent_of("curl", encoder__trained_by=trained_by)
        batch, before = batch_of(agent), copied(agent)
        agent._update_critic(batch, agent.encoder(batch.obs), 0.0)
        assert ("encoder" in changed(agent, before)) == moves
        agent._update_critic(batch, agent.encoder(batch.obs), 1.0)
        assert "encoder" in changed(agent, before)


# Cadence.


@pytest.mark.parametrize(("profile", "q", "eye"), [("curl", 0.01, 0.05), ("drq", 0.01, 0.01)])
def test_targets_move_by_tau_every_second_update_and_not_between(
    profile: str, q: float, eye: float
) -> None:
    agent = agent_of(profile)
    before = copied(agent)
    agent.update(batch_of(agent), 0)
    assert not {"target_encoder", "target_critic", "policy", "log_alpha"} & changed(agent, before)
    agent.update(batch_of(agent, 1), 0)
    now = agent.state_dict()
    assert {"target_encoder", "target_critic", "policy", "log_alpha"} <= changed(agent, before)
    for name, old in before.items():
        if name.startswith("target_"):
            tau = q if name.startswith("target_critic.q") else eye
            online = now[name.removeprefix("target_")]
            assert torch.allclose(now[name], (1 - tau) * old + tau * online, rtol=0, atol=1e-12)


def test_targets_move_after_the_actor_and_before_the_published_contrast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent, order = agent_of("curl", contrast__sequential=True), []

    def noted(real, name):  # type: ignore[no-untyped-def]
        def call(*args):  # type: ignore[no-untyped-def]
            order.append(name)
            return real(*args)

        return call

    for name in ("critic", "actor", "targets"):
        real = getattr(agent, f"_update_{name}")
        object.__setattr__(agent, f"_update_{name}", noted(real, name))
    monkeypatch.setattr(contrast_step, "take", noted(contrast_step.take, "contrast"))
    for _ in range(2):
        agent.update(batch_of(agent), 0)
    assert order == ["critic", "contrast", "critic", "actor", "targets", "contrast"]


def test_the_real_robot_cadence_is_the_parity_of_the_environment_step() -> None:
    """FERM: ten updates a step, all of them with actor and targets, or none."""
    agent = agent_of("rad", cadence="env_steps")
    for env_step in (7, 8, 9):
        for _ in range(3):
            before = copied(agent)
            agent.update(batch_of(agent), env_step)
            late = {"policy", "target_encoder", "target_critic"} & changed(agent, before)
            assert len(late) == (3 if env_step % 2 == 0 else 0)


@pytest.mark.parametrize(("env_steps", "updates"), [(12_500, 11_500), (62_500, 61_500)])
def test_cartpoles_budget_makes_the_published_number_of_updates(
    env_steps: int, updates: int
) -> None:
    """100k and 500k simulator steps at action repeat 8."""
    of = load(AgentSettings, "agent/curl", SMALL)
    learner = Learner(of, Spec(("eye",), 24, 24, 1, 0, 1), seed=0, device="cpu")
    learner.env_steps = env_steps
    assert learner.owed() == updates


def test_ferms_warm_up_moves_the_target_after_every_update_and_the_eye_twice() -> None:
    changes = {"pretrain__updates": 3, "pretrain__align_targets": False}
    steps = {}
    for double in (False, True):
        agent = agent_of("ferm", encoder__head="linear", pretrain__double_step=double, **changes)
        batch = batch_of(agent)
        views = Views(batch.obs, batch.positive, batch.state, batch.action)
        start = copied(agent)
        pretrain(agent, lambda views=views: views, 1)
        name = "encoder.towers.eye.convolutions.0.bias"
        steps[double] = agent.state_dict()[name] - start[name]
        after = agent.state_dict()
        for key, old in start.items():
            if key.startswith(("target_encoder", "target_critic.latent")):
                online = after[key.removeprefix("target_")]
                assert torch.allclose(after[key], 0.95 * old + 0.05 * online, rtol=0, atol=1e-12)
    assert torch.allclose(steps[True], 2.0 * steps[False], rtol=1e-3, atol=1e-9)


def test_ferms_recipe_is_1600_updates_of_128_and_none_later() -> None:
    ferm = load(AgentSettings, "agent/ferm")
    assert (ferm.pretrain.updates, ferm.pretrain.batch_size, ferm.pretrain.tau) == (1600, 128, 0.05)
    assert (ferm.contrast.weight, ferm.replay.demo_share, ferm.augment.kind) == (0.0, None, "crop")


# Targets.


def test_running_out_of_time_is_not_the_end() -> None:
    """The stored mask is 1 at a time limit: gamma, from the episode's own last picture."""
    of = settings("curl")
    learner = Learner(of, Spec(("eye",), 24, 24, 1, 0, 1), seed=0, device="cpu")
    seen, then = (
        Observation({"eye": np.full((24, 24, 3), shade, np.uint8)}, np.zeros(0, np.float32), 0.0)
        for shade in (5, 77)
    )
    for discount in (1.0, 0.0):
        learner.begin(seen)
        learner.add(Transition(np.zeros(1, np.float32), 1.0, discount, then, last=True))
    learner.settings = of.model_copy(update={"batch_size": 64})
    batch = learner.sample()
    assert sorted(set(batch.discount.flatten().tolist())) == pytest.approx([0.0, 0.99])
    assert (batch.next_obs["eye"] == 77).all() and (batch.obs["eye"] == 5).all()


def test_drqs_target_is_the_mean_over_its_views_and_its_loss_the_sum() -> None:
    """Against a loop over K and M with one view at a time and the same noise."""
    agent = agent_of("drq")
    batch = batch_of(agent)
    k_views, m_views = 2, 2
    noise = copy.deepcopy(agent.generator)
    noises = torch.randn((k_views * BATCH, ACTIONS), generator=noise)
    targets = []
    with torch.no_grad():
        for view in range(k_views):
            rows = slice(view * BATCH, (view + 1) * BATCH)
            seen = {"eye": batch.next_obs["eye"][rows]}
            latent = agent.policy.latent(agent.encoder(seen), batch.next_state)
            action, log_prob = agent.policy.actor.sample(latent, noises[rows])
            slow = agent.target_critic.latent(agent.target_encoder(seen), batch.next_state)
            value = agent.target_critic.q(slow, action).amin(0) - agent.log_alpha.exp() * log_prob
            targets.append(batch.reward + batch.discount * value)
        target, loss = sum(targets) / k_views, 0.0
        for view in range(m_views):
            seen = {"eye": batch.obs["eye"][view * BATCH : (view + 1) * BATCH]}
            latent = agent.critic.latent(agent.encoder(seen), batch.state)
            for q in agent.critic.q(latent, batch.action):
                loss += float((q - target).square().mean())
    state = agent.generator.get_state()
    assert torch.allclose(agent.bootstrap(batch), target, rtol=0, atol=1e-12)
    assert not torch.allclose(targets[0], targets[1])
    agent.generator.set_state(state)
    metrics = agent._update_critic(batch, agent.encoder(batch.obs), 0.0)
    assert float(metrics["q_loss"]) == pytest.approx(loss, rel=1e-12)


def test_drqs_actor_looks_at_the_first_view_alone() -> None:
    one, other = agent_of("drq"), agent_of("drq")
    first, second = batch_of(one), batch_of(other)
    second.obs = {"eye": second.obs["eye"].clone()}
    second.obs["eye"][BATCH:] = 0
    for agent, batch in ((one, first), (other, second)):
        features = agent.first_view(batch, agent.encoder(batch.obs))
        seen = {name: value.detach() for name, value in features.items()}
        agent._update_actor(batch, seen, 0.0)
    pairs = zip(one.policy.parameters(), other.policy.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_with_one_view_each_drq_is_rad_with_shifts() -> None:
    """K = M = 1 (the paper's own remark): the same losses from the same pictures."""
    same = {"augment__kind": "shift", "encoder__tanh": False, "encoder__orthogonal": False}
    same |= {"encoder__delta_orthogonal": True, "critic__encoder_tau": 0.05}
    drq = agent_of("drq", augment__target_views=1, augment__loss_views=1, **same)
    rad = agent_of("rad", **same)
    losses = [float(agent.update(batch_of(agent), 0)["q_loss"]) for agent in (drq, rad)]
    assert losses[0] == losses[1]
