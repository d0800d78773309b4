"""A skill nobody wrote a rule for, hand on the table, taught to a success classifier in seconds.

It is not the task's: the task is lift, and its own rule never holds here. So whatever ends an
episode in success is the classifier, and every success of it is a false one by the task's rule.
"""

from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner
from handful_twin.task_env import TwinTaskEnv

from handful.cli import cli
from handful.rig.episodes import EpisodeLog
from handful.workflow.data.about import about
from handful.workflow.parts import Parts
from handful.workflow.recipe import Options, Recipe, resolve
from handful.workflow.run_folder import RunFolder

DOWN, UP = np.array([0.0, 0.0, -1.0, 1.0]), np.array([0.0, 0.0, 0.4, 1.0])
SETS = (
    "agent.pretrain.updates=20",
    "agent.pretrain.batch_size=32",
    "agent.pretrain.refresh_steps=[]",
    "agent.clone.updates=150",
    "agent.batch_size=16",
    "agent.start_steps=10",
    "train.demos=8",
)
_STEPS = 14


def recipe_of(*sets: str) -> Recipe:
    """Lift, with an agent that learns in seconds."""
    return resolve(Options("lift", sets=SETS + sets))


def record(folder: Path, recipe: Recipe, down: bool, seeds: range) -> Path:
    """Episodes in which the hand goes down to the table, which people call success, or does not."""
    env: Any = Parts(recipe, "cpu").environment()
    assert isinstance(env, TwinTaskEnv)
    noise = np.random.default_rng(seeds.start)
    try:
        with EpisodeLog(folder, env.spec, about(recipe, "demonstration")) as log:
            for seed in seeds:
                log.begin(env.reset(seed), demo=down, info={"seed": seed})
                way = DOWN if down else UP * noise.choice([-0.3, 0.5, 1.0])
                for step in range(_STEPS):
                    done = env.step(np.clip(way + noise.normal(0.0, 0.2, 4), -1.0, 1.0))
                    last = step == _STEPS - 1
                    log.add(_ended(done, down) if last else done)
    finally:
        env.close()
    return folder


def _ended(step: Any, well: bool) -> Any:
    from dataclasses import replace

    info = {**step.info, "success": well, "said_by": "Ada"}
    return replace(step, reward=float(well), discount=0.0, last=True, info=info)


def handful(*words: Any) -> None:
    """A command that must succeed, in this process."""
    result = CliRunner().invoke(cli, [str(word) for word in words], prog_name="handful")
    assert result.exit_code == 0, (result.output, result.exception)


def taught(folder: Path) -> tuple[RunFolder, Path, Path]:
    """(a run that has seen nothing yet, the session it is to learn from, a classifier of it)."""
    recipe = recipe_of()
    shown = record(folder / "shown", recipe, True, range(8))
    failed = record(folder / "failed", recipe, False, range(100, 110))
    eye = RunFolder(folder / "eye")
    eye.path.mkdir()
    eye.write_config(recipe)
    handful("pretrain", "--run", eye.path, "--sessions", shown, "--no-report")
    file = folder / "success.safetensors"
    words = ["success.updates=150", "success.heads=2", "success.views=2", "success.hold_steps=3"]
    sets = [word for value in words for word in ("--set", value)]
    handful("reward", "train", shown, failed, "--encoder", eye.path, "--out", file, *sets)
    run = RunFolder(folder / "run")
    run.path.mkdir()
    run.write_config(recipe)
    return run, shown, file
