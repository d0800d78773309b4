"""Weights from a learner to an actor in another process: a file that is whole or the one before.

The learner writes ``policy.safetensors`` beside its checkpoint, without optimisers, every second
or so; the actor looks at the file's date, reads a newer one in a thread of its own into a spare set
of networks, and swaps the two. So acting never waits for learning, a learner that dies leaves its
last weights behind, and nothing that is read is ever unpickled.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handful.config import build
from handful.contract import Observation, Spec
from handful.learn import checkpoint
from handful.learn.acting import Acting
from handful.learn.agent import Agent
from handful.learn.augment import Views
from handful.learn.explore import Noise
from handful.learn.fit import check_spec
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings

log = logging.getLogger(__name__)

_NETWORKS = ("encoder", "policy", "clone", "target_critic", "critic.latent")
"""What acting looks at; the rest of a learner stays at home."""


def hand_out(learner: Learner, path: str | Path, extra: dict[str, Any]) -> None:
    """Write the learner's acting weights to ``path``, whole or not at all.

    ``extra`` (JSON-ready) reaches the actor as ``Handout.extra``. Raises ``CheckpointError``.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name in _NETWORKS:
        tensors |= checkpoint.flatten_module(name, learner.agent.get_submodule(name))
    meta = {
        "settings": learner.settings.model_dump(mode="json"),
        "spec": learner.spec.to_dict(),
        "seed": learner.seed,
        "version": learner.updates,
        "env_steps": learner.env_steps,
        "extra": extra,
    }
    checkpoint.save(path, tensors, meta)


@dataclass(frozen=True)
class Handout:
    """Networks that act. version: updates behind the weights; env_steps: that these had seen."""

    agent: Agent
    acting: Acting
    version: int
    env_steps: int
    extra: dict[str, Any]


class Receiver:
    """The newest handed-out policy, without ever making the one who acts wait.

    Args:
        path: of the file. spec: the shapes it must have. device: of the networks.
        seed: of the exploration noise.
    Raises:
        CheckpointError: the file is missing, cut short or of another spec.
    """

    def __init__(
        self, path: str | Path, spec: Spec | None = None, device: str = "cpu", seed: int = 0
    ) -> None:
        self._path, self._spec = Path(path), spec
        self._device, self._seed = torch.device(device), seed
        self._rng = np.random.default_rng(seed)
        self._noise: Noise | None = None
        self._date = 0
        self._spare: Handout | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.received_s = time.monotonic()
        self.current = self._read()

    @property
    def settings(self) -> AgentSettings:
        """The agent's."""
        return self.current.agent.settings

    @property
    def age_s(self) -> float:
        """Seconds since a new version came in (monotonic clock)."""
        return time.monotonic() - self.received_s

    def act(self, observation: Observation, explore: bool, env_steps: int) -> NDArray[np.float32]:
        """Action (A,) as ``Learner.act`` would give it after ``env_steps`` of experience."""
        now, s = self.current, self.current.agent.settings
        if not explore:
            return now.acting.mean(observation)
        if env_steps < s.start_steps:
            if s.start_policy == "random":
                size = now.agent.spec.action_dim
                return self._rng.uniform(-1.0, 1.0, size).astype(np.float32)
            if s.start_policy == "clone":
                return now.acting.clone(observation)
        if self._noise is None:  # never restarted: nobody tells an actor where an episode ends
            self._noise = Noise(s.exploration, now.agent.spec.action_dim)
        return now.acting.sample(observation, self._noise.draw(self._rng))

    def refresh(self) -> bool:
        """Read the file if it is newer; whether it was. For ``start``'s thread, or by hand."""
        try:
            date = os.stat(self._path).st_mtime_ns
        except OSError:
            return False
        if date == self._date:
            return False
        before, self.current = self.current, self._read()
        self.current.agent.generator.set_state(before.agent.generator.get_state())
        self._spare = before
        self.received_s = time.monotonic()
        return True

    def start(self, every_s: float = 0.25) -> None:
        """Look for newer weights in a thread until ``close``."""

        def watch() -> None:
            while not self._stop.wait(every_s):
                try:
                    self.refresh()
                except checkpoint.CheckpointError as error:
                    log.warning("the weights acted with stay the last ones: %s", error)

        self._thread = threading.Thread(target=watch, name="weights", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; twice is safe."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _read(self) -> Handout:
        date = os.stat(self._path).st_mtime_ns if self._path.is_file() else 0
        tensors, meta = checkpoint.load(self._path)
        if "version" not in meta:
            raise checkpoint.CheckpointError(
                f"{self._path}: a checkpoint, but not handed-out weights; expected the "
                "policy.safetensors of a run"
            )
        if self._spec is not None:
            checkpoint.expect(meta, self._path, spec=self._spec.to_dict())
        spare = self._spare or self._new(meta)
        try:
            for name in _NETWORKS:
                checkpoint.restore_module(name, spare.agent.get_submodule(name), tensors)
        except checkpoint.CheckpointError as error:
            raise checkpoint.CheckpointError(f"{self._path}: {error}") from error
        self._date = date
        return replace(
            spare,
            version=int(meta["version"]),
            env_steps=int(meta["env_steps"]),
            extra=dict(meta["extra"]),
        )

    def _new(self, meta: dict[str, Any]) -> Handout:
        """Networks of the file's settings; all ways of acting are tried, so they are traced."""
        settings = build(AgentSettings, dict(meta["settings"]), f"{self._path}: settings")
        spec = Spec.from_dict(meta["spec"])
        check_spec(settings, spec)
        with torch.random.fork_rng(devices=[]):
            agent = Agent(spec, settings, self._device, self._seed).requires_grad_(False)
        acting = Acting(agent, Views(settings))
        shape = (spec.height_px, spec.width_px, 3 * spec.frame_stack)
        blank = Observation(
            {name: np.zeros(shape, np.uint8) for name in spec.cameras},
            np.zeros(spec.state_dim, np.float32),
            0.0,
        )
        for way in (acting.mean, acting.clone, acting.sample):
            way(blank)
        agent.generator.manual_seed(self._seed)
        return Handout(agent, acting, 0, 0, {})
