"""How the contrast moves the eye: by a gradient of its own, or in the critic's step."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from handful.learn.batch import TensorBatch
from handful.learn.contrast import hit_rate, info_nce

if TYPE_CHECKING:  # the agent takes these steps
    from handful.learn.agent import Agent


def take(agent: "Agent", batch: TensorBatch) -> dict[str, Tensor]:
    """The published order: a backward of its own, on the encoder the critic step has moved."""
    seen = agent.see(agent.encoder, agent.first_view(batch, batch.obs))
    query = agent.critic.latent.visual(seen)
    logits = agent.bilinear(query, keys(agent, batch))
    loss = agent.settings.contrast.weight * info_nce(logits)
    step(agent, gradients(agent, loss))
    return {"contrast_loss": loss.detach(), "contrast_hits": hit_rate(logits)}


@torch.no_grad()
def keys(agent: "Agent", batch: TensorBatch) -> Tensor:
    """The slow encoder's latents of the second view: (B, visual_dim)."""
    assert batch.positive is not None
    return agent.target_critic.latent.visual(agent.see(agent.target_encoder, batch.positive))


def gradients(agent: "Agent", loss: Tensor, critic_follows: bool = False) -> list[Tensor]:
    """Gradients of the contrast alone, of all that its own optimiser holds."""
    return [*torch.autograd.grad(loss, _moved(agent), retain_graph=critic_follows)]


def step(agent: "Agent", own: list[Tensor] | None) -> None:
    """By the contrast's gradient; without one of its own, W alone: the eye was the critic's."""
    if own is None:
        for parameter in (*agent.encoder.parameters(), *agent.critic.latent.parameters()):
            parameter.grad = None
    else:
        for parameter, gradient in zip(_moved(agent), own, strict=True):
            parameter.grad = gradient
        if agent.settings.contrast.double_step:
            agent.optimizers["encoder"].step()
    agent.optimizers["contrast"].step()


def _moved(agent: "Agent") -> list[nn.Parameter]:
    groups = agent.optimizers["contrast"].param_groups
    return [parameter for group in groups for parameter in group["params"]]
