"""Eye, heads and contrast against sums done by hand or by another route."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from handful.contract import Spec
from handful.learn.contrast import Bilinear, hit_rate, info_nce
from handful.learn.encoder import Encoder, Latent, Tower
from handful.learn.networks import Actor, EnsembleCritic, move_towards
from handful.learn.settings import EncoderSettings

CURL = EncoderSettings(strides=(2, 1, 1, 1), input_px=84)


@pytest.mark.parametrize(("side_px", "map_px"), [(84, 35), (64, 25), (108, 47)])
def test_the_published_encoder_has_the_published_maps(side_px: int, map_px: int) -> None:
    tower = Tower(9, CURL.model_copy(update={"input_px": side_px}))
    assert tower.map_px == map_px
    assert tower(torch.zeros(2, 9, side_px, side_px, dtype=torch.uint8)).shape == (
        2,
        32 * map_px**2,
    )


def test_the_published_encoder_has_the_published_number_of_parameters() -> None:
    spec = Spec(("third",), 100, 100, 3, 0, 1)
    tower = Tower(9, CURL)
    latent = Latent(spec, CURL, tower.feature_dim, use_state=False)
    count = sum(p.numel() for module in (tower, latent) for p in module.parameters())
    assert count == 1_990_518  # seed facts 1.2: 4 convolutions, linear to 50, LayerNorm


def test_convolutions_start_delta_orthogonal() -> None:
    for convolution in Tower(9, CURL).convolutions:
        weight = convolution.weight.detach()
        centre = weight[:, :, 1, 1]
        gram = centre.T @ centre if centre.shape[0] >= centre.shape[1] else centre @ centre.T
        assert torch.allclose(gram, 2.0 * torch.eye(len(gram)), atol=1e-5)
        assert weight.abs().sum() == pytest.approx(float(centre.abs().sum()), rel=1e-6)


def test_bytes_are_divided_by_255_inside_and_only_there() -> None:
    tower = Tower(3, EncoderSettings(input_px=20, strides=(2, 1)))
    pictures = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    first, second = tower.convolutions
    plain = torch.relu(second(torch.relu(first(pictures.float() / 255.0)))).flatten(1)
    assert torch.allclose(tower(pictures), plain, atol=1e-5)


def test_a_keypoint_is_where_the_bright_spot_is() -> None:
    tower = Tower(3, EncoderSettings(input_px=33, strides=(1,), filters=1, head="spatial_softmax"))
    with torch.no_grad():
        tower.convolutions[0].weight.fill_(20.0)
        tower.convolutions[0].bias.zero_()
    picture = torch.zeros(1, 3, 33, 33, dtype=torch.uint8)
    picture[:, :, 7:10, 23:26] = 255  # centre row 8, column 24 of 33: map row 7, column 23 of 31
    x, y = tower(picture)[0].tolist()
    assert x == pytest.approx(23 / 15 - 1, abs=0.01)
    assert y == pytest.approx(7 / 15 - 1, abs=0.01)


def test_an_encoder_too_deep_for_its_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="input_px 16 is too small"):
        Tower(3, EncoderSettings(input_px=16, strides=(2, 2, 2, 2)))


def test_cameras_have_towers_of_their_own() -> None:
    spec = Spec(("third", "wrist"), 20, 20, 1, 2, 1)
    encoder = Encoder(spec, EncoderSettings(input_px=20, strides=(2, 1)))
    pictures = {name: torch.full((1, 3, 20, 20), 90, dtype=torch.uint8) for name in spec.cameras}
    seen = encoder(pictures)
    assert not torch.equal(seen["third"], seen["wrist"])


def test_log_std_stays_in_its_range_and_log_prob_is_the_squashed_gaussians() -> None:
    torch.manual_seed(0)
    actor = Actor(5, 3, 16, -4.0, 1.0)
    latent, noise = torch.randn(64, 5) * 30.0, torch.randn(64, 3)
    with torch.no_grad():
        mean, log_std = actor(latent)
    assert float(log_std.min()) >= -4.0
    assert float(log_std.max()) <= 1.0
    mean, log_std = actor(latent / 100.0)
    action, log_prob = actor.sample(latent / 100.0, noise)
    normal = torch.distributions.Normal(mean, log_std.exp())
    raw = mean + log_std.exp() * noise
    exact = (normal.log_prob(raw) - torch.log(1.0 - torch.tanh(raw) ** 2 + 1e-6)).sum(-1, True)
    assert torch.allclose(log_prob, exact, atol=1e-4)
    assert torch.allclose(action, torch.tanh(raw))


def test_every_member_of_the_ensemble_is_an_mlp_of_its_own() -> None:
    torch.manual_seed(1)
    critic = EnsembleCritic(4, 2, 8, 3, layer_norm=True)
    latent, action = torch.randn(5, 4), torch.randn(5, 2)
    together = critic(latent, action)
    assert together.shape == (3, 5, 1)
    joint = torch.cat([latent, action], -1)
    for member in range(3):
        x = joint
        for layer in critic.layers:
            if isinstance(layer, nn.ReLU):
                x = torch.relu(x)
            elif hasattr(layer, "weight") and layer.weight.shape[1] > 1:
                x = x @ layer.weight[member] + layer.bias[member]
            else:
                x = nn.functional.layer_norm(x, x.shape[-1:])
                x = x * layer.weight[member] + layer.bias[member]
        assert torch.allclose(together[member], x, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_the_slow_copy_moves_by_tau() -> None:
    slow, fast = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.9 * slow.weight + 0.1 * fast.weight
    move_towards(slow, fast, 0.1)
    assert torch.allclose(slow.weight, expected)


def test_info_nce_of_three_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 0.0]])
    rows = [
        2.0 - math.log(math.exp(2.0) + 2.0),
        1.0 - math.log(math.exp(1.0) + 2.0),
        0.0 - math.log(math.exp(5.0) + 2.0),
    ]
    assert float(info_nce(logits)) == pytest.approx(-sum(rows) / 3.0, rel=1e-6)
    assert float(hit_rate(logits)) == pytest.approx(2.0 / 3.0)


def test_info_nce_gradient_in_float64_is_softmax_minus_identity() -> None:
    rng = np.random.default_rng(0)
    q, k = (torch.from_numpy(rng.normal(size=(6, 4))) for _ in range(2))
    bilinear = Bilinear(4).double()
    info_nce(bilinear(q, k)).backward()
    scores = (q @ bilinear.weight.detach() @ k.T).numpy()
    soft = np.exp(scores - scores.max(1, keepdims=True))
    soft /= soft.sum(1, keepdims=True)
    exact = q.numpy().T @ ((soft - np.eye(6)) / 6.0) @ k.numpy()
    assert bilinear.weight.grad is not None
    assert np.allclose(bilinear.weight.grad.numpy(), exact, atol=1e-10)


@pytest.mark.parametrize("side", [24, 35])
def test_a_map_is_projected_as_its_flat_features_are(side: int) -> None:
    shapes = Spec(("third",), side, side, 3, 0, 1)
    encoder = Encoder(shapes, CURL.model_copy(update={"input_px": side}))
    latent = Latent(shapes, CURL, encoder.feature_dim, use_state=False)
    pictures = {"third": torch.randint(0, 256, (5, 9, side, side), dtype=torch.uint8)}
    seen = []
    for flat in (True, False):
        out = latent.visual(encoder(pictures, flat=flat))
        parameters = [*encoder.parameters(), *latent.parameters()]
        seen.append([out, *torch.autograd.grad(out[:, 0].sum(), parameters)])
    for one, other in zip(*seen, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)
