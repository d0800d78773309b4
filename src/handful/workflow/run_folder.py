"""One folder a run: where everything lies, who may write, and what may still be changed.

::

    runs/NAME/config.yaml              every setting, resolved
              demos/                   episode log of the demonstrations
              attempts/                what people recorded and is no demonstration; never deleted
              play/                    the same of unlabelled play, when there is some
              held_out/                what pre-training is measured on; nothing learns from it
              sources.json             sessions elsewhere that it learns from as well
              episodes/                episode log of the agent's own experience
              pretrained.safetensors   the learner after pre-training
              pretraining.json, .html  what the encoder learned, and a page about it
              checkpoint.safetensors   the learner now
              policy.safetensors       its acting weights, for an actor in another process
              learner.json             how a learner beside an actor stands; its pulse
              curve.jsonl, tb/         learning curves, for the report and for TensorBoard
              result.json, videos/, probe.npz     of the last evaluation
              report.html
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from handful.workflow.errors import RunError
from handful.workflow.recipe import Options, Recipe, differences, resolve
from handful.workflow.results import write_text


class RunFolder:
    """Paths of one run and the rules for touching it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.demos = self.path / "demos"
        self.play = self.path / "play"
        self.held_out = self.path / "held_out"
        self.sources = self.path / "sources.json"
        self.episodes = self.path / "episodes"
        self.pretrained = self.path / "pretrained.safetensors"
        self.pretraining = self.path / "pretraining.json"
        self.pretraining_page = self.path / "pretraining.html"
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.policy = self.path / "policy.safetensors"
        self.standing = self.path / "learner.json"
        self.curve = self.path / "curve.jsonl"
        self.tensorboard = self.path / "tb"
        self.result = self.path / "result.json"
        self.probe = self.path / "probe.npz"
        self.videos = self.path / "videos"
        self.report = self.path / "report.html"

    def __str__(self) -> str:
        return str(self.path)

    @property
    def demo_files(self) -> int:
        """How many demonstration files there are, readable or not."""
        return _count(self.demos)

    @property
    def trained(self) -> bool:
        """Whether training has begun: there is a checkpoint or experience that could be lost."""
        return self.checkpoint.exists() or _count(self.episodes) > 0

    def read_config(self) -> dict[str, Any] | None:
        """What the run was made with, or ``None`` for a new folder.

        Raises:
            RunError: the file is there but is not a mapping in YAML.
        """
        if not self.config.is_file():
            return None
        try:
            values = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise RunError(
                f"{self.config}: not valid YAML: {' '.join(str(error).split())}"
            ) from None
        if not isinstance(values, dict):
            raise RunError(f"{self.config}: expected a mapping of settings, got {values!r}")
        return values

    def write_config(self, recipe: Recipe) -> None:
        """Store the resolved settings, whole or not at all."""
        write_text(self.config, recipe.to_yaml())

    def check_settings(self, recipe: Recipe) -> None:
        """Refuse settings under which what the folder holds would no longer be true.

        Demonstrations bind task, rig, twin and seed; a pre-trained or trained agent binds the agent
        too, experience who judged it. The ``train`` group may always change.

        Raises:
            RunError: naming the keys that differ.
        """
        old = self.read_config()
        if old is None:
            return
        # Keys that are newer than the run have the value they had before there was a key for it.
        old = resolve(Options(), old, str(self.config)).to_dict()
        new = recipe.to_dict()
        bound = []
        if self.demo_files or self.trained:
            bound += ["task_name", "seed", "rig", "twin", "task"]
        if self.trained or self.pretrained.exists():
            bound += ["agent"]
        if self.trained and "reward" in old:
            bound += ["reward"]
        changed = differences({k: old.get(k) for k in bound}, {k: new[k] for k in bound})
        if changed:
            more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
            raise RunError(
                f"{self}: was recorded with other settings: {'; '.join(changed[:3])}{more}; "
                "use another --run, or --overwrite to start this one afresh"
            )

    def clear(self) -> None:
        """Delete everything of this run that handful makes; other files in the folder stay."""
        for path in vars(self).values():
            if path == self.path:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def clear_training(self) -> None:
        """Delete what came after the demonstrations and the pre-training."""
        for path in (self.episodes, self.tensorboard, self.videos):
            if path.is_dir():
                shutil.rmtree(path)
        last = (self.result, self.probe, self.report)
        for path in (self.checkpoint, self.policy, self.standing, self.curve, *last):
            path.unlink(missing_ok=True)

    def move_aside(self) -> Path | None:
        """Rename an existing folder to ``NAME.previous`` (replacing an older one); return that."""
        if not self.path.exists():
            return None
        aside = self.path.with_name(f"{self.path.name}.previous")
        if aside.exists():
            shutil.rmtree(aside)
        self.path.rename(aside)
        return aside

    @contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Hold the run for one process; the lock dies with the process, also by kill -9.

        part: a role that may be held beside the run itself, such as ``actor``.

        Raises:
            RunError: another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        name = f".lock-{part}" if part else ".lock"
        file = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise RunError(
                    f"{self}: another handful process (pid {owner}) is "
                    f"{f'its {part} already' if part else 'working on this run'}; "
                    "wait for it, stop it, or use another --run"
                ) from None
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(file)


def find_checkpoint(path: str | Path) -> tuple[RunFolder, Path]:
    """The run and the checkpoint file meant by a path to either.

    Raises:
        RunError: there is none.
    """
    given = Path(path)
    if given.is_dir():
        run = RunFolder(given)
        for candidate in (run.checkpoint, run.pretrained):
            if candidate.is_file():
                return run, candidate
        raise RunError(f"{given}: holds no checkpoint.safetensors; `handful train` makes one")
    if not given.is_file():
        raise RunError(f"{given}: no such checkpoint file or run folder")
    return RunFolder(given.parent), given


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("episode_*.log")) if folder.is_dir() else 0


def invocation() -> str:
    """The command line that was given, as the report shows it."""
    return " ".join(["handful", *sys.argv[1:]])
