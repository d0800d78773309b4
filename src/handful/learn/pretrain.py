"""Before the first motion: the eye learns from recorded pictures, by contrast and by cloning.

FERM's warm-up (Zhan et al. 2020: 1600 InfoNCE updates of batch 128 with the key encoder moving
after every one; ``double_step`` and ``align_targets: false`` are its released code's) with two
additions as settings: positives a few steps apart in time, and a cloning loss through the same
convolutions, so that what the hand needs is kept in the features. The contrast takes any picture;
what is cloned are demonstrated steps alone (``learn.gallery`` holds the others).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from handful.learn.agent import Agent
from handful.learn.contrast import hit_rate, info_nce
from handful.learn.encoder import Pictures
from handful.learn.networks import move_towards

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass
class Views:
    """Two views of the same moments (or of moments a few steps apart), and what was done there.

    query, key: per camera (B, 3K, S, S) uint8. state: (D, P), action: (D, A), of the first D <= B
    moments, the demonstrated ones; the others are looked at and not cloned.
    """

    query: Pictures
    key: Pictures
    state: Tensor
    action: Tensor


def pretrain(
    agent: Agent,
    draw: Callable[[], Views],
    updates: int,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Run ``updates`` contrastive (and cloning) steps, align the targets, give the last metrics.

    ``draw`` gives a fresh batch of views. The key network is the agent's target encoder.
    """
    s = agent.settings.pretrain
    eye = [*agent.encoder.parameters(), *agent.critic.latent.parameters()]
    groups = [*eye, *agent.bilinear.parameters()]
    if s.clone_weight > 0.0:
        groups += [*agent.clone.parameters()]
    optimizers = [torch.optim.Adam(groups, lr=s.lr, fused=True)]
    if s.double_step:  # CURL's and FERM's code: the eye has an optimiser of its own besides
        optimizers.append(torch.optim.Adam(eye, lr=s.lr, fused=True))
    metrics: dict[str, float] = {}
    agent.clone.train()
    for step in range(1, updates + 1):
        views = draw()
        features = agent.encoder(views.query)
        loss = torch.zeros((), device=agent.device)
        values: dict[str, Tensor] = {}
        if s.contrast_weight > 0.0:
            query = agent.critic.latent.visual(features)
            with torch.no_grad():
                key = agent.target_critic.latent.visual(agent.target_encoder(views.key))
            logits = agent.bilinear(query, key)
            contrast = info_nce(logits)
            loss = loss + s.contrast_weight * contrast
            values |= {"contrast_loss": contrast.detach(), "contrast_hits": hit_rate(logits)}
        shown = len(views.action)
        if s.clone_weight > 0.0 and shown:
            cloned = {name: value[:shown] for name, value in features.items()}
            mean = agent.clone.actor.mean_action(agent.clone.latent(cloned, views.state))
            cloning = (mean - views.action).square().sum(-1).mean()
            loss = loss + s.clone_weight * cloning
            values["clone_loss"] = cloning.detach()
        if not values:
            break
        optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        move_towards(agent.target_encoder, agent.encoder, s.tau)
        move_towards(agent.target_critic.latent, agent.critic.latent, s.tau)
        if step % 20 == 0 or step == updates:
            metrics = {name: float(value) for name, value in values.items()}
            if progress is not None:
                progress(step, updates, metrics)
    agent.clone.eval()
    if s.align_targets:
        agent.target_encoder.load_state_dict(agent.encoder.state_dict())
        agent.target_critic.latent.load_state_dict(agent.critic.latent.state_dict())
    return metrics


def fit_clone(
    agent: Agent,
    draw: Callable[[], tuple[Pictures, Tensor, Tensor]],
    progress: Progress | None = None,
) -> float:
    """Clone demonstrated actions on frozen features; ``draw`` gives (features, state, action).

    Returns the mean squared error over the last hundred batches, summed over action dimensions.
    """
    s = agent.settings.clone
    optimizer = torch.optim.Adam(agent.clone.parameters(), lr=s.lr, fused=True)
    agent.clone.train()
    recent = 0.0
    for step in range(1, s.updates + 1):
        features, state, action = draw()
        mean = agent.clone.actor.mean_action(agent.clone.latent(features, state))
        loss = (mean - action).square().sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        recent += 0.02 * (float(loss.detach()) - recent) if step > 1 else float(loss.detach())
        if progress is not None and (step % 20 == 0 or step == s.updates):
            progress(step, s.updates, {"clone_loss": recent})
    agent.clone.eval()
    return recent


def start_from_clone(agent: Agent) -> None:
    """Give the actor the clone's projection and layers; its norms, which a clone lacks, stay."""
    agent.policy.latent.load_state_dict(agent.clone.latent.state_dict())
    own = [m for m in agent.policy.actor.trunk if isinstance(m, torch.nn.Linear)]
    theirs = [m for m in agent.clone.actor.trunk if isinstance(m, torch.nn.Linear)]
    for mine, cloned in zip(own, theirs, strict=True):
        mine.load_state_dict(cloned.state_dict())
