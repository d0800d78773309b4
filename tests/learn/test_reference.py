"""Handful's CURL against the published update written plainly: same losses, gradients, networks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from handful.config import load
from handful.contract import Spec
from handful.learn.agent import Agent, TensorBatch
from handful.learn.encoder import Latent, Tower
from handful.learn.gather import gather_pictures
from handful.learn.settings import AgentSettings

_FILE = Path(__file__).parents[2] / "benchmarks" / "reference_curl.py"
_SPEC = importlib.util.spec_from_file_location("reference_curl", _FILE)
assert _SPEC is not None and _SPEC.loader is not None
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)

ACTIONS, BATCH, SEED = 2, 4, 7
SPEC = Spec(("third",), 100, 100, 3, 0, ACTIONS)


def _agent(**contrast: bool) -> Agent:
    overrides = {f"contrast.{key}": value for key, value in contrast.items()}
    settings = load(AgentSettings, "agent/curl", overrides)
    torch.manual_seed(0)
    # In double precision, so that Adam's division does not turn rounding into whole steps.
    return Agent(SPEC, settings, torch.device("cpu"), SEED).double()


def _peer(agent: Agent) -> "reference.ReferenceCurl":
    """The reference with the agent's parameters, everything in double precision."""
    peer = reference.ReferenceCurl(ACTIONS)
    for module in (peer.actor, peer.critic, peer.critic_target):
        module.double()
    with torch.no_grad():
        peer.W.data = agent.bilinear.weight.detach().clone()
        peer.log_alpha.copy_(agent.log_alpha)
        for name, value in _pairs(agent, peer):
            value.copy_(name)
    return peer


def _pairs(agent: Agent, peer: "reference.ReferenceCurl") -> list[tuple[Tensor, Tensor]]:
    """Every parameter of the agent beside the reference's, in the reference's layout."""
    tower, slow = agent.encoder.towers["third"], agent.target_encoder.towers["third"]
    pairs = [
        (agent.bilinear.weight, peer.W),
        (agent.log_alpha, peer.log_alpha),
        *_eye(tower, agent.critic.latent, peer.critic.encoder),
        *_eye(tower, agent.policy.latent, peer.actor.encoder),
        *_eye(slow, agent.target_critic.latent, peer.critic_target.encoder),
        *_linears(agent.policy.actor.trunk, peer.actor.trunk),
    ]
    for ours, theirs in ((agent.critic, peer.critic), (agent.target_critic, peer.critic_target)):
        for member, mlp in enumerate((theirs.q1, theirs.q2)):
            own = [m for m in ours.q.layers if hasattr(m, "weight")]
            linears = [m for m in mlp if isinstance(m, nn.Linear)]
            for ensemble, linear in zip(own, linears, strict=True):
                pairs.append((ensemble.weight[member].T, linear.weight))
                pairs.append((ensemble.bias[member, 0], linear.bias))
    return pairs


def _eye(tower: Tower, latent: Latent, encoder: nn.Module) -> list[tuple[Tensor, Tensor]]:
    modules = [*zip(tower.convolutions, encoder.convs, strict=True)]
    modules += [(latent.project["third"], encoder.fc), (latent.norm["third"], encoder.ln)]
    return [
        (getattr(ours, part), getattr(theirs, part))
        for ours, theirs in modules
        for part in ("weight", "bias")
    ]


def _linears(ours: nn.Sequential, theirs: nn.Sequential) -> list[tuple[Tensor, Tensor]]:
    both = ([m for m in net if isinstance(m, nn.Linear)] for net in (ours, theirs))
    return [p for a, b in zip(*both, strict=True) for p in ((a.weight, b.weight), (a.bias, b.bias))]


