"""A learner to a checkpoint and back: networks, targets, optimisers, generators and counters.

The replay is not in it: the episode log is the single source of experience, and feeding it through
``begin`` and ``add`` again brings back the replay and the count of environment steps.
"""

from pathlib import Path
from typing import Any

import torch

from handful.config import build
from handful.contract import Spec
from handful.learn import checkpoint
from handful.learn.learner import Learner
from handful.learn.settings import AgentSettings


def save(learner: Learner, path: str | Path, extra: dict[str, Any]) -> None:
    """Write everything but the replay to ``path``, whole or not at all.

    ``extra`` (JSON-ready) comes back from ``load``: task, run settings, version.
    Raises ``CheckpointError`` when the disk refuses; a file that was there stays whole.
    """
    tensors = checkpoint.flatten_module("agent", learner.agent)
    for name, optimizer in learner.agent.optimizers.items():
        tensors |= checkpoint.flatten_optimizer(f"adam.{name}", optimizer)
    tensors["generator"] = learner.agent.generator.get_state()
    meta = {
        "settings": learner.settings.model_dump(mode="json"),
        "spec": learner.spec.to_dict(),
        "seed": learner.seed,
        "updates": learner.updates,
        "agent_updates": learner.agent.updates,
        "refreshed": learner.refreshed,
        "pretrained": learner.pretrained,
        "rng": checkpoint.numpy_state(learner.rng),
        "extra": extra,
    }
    checkpoint.save(path, tensors, meta)


def load(
    path: str | Path, *, device: str | None = None, spec: Spec | None = None
) -> tuple[Learner, dict[str, Any]]:
    """The learner of ``path`` with an empty replay, and what was given as ``extra``.

    Args:
        spec: the environment it shall act in; None takes the checkpoint's own.
    Raises:
        CheckpointError: missing, cut short, of another format, or of another spec.
        ConfigError: its settings are not this version's.
    """
    tensors, meta = checkpoint.load(path)
    if spec is not None:
        checkpoint.expect(meta, path, spec=spec.to_dict())
    settings = build(AgentSettings, dict(meta["settings"]), f"{path}: settings")
    own = Spec.from_dict(meta["spec"])
    learner = Learner(settings, own, seed=int(meta["seed"]), device=device)
    try:
        checkpoint.restore_module("agent", learner.agent, tensors)
        for name, optimizer in learner.agent.optimizers.items():
            checkpoint.restore_optimizer(f"adam.{name}", optimizer, tensors)
    except checkpoint.CheckpointError as error:
        raise checkpoint.CheckpointError(f"{path}: {error}") from error
    _restore_generator(learner.agent.generator, tensors["generator"])
    checkpoint.restore_numpy(learner.rng, meta["rng"])
    learner.updates, learner.agent.updates = int(meta["updates"]), int(meta["agent_updates"])
    learner.refreshed, learner.pretrained = int(meta["refreshed"]), bool(meta["pretrained"])
    return learner, dict(meta["extra"])


def _restore_generator(generator: torch.Generator, state: torch.Tensor) -> None:
    # A checkpoint from a GPU carries another generator's state; a CPU then keeps its seeded one.
    if state.numel() == generator.get_state().numel():
        generator.set_state(state)
