"""What comes of this action? The eye is also taught to foresee the next latent and the reward.

A latent says which transitions follow only if it holds what the action moves; a critic that sees
few episodes need not look for that (what it brings, and what not: docs/ablations.md).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from handful.learn.batch import TensorBatch
from handful.learn.networks import orthogonal_

if TYPE_CHECKING:  # the agent foresees
    from handful.learn.agent import Agent


class Foresight(nn.Module):
    """Latent (B, Z) and action (B, A) to the successor's latent (B, Z) and the reward (B, 1).

    After SPR (Schwarzer et al. 2021), one step of it and on vectors: the key is the slow encoder's
    view of the successor, and one MLP is transition and predictor. The reward is beside it as in
    DeepMDP (Gelada et al. 2019). With ``replay.n_step`` both are n steps away.
    """

    def __init__(self, latent_dim: int, action_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            orthogonal_(nn.Linear(latent_dim + action_dim, hidden_dim)),
            nn.LayerNorm(hidden_dim),
            nn.ReLU(),
            orthogonal_(nn.Linear(hidden_dim, hidden_dim)),
            nn.LayerNorm(hidden_dim),
            nn.ReLU(),
        )
        self.latent = orthogonal_(nn.Linear(hidden_dim, latent_dim))
        self.reward = orthogonal_(nn.Linear(hidden_dim, 1))

    def forward(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """The successor's latent (B, Z), up to its length, and the reward (B, 1)."""
        hidden = self.trunk(torch.cat([latent, action], -1))
        return self.latent(hidden), self.reward(hidden)


def errors(predicted: tuple[Tensor, Tensor], key: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of 1 - cosine to ``key`` (B, Z), 0 when right and 1 when blind, and of the Huber loss
    to ``reward`` (B, 1): like the first it pulls with a force of 1 at most, however large rewards
    are."""
    cosine = nn.functional.cosine_similarity(predicted[0], key, dim=-1)
    return 1.0 - cosine.mean(), nn.functional.smooth_l1_loss(predicted[1], reward)


def as_long_as(gradient: Tensor, other: Tensor) -> Tensor:
    """``gradient`` at the length of ``other``, so that a share means the same on every task.

    Values of hundreds make critics' gradients that a cosine's would vanish beside, and Adam, which
    divides by the length of the sum, would leave nothing of it.
    """
    return gradient * (other.norm() / (gradient.norm() + 1e-12))


def foresee(
    agent: "Agent", batch: TensorBatch, visual: Tensor, seen: Tensor, keys: Tensor
) -> dict[str, Tensor]:
    """Send the critic's gradient at the latent, and foresight's share of it, into the eye.

    Args:
        visual: the latent of the observation (M * B, Z) with the way back into the eye. seen: the
            same, cut off there, with the critic's gradient. keys: of the successor (B, Z).
    """
    assert agent.foresight is not None and seen.grad is not None
    p, count = agent.settings.predict, len(batch.action)
    latent = visual[:count].detach().requires_grad_()  # the first view, as the contrast's
    of_latent, of_reward = errors(agent.foresight(latent, batch.action), keys, batch.reward)
    agent.optimizers["predict"].zero_grad(set_to_none=True)
    (of_latent + p.reward_weight * of_reward).backward()
    assert latent.grad is not None
    agent.optimizers["predict"].step()
    both = seen.grad
    both[:count] += p.weight * as_long_as(latent.grad, both[:count])
    visual.backward(both)
    return {"predict_latent": of_latent.detach(), "predict_reward": of_reward.detach()}
