"""Plans of ``handful bench dmc`` that were never trained, and CSVs whose means one can check."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from handful.cli import cli
from handful.config import build
from handful.learn.settings import AgentSettings
from handful.workflow.dmc_plan import Plan
from handful.workflow.dmc_results import csv_path, facts_of, write_run
from handful.workflow.dmc_train import Look


def plan(seed: int = 1, task: str = "line_walk", method: str = "curl", **changed: Any) -> Plan:
    values = {
        "name": method,
        "repeat": 4,
        "budget_env_steps": 800,
        "physics": "installed",
    } | changed
    return Plan(
        task,
        method,
        seed=seed,
        eval_every_env_steps=400,
        eval_episodes=2,
        agent=build(AgentSettings, {}, "any"),
        **values,
    )


def write(results: Path, of: Plan, *means: float) -> Path:
    looks = [
        Look(400 * (i + 1), 100 * (i + 1), 4 + i, 90 * i, 1.5, (mean - 10, mean + 10))
        for i, mean in enumerate(means)
    ]
    path = csv_path(results, of)
    write_run(path, of, looks, facts_of(path, "handful bench dmc --seeds 1", "cpu", 1))
    return path


def handful(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bench", "dmc", *words], prog_name="handful")
