"""CURL-SAC, readable as the paper's box: act, and one update as a table of contents.

Soft Actor-Critic (Haarnoja et al. 2018) on latents of a convolutional encoder that the critic and
the contrast train (CURL, Laskin et al. 2020), or that pre-training has trained and frozen; on the
state itself where there is no camera. The actor has its own projection on the same convolutions
and never sends gradients into them (SAC-AE, Yarats et al. 2019). Averages over several views are
DrQ's (Kostrikov et al. 2020). RAD, DrQ, plain SAC and every departure from the sources are settings
(docs/departures.md).
"""

import copy
import math

import torch
from torch import Tensor, nn

from handful.contract import Spec
from handful.learn import contrast_step, predict
from handful.learn.batch import Plan, TensorBatch
from handful.learn.compute import convolve_in
from handful.learn.contrast import Bilinear, hit_rate, info_nce
from handful.learn.encoder import Encoder, Latent, Pictures, computed_in
from handful.learn.networks import Actor, EnsembleCritic, move_towards
from handful.learn.optimizers import make_optimizers
from handful.learn.settings import AgentSettings

__all__ = ["Agent", "Critic", "Plan", "Policy", "TensorBatch"]


class Critic(nn.Module):
    """The critic's projection and its ensemble; with the encoder below it, CURL's critic."""

    def __init__(self, spec: Spec, settings: AgentSettings, feature_dim: int) -> None:
        super().__init__()
        self.latent = Latent(spec, settings.encoder, feature_dim, settings.proprioception)
        c = settings.critic
        self.q = EnsembleCritic(
            self.latent.dim, spec.action_dim, c.hidden_dim, c.count, c.layer_norm
        )


