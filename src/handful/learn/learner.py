"""The learner's day: take what happened, keep the ratio of updates to steps, hand out actions.

Owns the agent, the two replays (demonstrations and the arm's own experience), the feature cache of
a frozen eye and the counters. It never runs ahead of its ratio nor silently falls behind it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.contract import Observation, Spec, Transition
from handful.learn import pretrain as pretraining
from handful.learn.acting import Acting
from handful.learn.agent import Agent, TensorBatch
from handful.learn.amplitude import augment_state
from handful.learn.augment import Views
from handful.learn.effects import Effects
from handful.learn.encoder import Pictures
from handful.learn.features import FeatureCache
from handful.learn.fit import check_spec
from handful.learn.pretrain import Progress
from handful.learn.replay import MixedReplay, bytes_needed
from handful.learn.settings import AgentSettings


class Learner:
    """One agent in training.

    Args:
        settings: the profile. spec: shapes of observations and actions. seed: of weights, noise,
            augmentation and sampling. device: ``"cpu"``, ``"cuda"``, None: a GPU if there is one.
    Raises:
        ValueError: the spec's picture size, stack or cameras do not fit the profile.
        ReplayTooLarge: the replay does not fit in memory.
    """

    def __init__(
        self, settings: AgentSettings, spec: Spec, *, seed: int, device: str | None = None
    ) -> None:
        check_spec(settings, spec)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.settings, self.spec, self.seed = settings, spec, seed
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.agent = Agent(spec, settings, self.device, seed)
        self.views = Views(settings)
        self.effects = Effects(settings.augment, settings.encoder.input_px)
        self.acting = Acting(self.agent, self.views)
        self.rng = np.random.default_rng(seed)
        r = settings.replay
        demo_slots = max(2_000, r.capacity // 4)
        self.replay = MixedReplay(spec, r.capacity, demo_slots, r.n_step, settings.discount)
        self.cache: FeatureCache | None = None
        if self.agent.frozen:
            count, store = settings.augment.cached_views, self.replay.store
            self.cache = FeatureCache(
                self.agent.encoder, self.views, store, count, self.effects, self.agent.generator
            )
        self._cursor = (0, 0)
        self._buffers: dict[str, NDArray[np.uint8]] = {}
        self.env_steps = self.updates = self.episodes = self.refreshed = 0
        self.pretrained = False
        self.extra: dict[str, Any] = {}

    def bytes_needed(self) -> int:
        """Memory of the replay and the feature cache when both are full [bytes]."""
        r = self.settings.replay
        slots = r.capacity + max(2_000, r.capacity // 4)
        return bytes_needed(self.spec, slots) + (self.cache.bytes() if self.cache else 0)

    def save(self, path: str | Path, extra: dict[str, Any]) -> None:
        """Everything but the replay to one file: ``learn.persist.save``."""
        from handful.learn import persist

        persist.save(self, path, extra)

    @staticmethod
    def load(path: str | Path, *, device: str | None = None, spec: Spec | None = None) -> "Learner":
        """A saved learner with an empty replay and its ``extra``: ``learn.persist.load``."""
        from handful.learn import persist

        learner, extra = persist.load(path, device=device, spec=spec)
        learner.extra = extra
        return learner

    # Experience.

    def begin(self, observation: Observation) -> None:
        """The first observation of an episode."""
        self.replay.begin(observation)

    def add(self, transition: Transition) -> None:
        """What happened next. Demonstrations count for nothing; a person's interventions in the
        agent's own episodes are environment steps, wherever the replay keeps them."""
        self.replay.add(transition)
        if transition.demo and not transition.info.get("intervention"):
            return
        self.env_steps += 1
        if transition.last:
            self.episodes += 1
            if self.settings.replay.successes_to_demos and transition.reward > 0.0:
                self.replay.keep_success()

    # Acting.

    def act(self, observation: Observation, explore: bool) -> NDArray[np.float32]:
        """Action (A,) in [-1, 1]: with exploration noise, or the deterministic one."""
        if not explore:
            return self.acting.mean(observation)
        if self.env_steps < self.settings.start_steps:
            if self.settings.start_policy == "random":
                return self.rng.uniform(-1.0, 1.0, self.spec.action_dim).astype(np.float32)
            if self.settings.start_policy == "clone":
                return self.acting.clone(observation)
        return self.acting.sample(observation)

    def embed(self, observation: Observation) -> NDArray[np.float32]:
        """The visual latent (Z,) that the critic decides on, of the window used in acting."""
        return self.acting.embed(observation)

    # Learning.

    def pretrain(self, progress: Progress | None = None) -> dict[str, float]:
        """Before the first motion: contrast and cloning on what has been added so far."""
        metrics = self._warm_up(self.settings.pretrain.updates, progress)
        self.pretrained = True
        return metrics

    def owed(self) -> int:
        """Updates that the steps taken so far still demand."""
        due = self.settings.update_to_data * max(0, self.env_steps - self.settings.start_steps)
        return int(due) - self.updates

    def update(self, progress: Progress | None = None) -> dict[str, float]:
        """Run exactly the updates owed; the last one's metrics, or {} when none are."""
        owed = self.owed()
        refresh = self.settings.pretrain.refresh_steps
        if self.refreshed < len(refresh) and self.env_steps >= refresh[self.refreshed]:
            self.refreshed += 1
            self._warm_up(self.settings.pretrain.refresh_updates, progress)
        metrics: dict[str, Tensor] = {}
        for step in range(1, owed + 1):
            metrics = self.agent.update(self.sample(), self.env_steps)
            self.updates += 1
            if progress is not None and step % 50 == 0:
                progress(step, owed, {})
        return {name: float(value) for name, value in metrics.items()}

    def sample(self) -> TensorBatch:
        """One augmented batch on the device."""
        share = self.settings.replay.demo_share
        if share is None:
            share = len(self.replay.demo) / len(self.replay)
        indices = self.replay.sample_indices(self.settings.batch_size, share, self.rng)
        batch = self.replay.gather(indices)
        a, positive = self.settings.augment, None
        if self.cache is not None:
            self._encode_new()
            now, then = _repeat(batch.index, a.loss_views), batch.next_frames[:, -1]
            obs = self.cache.get(now, self.rng, self.device)
            next_obs = self.cache.get(_repeat(then, a.target_views), self.rng, self.device)
        else:
            frames = _repeat(batch.frames, a.loss_views)
            offsets = self.views.draw(self.rng, len(frames))
            obs = self.pictures(frames, "obs", offsets)
            frames = _repeat(batch.next_frames, a.target_views)
            next_obs = self.pictures(frames, "next", offsets if a.shared_window else None)
            if self.agent.contrast_weight(self.env_steps) > 0.0:
                positive = self.pictures(batch.frames, "positive")

        def column(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(self.device).unsqueeze(1)

        state, next_state = augment_state(
            self.settings.state_augment,
            torch.from_numpy(batch.state).to(self.device),
            torch.from_numpy(batch.next_state).to(self.device),
            self.agent.generator,
        )
        return TensorBatch(
            obs=obs,
            next_obs=next_obs,
            positive=positive,
            state=state,
            next_state=next_state,
            action=torch.from_numpy(batch.action).to(self.device),
            reward=column(batch.reward),
            discount=column(batch.discount),
            demo=column(batch.demo),
        )

    def pictures(
        self,
        frames: NDArray[np.int64],
        purpose: str,
        offsets: NDArray[np.int64] | None = None,
    ) -> Pictures:
        """Randomly placed windows of stacks (B, K): per camera (B, 3K, S, S) uint8, NHWC in memory.

        Float in 0..255 where an effect makes it so (``learn.effects``). Each purpose has one buffer
        a camera that the next call for it overwrites. ``offsets`` (B, 2) are drawn when not given.
        """
        if offsets is None:
            offsets = self.views.draw(self.rng, len(frames))
        changes = self.effects.draw(len(frames), self.agent.generator)
        size, channels = self.views.size_px, 3 * self.spec.frame_stack
        out: Pictures = {}
        for index, name in enumerate(self.spec.cameras):
            key, shape = f"{purpose}/{name}", (len(frames), size, size, channels)
            if key not in self._buffers or self._buffers[key].shape != shape:
                self._buffers[key] = np.empty(shape, np.uint8)
            buffer = self._buffers[key]
            self.replay.store.pictures(frames, offsets, buffer, (index, index + 1))
            seen = torch.from_numpy(buffer).to(self.device).permute(0, 3, 1, 2)
            out[name] = self.effects.apply(self.views.blacken(seen, offsets), changes)
        return out

    def _warm_up(self, updates: int, progress: Progress | None) -> dict[str, float]:
        s = self.settings
        if not len(self.replay):
            raise ValueError("pretrain: no frame to learn from; add demonstrations first")
        wanted = s.clone.proposal or s.clone.init_actor
        cloning = s.clone.updates if wanted else 0
        total = updates + cloning
        metrics: dict[str, float] = {}
        if updates:
            early = _shifted(progress, 0, total)
            metrics |= pretraining.pretrain(self.agent, self._draw_views, updates, early)
        if self.cache is not None:
            self._cursor = (0, 0)
        if cloning:
            late = _shifted(progress, updates, total)
            metrics["clone_loss"] = pretraining.fit_clone(self.agent, self._draw_demo, late)
        if s.clone.init_actor:
            pretraining.start_from_clone(self.agent)
        return metrics

    def _draw_views(self) -> pretraining.Views:
        s = self.settings.pretrain
        share = 1.0 if s.clone_weight > 0.0 else len(self.replay.demo) / len(self.replay)
        indices = self.replay.sample_indices(s.batch_size, share, self.rng)
        batch = self.replay.gather(indices)
        later = indices
        if s.positive_offset:
            later = self.replay.store.later(indices, int(self.rng.integers(s.positive_offset + 1)))
        return pretraining.Views(
            query=self.pictures(batch.frames, "obs"),
            key=self.pictures(self.replay.store.stack(later), "positive"),
            state=torch.from_numpy(batch.state).to(self.device),
            action=torch.from_numpy(batch.action).to(self.device),
        )

    @torch.no_grad()
    def _draw_demo(self) -> tuple[Pictures, Tensor, Tensor]:
        indices = self.replay.sample_indices(self.settings.clone.batch_size, 1.0, self.rng)
        batch = self.replay.gather(indices)
        if self.cache is not None:
            self._encode_new()
            features = self.cache.get(batch.index, self.rng, self.device)
        else:
            features = self.agent.encoder(self.pictures(batch.frames, "obs"))
        state = torch.from_numpy(batch.state).to(self.device)
        return features, state, torch.from_numpy(batch.action).to(self.device)

    def _encode_new(self) -> None:
        """Bring the feature cache up to date with the replay; a no-op most of the time."""
        assert self.cache is not None
        slots, self._cursor = self.replay.new_frames_since(self._cursor)
        for start in range(0, len(slots), 256):
            self.cache.put(slots[start : start + 256], self.rng, self.device)


def _repeat(slots: NDArray[np.int64], views: int) -> NDArray[np.int64]:
    """One copy of ``slots`` a view, one after the other."""
    return slots if views == 1 else np.concatenate([slots] * views)


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None

    def report(step: int, _: int, metrics: dict[str, float]) -> None:
        progress(done + step, total, metrics)

    return report
