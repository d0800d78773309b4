"""Published returns and ours side by side, with the rule that says whether they agree.

Two means agree when they differ by at most two standard errors of their difference, both sides
taken to have the published deviation: 2 sd sqrt(1/n_paper + 1/n_ours).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from pydantic import Field

from handful.config import Settings, load
from handful.workflow.dmc_plan import told_name


class Published(Settings):
    """One list of ``config/bench/published.yaml``.

    method, also: our profiles that stand beside it. landmark: whether the picture of all tasks
    shows it. tasks: mean and deviation over seeds.
    """

    name: str
    method: str
    also: tuple[str, ...] = ()
    landmark: bool = False
    source: str
    seeds: int | None = Field(ge=1)
    env_steps: int = Field(ge=1)
    tasks: dict[str, tuple[float, float | None]]

    def stands_beside(self, method: str) -> bool:
        """Whether a run of that profile is compared with this list."""
        return method in (self.method, *self.also)


class PublishedSettings(Settings):
    """All of them."""

    lists: tuple[Published, ...]


class Measured(Protocol):
    """What is asked of a run that was read (``dmc_results.Run``)."""

    @property
    def head(self) -> dict[str, Any]: ...
    def at(self, env_steps: int) -> float | None: ...


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True)
class Cell:
    """One published number beside ours. Returns; ``ours`` one mean a seed."""

    list: str
    source: str
    task: str
    env_steps: int
    name: str
    published: float
    published_sd: float | None
    published_seeds: int | None
    ours: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Our mean over seeds, None when it was not run."""
        return statistics.fmean(self.ours) if self.ours else None

    @property
    def sd(self) -> float | None:
        """Our sample deviation over seeds, None for fewer than two."""
        return statistics.stdev(self.ours) if len(self.ours) > 1 else None

    @property
    def tolerance(self) -> float | None:
        """Largest difference that still counts as agreement; None where it cannot be known."""
        return tolerance(self.published_sd, self.published_seeds, len(self.ours))

    @property
    def verdict(self) -> str:
        """``not run``, ``within``, ``above``, ``below`` or ``no deviation published``."""
        if self.mean is None:
            return "not run"
        if self.tolerance is None:
            return "no deviation published"
        difference = self.mean - self.published
        if abs(difference) <= self.tolerance:
            return "within"
        return "above" if difference > 0 else "below"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the derived numbers included."""
        derived = ("mean", "sd", "tolerance", "verdict")
        return {**vars(self), **{key: getattr(self, key) for key in derived}}


def tolerance(sd: float | None, n_paper: int | None, n_ours: int) -> float | None:
    """Two standard errors of the difference of two means of equal deviation ``sd``."""
    if sd is None or n_paper is None or n_ours < 1:
        return None
    return 2.0 * sd * math.sqrt(1.0 / n_paper + 1.0 / n_ours)


def published_lists() -> tuple[Published, ...]:
    """The shipped lists, in their order."""
    return load(PublishedSettings, "bench/published").lists


def compare(published: Sequence[Published], runs: Sequence[Measured]) -> list[Cell]:
    """Every published number beside every variant of its method that was run (or none)."""
    cells = []
    for known in published:
        for task, (mean, sd) in known.tasks.items():
            ours: dict[str, list[float]] = {}
            for run in runs:
                if run.head["task"] == task and known.stands_beside(run.head["method"]):
                    value = run.at(known.env_steps)
                    if value is not None:
                        ours.setdefault(told_name(run.head), []).append(value)
            for name, values in sorted(ours.items()) or [(known.method, [])]:
                cells.append(
                    Cell(
                        known.name,
                        known.source,
                        task,
                        known.env_steps,
                        name,
                        mean,
                        sd,
                        known.seeds,
                        tuple(values),
                    )
                )
    return cells


def by_name(runs: Sequence[M], tasks: Sequence[str]) -> dict[str, dict[str, list[M]]]:
    """Runs by name and task, of those names that there are on more than half of ``tasks``."""
    found: dict[str, dict[str, list[M]]] = {}
    for run in runs:
        if run.head["task"] in tasks:
            found.setdefault(told_name(run.head), {}).setdefault(run.head["task"], []).append(run)
    return {name: of for name, of in found.items() if 2 * len(of) > len(tasks)}


def as_grid(
    published: Sequence[Published], runs: Sequence[Measured], tasks: Sequence[str], env_steps: int
) -> str:
    """Methods by tasks at one mark, as papers print it: published rows, then ours.

    Ours are the names measured on more than half of ``tasks``, the most complete first; a mean
    over the tasks is given of complete rows only. Empty when there is none of ours.
    """
    measured = by_name([run for run in runs if run.at(env_steps) is not None], tasks)
    ours = {
        name: {task: _at(seeds, env_steps) for task, seeds in of.items()}
        for name, of in measured.items()
    }
    if not ours:
        return ""
    rows = [[f"{env_steps:,} env steps", *(t.replace("_", " ") for t in tasks), "mean"]]
    rows.append(["---"] * len(rows[0]))
    for known in published:
        there = {task: cell for task, cell in known.tasks.items() if task in tasks}
        if known.env_steps == env_steps and 2 * len(there) > len(tasks):
            told = {task: _number(*cell, known.seeds) for task, cell in there.items()}
            rows.append(_row(known.name, told, tasks, [mean for mean, _ in there.values()]))
    for name, of in sorted(ours.items(), key=lambda item: (-len(item[1]), item[0])):
        told = {task: _seeds(values) for task, values in of.items()}
        rows.append(_row(f"**{name}**", told, tasks, [statistics.fmean(v) for v in of.values()]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(
    name: str, told: dict[str, str], tasks: Sequence[str], means: Sequence[float]
) -> list[str]:
    mean = f"{statistics.fmean(means):.0f}" if len(means) == len(tasks) else ""
    return [name, *(told.get(task, "") for task in tasks), mean]


def as_markdown(cells: Sequence[Cell]) -> str:
    """The cells as one table for people and for docs."""
    head = ["published", "task", "mean (seeds)", "ours", "mean (seeds)", "tolerance", "verdict"]
    rows = [head, ["---"] * len(head)]
    for cell in cells:
        rows.append(
            [
                cell.list,
                cell.task,
                _number(cell.published, cell.published_sd, cell.published_seeds),
                cell.name,
                _seeds(cell.ours) if cell.ours else "not run",
                "" if cell.tolerance is None else f"{cell.tolerance:.0f}",
                cell.verdict,
            ]
        )
    for (known, name), together in _grouped(cells).items():
        run = [cell.mean for cell in together if cell.mean is not None]
        if len(together) > 1 and run:
            what = f"mean over {len(together)} tasks"
            theirs = statistics.fmean(cell.published for cell in together)
            ours = f"{statistics.fmean(run):.0f}"
            if len(run) < len(together):
                ours = f"{len(run)} of {len(together)} run"
            rows.append([known, what, f"{theirs:.0f}", name, ours, "", ""])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    sources = {cell.list: cell.source for cell in cells}
    told = "\n".join(f"- {name}: {source}" for name, source in sources.items())
    return "\n".join(lines) + "\n\nSources:\n" + told


def _grouped(cells: Sequence[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """By list and name of ours, each with all tasks of the list, run or not."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.ours:
            groups.setdefault((cell.list, cell.name), []).append(cell)
    for (known, _), together in groups.items():
        there = {cell.task for cell in together}
        missing = {c.task: replace(c, ours=()) for c in cells if c.list == known}
        together += [cell for task, cell in missing.items() if task not in there]
    return groups


def _at(runs: Sequence[Measured], env_steps: int) -> list[float]:
    return [value for run in runs if (value := run.at(env_steps)) is not None]


def _seeds(values: Sequence[float]) -> str:
    """One mean a seed, as papers print them."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return _number(statistics.fmean(values), sd, len(values))


def _number(mean: float, sd: float | None, seeds: int | None) -> str:
    spread = "" if sd is None else f" ± {sd:.0f}"
    return f"{mean:.0f}{spread}" + ("" if seeds is None else f" ({seeds})")