class Policy(nn.Module):
    """The actor's own projection on (detached) features, and its Gaussian."""

    def __init__(
        self, spec: Spec, settings: AgentSettings, feature_dim: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.latent = Latent(spec, settings.encoder, feature_dim, settings.proprioception)
        a = settings.actor
        self.actor = Actor(
            self.latent.dim,
            spec.action_dim,
            a.hidden_dim,
            a.log_std_min,
            a.log_std_max,
            a.layer_norm,
            dropout,
        )


class Agent(nn.Module):
    """Networks, targets, optimisers and the update; knows tensors only."""

    def __init__(
        self, spec: Spec, settings: AgentSettings, device: torch.device, seed: int = 0
    ) -> None:
        super().__init__()
        self.spec, self.settings = spec, settings
        self.generator = torch.Generator(device).manual_seed(seed)
        self.frozen = settings.encoder.trained_by == "pretraining"
        self.encoder = Encoder(spec, settings.encoder)
        width = self.encoder.feature_dim
        self.critic = Critic(spec, settings, width)
        self.policy = Policy(spec, settings, width)
        self.clone = Policy(spec, settings, width, settings.clone.dropout)
        self.bilinear = Bilinear(self.critic.latent.visual_dim)
        self.foresight: predict.Foresight | None = None
        if settings.predict.weight > 0.0:
            self.foresight = predict.Foresight(
                self.critic.latent.visual_dim, spec.action_dim, settings.predict.hidden_dim
            )
        self.log_alpha = nn.Parameter(torch.tensor(math.log(settings.temperature.initial)))
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.to(device)
        self.device = device
        self.target_entropy = settings.temperature.target_entropy_per_action * spec.action_dim
        self.clone.eval()  # dropout only while it is being fitted
        self.updates = 0
        self.optimizers = make_optimizers(self)

    # Acting.

    @torch.no_grad()
    def act(self, features: Pictures, state: Tensor, noise: Tensor | None) -> Tensor:
        """Action (B, A): sampled with ``noise`` (B, A), or the mean when it is None.

        With the cloning proposal (IBRL, Hu et al. 2024) the better of the policy's and the clone's
        action under the target critic is taken.
        """
        latent = self.policy.latent(features, state)
        if noise is None:
            action = self.policy.actor.mean_action(latent)
        else:
            action = self.policy.actor.sample(latent, noise)[0]
        if not self.settings.clone.proposal:
            return action
        cloned = self.clone_action(features, state)
        seen = self.target_critic.latent(features, state)
        both = torch.cat([seen, seen]), torch.cat([cloned, action])
        of_clone, of_policy = self.target_critic.q(*both).mean(0).chunk(2)
        return torch.where(of_clone > of_policy, cloned, action)

    @torch.no_grad()
    def clone_action(self, features: Pictures, state: Tensor) -> Tensor:
        """The behaviour clone's action (B, A), without dropout."""
        return self.clone.actor.mean_action(self.clone.latent(features, state))

    def noise(self, count: int) -> Tensor:
        """Standard-normal (count, A) from the agent's own generator, which checkpoints keep."""
        shape = (count, self.spec.action_dim)
        return torch.randn(shape, generator=self.generator, device=self.device)

    # Learning.

    def update(self, batch: TensorBatch, env_steps: int) -> dict[str, Tensor]:
        """One update; returns detached scalars named as in docs/metrics.md."""
        self.updates += 1
        return self.carry_out(batch, self.plan(env_steps), self.clone_weight(env_steps))

    def plan(self, env_steps: int) -> Plan:
        """What the update that is being counted consists of."""
        s, tick = self.settings, self.updates
        if s.cadence == "env_steps":
            tick = env_steps
        return Plan(
            contrast=self.contrast_weight(env_steps),
            actor=tick % s.actor.every == 0,
            targets=tick % s.critic.target_every == 0,
            cloning=self.clone_weight(env_steps) > 0.0,
        )

    def carry_out(
        self, batch: TensorBatch, plan: Plan, clone_weight: float | Tensor
    ) -> dict[str, Tensor]:
        """The update itself: a function of tensors alone, the same for every update of one plan."""
        contrast = plan.contrast if batch.positive is not None else 0.0
        obs = batch.obs if self.frozen else self.see(self.encoder, batch.obs)
        joint = 0.0 if self.settings.contrast.sequential else contrast
        metrics = self._update_critic(batch, obs, joint)
        if plan.actor:
            if self.settings.contrast.sequential and not self.frozen:
                with torch.no_grad():
                    obs = self.see(self.encoder, self.first_view(batch, batch.obs))
            detached = {n: value.detach() for n, value in self.first_view(batch, obs).items()}
            metrics |= self._update_actor(batch, detached, clone_weight if plan.cloning else 0.0)
        if plan.targets:
            self._update_targets()
        if self.settings.contrast.sequential and contrast > 0.0:
            metrics |= contrast_step.take(self, batch)
        return metrics

    def see(self, encoder: Encoder, pictures: Pictures) -> Pictures:
        """Features, of convolutions in the precision of ``compute.precision``."""
        on_gpu = self.device.type == "cuda"  # where features need not be flat, and are not copied
        with convolve_in(self.settings.compute.precision, self.device):
            features = encoder(pictures, flat=not on_gpu)
        return {name: value.to(self.log_alpha.dtype) for name, value in features.items()}

    def _update_critic(
        self, batch: TensorBatch, obs: Pictures, contrast: float
    ) -> dict[str, Tensor]:
        (target, keys), state, action = self._bootstrap(batch), batch.state, batch.action
        views = self.settings.augment.loss_views
        if views > 1:
            target, state, action = (t.repeat(views, 1) for t in (target, state, action))
        visual = seen = self.critic.latent.visual(obs)
        if self.settings.encoder.trained_by == "contrast":
            seen = self.critic.latent.visual({name: value.detach() for name, value in obs.items()})
        if self.foresight is not None:  # two gradients meet at the latent, before one way back
            seen = visual.detach().requires_grad_()
        q = self.critic.q(self.critic.latent.beside(seen, state), action)
        q_loss = (q - target).square().mean(1).sum()
        if views > 1:  # DrQ's code adds up the views' errors
            q_loss = q_loss * views
        metrics = {"q_loss": q_loss.detach(), "q_mean": q.detach().mean(), "target": target.mean()}
        loss, own = q_loss, None
        if contrast > 0.0:
            logits = self.bilinear(visual[: len(batch.action)], contrast_step.keys(self, batch))
            nce = info_nce(logits)
            metrics |= {"contrast_loss": nce.detach(), "contrast_hits": hit_rate(logits)}
            self.optimizers["contrast"].zero_grad(set_to_none=True)
            if self.settings.contrast.own_step:
                own = contrast_step.gradients(self, contrast * nce, critic_follows=True)
            else:
                loss = loss + contrast * nce
        self.optimizers["critic"].zero_grad(set_to_none=True)
        loss.backward(retain_graph=self.foresight is not None)
        if self.foresight is not None:
            metrics |= predict.foresee(self, batch, visual, seen, keys)
        self.optimizers["critic"].step()
        if contrast > 0.0:
            contrast_step.step(self, own)
        return metrics

    def bootstrap(self, batch: TensorBatch) -> Tensor:
        """The regression target (B, 1): n-step reward + discount x value of the successor.

        With several views of the successor (DrQ, K), each with an action of its own, their mean.
        """
        return self._bootstrap(batch)[0]

    @torch.no_grad()
    def _bootstrap(self, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """The target, and the slow visual latent of the successor's first view (B, visual_dim)."""
        s, next_state, views = self.settings, batch.next_state, self.settings.augment.target_views
        if views > 1:
            next_state = next_state.repeat(views, 1)
        online = slow = batch.next_obs
        if not self.frozen:
            # Both encoders read the same pictures: one copy from bytes for the two of them.
            with convolve_in(s.compute.precision, self.device):
                dtype = computed_in(self.device.type, self.log_alpha.dtype)
            floats = {name: image.to(dtype) for name, image in batch.next_obs.items()}
            online, slow = self.see(self.encoder, floats), self.see(self.target_encoder, floats)
        noise = self.noise(len(batch.action) * views)
        latent = self.policy.latent(online, next_state)
        action, log_prob = self.policy.actor.sample(latent, noise)
        seen = self.target_critic.latent(slow, next_state)
        members = None
        if s.critic.subsample is not None and s.critic.subsample < s.critic.count:
            order = torch.rand(s.critic.count, generator=self.generator, device=self.device)
            members = order.argsort()[: s.critic.subsample]
        value = self.target_critic.q(seen, action, members).amin(0)
        if s.clone.proposal:
            cloned = self.clone_action(online, next_state)
            value = torch.maximum(value, self.target_critic.q(seen, cloned, members).amin(0))
        if s.temperature.in_backup:
            value = value - self.log_alpha.exp() * log_prob
        if views > 1:
            value = value.reshape(views, -1, 1).mean(0)
        target = batch.reward + batch.discount * value
        if s.critic.target_range is not None:
            target = target.clamp(*s.critic.target_range)
        return target, seen[: len(batch.action), : self.critic.latent.visual_dim]

    def _update_actor(
        self, batch: TensorBatch, obs: Pictures, clone_weight: float | Tensor
    ) -> dict[str, Tensor]:
        noise = self.noise(len(batch.action))
        # obs is detached: the actor must not shape the eye the critic learns to see with.
        latent = self.policy.latent(obs, batch.state)
        action, log_prob = self.policy.actor.sample(latent, noise)
        with torch.no_grad():
            seen = self.critic.latent(obs, batch.state)
        q = self.critic.q(seen, action)
        value = q.amin(0) if self.settings.actor.reduce == "min" else q.mean(0)
        alpha = self.log_alpha.exp()
        loss = (alpha.detach() * log_prob - value).mean()
        metrics = {"actor_loss": loss.detach(), "entropy": -log_prob.detach().mean()}
        if isinstance(clone_weight, Tensor) or clone_weight > 0.0:
            mean = self.policy.actor.mean_action(latent)
            error = (mean - batch.action).square().sum(-1, keepdim=True)
            cloning = (error * batch.demo).sum() / batch.demo.sum().clamp(min=1.0)
            loss = loss + clone_weight * cloning
            metrics["clone_loss"] = cloning.detach()
        self.optimizers["actor"].zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.policy.parameters()))
        self.optimizers["actor"].step()
        alpha_loss = (alpha * (-log_prob - self.target_entropy).detach()).mean()
        self.optimizers["alpha"].zero_grad(set_to_none=True)
        alpha_loss.backward()
        self.optimizers["alpha"].step()
        return metrics | {"alpha": alpha.detach()}

    def first_view(self, batch: TensorBatch, seen: Pictures) -> Pictures:
        """What actor and contrast look at: the first of ``augment.loss_views`` views."""
        if self.settings.augment.loss_views == 1:
            return seen
        return {name: value[: len(batch.action)] for name, value in seen.items()}

    @torch.no_grad()
    def _update_targets(self) -> None:
        c = self.settings.critic
        move_towards(self.target_critic.q, self.critic.q, c.tau)
        move_towards(self.target_critic.latent, self.critic.latent, c.encoder_tau)
        if not self.frozen:
            move_towards(self.target_encoder, self.encoder, c.encoder_tau)

    def contrast_weight(self, env_steps: int) -> float:
        """Weight of the InfoNCE loss after ``env_steps`` environment steps."""
        c = self.settings.contrast
        over = c.until_step is not None and env_steps >= c.until_step
        return 0.0 if over or self.frozen else c.weight

    def clone_weight(self, env_steps: int) -> float:
        """Weight of the actor's cloning term, annealed over environment steps."""
        c = self.settings.clone
        left = max(0.0, 1.0 - env_steps / c.anneal_steps)
        return c.final_weight + (c.weight - c.final_weight) * left
