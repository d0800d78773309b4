"""The networks of the published agents, to the last parameter: sizes, maps, starts, ranges."""

import functools
import math

import pytest
import torch
from torch import nn

from handful.config import load
from handful.contract import Spec
from handful.learn.agent import Agent
from handful.learn.encoder import Latent, Tower
from handful.learn.networks import Actor, EnsembleCritic
from handful.learn.settings import AgentSettings

CPU = torch.device("cpu")


@functools.cache  # an orthogonal start of 39,200 x 50 takes a while; nothing here changes an agent
def agent_of(profile: str, actions: int = 1) -> Agent:
    settings = load(AgentSettings, f"agent/{profile}")
    side = settings.image_px
    torch.manual_seed(0)
    if settings.from_state:
        return Agent(Spec((), 0, 0, 1, 5, actions), settings, CPU)
    return Agent(Spec(("eye",), side, side, settings.frame_stack, 0, actions), settings, CPU)


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture
def curl() -> Agent:
    return agent_of("curl")


@pytest.mark.parametrize("profile", ["curl", "drq"])
def test_pixel_methods_have_the_published_encoder(profile: str) -> None:
    agent = agent_of(profile)
    assert count(agent.encoder, agent.critic.latent) == 1_990_518
    assert agent.encoder.towers["eye"].map_px == 35


def test_ferms_encoder_sees_two_cameras_as_six_channels() -> None:
    """Two stacked pictures have FERM's six channels; ours has a tower a camera instead."""
    of = load(AgentSettings, "agent/curl").encoder
    tower = Tower(6, of)
    latent = Latent(Spec(("eye",), 100, 100, 2, 0, 1), of, tower.feature_dim, False)
    assert count(tower, latent) == 1_989_654


def test_translation_sees_the_whole_canvas() -> None:
    of = load(AgentSettings, "agent/rad_translate")
    tower = Tower(9, of.encoder)
    assert (tower.map_px, tower.feature_dim) == (47, 32 * 47 * 47)
    assert (of.image_px, of.encoder.latent_dim) == (100, 64)


def test_heads_have_the_published_numbers_of_parameters(curl: Agent) -> None:
    assert count(curl.critic.q) == 2 * 1_103_873
    assert count(curl.policy.latent) == 1_960_150
    # 50 -> 1024 -> 1024 -> mean and log-std of one action.
    assert count(curl.policy.actor) == 50 * 1024 + 1024 + 1024 * 1024 + 1024 + 2 * (1024 + 1)
    assert curl.bilinear.weight.shape == (50, 50)


def test_six_actions_make_the_published_total() -> None:
    """About 7.29 million that learn: eye, critic, actor's own part, W and the temperature."""
    critic = EnsembleCritic(50, 6, 1024, 2, layer_norm=False)
    actor = Actor(50, 6, 1024, -10.0, 2.0)
    total = 1_990_518 + count(critic) + 1_960_150 + count(actor) + 50 * 50 + 1
    assert total == pytest.approx(7.29e6, rel=1e-3)


def test_linears_start_orthogonal_and_convolutions_at_their_centre(curl: Agent) -> None:
    own = [m for m in curl.policy.modules() if isinstance(m, nn.Linear)]
    weights = [m.weight for m in own] + [
        w.T for layer in curl.critic.q.layers if hasattr(layer, "weight") for w in layer.weight
    ]
    for weight in weights:
        small = weight if weight.shape[0] <= weight.shape[1] else weight.T
        identity = torch.eye(len(small))
        assert torch.allclose(small @ small.T, identity, atol=1e-5), weight.shape
    assert all(not m.bias.any() for m in own)
    for convolution in curl.encoder.towers["eye"].convolutions:
        centre = convolution.weight[:, :, 1, 1]
        small = centre if centre.shape[0] <= centre.shape[1] else centre.T
        assert torch.allclose(small @ small.T, 2.0 * torch.eye(len(small)), atol=1e-5)
        rest = convolution.weight.detach().clone()
        rest[:, :, 1, 1] = 0.0
        assert not rest.any() and not convolution.bias.any()


def test_drqs_convolutions_start_orthogonal_in_all_taps() -> None:
    drq = agent_of("drq")
    for convolution in drq.encoder.towers["eye"].convolutions:
        flat = convolution.weight.detach().flatten(1)
        assert torch.allclose(flat @ flat.T, 2.0 * torch.eye(32), atol=1e-4)
        assert convolution.weight[:, :, 0, 0].any() and not convolution.bias.any()
    assert drq.settings.encoder.tanh
    features = 100.0 * torch.randn(4, drq.encoder.feature_dim)
    latent = drq.critic.latent.visual({"eye": features}).detach()
    assert float(latent.abs().max()) <= 1.0


def test_w_starts_uniform_on_0_to_1_and_the_temperature_at_a_tenth(curl: Agent) -> None:
    w = curl.bilinear.weight.detach()
    assert 0.0 <= float(w.min()) < 0.01 and 0.99 < float(w.max()) < 1.0
    assert float(w.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(curl.log_alpha.detach()) == pytest.approx(math.log(0.1), abs=1e-6)
    assert curl.target_entropy == -1.0


@pytest.mark.parametrize("high", [2.0, 0.0])
def test_log_std_covers_its_range_and_no_more(high: float) -> None:
    """[-10, 2], and [-10, 0] as FERM on its robot."""
    actor = Actor(50, 1, 1024, -10.0, high)
    with torch.no_grad():
        actor.trunk[-1].bias.copy_(torch.tensor([0.0, 40.0]))
        assert float(actor(torch.zeros(1, 50))[1]) == pytest.approx(high, abs=1e-5)
        actor.trunk[-1].bias.copy_(torch.tensor([0.0, -40.0]))
        assert float(actor(torch.zeros(1, 50))[1]) == pytest.approx(-10.0, abs=1e-5)
        actor.trunk[-1].bias.zero_()
        middle = -10.0 + 0.5 * (high + 10.0)
        assert float(actor(torch.zeros(1, 50))[1]) == pytest.approx(middle, abs=1e-5)


def test_copies_start_alike_where_the_code_ties_or_copies_them(curl: Agent) -> None:
    """Target and critic are alike; actor and critic share convolutions, not the projection."""
    for target, online in (
        (curl.target_encoder, curl.encoder),
        (curl.target_critic, curl.critic),
    ):
        pairs = zip(target.parameters(), online.parameters(), strict=True)
        assert all(torch.equal(a, b) and a is not b for a, b in pairs)
        assert not any(p.requires_grad for p in target.parameters())
    assert not any(isinstance(m, nn.Conv2d) for m in curl.policy.modules())
    own, critics = (part.latent.project["eye"].weight for part in (curl.policy, curl.critic))
    assert not torch.equal(own, critics)


def test_an_agent_without_cameras_has_no_eye_and_decides_on_the_state() -> None:
    agent = agent_of("state", 2)
    assert count(agent.encoder, agent.critic.latent, agent.policy.latent) == 0
    assert count(agent.critic.q) == 2 * ((5 + 2) * 256 + 256 + 256 * 256 + 256 + 256 + 1)
    state = torch.randn(3, 5)
    assert torch.equal(agent.policy.latent({}, state), state)
    assert set(agent.optimizers) == {"critic", "actor", "alpha"}
