"""The heads: latents to a squashed Gaussian, latents and actions to an ensemble of Q values."""

import math

import torch
from torch import Tensor, nn


def orthogonal_(linear: nn.Linear) -> nn.Linear:
    """Orthogonal weight with gain 1 and zero bias, as the official CURL code initialises."""
    nn.init.orthogonal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Actor(nn.Module):
    """Latent (B, Z) to a tanh-squashed diagonal Gaussian over (B, A) actions in [-1, 1].

    log-std is squashed into [log_std_min, log_std_max] by a tanh (SAC-AE, kept by CURL).
    """

    def __init__(
        self,
        latent_dim: int,
        action_dim: int,
        hidden_dim: int,
        log_std_min: float,
        log_std_max: float,
        layer_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.log_std_min, self.log_std_max = log_std_min, log_std_max
        layers: list[nn.Module] = []
        width = latent_dim
        for _ in range(2):
            layers.append(orthogonal_(nn.Linear(width, hidden_dim)))
            if layer_norm:
                layers.append(nn.LayerNorm(hidden_dim))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = hidden_dim
        layers.append(orthogonal_(nn.Linear(width, 2 * action_dim)))
        self.trunk = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, A) before the tanh, and log-std (B, A)."""
        mean, raw = self.trunk(latent).chunk(2, dim=-1)
        span = self.log_std_max - self.log_std_min
        return mean, self.log_std_min + 0.5 * span * (torch.tanh(raw) + 1.0)

    def sample(self, latent: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Action (B, A) by reparameterisation with standard-normal ``noise``, and log-prob (B, 1).

        The tanh correction is log(relu(1 - a^2) + 1e-6), as in the official code.
        """
        mean, log_std = self(latent)
        action = torch.tanh(mean + log_std.exp() * noise)
        gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
        correction = torch.log(torch.relu(1.0 - action.square()) + 1e-6)
        return action, (gaussian - correction).sum(-1, keepdim=True)

    def mean_action(self, latent: Tensor) -> Tensor:
        """The deterministic action (B, A)."""
        return torch.tanh(self(latent)[0])


class _EnsembleLinear(nn.Module):
    """``count`` linear layers as one batched matrix product: (N, B, in) to (N, B, out)."""

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        weight = torch.empty(count, inputs, outputs)
        for one in weight:
            nn.init.orthogonal_(one)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(count, 1, outputs))

    def forward(self, x: Tensor, members: Tensor | None) -> Tensor:
        if members is None:
            return torch.baddbmm(self.bias, x, self.weight)
        return torch.baddbmm(self.bias[members], x, self.weight[members])


class _EnsembleNorm(nn.Module):
    """LayerNorm with one affine per member."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count, 1, width))
        self.bias = nn.Parameter(torch.zeros(count, 1, width))

    def forward(self, x: Tensor, members: Tensor | None) -> Tensor:
        normal = nn.functional.layer_norm(x, x.shape[-1:])
        if members is None:
            return torch.addcmul(self.bias, normal, self.weight)
        return torch.addcmul(self.bias[members], normal, self.weight[members])


class EnsembleCritic(nn.Module):
    """Latent (B, Z) and action (B, A) to ``count`` Q values (N, B, 1).

    LayerNorm before each ReLU is RLPD's (Ball et al. 2023); without it these are CURL's Q MLPs.
    """

    def __init__(
        self, latent_dim: int, action_dim: int, hidden_dim: int, count: int, layer_norm: bool
    ) -> None:
        super().__init__()
        self.count = count
        width = latent_dim + action_dim
        layers: list[nn.Module] = []
        for _ in range(2):
            layers.append(_EnsembleLinear(count, width, hidden_dim))
            if layer_norm:
                layers.append(_EnsembleNorm(count, hidden_dim))
            layers.append(nn.ReLU(inplace=True))
            width = hidden_dim
        layers.append(_EnsembleLinear(count, width, 1))
        self.layers = nn.ModuleList(layers)

    def forward(self, latent: Tensor, action: Tensor, members: Tensor | None = None) -> Tensor:
        """Q values (N, B, 1), or (M, B, 1) when only ``members`` (M,) are asked."""
        count = self.count if members is None else len(members)
        x = torch.cat([latent, action], dim=-1).unsqueeze(0).expand(count, -1, -1)
        for layer in self.layers:
            x = layer(x) if isinstance(layer, nn.ReLU) else layer(x, members)
        return x


@torch.no_grad()
def move_towards(target: nn.Module, online: nn.Module, tau: float) -> None:
    """target <- (1 - tau) target + tau online, over all parameters at once."""
    slow: list[Tensor] = list(target.parameters())
    if slow:  # an eye without cameras has none
        torch._foreach_lerp_(slow, list(online.parameters()), tau)
