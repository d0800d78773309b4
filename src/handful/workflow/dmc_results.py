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

from handful.workflow.charts import FAINT, INK, PALETTE, Series, line_chart
from handful.workflow.dmc_plan import Plan, told_name
from handful.workflow.dmc_published import Published
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
_STYLE = (
    "<style>text{font-family:sans-serif;font-size:11px;fill:#6b7480}"
    ".axis{font-size:12px;fill:#1f2733}.name{font-size:12px;fill:#1f2733}</style>"
    '<rect width="100%" height="100%" fill="#fff"/>'
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


def plot(runs: Sequence[Run], published: Sequence[Published]) -> str:
    """The runs of one task and name as an SVG file: a thin line a seed, their mean, the papers."""
    task, name = runs[0].head["task"], told_name(runs[0].head)
    series = [
        Series(f"seed {run.head['seed']}", run.points, PALETTE[0], width=1.0, opacity=0.45)
        for run in runs
    ]
    series.append(Series(f"mean of {len(runs)}", _means(runs), PALETTE[0], width=2.4))
    reach = max((mark for run in runs for mark, _ in run.points), default=0)
    told = [f"{task}, {name}: mean of {len(runs)} seed{'s' if len(runs) > 1 else ''}"]
    for index, known in enumerate(published):
        found = known.tasks.get(task)
        if (
            found is None
            or not known.stands_beside(runs[0].head["method"])
            or known.env_steps > reach
        ):
            continue
        colour = PALETTE[1 + index % (len(PALETTE) - 1)]
        point = [(known.env_steps, found[0])]
        series.append(Series(known.name, point, colour, dots=True, line=False))
        told.append(f"o {known.name}: {found[0]:g}")
    return _file(series, told)


def plot_task(groups: Sequence[Sequence[Run]]) -> str:
    """All names of one task in one SVG file, the mean over seeds of each: pixels beside states."""
    series, told = [], [str(groups[0][0].head["task"])]
    for index, runs in enumerate(groups):
        name, colour = told_name(runs[0].head), PALETTE[index % len(PALETTE)]
        again = index >= len(PALETTE)  # a colour's second name is dashed
        series.append(Series(name, _means(runs), colour, dashed=again))
        seeds = f"mean of {len(runs)} seeds" if len(runs) > 1 else "1 seed"
        told.append(f"{name}: {seeds}{', dashed' if again else ''}")
    return _file(series, told, [FAINT, *(s.colour for s in series)], beside_px=350)


def _file(
    series: Sequence[Series], told: Sequence[str], colours: Sequence[str] = (), beside_px: int = 0
) -> str:
    """A chart that stands alone, with lines of words in its corner, or in a column beside it."""
    ys = [y for s in series for _, y in s.points if y is not None]
    y_range = (min([0.0, *ys]), _top(series))
    width, right = 560 + beside_px, 26 + beside_px
    chart = line_chart(
        series,
        x_label="environment steps",
        y_label="return",
        y_range=y_range,
        width=width,
        right=right,
    )
    x = width - right + 26 if beside_px else 60
    words = "".join(
        f'<text class="name" x="{x}" y="{24 + 16 * i}" style="fill:{colour}">{_escape(line)}</text>'
        for i, (line, colour) in enumerate(zip(told, colours or [INK] * len(told), strict=True))
    )
    chart = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    first = chart.index(">") + 1
    return f"{chart[:first]}{_STYLE}{chart[first:].replace('</svg>', words + '</svg>')}\n"


def write_plots(runs: Sequence[Run], published: Sequence[Published]) -> list[Path]:
    """``curve.svg`` beside the CSVs of each task and name, and in each task's folder; the files."""
    folders: dict[Path, list[Run]] = {}
    for run in runs:
        if run.points:
            folders.setdefault(run.path.parent, []).append(run)
    for folder, together in folders.items():
        write_text(folder / "curve.svg", plot(together, published))
    tasks: dict[Path, list[list[Run]]] = {}
    for folder, together in folders.items():
        tasks.setdefault(folder.parent, []).append(together)
    several = {folder: groups for folder, groups in tasks.items() if len(groups) > 1}
    for folder, groups in several.items():
        write_text(folder / "curve.svg", plot_task(groups))
    return [folder / "curve.svg" for folder in (*folders, *several)]


def _means(runs: Sequence[Run]) -> list[tuple[float, float | None]]:
    """The mean over seeds at the marks that all of them have come to."""
    marks = sorted(set.intersection(*({mark for mark, _ in run.points} for run in runs)))
    return [(mark, statistics.fmean(_known(run.at(mark) for run in runs))) for mark in marks]


def _top(series: Sequence[Series]) -> float:
    most = max((y for s in series for _, y in s.points if y is not None), default=0.0)
    return 1000.0 if most <= 1000.0 else 1.06 * most


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


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
