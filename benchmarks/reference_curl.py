"""A PEER, NOT HANDFUL: the published CURL-SAC update, written plainly from its paper.

Laskin, Srinivas, Abbeel: "CURL: Contrastive Unsupervised Representations for Reinforcement
Learning", ICML 2020 (arXiv:2004.04136), with the constants of its released implementation. It keeps
the published structure on purpose, wasteful or not, for it is what the learner is timed against:

* replay: observation and successor stacks stored separately, channels first; a batch is gathered by
  fancy indexing, copied once more for the positives, and cropped through sliding windows;
* seven encoder passes an update (actor and target on the successor; critic, actor and critic again
  on the observation; query and key of the contrast) and two backward passes into the encoder;
* pictures are converted to float and divided by 255 in every pass; tensors are NCHW;
* four Adam instances beside the temperature's: actor, critic, encoder and contrast, the last two
  both stepping the encoder on one gradient; targets move parameter by parameter.

``tests/learn/test_reference.py`` proves that it and handful compute the same losses and gradients.
"""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STORED_PX, SEEN_PX, STACK = 100, 84, 3
CHANNELS = 3 * STACK
LATENT, HIDDEN, FILTERS = 50, 1024, 32
DISCOUNT, TAU, ENCODER_TAU, EVERY = 0.99, 0.01, 0.05, 2
LOG_STD_MIN, LOG_STD_MAX = -10.0, 2.0


