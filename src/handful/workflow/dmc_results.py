"""Runs of ``handful bench dmc`` as files: one CSV a seed, with everything that made it in its head.

``RESULTS/<task>/<name>/seed_<N>.csv`` begins with ``# key: value`` lines (values are JSON) and
holds one row an evaluation. It is written anew, whole or not at all, after each of them.
"""

import csv
import io
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from handful.workflow.dmc_plan import Plan
from handful.workflow.dmc_train import Look
from handful.workflow.errors import RunError
from handful.workflow.results import commit, machine, versions, write_text

COLUMNS = (
    "env_steps",
    "agent_steps",
    "train_episodes",
    "updates",
    "train_s",
    "mean_return",
    "sd_return",
)


@dataclass(frozen=True)
class Run:
    """One CSV: its head, and (environment steps, mean return) of each evaluation."""

    path: Path
    head: dict[str, Any]
    points: tuple[tuple[int, float], ...]

    def at(self, env_steps: int) -> float | None:
        """Mean return of the evaluation at exactly that mark, None when there was none."""
        return next((mean for mark, mean in self.points if mark == env_steps), None)


def csv_path(results: Path, plan: Plan) -> Path:
    """Where a plan's results lie."""
    return results / plan.task / plan.name / f"seed_{plan.seed}.csv"


def refuse_other_physics(path: Path, plan: Plan) -> None:
    """Do not write over what was measured under other physics.

    Raises:
        RunError: ``path`` holds such a result.
    """
    if not path.is_file():
        return
    there = read_run(path).head.get("physics", "installed")
    if there != plan.physics:
        raise RunError(
            f"{path}: was measured under {there} physics, this run's are {plan.physics}; give it "
            f"another --name, ask for --physics {there}, or --overwrite it"
        )


def write_run(path: Path, plan: Plan, looks: Sequence[Look], facts: dict[str, Any]) -> None:
    """Write all evaluations so far; ``facts`` (``facts_of``) say where and by what."""
    head = {
        "task": plan.task,
        "method": plan.method,
        "name": plan.name,
        "seed": plan.seed,
        "action_repeat": plan.repeat,
        "physics": plan.physics,
        "budget_env_steps": plan.budget_env_steps,
        "eval_episodes": plan.eval_episodes,
        **facts,
        "agent": plan.agent.model_dump(mode="json"),
    }
    text = io.StringIO()
    for key, value in head.items():
        text.write(f"# {key}: {json.dumps(value)}\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, *(f"return_{i}" for i in range(plan.eval_episodes))])
    for look in looks:
        sd = statistics.stdev(look.returns) if len(look.returns) > 1 else 0.0
        table.writerow(
            [
                *(look.env_steps, look.agent_steps, look.episodes, look.updates),
                *(look.train_s, round(statistics.fmean(look.returns), 4), round(sd, 4)),
                *(round(value, 4) for value in look.returns),
            ]
        )
    write_text(path, text.getvalue())


def facts_of(path: Path, command: str, device: str, threads: int) -> dict[str, Any]:
    """Where and by what a run at ``path`` is made; to be asked once, when its process begins.

    commit: of every session that had a part in it, the code that is running now the last.
    """
    before = list(read_run(path).head.get("commit", [])) if path.is_file() else []
    now = commit()
    return {
        "command": command,
        "commit": before if now in before else [*before, now],
        "machine": machine(),
        "versions": {**versions(), **_suite_versions()},
        "device": device,
        "threads": threads,
    }


def read_run(path: Path) -> Run:
    """One CSV.

    Raises:
        RunError: it has no head of ours, or a number in it is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
        head = {key: json.loads(value) for key, value in pairs}
        rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
        points = tuple((int(row["env_steps"]), float(row["mean_return"])) for row in rows)
        for key in ("task", "method", "name", "seed"):
            head[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not a result of handful bench dmc: {error!r}") from None
    return Run(path, head, points)


def read_runs(results: Path) -> list[Run]:
    """Every CSV under ``results``, in the order of their paths; none without that folder."""
    return [read_run(path) for path in sorted(results.glob("*/*/seed_*.csv"))]


def _suite_versions() -> dict[str, str]:
    found = {}
    for name in ("dm_control", "mujoco"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if os.environ.get("MUJOCO_GL"):
        found["MUJOCO_GL"] = os.environ["MUJOCO_GL"]
    return found
