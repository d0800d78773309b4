"""From settings to the things themselves: twin, demonstrator, learner; and logs back into it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from handful import __version__
from handful.config import ConfigError
from handful.contract import Observation, Spec, Transition
from handful.rig.episodes import Episode, read
from handful.workflow.errors import RunError
from handful.workflow.recipe import Recipe

Progress = Callable[[int, int, dict[str, float]], None]
Action = NDArray[np.float32]


class Environment(Protocol):
    """What the workflow asks of a task: the twin has it, a physical cell will."""

    @property
    def spec(self) -> Spec: ...
    @property
    def horizon(self) -> int: ...
    def reset(self, seed: int) -> Observation: ...
    def step(self, action: Action) -> Transition: ...
    def close(self) -> None: ...


class LearnerLike(Protocol):
    """What the workflow asks of ``learn.learner.Learner``."""

    env_steps: int
    updates: int
    episodes: int

    def begin(self, observation: Observation) -> None: ...
    def add(self, transition: Transition) -> None: ...
    def pretrain(
        self, progress: Progress | None = None, gallery: Any = None
    ) -> dict[str, float]: ...
    def act(self, observation: Observation, explore: bool) -> Action: ...
    def update(self, progress: Progress | None = None) -> dict[str, float]: ...
    def save(self, path: Path, extra: dict[str, Any]) -> None: ...


@dataclass
class Parts:
    """Makes what a recipe describes. Tests hand in their own with the same methods."""

    recipe: Recipe
    device: str | None = None

    def environment(self) -> Any:
        """A new, independent instance of the task in the twin."""
        from handful_twin.task_env import TwinTaskEnv
        from handful_twin.tasks import TASKS

        task = TASKS[self.recipe.task](self.recipe.task_settings)
        return TwinTaskEnv(task, self.recipe.rig, self.recipe.twin)  # type: ignore[arg-type]

    def learning_environment(self) -> Any:
        """The same, as what learns sees it: episodes end by the word of ``recipe.reward``."""
        from handful.workflow.reward_sources import judged

        return judged(self)

    def demonstrator(self, env: Any, seed: int) -> Any:
        """The scripted demonstrator for that environment, with the recipe's noise."""
        from handful_twin.demonstrate import Demonstrator

        return Demonstrator(env, self.recipe.twin.demo_noise, seed)  # type: ignore[attr-defined]

    def learner(self, spec: Spec) -> Any:
        """A fresh learner; says nothing, takes its memory when it is filled.

        Raises:
            ConfigError: the device asked for is not there.
        """
        from handful.learn.learner import Learner

        return Learner(
            self.recipe.agent, spec, seed=self.recipe.seed, device=torch_device(self.device)
        )

    def load(self, path: Path) -> tuple[Any, dict[str, Any]]:
        """A learner from a checkpoint, replay still empty, and the ``extra`` it was saved with."""
        return load_learner(path, self.device)


def load_learner(path: Path, device: str | None) -> tuple[Any, dict[str, Any]]:
    """What ``Parts.load`` does, for a file whose settings are not known yet.

    Raises:
        CheckpointError: not a whole checkpoint.
        RunError: one of another version of handful.
    """
    from handful.learn import checkpoint
    from handful.learn.learner import Learner

    _, meta = checkpoint.load(path)
    theirs = str(meta.get("extra", {}).get("version", "unknown"))
    if _series(theirs) != _series(__version__):
        raise RunError(
            f"{path}: written by handful {theirs}, this is {__version__}; "
            "use that version, or train again"
        )
    learner = Learner.load(path, device=torch_device(device))
    return learner, learner.extra


def _series(version: str) -> list[str]:
    """Versions of the same series read each other's checkpoints: ``0.1.7`` is of ``0.1``."""
    return version.split(".")[:2]


def torch_device(asked: str | None) -> str:
    """``cuda`` when there is one and nothing else was asked for, otherwise ``cpu``.

    Raises:
        ConfigError: ``--device cuda`` without a usable GPU.
    """
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        built = (
            "this torch is built without CUDA"
            if torch.version.cuda is None
            else (f"torch (CUDA {torch.version.cuda}) sees no usable NVIDIA GPU or driver")
        )
        raise ConfigError(f"--device cuda: {built}; leave --device out to run on the CPU")
    if asked not in {None, "cpu", "cuda"}:
        raise ConfigError(f"--device {asked}: expected cpu or cuda")
    return asked or ("cuda" if there else "cpu")


def feed(
    learner: LearnerLike,
    folder: Path,
    spec: Spec,
    after_step: Callable[[], None] | None = None,
    after_episode: Callable[[Episode], None] | None = None,
) -> int:
    """Replay a whole episode log into the learner, as if it were happening again; episodes fed."""
    count = 0
    if not folder.is_dir():
        return count
    for episode in read(folder, spec):
        learner.begin(episode.observation)
        for transition in episode.transitions:
            learner.add(transition)
            if after_step is not None:
                after_step()
        count += 1
        if after_episode is not None:
            after_episode(episode)
    return count
