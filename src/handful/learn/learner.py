"""The learner's day: take what happened, keep the ratio of updates to steps, hand out actions.

Owns the agent, the two replays (demonstrations and the arm's own experience), the feature cache of
a frozen eye and the counters. It never runs ahead of its ratio nor silently falls behind it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handful.contract import Observation, Spec, Transition
from handful.learn import pretrain as pretraining
from handful.learn import sampling
from handful.learn.acting import Acting
from handful.learn.agent import Agent
from handful.learn.augment import Views
from handful.learn.batch import TensorBatch
from handful.learn.compute import decide
from handful.learn.effects import Effects
from handful.learn.encoder import Pictures
from handful.learn.explore import Noise
from handful.learn.features import FeatureCache
from handful.learn.feed import Sources
from handful.learn.fit import check_spec
from handful.learn.gallery import Gallery
from handful.learn.pretrain import Progress
from handful.learn.program import Program, bytes_on_device, bytes_per_update, make_program
from handful.learn.replay import MixedReplay, bytes_needed
from handful.learn.settings import AgentSettings
from handful.learn.store import Store


class Learner:
    """One agent in training.

    Args:
        settings: the profile. spec: shapes of observations and actions. seed: of weights, noise,
            augmentation and sampling. device: ``"cpu"``, ``"cuda"``, None: a GPU if there is one.
    Raises:
        ValueError: the spec's picture size, stack or cameras do not fit the profile, or what it
            asks of the device (``compute``) is not there.
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
        self.noise = Noise(settings.exploration, spec.action_dim)
        r = settings.replay
        self.replay = MixedReplay(spec, r.capacity, r.demo_slots, r.n_step, settings.discount)
        self.computing = decide(
            settings.compute,
            self.device,
            bytes_on_device(self.agent, r.capacity + r.demo_slots),
            bytes_per_update(self.agent),
        )
        self.cache: FeatureCache | None = None
        if self.agent.frozen:
            self.cache = FeatureCache(
                self.agent.encoder,
                self.views,
                self.replay.store,
                settings.augment.cached_views,
                self.effects,
                self.agent.generator,
                self.device if self.computing.replay_on_device else None,
            )
        self.sources = Sources(
            self.agent,
            self.replay,
            self.views,
            self.effects,
            self.cache,
            self.rng,
            self.encode_new,
        )
        self.program: Program | None = None  # made at the first update: who only acts needs none
        self._cursor = (0, 0)
        self.buffers: dict[str, NDArray[np.uint8]] = {}
        self.env_steps = self.updates = self.episodes = self.refreshed = 0
        self.pretrained = False
        self.extra: dict[str, Any] = {}

    def bytes_needed(self) -> int:
        """Memory of the replay and the feature cache when both are full [bytes]."""
        slots = self.settings.replay.capacity + self.settings.replay.demo_slots
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
        self.noise.restart()

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
        return self.acting.sample(observation, self.noise.draw(self.rng))

    def embed(self, observation: Observation) -> NDArray[np.float32]:
        """The visual latent (Z,) that the critic decides on, of the window used in acting."""
        return self.acting.embed(observation)

    # Learning.

    def pretrain(
        self, progress: Progress | None = None, gallery: Gallery | None = None
    ) -> dict[str, float]:
        """Before the first motion: contrast and cloning on what has been added so far.

        gallery: pictures that the contrast looks at besides (``pretrain.unlabelled_share``).
        """
        metrics = self._warm_up(self.settings.pretrain.updates, progress, gallery)
        self.pretrained = True
        return metrics

    def owed(self) -> int:
        """Updates that the steps taken so far still demand."""
        due = self.settings.update_to_data * max(0, self.env_steps - self.settings.start_steps)
        return int(due) - self.updates

    def update(self, progress: Progress | None = None) -> dict[str, float]:
        """Run exactly the updates owed; the last one's metrics, or {} when none are."""
        return self.launch(progress)()

    def launch(self, progress: Progress | None = None) -> Callable[[], dict[str, float]]:
        """Begin exactly the updates owed; what it returns waits for them and gives the metrics.

        On a GPU they run on while the host does something else, such as the arm's next step; what
        is asked of the networks meanwhile waits for them. On a CPU they are done on return.
        """
        owed = self.owed()
        refresh = self.settings.pretrain.refresh_steps
        if self.refreshed < len(refresh) and self.env_steps >= refresh[self.refreshed]:
            self.refreshed += 1
            self._warm_up(self.settings.pretrain.refresh_updates, progress)
        metrics: dict[str, Tensor] = {}
        for step in range(1, owed + 1):
            metrics = self.step()
            if progress is not None and step % 50 == 0:
                progress(step, owed, {})
        if not metrics:
            return dict
        numbers = torch.stack([*metrics.values()])  # one transfer back, and none before it is asked
        return lambda: dict(zip(metrics, numbers.tolist(), strict=True))

    def step(self) -> dict[str, Tensor]:
        """One update on a fresh batch, owed or not; its metrics, valid until the next."""
        if self.program is None and self.computing.program:
            self.program = make_program(self.sources, self.computing)
        if self.program is not None:
            metrics = self.program.update(self.env_steps)
        else:
            metrics = self.agent.update(self.sample(), self.env_steps)
        self.updates += 1
        return metrics

    def sample(self) -> TensorBatch:
        """One augmented batch on the device."""
        return sampling.sample(self)

    def pictures(
        self,
        frames: NDArray[np.int64],
        purpose: str,
        offsets: NDArray[np.int64] | None = None,
        store: Store | None = None,
    ) -> Pictures:
        """Randomly placed windows of stacks (B, K): ``learn.sampling.pictures``."""
        return sampling.pictures(self, frames, purpose, offsets, store)

    def _warm_up(
        self, updates: int, progress: Progress | None, gallery: Gallery | None = None
    ) -> dict[str, float]:
        s = self.settings
        if not len(self.replay) and gallery is None:
            raise ValueError("pretrain: no frame to learn from; add demonstrations first")
        wanted = (s.clone.proposal or s.clone.init_actor) and len(self.replay) > 0
        cloning = s.clone.updates if wanted else 0
        total = updates + cloning
        metrics: dict[str, float] = {}
        if updates:
            early = _shifted(progress, 0, total)
            draw = partial(sampling.draw_views, self, gallery)
            metrics |= pretraining.pretrain(self.agent, draw, updates, early)
        if self.cache is not None:
            self._cursor = (0, 0)
        if cloning:
            late = _shifted(progress, updates, total)
            metrics["clone_loss"] = pretraining.fit_clone(
                self.agent, partial(sampling.draw_demo, self), late
            )
        if s.clone.init_actor and wanted:
            pretraining.start_from_clone(self.agent)
        return metrics

    def encode_new(self) -> None:
        """Bring the feature cache up to date with the replay; a no-op most of the time."""
        assert self.cache is not None
        slots, self._cursor = self.replay.new_frames_since(self._cursor)
        for start in range(0, len(slots), 256):
            self.cache.put(slots[start : start + 256], self.rng, self.device)


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None

    def report(step: int, _: int, metrics: dict[str, float]) -> None:
        progress(done + step, total, metrics)

    return report