def _batches(count: int) -> list[tuple[TensorBatch, dict[str, Tensor]]]:
    """The same numbers in both agents' layouts, one transition an end."""
    rng, out = np.random.default_rng(1), []
    for _ in range(count):
        pictures = rng.integers(0, 256, (3, BATCH, 84, 84, 9), dtype=np.uint8)
        obs, next_obs, positive = torch.from_numpy(pictures).permute(0, 1, 4, 2, 3)
        action = torch.from_numpy(rng.uniform(-1, 1, (BATCH, ACTIONS)))
        reward = torch.from_numpy(rng.uniform(0, 1, (BATCH, 1)))
        mask = torch.tensor([[1.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
        none = torch.zeros(BATCH, 0, dtype=torch.float64)
        ours = TensorBatch(
            obs={"third": obs},
            next_obs={"third": next_obs},
            positive={"third": positive},
            state=none,
            next_state=none,
            action=action,
            reward=reward,
            discount=reference.DISCOUNT * mask,
            demo=torch.zeros(BATCH, 1, dtype=torch.float64),
        )
        theirs = {
            "obs": obs.contiguous().double(),
            "next_obs": next_obs.contiguous().double(),
            "positive": positive.contiguous().double(),
            "action": action,
            "reward": reward,
            "mask": mask,
        }
        out.append((ours, theirs))
    return out


class _Noise:
    """The standard-normal numbers the agent will draw, in the order it draws them."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(SEED)
        self.spare = torch.zeros(BATCH, ACTIONS)  # where none is drawn

    def __call__(self) -> Tensor:
        return torch.randn((BATCH, ACTIONS), generator=self.generator)


def _close(ours: Tensor, theirs: Tensor, what: str) -> None:
    torch.testing.assert_close(
        ours.detach().double(),
        theirs.detach().double(),
        rtol=1e-7,
        atol=1e-9,
        msg=lambda found: f"{what}: {found}",
    )


def test_networks_have_the_published_sizes():
    agent, peer = _agent(), reference.ReferenceCurl(ACTIONS)
    eye = [*agent.encoder.parameters(), *agent.critic.latent.parameters()]
    assert sum(p.numel() for p in eye) == 1_990_518
    assert sum(p.numel() for p in peer.critic.encoder.parameters()) == 1_990_518
    for ours, theirs in _pairs(agent, peer):
        assert ours.shape == theirs.shape


def test_published_order_moves_every_parameter_alike():
    """Four updates with the code's passes and its double step: losses and all parameters agree."""
    agent = _agent(sequential=True, double_step=True)
    peer, noise = _peer(agent), _Noise()
    start = [ours.detach().clone() for ours, _ in _pairs(agent, peer)]
    for step, (ours, theirs) in enumerate(_batches(4), 1):
        noises = (noise(), noise() if step % reference.EVERY == 0 else noise.spare)
        metrics = agent.update(ours, env_steps=10_000)
        losses = peer.update(theirs, step, noises)
        _close(metrics["q_loss"], losses["critic"], f"critic loss of update {step}")
        _close(metrics["contrast_loss"], losses["contrast"], f"contrast loss of update {step}")
        if step % reference.EVERY == 0:
            _close(metrics["actor_loss"], losses["actor"], f"actor loss of update {step}")
    for index, (a, b) in enumerate(_pairs(agent, peer)):
        _close(a, b, f"parameter {index} of shape {tuple(a.shape)}")
        assert not torch.equal(a.detach(), start[index]), (
            "a parameter that never moved proves nothing"
        )


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_joint_backward_is_the_sum_of_the_published_gradients(weight):
    """One backward for both losses: its gradient is theirs added, at the same parameters."""
    agent = _agent()
    peer, noise = _peer(agent), _Noise()
    [(ours, theirs)] = _batches(1)
    critic = peer.critic_loss(theirs, noise())
    contrast = peer.contrast_loss(theirs)
    peer.critic.zero_grad()
    (critic + weight * contrast).backward()

    metrics = agent._update_critic(ours, agent.encoder(ours.obs), weight)
    _close(metrics["q_loss"], critic, "critic loss")
    if weight:
        _close(metrics["contrast_loss"], contrast, "contrast loss")
    # Adam's first moment after one step from zero is (1 - beta1) of the gradient.
    state = agent.optimizers["critic"].state
    eye = _eye(agent.encoder.towers["third"], agent.critic.latent, peer.critic.encoder)
    for own, published in eye:
        _close(state[own]["exp_avg"] / 0.1, published.grad, f"gradient {tuple(own.shape)}")
    first = next(m for m in agent.critic.q.layers if hasattr(m, "weight"))
    for member, mlp in enumerate((peer.critic.q1, peer.critic.q2)):
        gradient = state[first.weight]["exp_avg"][member].T / 0.1
        _close(gradient, mlp[0].weight.grad, f"gradient of Q {member}")
    if weight:
        moment = agent.optimizers["contrast"].state[agent.bilinear.weight]["exp_avg"]
        _close(moment / 0.1, peer.W.grad, "gradient of W")


def test_with_its_own_step_each_loss_moves_the_eye_by_its_own_published_gradient():
    """One forward, two gradients at the same parameters, each in the moments of its own Adam."""
    agent = _agent(own_step=True, double_step=True)
    peer, noise = _peer(agent), _Noise()
    [(ours, theirs)] = _batches(1)
    metrics = agent._update_critic(ours, agent.encoder(ours.obs), 1.0)
    eye = _eye(agent.encoder.towers["third"], agent.critic.latent, peer.critic.encoder)
    losses = {"critic": peer.critic_loss(theirs, noise()), "contrast": peer.contrast_loss(theirs)}
    for name, loss in losses.items():
        _close(metrics["q_loss" if name == "critic" else "contrast_loss"], loss, name)
        peer.critic.zero_grad()
        loss.backward()
        for optimizer in (name,) if name == "critic" else (name, "encoder"):
            state = agent.optimizers[optimizer].state
            for own, published in eye:
                moment = state[own]["exp_avg"] / 0.1
                _close(moment, published.grad, f"{optimizer}: gradient {tuple(own.shape)}")
    moment = agent.optimizers["contrast"].state[agent.bilinear.weight]["exp_avg"]
    _close(moment / 0.1, peer.W.grad, "gradient of W")


def test_actor_step_leaves_the_eye_alone_and_agrees():
    agent = _agent()
    peer, noise = _peer(agent), _Noise()
    [(ours, theirs)] = _batches(1)
    loss, alpha_loss = peer.actor_loss(theirs, noise())
    loss.backward(inputs=[*peer.actor.trunk.parameters(), *peer.actor.encoder.fc.parameters()])
    alpha_loss.backward()
    before = {k: v.clone() for k, v in agent.state_dict().items() if not k.startswith("policy")}
    features = {name: value.detach() for name, value in agent.encoder(ours.obs).items()}
    metrics = agent._update_actor(ours, features, 0.0)
    _close(metrics["actor_loss"], loss, "actor loss")
    state = agent.optimizers["actor"].state
    pairs = _linears(agent.policy.actor.trunk, peer.actor.trunk)
    pairs.append((agent.policy.latent.project["third"].weight, peer.actor.encoder.fc.weight))
    for own, published in pairs:
        _close(state[own]["exp_avg"] / 0.1, published.grad, f"gradient {tuple(own.shape)}")
    moment = agent.optimizers["alpha"].state[agent.log_alpha]["exp_avg"]
    _close(moment / 0.5, peer.log_alpha.grad, "gradient of the temperature")
    for key, value in before.items():
        assert key == "log_alpha" or torch.equal(value, agent.state_dict()[key]), key


def test_crops_are_the_published_crops():
    """Frames stored once, woven and cropped, equal sliding windows over stored stacks."""
    rng = np.random.default_rng(2)
    frames = rng.integers(0, 256, (9, 1, 100, 100, 3), dtype=np.uint8)
    slots = rng.integers(0, 7, (BATCH, 1)) + np.arange(3)
    stacks = frames[slots, 0].transpose(0, 1, 4, 2, 3).reshape(BATCH, 9, 100, 100)
    theirs = reference.random_crop(stacks, np.random.default_rng(3))
    again = np.random.default_rng(3)
    left, top = again.integers(0, 16, BATCH), again.integers(0, 16, BATCH)
    ours = np.empty((BATCH, 84, 84, 9), np.uint8)
    gather_pictures(frames, slots, np.stack([left, top], 1), ours)
    np.testing.assert_array_equal(ours.transpose(0, 3, 1, 2), theirs)
