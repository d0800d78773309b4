"""One self-contained page from what a run's folder holds: no network, no twin, no torch needed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.workflow.curves import read_curve
from handful.workflow.errors import RunError
from handful.workflow.probe import read_probe
from handful.workflow.recipe import flatten
from handful.workflow.results import read_json, write_text
from handful.workflow.run_folder import RunFolder

NOT_A_KIND = ("seed", "agent_name")
Points = list[tuple[float, float | None]]


@dataclass(frozen=True)
class RunData:
    """Everything a report says about one run; what was never recorded is empty."""

    name: str
    folder: RunFolder
    config: dict[str, Any]
    curve: list[dict[str, Any]]
    result: dict[str, Any]
    probe: dict[str, NDArray[Any]] | None = None
    films: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """The curve's events of one kind, oldest first."""
        return [event for event in self.curve if event["kind"] == kind]

    def points(self, kind: str, key: str, over: str = "env_steps", scale: float = 1.0) -> Points:
        """(x, y) of a curve; events without the key are left out."""
        return [(scale * e[over], e[key]) for e in self.events(kind) if key in e]

    def success(self, over: str = "env_steps", scale: float = 1.0) -> Points:
        """Rolling training success from the fifth episode on; the rate of one is a lottery."""
        return self.points("episode", "rolling_success", over, scale)[4:]

    def pretraining(self) -> list[dict[str, Any]]:
        """The events of the last pre-training; one that was killed before is left out."""
        found = self.events("pretrain")
        starts = [i for i in range(1, len(found)) if found[i]["done"] <= found[i - 1]["done"]]
        return found[starts[-1] :] if starts else found

    @property
    def seed(self) -> int:
        return int(self.config.get("seed", 0))


def read_run(run: RunFolder) -> RunData:
    """Read one run's folder.

    Raises:
        RunError: nothing there that a report could be about.
    """
    config = run.read_config() or {}
    curve = read_curve(run.curve)
    result = read_json(run.result) or {}
    if not curve and not result:
        raise RunError(
            f"{run}: neither curve.jsonl nor result.json is there, so there is nothing to report; "
            f"`handful train --run {run}` and `handful evaluate {run}` make them"
        )
    films = []
    for entry in result.get("films", []):
        file = run.videos / str(entry["file"])
        if file.is_file():
            films.append((entry, file.read_bytes()))
    return RunData(run.path.name, run, config, curve, result, read_probe(run.probe), films)


def write_report(runs: Sequence[RunFolder], out: Path) -> Path:
    """Write the page about one run, or the comparison of several, to ``out``.

    Raises:
        RunError: a run without anything to report.
    """
    from handful.workflow.report_compare import comparison_page
    from handful.workflow.report_page import run_page

    data = [read_run(run) for run in runs]
    write_text(out, run_page(data[0]) if len(data) == 1 else comparison_page(kinds(data)))
    return out


@dataclass(frozen=True)
class Kind:
    """Runs that differ in nothing but the seed, and a name that tells them from the others."""

    name: str
    runs: list[RunData]


def kinds(runs: Sequence[RunData]) -> list[Kind]:
    """Group runs by their settings; a group is named by the keys in which the groups differ."""
    flat = [{k: v for k, v in flatten(run.config).items() if k not in NOT_A_KIND} for run in runs]
    keys = sorted({key for values in flat for key in values})
    varying = [k for k in keys if len({repr(values.get(k)) for values in flat}) > 1]
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, values in enumerate(flat):
        groups.setdefault(tuple(repr(values.get(k)) for k in varying), []).append(i)
    agents = [str(run.config.get("agent_name", run.name)) for run in runs]
    one_profile_each = len({agents[m[0]] for m in groups.values()}) == len(groups)
    named = []
    for members in groups.values():
        first = members[0]
        if one_profile_each or not varying:
            name = agents[first]
        else:
            named_keys = [k for k in varying if k != "task_name"][:3] or varying[:1]
            settings = [f"{_short(k)} {flat[first].get(k)}" for k in named_keys]
            name = f"{agents[first]}: " + ", ".join(settings)
        named.append(Kind(name, [runs[i] for i in members]))
    return named


def mean_curve(curves: Sequence[Sequence[tuple[float, float | None]]], count: int = 200) -> Points:
    """The mean of several curves on a common grid, from where all begin to where one ends."""
    solid = [[(x, y) for x, y in curve if y is not None] for curve in curves]
    solid = [curve for curve in solid if curve]
    if not solid:
        return []
    begin, end = max(curve[0][0] for curve in solid), min(curve[-1][0] for curve in solid)
    grid = np.linspace(begin, max(begin, end), count)
    rows = [np.interp(grid, [p[0] for p in curve], [p[1] for p in curve]) for curve in solid]
    return list(zip(grid.tolist(), np.mean(rows, 0).tolist(), strict=True))


def _short(key: str) -> str:
    return key.removeprefix("agent.")