class StackedReplay:
    """Uniform replay that stores both stacks of every transition, (9, 100, 100) uint8 each."""

    def __init__(self, capacity: int, action_dim: int, device: str = "cpu") -> None:
        self.device = device  # the batches'; the replay stays with the host, as published
        self.obs = np.empty((capacity, CHANNELS, STORED_PX, STORED_PX), np.uint8)
        self.next_obs = np.empty_like(self.obs)
        self.action = np.empty((capacity, action_dim), np.float32)
        self.reward = np.empty((capacity, 1), np.float32)
        self.mask = np.empty((capacity, 1), np.float32)
        self.filled = 0

    @property
    def bytes_per_transition(self) -> int:
        arrays = (self.obs, self.next_obs, self.action, self.reward, self.mask)
        return sum(array[:1].nbytes for array in arrays)

    def add(
        self, obs: np.ndarray, action: np.ndarray, reward: float, next_obs: np.ndarray, mask: float
    ) -> None:
        """Store one transition; stacks channels first."""
        at = self.filled
        self.obs[at], self.next_obs[at], self.action[at] = obs, next_obs, action
        self.reward[at], self.mask[at] = reward, mask
        self.filled += 1

    def sample(self, batch: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """A batch as float tensors, with its positives: three independent random crops."""
        index = rng.integers(0, self.filled, batch)
        obs, next_obs = self.obs[index], self.next_obs[index]
        positive = obs.copy()
        return {
            "obs": torch.as_tensor(random_crop(obs, rng), device=self.device).float(),
            "action": torch.as_tensor(self.action[index], device=self.device),
            "reward": torch.as_tensor(self.reward[index], device=self.device),
            "next_obs": torch.as_tensor(random_crop(next_obs, rng), device=self.device).float(),
            "mask": torch.as_tensor(self.mask[index], device=self.device),
            "positive": torch.as_tensor(random_crop(positive, rng), device=self.device).float(),
        }


def random_crop(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, C, 100, 100) to (B, C, 84, 84) by sliding windows, offsets 0..15 as released."""
    batch, reach = len(pictures), pictures.shape[-1] - SEEN_PX
    last = np.moveaxis(pictures, 1, 3)
    left, top = rng.integers(0, reach, batch), rng.integers(0, reach, batch)
    windows = np.lib.stride_tricks.sliding_window_view(last, (SEEN_PX, SEEN_PX), axis=(1, 2))
    return windows[np.arange(batch), left, top]


class Encoder(nn.Module):
    """Four 3x3 convolutions, a linear layer and a LayerNorm: (B, 9, 84, 84) to (B, 50)."""

    def __init__(self) -> None:
        super().__init__()
        strides = (2, 1, 1, 1)
        widths = (CHANNELS, FILTERS, FILTERS, FILTERS)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, FILTERS, 3, stride)
            for width, stride in zip(widths, strides, strict=True)
        )
        self.fc = nn.Linear(FILTERS * 35 * 35, LATENT)
        self.ln = nn.LayerNorm(LATENT)

    def scaled(self, obs: Tensor) -> Tensor:
        """Bytes as floats to [0, 1]."""
        return obs / 255.0

    def forward(self, obs: Tensor, detach: bool = False) -> Tensor:
        x = self.scaled(obs)
        for conv in self.convs:
            x = torch.relu(conv(x))
        x = x.reshape(len(x), -1)
        return self.ln(self.fc(x.detach() if detach else x))


class Actor(nn.Module):
    """Squashed Gaussian on an encoder whose convolutions are the critic's own tensors."""

    def __init__(self, action_dim: int, encoder: type[Encoder] = Encoder) -> None:
        super().__init__()
        self.encoder = encoder()
        self.trunk = _mlp(LATENT, 2 * action_dim)

    def forward(self, obs: Tensor, noise: Tensor, detach: bool = False) -> tuple[Tensor, Tensor]:
        mean, raw = self.trunk(self.encoder(obs, detach)).chunk(2, dim=-1)
        span = LOG_STD_MAX - LOG_STD_MIN
        log_std = LOG_STD_MIN + 0.5 * span * (torch.tanh(raw) + 1.0)
        gaussian = (-0.5 * noise.pow(2) - log_std).sum(-1, keepdim=True)
        log_prob = gaussian - 0.5 * math.log(2.0 * math.pi) * noise.shape[-1]
        action = torch.tanh(mean + noise * log_std.exp())
        log_prob -= torch.log(F.relu(1.0 - action.pow(2)) + 1e-6).sum(-1, keepdim=True)
        return action, log_prob


class Critic(nn.Module):
    """Two Q functions on one encoder."""

    def __init__(self, action_dim: int, encoder: type[Encoder] = Encoder) -> None:
        super().__init__()
        self.encoder = encoder()
        self.q1, self.q2 = _mlp(LATENT + action_dim, 1), _mlp(LATENT + action_dim, 1)

    def forward(self, obs: Tensor, action: Tensor, detach: bool = False) -> tuple[Tensor, Tensor]:
        joint = torch.cat([self.encoder(obs, detach), action], dim=1)
        return self.q1(joint), self.q2(joint)


class ReferenceCurl:
    """The agent: networks, optimisers, and one update in the published order."""

    encoder = Encoder

    def __init__(
        self, action_dim: int, lr: float = 1e-3, alpha: float = 0.1, device: str = "cpu"
    ) -> None:
        self.actor = Actor(action_dim, self.encoder)
        self.critic = Critic(action_dim, self.encoder)
        for module in (self.actor, self.critic):
            module.apply(_initialise)
            module.to(device)
        self.actor.encoder.convs = self.critic.encoder.convs  # tied: the same tensors
        self.critic_target = copy.deepcopy(self.critic)
        self.W = nn.Parameter(torch.rand(LATENT, LATENT).to(device))
        self.log_alpha = torch.tensor(math.log(alpha), dtype=torch.float64, device=device)
        self.log_alpha.requires_grad_()
        self.target_entropy = -float(action_dim)
        adam = torch.optim.Adam
        self.actor_optimizer = adam(self.actor.parameters(), lr)
        self.critic_optimizer = adam(self.critic.parameters(), lr)
        self.alpha_optimizer = adam([self.log_alpha], 1e-4, betas=(0.5, 0.999))
        self.encoder_optimizer = adam(self.critic.encoder.parameters(), lr)
        contrast = [
            *self.critic.encoder.parameters(),
            *self.critic_target.encoder.parameters(),
            self.W,
        ]
        self.contrast_optimizer = adam(contrast, lr)

    def critic_loss(self, batch: dict[str, Tensor], noise: Tensor) -> Tensor:
        with torch.no_grad():
            action, log_prob = self.actor(batch["next_obs"], noise)
            q1, q2 = self.critic_target(batch["next_obs"], action)
            value = torch.min(q1, q2) - self.log_alpha.exp().detach() * log_prob
            target = batch["reward"] + batch["mask"] * DISCOUNT * value
        q1, q2 = self.critic(batch["obs"], batch["action"])
        return F.mse_loss(q1, target) + F.mse_loss(q2, target)

    def actor_loss(self, batch: dict[str, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """The actor's loss and the temperature's."""
        action, log_prob = self.actor(batch["obs"], noise, detach=True)
        q1, q2 = self.critic(batch["obs"], action, detach=True)
        alpha = self.log_alpha.exp()
        loss = (alpha.detach() * log_prob - torch.min(q1, q2)).mean()
        return loss, (alpha * (-log_prob - self.target_entropy).detach()).mean()

    def contrast_loss(self, batch: dict[str, Tensor]) -> Tensor:
        query = self.critic.encoder(batch["obs"])
        with torch.no_grad():
            key = self.critic_target.encoder(batch["positive"])
        logits = torch.matmul(query, torch.matmul(self.W, key.T))
        logits = logits - torch.max(logits, 1)[0][:, None]
        return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))

    def update(
        self, batch: dict[str, Tensor], step: int, noises: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """One published update; the actor and the targets move on every second ``step``."""
        if noises is None:
            noises = (torch.randn_like(batch["action"]), torch.randn_like(batch["action"]))
        losses = {"critic": self.step_critic(batch, noises[0])}
        if step % EVERY == 0:
            losses |= self.step_actor_and_targets(batch, noises[1])
        losses["contrast"] = self.contrast_loss(batch)
        self.encoder_optimizer.zero_grad()
        self.contrast_optimizer.zero_grad()
        losses["contrast"].backward()
        self.encoder_optimizer.step()
        self.contrast_optimizer.step()
        return losses

    def step_critic(self, batch: dict[str, Tensor], noise: Tensor) -> Tensor:
        loss = self.critic_loss(batch, noise)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        return loss

    def step_actor_and_targets(self, batch: dict[str, Tensor], noise: Tensor) -> dict[str, Tensor]:
        actor, alpha = self.actor_loss(batch, noise)
        self.actor_optimizer.zero_grad()
        actor.backward()
        self.actor_optimizer.step()
        self.alpha_optimizer.zero_grad()
        alpha.backward()
        self.alpha_optimizer.step()
        _follow(self.critic_target.q1, self.critic.q1, TAU)
        _follow(self.critic_target.q2, self.critic.q2, TAU)
        _follow(self.critic_target.encoder, self.critic.encoder, ENCODER_TAU)
        return {"actor": actor, "alpha": alpha}


def _mlp(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, outputs),
    )


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
        nn.init.orthogonal_(module.weight.data[:, :, 1, 1], math.sqrt(2.0))


def _follow(target: nn.Module, online: nn.Module, tau: float) -> None:
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.data.copy_(tau * fast.data + (1.0 - tau) * slow.data)
