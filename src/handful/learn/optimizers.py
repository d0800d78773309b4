"""Which optimiser steps what: critic, actor, temperature, and the eye's two for the contrast.

Adam everywhere, fused into one kernel a step. On a GPU its step counts live on the device, so that
an update can be recorded once and replayed (``learn.program``).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Adam, Optimizer

if TYPE_CHECKING:  # the agent makes its optimisers here
    from handful.learn.agent import Agent


def make_optimizers(agent: "Agent") -> dict[str, Optimizer]:
    """Optimisers by name: ``critic`` (with the eye, unless it is frozen), ``actor``, ``alpha``.

    An agent with an eye has two more: ``encoder``, for the published second step on the contrast's
    gradient, and ``contrast``, which holds the bilinear similarity as well. One that foresees has
    ``predict``; what foresight asks of the eye is in the critic's step.
    """
    s = agent.settings
    trained = [*agent.critic.parameters()]
    if not agent.frozen:
        trained += [*agent.encoder.parameters()]
    optimizers: dict[str, Optimizer] = {
        "critic": adam(trained, s.critic.lr, agent.device),
        "actor": adam(agent.policy.parameters(), s.actor.lr, agent.device),
        "alpha": adam([agent.log_alpha], s.temperature.lr, agent.device, s.temperature.beta1),
    }
    eye = [*agent.encoder.parameters(), *agent.critic.latent.parameters()]
    if eye:
        both = [*eye, *agent.bilinear.parameters()]
        optimizers["encoder"] = adam(eye, s.contrast.lr, agent.device)
        optimizers["contrast"] = adam(both, s.contrast.lr, agent.device)
    if agent.foresight is not None:
        optimizers["predict"] = adam(agent.foresight.parameters(), s.predict.lr, agent.device)
    return optimizers


def adam(
    parameters: Iterable[nn.Parameter], lr: float, device: torch.device, beta1: float = 0.9
) -> Adam:
    """Fused Adam (Kingma and Ba 2015); ``capturable`` where there are graphs to capture."""
    on_gpu = device.type == "cuda"
    return Adam(parameters, lr=lr, betas=(beta1, 0.999), fused=True, capturable=on_gpu)
